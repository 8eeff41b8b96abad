"""Flows that travel to their job with the deployment, because no module has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from prefect import Flow

TRAVELLING = "@"
"""How the entry points of such flows begin, which is the name of no module."""

SPEC_VARIABLE = "FLOW_OF_FLOWS_SPEC"
"""The environment variable of a job that has the spec of its flow-of-flows."""


class TravellingFlow(Flow[..., Any]):
    """A flow that a job makes anew from what is sent with its deployment.

    Args:
        function: What it does.
        name: Its name.
        version: Its version.
        entrypoint: The name under which the job imports it; it begins with `TRAVELLING`.
        environment: Gives the environment variables of the job from which it is made there.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str,
        version: str,
        entrypoint: str,
        environment: Callable[[], Mapping[str, str]],
    ) -> None:
        super().__init__(function, name=name, version=version)
        self.entrypoint = entrypoint
        self.environment = environment
