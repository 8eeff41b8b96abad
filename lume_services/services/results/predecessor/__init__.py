"""The `predecessor` store, which is only read."""

from lume_services.services.results.predecessor.store import PredecessorResultsDB

__all__ = ["PredecessorResultsDB"]
