"""The in-process stand-in for the Prefect API.

The Prefect engine keeps its runs in a REST API. Where none is configured, this package answers the
few routes that the engine calls, in memory, on a loopback port of this process. It has no history,
no schedules, no blocks and no variables; a call that only a server can answer is refused with a
message that says so. `docs/decisions/0003-in-process-prefect-api.md` tells why it exists, and
`tests/contract/test_conformance.py` holds its outcomes to those of a real server.
"""

from lume_services.services.scheduling.standin.routes import UNSUPPORTED_HEADER
from lume_services.services.scheduling.standin.server import (
    StandIn,
    event_route,
    running_stand_in,
    stand_in,
    stop_stand_in,
)

__all__ = ["UNSUPPORTED_HEADER", "StandIn", "event_route", "running_stand_in", "stand_in", "stop_stand_in"]
