"""What makes the run of a step the same as another: its place, its code, and what goes in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prefect import Flow

from lume_services.errors import LUMEServicesError
from lume_services.flows.code.code import Code
from lume_services.services.scheduling.parameters import bind_parameters
from lume_services.values import fingerprint


@dataclass(frozen=True)
class Identity:
    """A step with all that goes in.

    Attributes:
        step: The name of the step.
        code: The code of its flow.
        inputs: The fingerprints of all parameters of the flow by name; None if one has none.
        problem: Why it cannot be told whether an earlier run was the same; None if it can.
    """

    step: str
    code: Code
    inputs: Mapping[str, str] | None
    problem: str | None = None

    @classmethod
    def of(cls, step: str, flow: Flow[..., Any], code: Code, parameters: Mapping[str, Any]) -> Identity:
        """Return the identity of a step.

        Args:
            step: The name of the step.
            flow: Its flow.
            code: What `code_of` returned for the flow.
            parameters: What goes in; the defaults of the flow are added.
        """
        inputs: dict[str, str] = {}
        for name, value in bind_parameters(flow, parameters).items():
            try:
                inputs[name] = fingerprint(value)
            except LUMEServicesError as error:
                return cls(step, code, None, f"its parameter {name!r} cannot be compared: {error.message}")
        problem = f"its code is not certain: {code.problem}" if code.problem else None
        return cls(step, code, inputs, problem)

    @property
    def key(self) -> str | None:
        """One fingerprint of it all; None where it cannot be told from another."""
        if self.problem is not None or self.inputs is None:
            return None
        return fingerprint({"step": self.step, "code": vars(self.code), "inputs": dict(self.inputs)})
