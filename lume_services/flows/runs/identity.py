"""What makes the run of a step the same as another: its place, its code, and what goes in."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prefect import Flow
from prefect.utilities.hashing import file_hash

from lume_services.errors import LUMEServicesError
from lume_services.flows.runs.code import CodeCollector
from lume_services.services.scheduling.parameters import bind_parameters
from lume_services.values import fingerprint


@dataclass(frozen=True)
class Identity:
    """A step with all that goes in.

    Attributes:
        step: The name of the step.
        code: The fingerprint of the code of its flow.
        inputs: The fingerprints of all parameters of the flow by name; None if one has none.
        problem: Why it has none.
    """

    step: str
    code: str
    inputs: Mapping[str, str] | None
    problem: str | None = None

    @classmethod
    def of(cls, step: str, flow: Flow[..., Any], code: str, parameters: Mapping[str, Any]) -> Identity:
        """Return the identity of a step.

        Args:
            step: The name of the step.
            flow: Its flow.
            code: What `code_fingerprint` returned for the flow.
            parameters: What goes in; the defaults of the flow are added.
        """
        inputs: dict[str, str] = {}
        for name, value in bind_parameters(flow, parameters).items():
            try:
                inputs[name] = fingerprint(value)
            except LUMEServicesError as error:
                return cls(step, code, None, f"its parameter {name!r} cannot be compared: {error.message}")
        return cls(step, code, inputs)

    @property
    def key(self) -> str | None:
        """One fingerprint of it all."""
        if self.inputs is None:
            return None
        return fingerprint({"step": self.step, "code": self.code, "inputs": dict(self.inputs)})


def code_fingerprint(flow: Flow[..., Any]) -> str:
    """Return the fingerprint of the code of a flow: what decides whether an earlier run counts.

    It is that of the source of the flow, of its tasks and of all that they come to in their own package:
    functions, classes and constants. Comments, layout and the options of flows and tasks do not count. Other
    packages do not count either: `version` of the flow, which does, is there for that.
    """
    reader = CodeCollector(flow.fn.__module__.partition(".")[0])
    reader.function(flow.fn)
    own_version = flow.version if flow.version and not _is_hash_of_file(flow) else None
    return fingerprint({"name": flow.name, "version": own_version, "code": sorted(reader.parts)})


def _is_hash_of_file(flow: Flow[..., Any]) -> bool:
    """Return whether the version of a flow is the one that Prefect gives where the user gives none."""
    try:
        return flow.version == file_hash(inspect.getsourcefile(inspect.unwrap(flow.fn)) or "")
    except (OSError, TypeError):
        return False
