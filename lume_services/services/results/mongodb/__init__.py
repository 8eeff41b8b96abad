"""The `mongodb` store."""

from lume_services.services.results.mongodb.store import MongodbResultsDB

__all__ = ["MongodbResultsDB"]
