"""What is probably a mistake in a spec that can run."""

from pathlib import Path

import pytest
from prefect import flow

from lume_services.flows.check import check_spec


@flow
def make(n: int = 1) -> int:
    return n


@flow
def use(value: int) -> int:
    return value


@pytest.fixture
def warnings_of(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def warnings_of(*steps, flows=(make, use)):
        Path("spec.yaml").write_text("\n".join(["name: demo", "composing_flows:", *steps]))
        return [str(warning) for warning in check_spec("spec.yaml", flows).warnings]

    return warnings_of


MAKE = "  - name: make"
USE = "  - {name: use, mapped_parameters: {value: {parent_flow_name: make}}}"


def test_a_good_spec_has_no_warnings(warnings_of):
    assert warnings_of(MAKE, USE) == []
    # A default of the flow that the spec repeats or replaces, the name of the flow as its own alias.
    assert warnings_of("  - {name: make, alias: make, parameters: {n: 1}}", USE) == []


def test_a_parent_project_that_is_another(warnings_of):
    use = USE.replace("parent_flow_name: make", "parent_flow_name: make, parent_project_name: two")
    assert warnings_of("  - {name: make, project_name: two}", use) == []
    (warning,) = warnings_of("  - {name: make, project_name: one}", use)
    assert warning == (
        "spec.yaml:4, step 'use', parameter 'value': the step 'make' is in the project 'one', not 'two'. "
        "Correct one of the two."
    )


def test_an_alias_that_hides_a_flow(warnings_of):
    use = USE.replace("name: use", "name: use, alias: later")
    (warning,) = warnings_of("  - {name: make, alias: low}", "  - {name: make, alias: make}", use)
    assert warning == (
        "spec.yaml:4, step 'make': the alias 'make' hides the flow of this name, which runs as: low. "
        "Choose another alias."
    )


def test_a_flow_at_hand_that_no_step_runs(warnings_of):
    (warning,) = warnings_of(MAKE)
    told = "no step runs the flow 'use', which is given in flows=. Add a step for it, or leave it out."
    assert warning == f"spec.yaml:1: {told}"
