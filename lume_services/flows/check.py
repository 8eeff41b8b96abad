"""Check a spec together with its flows: one report of all problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import Flow

from lume_services.errors import Problem, RunConfigError
from lume_services.flows.checks.findings import Findings
from lume_services.flows.checks.flows import check_flows
from lume_services.flows.checks.graph import check_graph
from lume_services.flows.checks.inputs import check_values
from lume_services.flows.document import Document, read_document
from lume_services.flows.parse import parse
from lume_services.flows.resolve import resolve_flows
from lume_services.flows.signature import Signature, signature_of
from lume_services.flows.spec import Spec
from lume_services.flows.steps import step_backend
from lume_services.services.scheduling import Backend


@dataclass(frozen=True)
class CheckedSpec:
    """A spec that can run.

    Attributes:
        document: The spec as it was written.
        spec: The spec.
        flows: The flow of every step.
        signatures: The signature of every step's flow.
        warnings: What is probably a mistake.
    """

    document: Document
    spec: Spec
    flows: Mapping[str, Flow[..., Any]]
    signatures: Mapping[str, Signature]
    warnings: Sequence[Problem]


def check_spec(
    source: str | Path | Mapping[str, Any],
    flows: Sequence[Flow[..., Any]] = (),
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
) -> CheckedSpec:
    """Check a spec, its flows, and the values for a run. Nothing runs.

    Args:
        source: The path of a YAML file, or the spec as a dict.
        flows: Flows at hand; the others are found by entrypoint or entry point.
        parameters: Values for a run, by step and parameter. None: not known yet.

    Raises:
        SpecError: All problems in one report, each with its place and its remedy.
    """
    findings = Findings(read_document(source))
    steps = parse(findings.document, findings)
    check_graph(steps, findings)
    found = resolve_flows(steps, findings, flows)
    signatures = {index: signature_of(flow) for index, flow in found.items()}
    for flow in flows:
        if flow.name not in {step.name for step in steps.values()}:
            message = f"no step runs the flow {flow.name!r}, which is given in flows=."
            findings.warning((), message, "Add a step for it, or leave it out.")
    check_flows(steps, found, signatures, findings)
    check_values(steps, signatures, parameters, findings)
    findings.raise_problems()
    return CheckedSpec(
        findings.document,
        Spec.model_validate(findings.document.data),
        {step.step: found[index] for index, step in steps.items()},
        {step.step: signatures[index] for index, step in steps.items()},
        findings.warnings,
    )


def check_run(checked: CheckedSpec, parameters: Mapping[str, Mapping[str, Any]], backend: Backend) -> None:
    """Check what a run needs beside the spec.

    Args:
        checked: The spec.
        parameters: Values by step and parameter.
        backend: The backend that is configured.

    Raises:
        SpecError: A value is missing, unknown or does not fit, or a run config is not one of the backend.
    """
    findings = Findings(checked.document)
    steps = dict(enumerate(checked.spec.composing_flows))
    signatures = {index: checked.signatures[step.step] for index, step in steps.items()}
    check_values(steps, signatures, parameters, findings)
    for index, step in steps.items():
        try:
            step_backend(backend, checked.spec, step)
        except RunConfigError as error:
            for problem in error.problems:
                message = f"{problem.where}: {problem.message.rstrip('.')}."
                findings.problem(("composing_flows", index, "run_config"), message, problem.remedy)
    findings.raise_problems()
