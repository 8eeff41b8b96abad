"""The points of a scan in the results store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lume_services.config import current_context
from lume_services.errors import EncodeError
from lume_services.flows.scans.job import Job
from lume_services.flows.scans.points import Point
from lume_services.results.provenance import Provenance
from lume_services.results.scan_result import FailedScanResult, ScanResult
from lume_services.services.results import ResultsDBService


@dataclass(frozen=True)
class Outcome:
    """What has become of a point.

    Attributes:
        point: Its values.
        results: What each step returned; empty if the point failed.
        error: Why it failed; None if it did not.
        step: The step that failed.
    """

    point: Point
    results: Mapping[str, Any]
    error: str | None = None
    step: str | None = None


class PointStore:
    """The results of a scan, each stored once, and the points that failed, apart from them.

    Args:
        job: The scan.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._service: ResultsDBService = current_context().results_db_service()

    def present(self, hashes: Sequence[str]) -> set[str]:
        """Return those of the unique hashes that have results."""
        query = {"unique_hash": {"$in": list(hashes)}}
        found = self._service.find(collection=self._job.collection, query=query, fields=["unique_hash"])
        return {record["unique_hash"] for record in found}

    def results(self, hashes: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the records of the unique hashes that have results; inputs and outputs only."""
        query = {"unique_hash": {"$in": list(hashes)}}
        fields = ["unique_hash", "inputs", "outputs"]
        found = self._service.find(collection=self._job.collection, query=query, fields=fields)
        return {record["unique_hash"]: record for record in found}

    def failures(self, hashes: Sequence[str], run_id: str) -> dict[str, dict[str, Any]]:
        """Return the records of those of the unique hashes that failed in a flow run; step and error only."""
        query = {"unique_hash": {"$in": list(hashes)}, "provenance.flow_run_id": run_id}
        fields = ["unique_hash", "step", "error"]
        found = self._service.find(collection=self._job.failed, query=query, fields=fields)
        return {record["unique_hash"]: record for record in found}

    def insert(self, outcomes: Sequence[Outcome], provenance: Provenance) -> list[Outcome]:
        """Store what has become of points, in place of what is stored of earlier failures of them.

        Returns:
            The same; a point whose results cannot be stored has failed.

        Raises:
            ResultsDBError: The store cannot be written.
        """
        outcomes = self._insert_results(outcomes, provenance)
        failures = [self._failure(outcome, provenance) for outcome in outcomes if outcome.error is not None]
        if self._service.count(collection=self._job.failed):
            hashes = [self._job.unique_hash(outcome.point) for outcome in outcomes]
            self._service.delete(collection=self._job.failed, query={"unique_hash": {"$in": hashes}})
        self._service.insert_many(failures, collection=self._job.failed)
        return outcomes

    def _insert_results(self, outcomes: Sequence[Outcome], provenance: Provenance) -> list[Outcome]:
        records = [self._result(outcome, provenance) for outcome in outcomes if outcome.error is None]
        try:
            self._service.insert_many(records, collection=self._job.collection)
        except EncodeError:
            return [self._insert_result(outcome, provenance) for outcome in outcomes]
        return list(outcomes)

    def _insert_result(self, outcome: Outcome, provenance: Provenance) -> Outcome:
        if outcome.error is not None:
            return outcome
        try:
            self._service.insert_one(self._result(outcome, provenance), collection=self._job.collection)
        except EncodeError as error:
            return Outcome(outcome.point, {}, f"the results cannot be stored: {error}")
        return outcome

    def _result(self, outcome: Outcome, provenance: Provenance) -> dict[str, Any]:
        return ScanResult(
            project_name=self._job.collection,
            scan_id=self._job.scan_id,
            inputs=self._job.inputs(outcome.point),
            outputs=dict(outcome.results),
            provenance=provenance,
        ).as_record()

    def _failure(self, outcome: Outcome, provenance: Provenance) -> dict[str, Any]:
        return FailedScanResult(
            project_name=self._job.failed,
            scan_id=self._job.scan_id,
            inputs=self._job.inputs(outcome.point),
            step=outcome.step,
            error=str(outcome.error),
            provenance=provenance,
        ).as_record()
