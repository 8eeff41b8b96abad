"""Runs that go on where earlier ones ended: what runs again, and why."""

import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from pydantic import SecretStr
from resume_flows import ran, reused, why

from lume_services.errors import RunNotFoundError, SpecError, StepFailedError
from lume_services.flows import FlowOfFlows

HERE = Path(__file__).parent.parent

FLOWS = """
    from prefect import flow, task
    from resume_flows import count

    OFFSET = 10

    def shifted(x: float) -> float:
        return x + OFFSET

    @task
    def doubled(x: float) -> float:
        return 2 * x

    @flow
    def track(energy: float = 1.0, seed: int = 0) -> float:
        count("track")
        return doubled(energy)

    @flow
    def fit(sizes: float, order: int = 2) -> float:
        count("fit")
        return shifted(sizes) * order

    @flow
    def report(optics: float) -> str:
        count("report")
        return f"{optics:.1f}"

    @flow
    def beside() -> str:
        count("beside")
        return "beside"
"""
SPEC = """
    name: changing
    composing_flows:
      - name: track
        entrypoint: changing_flows:track
        parameters: {seed: 1}
      - name: fit
        entrypoint: changing_flows:fit
        mapped_parameters:
          sizes: {parent_flow_name: track}
      - name: report
        entrypoint: changing_flows:report
        mapped_parameters:
          optics: {parent_flow_name: fit}
      - name: beside
        entrypoint: changing_flows:beside
"""


class Changing:
    """A spec and its flows in files, which can be edited between runs."""

    def __init__(self, folder: Path) -> None:
        self.flows, self.spec = folder / "changing_flows.py", folder / "spec.yaml"
        self.flows.write_text(textwrap.dedent(FLOWS))
        self.spec.write_text(textwrap.dedent(SPEC))

    def edit(self, file: Path, old: str, new: str) -> None:
        text = file.read_text()
        assert text.count(old) == 1
        file.write_text(text.replace(old, new))

    def run(self, *args: Any, **kwargs: Any) -> Any:
        sys.modules.pop("changing_flows", None)
        return FlowOfFlows.from_yaml(self.spec).run(*args, **kwargs)


@pytest.fixture
def changing(tmp_path, lume_context, counter, monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    folder = tmp_path / "spec"
    folder.mkdir()
    yield Changing(folder)
    sys.modules.pop("changing_flows", None)


def test_of_a_run_that_is_whole_nothing_runs_again(changing, counter):
    first = changing.run()
    again = changing.run(resume=first.run_id)
    assert reused(again) == {"track", "fit", "report", "beside"}
    assert again.results == first.results
    assert why(again, "fit") == f"its inputs and its code are those of run {first.run_id}"
    assert sorted(counter()) == ["beside", "fit", "report", "track"]


def test_a_changed_constant_runs_its_step_and_what_depends_on_it(changing):
    changing.run({"track": {"energy": 1.0}})
    run = changing.run({"track": {"energy": 3.0}}, resume="latest")
    assert ran(run) == {"track", "fit", "report"}
    assert why(run, "track") == "its parameter 'energy' has changed"
    assert why(run, "fit") == "its parameter 'sizes' has changed"
    assert run.results["report"] == "32.0"


def test_a_changed_constant_that_changes_no_value_runs_its_step_alone(changing):
    changing.run()
    changing.edit(changing.spec, "seed: 1", "seed: 2")
    run = changing.run(resume="latest")
    assert ran(run) == {"track"}
    assert why(run, "track") == "its parameter 'seed' has changed"


@pytest.mark.parametrize(
    ("old", "new", "steps"),
    [
        ("* order", "* order + 1", {"fit", "report"}),
        ("return x + OFFSET", "return x - OFFSET", {"fit", "report"}),
        ("OFFSET = 10", "OFFSET = 20", {"track", "fit", "report", "beside"}),
        ("return 2 * x", "return 2.0 * x + 0", {"track"}),
        ('return "beside"', 'return "beside it"', {"beside"}),
        ("@flow\ndef report", '@flow(version="2")\ndef report', {"report"}),
    ],
    ids=["flow", "function", "constant", "task", "other", "version"],
)
def test_changed_code_runs_the_flows_that_come_to_it(changing, old, new, steps):
    changing.run()
    changing.edit(changing.flows, old, new)
    run = changing.run(resume="latest")
    assert ran(run) == steps
    version = "its version was not used and is 2, " if "version" in new else ""
    assert why(run, min(steps)) == f"the code of its flow has changed: {version}module 'changing_flows'"


def test_comments_and_layout_are_no_code(changing):
    changing.run()
    changing.edit(changing.flows, "    return 2 * x", "    # twice\n    return (2   *   x)")
    assert ran(changing.run(resume="latest")) == set()


def test_the_parameters_of_the_resumed_run_stay_unless_others_are_given(changing):
    changing.run({"track": {"energy": 4.0}, "fit": {"order": 3}})
    run = changing.run({"fit": {"order": 1}}, resume="latest")
    assert ran(run) == {"fit", "report"}
    assert run.results["fit"] == 18.0


def test_steps_can_be_run_again(changing):
    changing.run()
    run = changing.run(from_step="fit")
    assert ran(run) == {"fit", "report"}
    assert why(run, "fit") == "it was asked for"
    assert why(run, "report") == "it depends on 'fit', which runs again"
    assert ran(changing.run(resume="latest", no_cache=True)) == {"track", "fit", "report", "beside"}


def test_a_step_can_run_alone(changing, counter):
    changing.run()
    run = changing.run({"fit": {"order": 5}}, only="fit")
    assert ran(run) == {"fit"}
    assert reused(run) == {"track"}
    assert dict(run.results) == {"track": 2.0, "fit": 60.0}
    assert run.steps["report"].state == "skipped"


def test_a_step_cannot_run_alone_where_a_parent_has_to_run(changing, counter):
    changing.run()
    changing.edit(changing.flows, "return 2 * x", "return 3 * x")
    with pytest.raises(StepFailedError, match="alone cannot run.*'track'.*the code of its flow has changed"):
        changing.run(only="fit")
    assert sorted(counter()) == ["beside", "fit", "report", "track"]


def test_a_failed_step_runs_again(changing):
    changing.edit(changing.flows, "return shifted(sizes) * order", "raise ValueError('no fit')")
    with pytest.raises(StepFailedError, match="no fit") as failed:
        changing.run()
    changing.edit(changing.flows, "raise ValueError('no fit')", "return shifted(sizes) * order")
    run = changing.run(resume=failed.value.whole_run_id)
    assert reused(run) >= {"track"}
    assert why(run, "fit") == "it failed before"
    assert why(run, "report") == "it has not run before"


# which run ------------------------------------------------------------------------------------------


def test_errors_name_the_runs_and_steps_that_there_are(changing):
    with pytest.raises(RunNotFoundError, match="no run of the spec 'changing'.*None has been started"):
        changing.run(resume="latest")
    first = changing.run()
    with pytest.raises(RunNotFoundError, match=f"no run 'nothing'.*{first.run_id}"):
        changing.run(resume="nothing")
    with pytest.raises(SpecError, match=r"--from: there is no step 'fitt'. Did you mean 'fit'\?"):
        changing.run(from_step="fitt")
    changing.edit(changing.spec, "name: changing\n", "name: changed\n")
    with pytest.raises(RunNotFoundError, match="one of the spec 'changing', not 'changed'"):
        changing.run(resume=first.run_id)


def test_a_run_is_found_by_the_beginning_of_its_id(changing):
    first = changing.run()
    assert ran(changing.run(resume=first.run_id[:8])) == set()


def test_secrets_are_in_no_record(lume_context):
    @flow
    def login(password: SecretStr, user: str = "operator") -> str:
        return f"{user} {len(password.get_secret_value())}"

    composed = FlowOfFlows.from_yaml({"name": "a", "composing_flows": [{"name": "login"}]}, [login])
    first = composed.run({"login": {"password": "hunter2"}})
    store = lume_context.results_db()
    kept = repr([record for name in store.collections() for record in store.find_all(collection=name)])
    assert "operator" in kept
    assert "hunter2" not in kept
    with pytest.raises(SpecError, match="'password'.*has no value"):
        composed.run(resume=first.run_id)
    again = composed.run({"login": {"password": "hunter2"}}, resume=first.run_id)
    assert again.results == {"login": "operator 7"}


def test_the_records_of_runs_are_no_results(changing, lume_context):
    changing.run()
    assert lume_context.results_db_service().collections() == []


def test_the_latest_run_is_one_of_this_spec(changing, tmp_path):
    """Two folders may each have a spec of the same name: what one was given is nothing to the other."""
    (tmp_path / "other").mkdir()
    other = Changing(tmp_path / "other")
    other.edit(other.spec, "name: changing\n", "name: changing\nproject_name: other\n")
    first = changing.run({"track": {"energy": 5.0}})
    other.run({"track": {"energy": 7.0}})
    run = changing.run({"fit": {"order": 1}}, resume="latest")
    assert run.results["track"] == first.results["track"] == 10.0
    assert ran(run) == {"fit", "report"}


def test_the_latest_run_is_one_of_this_file(changing, tmp_path):
    (tmp_path / "copy").mkdir()
    copied = Changing(tmp_path / "copy")
    first = changing.run({"track": {"energy": 5.0}})
    with pytest.raises(RunNotFoundError, match=f"name it by its id: {first.run_id} of {changing.spec}"):
        copied.run(resume="latest")
    assert reused(copied.run(resume=first.run_id)) == {"track", "fit", "report", "beside"}


def test_the_latest_run_of_a_spec_without_a_file_is_one_of_the_same_steps(
    lume_context, tmp_path, monkeypatch
):
    @flow
    def one(x: int = 1) -> int:
        return x

    @flow
    def two(x: int = 2) -> int:
        return x

    first, second = (
        FlowOfFlows.from_yaml({"name": "a", "composing_flows": [{"name": step.name}]}, [step])
        for step in (one, two)
    )
    first.run({"one": {"x": 5}})
    second.run()
    assert first.run(resume="latest").results == {"one": 5}
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunNotFoundError, match=f"no run of the spec 'a' in {tmp_path}"):
        first.run(resume="latest")


def test_a_module_that_is_edited_while_the_process_lives(changing):
    """The old code runs on here, and what it gives is no value of the new code."""
    here = FlowOfFlows.from_yaml(changing.spec)
    here.run()
    changing.edit(changing.flows, "return 2 * x", "return 3 * x")
    again = here.run(resume="latest")
    assert (reused(again), again.results["track"]) == ({"track", "fit", "report", "beside"}, 2.0)
    elsewhere = changing.run(resume="latest")
    assert (ran(elsewhere), elsewhere.results["track"]) == ({"track", "fit", "report"}, 3.0)


def test_a_module_that_was_edited_before_its_first_run_is_not_trusted(changing):
    here = FlowOfFlows.from_yaml(changing.spec)
    changing.edit(changing.flows, "return 2 * x", "return 3 * x")
    run = here.run()
    assert run.results["track"] == 2.0
    again = changing.run(resume="latest")
    assert again.results["track"] == 3.0
    assert "its code was not certain before" in why(again, "track")
    assert f"{changing.flows} may have changed" in why(again, "track")
