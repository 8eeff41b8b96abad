"""`lume-services doctor`: try every service, and say what to do about those that do not work."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

import typer

from lume_services.cli.output import JSONFlag, print_json, print_table
from lume_services.values.secret import without_credentials

if TYPE_CHECKING:
    from lume_services.config import Context

PACKAGES = ("lume-services", "prefect", "pydantic", "numpy", "h5py", "lume-base")


@dataclass
class Finding:
    """What became of one check."""

    check: str
    ok: bool
    detail: str
    seconds: float


def doctor(*, as_json: JSONFlag = False) -> None:
    """Try every service once: write a file, open the results store, run a flow (exit code 1 on failure)."""
    from lume_services.config import build_context, close_context, use_context

    findings = [Finding("versions", ok=True, detail=_versions(), seconds=0.0)]
    context = build_context()
    names = list(context.filesystems())
    try:
        with use_context(context):
            findings += [_try(f"filesystem {name}", partial(_filesystem, context, name)) for name in names]
            findings.append(_try("results store", partial(_results_db, context)))
            findings.append(_try("backend", partial(_backend, context)))
    finally:
        close_context(context)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        rows = [
            (finding.check, "ok" if finding.ok else "FAILED", finding.detail, f"{finding.seconds:.2f} s")
            for finding in findings
        ]
        print_table("LUME-services", ("check", "state", "detail", "time"), rows)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _try(check: str, action: Callable[[], str]) -> Finding:
    start = time.perf_counter()
    try:
        detail, ok = action(), True
    except Exception as error:  # noqa: BLE001 - whatever is wrong is what the doctor reports
        detail, ok = without_credentials(f"{type(error).__name__}: {error}"), False
    return Finding(check, ok, detail, time.perf_counter() - start)


def _versions() -> str:
    found = [f"{name} {version(name)}" for name in PACKAGES]
    return f"Python {platform.python_version()}, {', '.join(found)}"


def _filesystem(context: Context, identifier: str) -> str:
    from lume_services.files.serializers.text import TextSerializer

    filesystem = context.filesystems()[identifier]
    name = ".lume-services-doctor.txt"
    filesystem.write(name, "written by lume-services doctor", TextSerializer)
    place = filesystem.resolve(name)
    place.unlink()
    return f"writes to {place.parent}"


def _results_db(context: Context) -> str:
    kind = context.settings().results_db.type
    return f"{kind}, {len(context.results_db_service().collections())} projects"


def _backend(context: Context) -> str:
    from prefect import flow

    @flow(name="lume-services-doctor")
    def doctor_flow() -> int:
        return 42

    value = context.scheduling_service().run_and_return(flow=doctor_flow)
    return f"{context.settings().backend}, a flow returned {value}"
