"""Values for parameters: `--set STEP.PARAM=VALUE` and the files of `--params`."""

from __future__ import annotations

from pathlib import Path

from fuzz.hdf5_files import written
from fuzz.mutate import Mutator
from fuzz.target import Target
from lume_services.cli.values import read_flow_of_flows

_SPEC = """\
name: quad_scan
project_name: quad_scan
composing_flows:
  - name: beam
    entrypoint: lume_services.examples.quad_scan.flows:beam
  - name: track
    entrypoint: lume_services.examples.quad_scan.flows:track
    mapped_parameters:
      beam_file: {parent_flow_name: beam, parent_task_name: save_beam, map_type: file}
"""
_SET = (
    "--set\ntrack.points=15",
    "--set\nbeam.input_file=a/b.h5\ntrack.points=7",
    "--set\ntrack.points=[1, 2.5]",
)
_PARAMS = (
    "track:\n  points: 15\nbeam: {input_file: null}\n",
    '{"track": {"points": 15}}',
    "track: {points: 1e-6}\n",
)


def _seeds() -> list[str]:
    return ["--set\ntrack.points=15", "--params\ntrack:\n  points: 15\nbeam: {input_file: null}\n"]


def _mutate(mutator: Mutator, seed: str) -> str:
    kind = seed.partition("\n")[0]
    chosen = mutator.random.choice(_SET if kind == "--set" else [f"--params\n{text}" for text in _PARAMS])
    return f"{kind}\n{mutator.text(chosen.partition(chr(10))[2])}"


def _read(text: str) -> None:
    kind, _, given = text.partition("\n")
    with written(_SPEC.encode(), ".yaml") as spec, written(_bytes(given), ".yaml") as params:
        read_flow_of_flows(
            Path(spec), params if kind == "--params" else None, given.split("\n") if kind == "--set" else []
        )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


TARGET = Target(
    "assignments",
    _seeds,
    _mutate,
    _read,
    _bytes,
    lambda data: data.decode("utf-8", "surrogatepass"),
    most_bytes=lambda size: (96 << 20) + 64 * size,
)
