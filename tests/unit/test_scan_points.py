"""The axes and points of a scan: how they are written, what they mean, and what is wrong with them."""

import itertools
import math
import tracemalloc
from contextlib import suppress
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect import flow
from pydantic import Field, SecretStr

from lume_services.errors import SpecError
from lume_services.flows.check import check_spec
from lume_services.flows.scans.axes import MAX_POINTS, Span, read_axes
from lume_services.flows.scans.job import (
    Chunk,
    FailedPoint,
    Job,
    Progress,
    chunk_of,
    job_of,
    progress_of,
    to_text,
)
from lume_services.flows.scans.points import Design, points_of
from lume_services.flows.scans.typed import typed_axes


@flow
def track(
    k1: float,
    *,
    n: int = 1,
    name: str = "",
    on: bool = False,
    mode: Literal["fast", "slow"] = "fast",
    anything: Any = None,
    positive: Annotated[float, Field(gt=0)] = 1.0,
    password: SecretStr | None = None,
    window: list[float] = (),  # type: ignore[assignment]
) -> float:
    return k1


@flow
def fit(size: float, guess: float = 0.0) -> float:
    return size


SPEC = {
    "name": "s",
    "composing_flows": [
        {"name": "track"},
        {"name": "fit", "alias": "fit.x", "mapped_parameters": {"size": {"parent_flow_name": "track"}}},
    ],
}


@pytest.fixture(scope="module")
def checked():
    return check_spec(SPEC, [track, fit])


@pytest.fixture
def points(checked):
    def points(over, given=None, **design):
        steps = {step.step: step for step in checked.spec.composing_flows}
        return points_of(
            typed_axes(read_axes(over), steps, checked.signatures, given or {}), Design(**design)
        )

    return points


def refused(points, over, **more):
    with pytest.raises(SpecError) as caught:
        points(over, **more)
    return [str(problem) for problem in caught.value.problems]


# how axes are written -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("track.k1=-1:1:5", [-1.0, -0.5, 0.0, 0.5, 1.0]),
        ("track.k1=0:1:11", [tenth / 10 for tenth in range(11)]),
        ("track.k1=1:0:3", [1.0, 0.5, 0.0]),
        ("track.k1=2:3:1", [2.0]),
        ("track.k1=1e-3:1e3:3:log", [1e-3, 1.0, 1e3]),
        ("track.k1=-1:-100:3:log", [-1.0, -10.0, -100.0]),
        ("track.k1=1,2.5,1e-6", [1.0, 2.5, 1e-6]),
        ("track.k1=[1, 2.5, 1e-6]", [1.0, 2.5, 1e-6]),
        ("track.k1= .5 ", [0.5]),
        ("track.n=1:10:4", [1, 4, 7, 10]),
        ("track.name=a,12,true", ["a", "12", "true"]),
        ("track.on=true,false", [True, False]),
        ("track.mode=[fast, slow]", ["fast", "slow"]),
        ("track.anything=1,x,null", [1, "x", None]),
        ("track.name=[10:30, 11:30]", ["10:30", "11:30"]),
        ('track.anything=[1, x, [1, a], {a: 2}, null]', [1, "x", [1, "a"], {"a": 2}, None]),
        ("track.window=[[0, 1.5], [2, 3]]", [[0, 1.5], [2, 3]]),
        ("fit.x.guess=1,2", [1.0, 2.0]),
    ],
)  # fmt: skip
def test_values_in_the_type_of_the_parameter(points, text, expected):
    found = [value for (value,) in points([text])]
    assert found == pytest.approx(expected) if "log" in text else found == expected
    assert list(map(type, found)) == list(map(type, expected))


def test_values_from_python_are_no_text(points):
    assert list(points({"track.anything": ["1", "null", 2]})) == [("1",), ("null",), (2,)]
    assert list(points({"track.k1": [1, 2]})) == [(1.0,), (2.0,)]
    assert list(points({"track.k1": "0:1:2"})) == [(0.0,), (1.0,)]


@settings(deadline=None)
@given(low=st.floats(-1e9, 1e9), high=st.floats(-1e9, 1e9), count=st.integers(1, 50))
def test_any_range(low, high, count):
    (axis,) = read_axes([f"a.b={low!r}:{high!r}:{count}"])
    values = [value for (value,) in axis.rows]
    assert len(values) == count
    assert values[0] == low
    assert count == 1 or values[-1] == high
    steps = [after - before for before, after in itertools.pairwise(values)]
    assert all(math.isclose(step, (high - low) / (count - 1), abs_tol=1e-6) for step in steps)


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20), st.booleans())
def test_any_list_of_numbers(numbers, brackets):
    text = ",".join(map(repr, numbers))
    (axis,) = read_axes([f"a.b=[{text}]" if brackets else f"a.b={text}"])
    assert [float(value) for (value,) in axis.rows] == numbers


@settings(deadline=None)
@given(st.text(max_size=40) | st.from_regex(r"a\.b=[-@0-9:,.e\[\]]{0,20}(log)?", fullmatch=True))
def test_any_text_is_read_or_refused(text):
    with suppress(SpecError):
        (axis,) = read_axes([text])
        assert isinstance(axis, Span) or axis.rows


# files ---------------------------------------------------------------------------------------------


@pytest.fixture
def csv(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def csv(text):
        (tmp_path / "points.csv").write_text(text)
        return "@points.csv"

    return csv


@pytest.mark.parametrize(
    "text",
    [
        "1\n2\n\n3\n",
        "k1\n1\n2\n3\n",
        "track.k1\n1\n2\n3",
        "n,k1\n7,1\n8,2\n9,3\n",
        "\ufeffk1\r\n1\r\n2\r\n3\r\n",
    ],
)
def test_one_column(points, csv, text):
    assert list(points([f"track.k1={csv(text)}"])) == [(1.0,), (2.0,), (3.0,)]


def test_rows_of_points(points, csv):
    file = csv("track.k1, track.name\n1,a\n2,b\n")
    assert points([file]).keys == ("track.k1", "track.name")
    assert list(points([file, "track.n=5,6"])) == [(1.0, "a", 5), (1.0, "a", 6), (2.0, "b", 5), (2.0, "b", 6)]


@pytest.mark.parametrize(
    ("over", "text", "expected"),
    [
        ("track.k1=", "a,b\n1,2\n", "points.csv:1: there is no column 'k1'. The first line names: a, b."),
        ("track.k1=", "1\n2\nx3\n", "points.csv:3: 'x3' does not fit float, the type of track.k1"),
        ("track.k1=", "", "points.csv: the file is empty."),
        ("track.k1=", "k1\n", "points.csv: the axis has no values."),
        ("", "track.k1,track.n\n1,2\n3\n", "points.csv:3: the line has 1 values, and the first one 2."),
        ("", "track.k1,n\n1,2\n", "points.csv:1: the column 'n' is not STEP.PARAMETER."),
        ("", "track.k1,track.m\n1,2\n", "points.csv: the flow 'track' has no parameter 'm'."),
        ("", "track.k1,track.n\n1,2\n3,4.5\n", "points.csv:3: '4.5' does not fit int, the type of track.n"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_told_with_its_line(points, csv, over, text, expected):
    (problem,) = refused(points, [f"{over}{csv(text)}"])
    assert problem.startswith(expected)


def test_a_file_that_is_not_there(points):
    (problem,) = refused(points, ["track.k1=@nowhere.csv"])
    assert problem == "nowhere.csv: the file cannot be read: No such file or directory. Give a CSV file."


# what is wrong --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ("trak.k1=1", "--over trak.k1: there is no step 'trak'. Did you mean 'track'?"),
        ("track.windo=1", "the flow 'track' has no parameter 'windo'. Did you mean 'window'?"),
        ("fit.x.size=1", "--over fit.x.size: the step 'track' gives the parameter 'size'."),
        ("track.k1=1,a", "'a' does not fit float, the type of track.k1: Input should be a valid number"),
        ("track.n=1.5", "--over track.n: '1.5' does not fit int"),
        ("track.n=0:1:3", "--over track.n: 0.5 does not fit int"),
        ("track.password=abc", "track.password: the values of a scan are stored, and this one is a secret."),
        ("track.mode=quick", "--over track.mode: 'quick' does not fit Literal"),
        ("track.positive=-1:1", "--over track.positive: -1.0 does not fit float"),
        ("track.k1=0:1:1O", "--over track.k1: '1O' is not a number of values."),
        ("track.k1=0:1:2:3", "--over track.k1: '2:3' is not a number of values."),
        ("track.k1=0:1:3:log", "--over track.k1: 0 to 1 has no logarithm."),
        ("track.k1=0:1e999:3", "0 to 1e999 is more than a number can be."),
        ("track.k1=2:1", "--over track.k1: 2 is greater than 1."),
        ("track.k1=0:1:0", "--over track.k1: the axis has no values."),
        ("track.k1=", "--over track.k1: the axis has no values."),
        ("track.k1=[1, 2", "--over track.k1: not a list: "),
        ("k1=1", "--over k1: 'k1' is not STEP.PARAMETER."),
        ("track.k1", "--over: 'track.k1' is not STEP.PARAMETER=VALUES."),
        ("track.k1=0:1:100001", "the axis has 100001 values; a scan has at most 100000 points."),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_axis(points, over, expected):
    (problem,) = refused(points, [over], random=1 if over.endswith(":1") and over.count(":") == 1 else None)
    assert expected in problem


def test_all_problems_are_told_at_once(points):
    problems = refused(points, ["track.k1=0:1:x", "k1=1", "track.n=0:1:0"])
    assert len(problems) == 3
    problems = refused(points, ["track.k2=1", "trak.k1=1", "fit.x.size=2"])
    assert len(problems) == 3
    problems = refused(points, {"track.k1": ["x"] * 25})
    assert problems[-1] == "and 15 more like these."
    assert len(problems) == 11


@pytest.mark.parametrize(
    ("over", "design", "expected"),
    [
        ([], {}, "--over: there is nothing to scan over."),
        (["track.k1=1,2", "track.n=1,2,3"], {"zipped": True}, "track.k1 has 2, track.n has 3."),
        (["track.k1=1,2", "track.k1=3"], {}, "track.k1 is scanned over twice."),
        (["track.k1=0:1"], {}, "--over track.k1: the range does not say how many values."),
        (["track.k1=0:1:1000", "track.n=1:1000:1000"], {}, "there are 1000000 points"),
        (["track.k1=0:1"], {"random": 100_001}, "there are 100001 points"),
        (["track.k1=0:1"], {"sobol": 0}, "--sobol: 0 is not a number of samples."),
        (["track.k1=0:1"], {"sobol": 3, "random": 3}, "--random and --sobol do not go together."),
        (["track.n=0:8:log"], {"random": 3}, "has no logarithm"),
        (["track.n=1:8:log"], {"random": 3}, "whole numbers are not drawn by logarithm."),
    ],
)
def test_what_is_wrong_with_a_design(points, over, design, expected):
    assert any(expected in problem for problem in refused(points, over, **design))


def test_a_parameter_has_one_value(points):
    (problem,) = refused(points, ["track.k1=1,2"], given={"track": {"k1": 3}})
    assert "a value for track.k1 is given for all points" in problem


# points --------------------------------------------------------------------------------------------


def test_all_combinations_the_last_axis_first(points):
    found = points(["track.k1=1,2", "track.n=3,4"])
    assert len(found) == 4
    assert list(found) == [(1.0, 3), (1.0, 4), (2.0, 3), (2.0, 4)]
    assert list(found) == list(found)


def test_in_parallel(points):
    found = points(["track.k1=1,2", "track.n=3,4"], zipped=True)
    assert len(found) == 2
    assert list(found) == [(1.0, 3), (2.0, 4)]


@pytest.mark.parametrize("kind", ["random", "sobol"])
def test_samples(points, kind):
    axes = ["track.k1=-10:10", "track.n=1:6", "track.mode=fast,slow", "track.positive=1e-6:1:log"]
    found = list(points(axes, **{kind: 1500}))
    assert found == list(points(axes, **{kind: 1500}))
    assert found[:100] == list(points(axes, **{kind: 100}))
    assert found != list(points(axes, **{kind: 1500}, seed=1))
    k1, n, mode, positive = zip(*found, strict=True)
    assert len(found) == 1500
    assert -10 <= min(k1) < -9
    assert 9 < max(k1) <= 10
    assert abs(sum(k1) / 1500) < 1
    assert set(n) == {1, 2, 3, 4, 5, 6}
    assert set(mode) == {"fast", "slow"}
    assert 600 < sum(value < 1e-3 for value in positive) < 900


def test_points_are_made_as_they_are_used(points):
    found = points(["track.k1=0:1:300", "track.positive=1:2:300"])
    assert len(found) == 90_000
    tracemalloc.start()
    assert sum(1 for _ in found) == 90_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    assert len(found) <= MAX_POINTS


# what goes to another process ---------------------------------------------------------------------


VALUES = st.one_of(st.floats(), st.integers(-(2**63), 2**63 - 1), st.text(), st.booleans(), st.none())


@settings(deadline=None)
@given(st.lists(st.tuples(VALUES, VALUES), max_size=5), st.text())
def test_work_and_progress_are_plain_text(points, error):
    chunk = Chunk(3, points)
    assert repr(chunk_of(to_text(chunk))) == repr(chunk)
    progress = Progress(3, [0, 2], [FailedPoint(1, error, "track")], rate=2.5)
    assert progress_of(to_text(progress)) == progress


def test_the_identity_of_a_point(monkeypatch):
    from lume_services.examples.quad_scan import flows

    def job(parameters):
        spec = {"name": "s", "composing_flows": [{"name": "beam"}]}
        return Job.of(check_spec(spec, [flows.beam]), parameters, ["beam.seed"], None)

    first = job({})
    assert first.spec["composing_flows"][0]["entrypoint"] == "lume_services.examples.quad_scan.flows:beam"
    assert job_of(to_text(first)).unique_hash((1,)) == first.unique_hash((1,))
    assert len({first.unique_hash(point) for point in [(1,), (2,), ("1",)]}) == 3
    assert job({"beam": {"n_particle": 100}}).unique_hash((1,)) != first.unique_hash((1,))
    monkeypatch.setattr(flows.beam, "version", "another")
    assert job({}).unique_hash((1,)) != first.unique_hash((1,))
