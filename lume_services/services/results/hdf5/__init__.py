"""The `hdf5` store."""

from lume_services.services.results.hdf5.store import Hdf5ResultsDB

__all__ = ["Hdf5ResultsDB"]
