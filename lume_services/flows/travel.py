"""Specs that travel with their deployment, so that a job can run the whole as one flow."""

from __future__ import annotations

import base64
import json
import os
import zlib
from typing import Any

from lume_services.config import current_context
from lume_services.config.problems import variable
from lume_services.errors import BackendError, NotAFlowError
from lume_services.flows.check import CheckedSpec
from lume_services.flows.flow_of_flows import FlowOfFlows
from lume_services.services.scheduling.backends.deployments import importable_name
from lume_services.services.scheduling.travelling import SPEC_VARIABLE, TRAVELLING, TravellingFlow
from lume_services.values import decode, dumps, encode, loads

PREFIX = f"{TRAVELLING}spec/"
_LARGEST = 100_000  # characters; Linux has variables of 128 KiB, and others have less


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

    The text has letters, digits, `-`, `_` and `=` alone: in a variable, Prefect takes `{{…}}` for a
    placeholder, and Kubernetes makes `$` of `$$`.

    Raises:
        NotAFlowError: As `portable`.
        BackendError: The spec is too large.
    """
    text = base64.urlsafe_b64encode(zlib.compress(dumps(encode(portable(checked))).encode(), 9)).decode()
    if len(text) > _LARGEST:
        raise BackendError(
            f"the spec is too large to travel: packed, it has {len(text)} characters of at most {_LARGEST}.",
            where=f"spec {checked.spec.name!r}",
            remedy="Put its large values into files, and give the steps the references to them.",
        )
    return text


def job_variables(checked: CheckedSpec) -> dict[str, str]:
    """Return the environment variables of a job that runs the whole: the spec, and where its steps run.

    They run as if this process ran the whole: on its backend, with the run config that it has for all runs.

    Raises:
        NotAFlowError: As `portable`.
        BackendError: As `packed`.
    """
    settings = current_context().settings()
    found = {SPEC_VARIABLE: packed(checked), variable(("backend",)): str(settings.backend)}
    if settings.prefect.work_pool:
        found[variable(("prefect", "work_pool"))] = settings.prefect.work_pool
    if settings.run_config:
        found[variable(("run_config",))] = json.dumps(dict(settings.run_config))
    return found


def travelled(name: str) -> TravellingFlow:
    """Return the flow of the spec that has come with the job of this process.

    Raises:
        NotAFlowError: None has.
    """
    text = os.environ.get(SPEC_VARIABLE)
    if text is None:
        raise NotAFlowError(
            "this is a flow-of-flows, whose spec comes with its deployment.",
            where=name,
            remedy="Run it by its name, or read its spec with FlowOfFlows.from_yaml.",
        )
    spec: Any = decode(loads(zlib.decompress(base64.urlsafe_b64decode(text)).decode()))
    return FlowOfFlows.from_yaml(spec).as_flow()
