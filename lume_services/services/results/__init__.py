"""Results stores: the service, and the store that it stands in front of."""

from lume_services.services.results.base import Reindexed, ResultsDB
from lume_services.services.results.service import ResultsDBService

__all__ = ["Reindexed", "ResultsDB", "ResultsDBService"]
