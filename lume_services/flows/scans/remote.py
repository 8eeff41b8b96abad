"""Points of a scan in a job of a work pool."""

from __future__ import annotations

from threading import Event

from prefect import flow

from lume_services.flows.scans.chunk import ChunkRunner
from lume_services.flows.scans.job import Progress, chunk_of, job_of, to_text


@flow(name="scan-chunk")
def scan_chunk(job: str, chunk: str) -> str:
    """Run points of a scan.

    Args:
        job: The scan, as text.
        chunk: The points, as text.

    Returns:
        What has become of the points, as text.
    """
    told: list[Progress] = []
    points = chunk_of(chunk)
    ChunkRunner(job_of(job)).run_points(points, told.append, Event())
    stored = [index for progress in told for index in progress.stored]
    failed = [found for progress in told for found in progress.failed]
    return to_text(Progress(points.number, stored, failed, told[-1].rate))
