"""Jobs of a process worker are forked from one process that has imported Prefect already."""

from lume_services.services.scheduling.fork_server.server import ForkServer

__all__ = ["ForkServer"]
