"""Results of scans: a record for each point, and one for each point that failed."""

from __future__ import annotations

from pydantic import Field

from lume_services.results.result import Result

_IDENTITY = ["scan_id", "inputs"]


class ScanResult(Result):
    """One point of a scan.

    `inputs` are the values of the point, by step and parameter; `outputs` what each step returned.

    Attributes:
        scan_id: What all points share: the fingerprint of the spec, of the values that are the same for all
            points, and of the code of the flows.
    """

    scan_id: str
    unique_on: list[str] = Field(default=_IDENTITY, min_length=1)


class FailedScanResult(ScanResult):
    """One point of a scan that failed. It has no outputs.

    Attributes:
        step: The step that failed; None where that is not known.
        error: Why, with the place.
    """

    step: str | None
    error: str
