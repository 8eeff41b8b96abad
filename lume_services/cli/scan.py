"""`lume-services scan`: run a flow-of-flows at many points of its parameters."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lume_services.cli.command import command_line
from lume_services.cli.counting import counting
from lume_services.cli.output import JSONFlag, echo, print_json
from lume_services.cli.values import ParamsOption, SetOption, SpecArgument, read_part
from lume_services.errors import SerializationError, choose_from

if TYPE_CHECKING:
    from lume_services.flows.scans.pool import Finished
    from lume_services.flows.scans.scan import Scan

_LISTED_FAILURES = 10

OverOption = Annotated[
    list[str],
    typer.Option(
        "--over",
        metavar="STEP.PARAM=VALUES",
        help="LOW:HIGH:NUMBER, LOW:HIGH:NUMBER:log, a list 1,2,3, a CSV file @FILE, or, to draw samples, "
        "LOW:HIGH; or @FILE alone, with columns STEP.PARAM. May be repeated.",
    ),
]


@dataclass
class _Counts:
    """How many points have which fate."""

    stored: int = 0
    reused: int = 0
    failed: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)

    def add(self, scan: Scan, found: Finished) -> int:
        """Count points, and return their number. Of the first that failed, more is kept."""
        self.stored += len(found.stored)
        self.reused += len(found.reused)
        self.failed += len(found.failed)
        for planned, failed in found.failed[: _LISTED_FAILURES - len(self.failures)]:
            values = dict(zip(scan.keys, planned.point, strict=True))
            self.failures.append({"values": values, "step": failed.step, "error": failed.error})
        return len(found.stored) + len(found.reused) + len(found.failed)


def scan(
    spec: SpecArgument,
    *,
    over: OverOption,
    zipped: Annotated[bool, typer.Option("--zip", help="Take the axes in parallel.")] = False,
    random: Annotated[int | None, typer.Option("--random", metavar="N", help="Draw N random points.")] = None,
    sobol: Annotated[
        int | None, typer.Option("--sobol", metavar="N", help="Draw N points of a Sobol' sequence.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of --random and --sobol.")] = 0,
    values: SetOption = None,
    params: ParamsOption = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, help="Processes or jobs at once. Default: one for each core; 4 jobs."
        ),
    ] = None,
    collection: Annotated[
        str | None, typer.Option("--collection", help="Where to store the results. Default: PROJECT.scan.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Write the points: FILE.csv, .parquet, .h5, .json, .jsonl."),
    ] = None,
    logs: Annotated[bool, typer.Option("--logs", help="Show what the flows log, on standard error.")] = False,
    as_json: JSONFlag = False,
) -> None:
    """Run a spec at many points; exit code 1 if some fail. Type it again to run what is missing or failed."""
    # The engine logs every error with its traceback; ours are listed at the end.
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO" if logs else "CRITICAL")
    if output is not None:
        _check_output(output)
    composed, given = read_part(spec, params, values or [])
    points = composed.scan(
        over,
        parameters=given,
        zipped=zipped,
        random=random,
        sobol=sobol,
        seed=seed,
        workers=workers,
        collection=collection,
    )
    if points.problem is not None:
        echo(f"No point of an earlier scan is taken, as the code is not certain: {points.problem}.", err=True)
    counts = _Counts()
    began = time.monotonic()
    try:
        with counting("points", points.total, quiet=as_json) as advance:
            for found in points.finished():
                advance(counts.add(points, found))
    except KeyboardInterrupt:
        echo(err=True)
        echo("Interrupted. What has run is stored: the same command runs the rest.", err=True)
        raise
    _report(points, counts, time.monotonic() - began, output, as_json=as_json)
    if counts.failed:
        raise typer.Exit(1)


def _check_output(path: Path) -> None:
    """Refuse a file that cannot be written, before hours of work."""
    from lume_services.results.export import FORMATS, format_of

    if format_of(path) not in FORMATS:
        raise SerializationError(
            f"the ending of {path.name!r} means no format. {choose_from(format_of(path), FORMATS)}",
            where="--output",
        )


def _report(points: Scan, counts: _Counts, seconds: float, output: Path | None, *, as_json: bool) -> None:
    from lume_services.results import export_results

    written = None if output is None else export_results(points.records(), output)
    rate = (counts.stored + counts.failed) / max(seconds, 1e-3)
    if as_json:
        numbers = {"stored": counts.stored, "reused": counts.reused, "failed": counts.failed}
        places = {"scan_id": points.scan_id, "collection": points.collection, "output": output}
        state = "failed" if counts.failed else "completed"
        took = {"seconds": seconds, "points_per_second": rate}
        failures = {"failed_collection": points.failed_collection, "failures": counts.failures}
        print_json({"state": state, "points": points.total, **numbers, **took, **places, **failures})
        return
    echo(
        f"{points.total} points: {counts.stored} ran, {counts.reused} were there already, "
        f"{counts.failed} failed; {seconds:.1f} s, {rate:.3g}/s"
    )
    for failure in counts.failures:
        echo(f"  {', '.join(f'{key}={value}' for key, value in failure['values'].items())}")
        echo(f"    {failure['error']}")
    if counts.failed > len(counts.failures):
        echo(f"  and {counts.failed - len(counts.failures)} more")
    if output is not None:
        echo(f"{written} points written to {output}")
    echo()
    echo("Next:")
    echo(f"  {command_line('results', 'list', '--project', points.collection)}")
    if counts.failed:
        echo(f"  {command_line('results', 'list', '--project', points.failed_collection)}")
