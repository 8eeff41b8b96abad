"""Specs that travel with their deployment, so that a job can run the whole as one flow."""

from __future__ import annotations

import base64
import os
import zlib
from typing import Any

from lume_services.errors import NotAFlowError
from lume_services.flows.check import CheckedSpec
from lume_services.flows.flow_of_flows import FlowOfFlows
from lume_services.services.scheduling.backends.deployments import importable_name
from lume_services.services.scheduling.travelling import TravellingFlow
from lume_services.values import decode, dumps, encode, loads

PREFIX = "@spec/"
VARIABLE = "FLOW_OF_FLOWS_SPEC"
"""The environment variable of a job that has the spec."""


def portable(checked: CheckedSpec) -> dict[str, Any]:
    """Return a spec as it was written, with the places of its flows in it, so that any process can read it.

    Raises:
        NotAFlowError: No other process could import one of the flows.
    """
    data: dict[str, Any] = checked.document.data
    steps = [
        {**written, "entrypoint": ":".join(importable_name(checked.flows[step.step]).rsplit(".", 1))}
        for written, step in zip(data["composing_flows"], checked.spec.composing_flows, strict=True)
    ]
    return {**data, "composing_flows": steps}


def packed(checked: CheckedSpec) -> str:
    """Return a portable spec as a text that an environment variable can have.

    Raises:
        NotAFlowError: As `portable`.
    """
    return base64.b85encode(zlib.compress(dumps(encode(portable(checked))).encode(), 9)).decode()


def travelled(name: str) -> TravellingFlow:
    """Return the flow of the spec that has come with the job of this process.

    Raises:
        NotAFlowError: None has.
    """
    text = os.environ.get(VARIABLE)
    if text is None:
        raise NotAFlowError(
            "this is a flow-of-flows, whose spec comes with its deployment.",
            where=name,
            remedy="Run it by its name, or read its spec with FlowOfFlows.from_yaml.",
        )
    spec: Any = decode(loads(zlib.decompress(base64.b85decode(text)).decode()))
    return FlowOfFlows.from_yaml(spec).as_flow()
