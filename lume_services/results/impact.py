"""Results of the injector simulation IMPACT-T."""

from __future__ import annotations

from typing import Annotated, Any, Protocol, runtime_checkable

from lume_services.results.result import IN_JSON, Moment, Result, Values


@runtime_checkable
class FileHandle(Protocol):
    """What a `File` is to a result."""

    filename: str

    def jsonable_dict(self) -> dict[str, Any]:
        """Return the reference to the file."""


class ImpactResult(Result):
    """The record of a run of IMPACT-T.

    Attributes:
        archive: The `HDF5File` with the whole simulation.
        plot_file: The `ImageFile` of the summary.
        pv_collection_isotime: When the process variables were read.
        config: Of the simulation.
    """

    archive: Annotated[FileHandle, *IN_JSON]
    plot_file: Annotated[FileHandle | None, *IN_JSON] = None
    pv_collection_isotime: Moment
    config: Values
