"""Specs: YAML files, checked as `validate` does."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml
from prefect import flow

from fuzz.hdf5_files import written
from fuzz.mutate import Mutator
from fuzz.target import Target
from lume_services.flows import FlowOfFlows

_COMMON = """\
# A spec with all that a spec can have.
name: "everything"
project_name: demo
labels: [&label shift, night]
image: null
composing_flows:
  - name: make
    alias: first
    parameters: &constants
      text: 'some text'
      number: 1e-6
  - name: make
    alias: second
    run_config: {labels: [*label]}
    parameters: *constants
  - name: use
    mapped_parameters:
      text1: &mapped {parent_flow_name: first, attribute_index: [0, "a b"], map_type: raw}
      text2: *mapped
    parameters:
      table: {x: [1, 2.5, .inf], y: ~, z: {deep: [true, 0x1F]}}
      long: |
        several
          lines
"""


@flow
def make(text: str, number: float) -> list[dict[str, str]]:
    return [{"a b": text}]


@flow
def use(text1: str, text2: str, table: dict[str, Any], long: str = "") -> int:
    return 1


def _seeds() -> list[str]:
    quad_scan = files("lume_services.examples.quad_scan").joinpath("quad_scan.yaml").read_text()
    return [_COMMON, _COMMON, quad_scan]


def _mutate(mutator: Mutator, seed: str) -> str:
    if mutator.random.random() < 0.6:
        return mutator.text(seed)
    mutator.seeds = [yaml.safe_load(one) for one in mutator.seeds]
    return str(yaml.safe_dump(mutator.tree(yaml.safe_load(seed)), allow_unicode=True))


def _read(text: str) -> None:
    with written(text.encode("utf-8", "surrogatepass"), ".yaml") as path:
        FlowOfFlows.from_yaml(path, flows=[make, use])


TARGET = Target(
    "specs",
    _seeds,
    _mutate,
    _read,
    lambda text: text.encode("utf-8", "surrogatepass"),
    lambda data: data.decode("utf-8", "surrogatepass"),
    most_bytes=lambda size: (96 << 20) + 64 * size,  # the first one imports the flows of an example
)
