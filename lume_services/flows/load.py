"""Read a spec without its flows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lume_services.flows.checks.findings import Findings
from lume_services.flows.checks.graph import check_graph
from lume_services.flows.document import read_document
from lume_services.flows.parse import parse
from lume_services.flows.spec import Spec


def load_spec(source: str | Path | Mapping[str, Any]) -> Spec:
    """Read a spec and check all that it tells by itself. No flow is imported.

    Args:
        source: The path of a YAML file, or the spec as a dict.

    Raises:
        SpecError: All problems in one report, each with its place and its remedy.
    """
    findings = Findings(read_document(source))
    steps = parse(findings.document, findings)
    check_graph(steps, findings)
    findings.raise_problems()
    return Spec.model_validate(findings.document.data)
