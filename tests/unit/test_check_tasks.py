"""The tasks that a flow calls, read from its code."""

import sys
import textwrap
from pathlib import Path

import pytest

from lume_services.examples.quad_scan import flows as quad_scan
from lume_services.flows.discover import tasks_of

PACKAGE = {
    "__init__.py": "",
    "tasks.py": """
        from prefect import task
        from lume_services.tasks import save_file

        @task
        def one():
            two()

        @task(name="second")
        def two():
            pass

        @task
        def unused():
            pass

        save_text_file = save_file.with_options(name="save_text_file")
        SERIES = [save_file.with_options(name=f"save_{number}") for number in range(2)]
        """,
    "helpers.py": """
        from . import tasks

        def help_out():
            return [tasks.one() for _ in range(2)]

        class Scan:
            def run(self):
                return tasks.save_text_file("a", "b")

        scan = Scan()
        """,
    "late.py": """
        from .tasks import two
        from prefect import task

        @task
        def late_task():
            two()
        """,
    "flows.py": """
        import dataclasses
        import functools
        import math
        from prefect import flow, task
        from lume_services.tasks import save_file
        from pkg_of_flows import helpers, tasks
        from pkg_of_flows.helpers import help_out, scan, Scan
        from pkg_of_flows.tasks import save_text_file

        NAME = "save_dynamic"
        LARGE = [save_file] * 2000

        @dataclasses.dataclass
        class Settings:
            number: int = 1

        def wrapped(function):
            @functools.wraps(function)
            def wrapper():
                return function()
            return wrapper

        @wrapped
        def decorated():
            return save_text_file("a", "b")

        @flow
        def direct():
            math.sqrt(Settings().number)
            return tasks.two()

        @flow
        def through_a_helper():
            return help_out()

        @flow
        def through_a_module():
            return helpers.tasks.save_text_file("a", "b")

        @flow
        def through_an_object():
            return scan.run()

        @flow
        def through_a_class():
            return Scan().run()

        @flow
        def through_a_decorated_function():
            return decorated()

        @flow
        def through_a_list():
            return [save("a", "b") for save in tasks.SERIES]

        @flow
        def renamed():
            return save_file.with_options(name="save_here")("a", "b")

        @flow
        def nested():
            @task
            def inner():
                pass

            @task(name="named_inner")
            def other():
                pass

            return inner(), other()

        @flow
        def imported_late():
            import numpy
            from pkg_of_flows.late import late_task
            from .tasks import unused
            return late_task(), unused(), numpy

        @flow
        async def asynchronous():
            return save_text_file("a", "b")

        @flow
        def subflow():
            return direct()

        @flow
        def dynamic_name():
            return save_file.with_options(name=NAME)("a", "b")

        @flow
        def dynamic_lookup():
            return getattr(tasks, "one")()

        @flow
        def dynamic_module():
            import importlib
            return importlib.import_module("pkg_of_flows.tasks").one()

        @flow
        def large_container():
            return LARGE[0]("a", "b")

        def make():
            own = tasks.one

            @flow
            def closure():
                return own()

            return closure

        closure = make()
        exec("@flow\\ndef no_source(): return tasks.one()")
        """,
}


@pytest.fixture(scope="module")
def flows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    (folder / "pkg_of_flows").mkdir()
    for name, source in PACKAGE.items():
        Path(folder / "pkg_of_flows" / name).write_text(textwrap.dedent(source))
    sys.path.append(str(folder))
    try:
        from pkg_of_flows import flows

        yield flows
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.startswith("pkg_of_flows")]:
            del sys.modules[name]


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        ("direct", {"second"}),
        ("through_a_helper", {"one", "second"}),
        ("through_a_module", {"save_text_file"}),
        ("through_an_object", {"save_text_file"}),
        ("through_a_class", {"save_text_file"}),
        ("through_a_decorated_function", {"save_text_file"}),
        ("through_a_list", {"save_0", "save_1"}),
        ("renamed", {"save_file", "save_here"}),
        ("nested", {"inner", "other", "named_inner"}),
        ("imported_late", {"late_task", "second", "unused"}),
        ("asynchronous", {"save_text_file"}),
        ("subflow", set()),
        ("closure", {"one", "second"}),
    ],
)
def test_the_tasks_of_a_flow_are_found(flows, flow, expected):
    found = tasks_of(getattr(flows, flow))
    assert found.tasks.keys() == expected
    assert found.complete
    assert "pkg_of_flows.late" not in sys.modules


@pytest.mark.parametrize(
    "flow", ["dynamic_name", "dynamic_lookup", "dynamic_module", "large_container", "no_source"]
)
def test_what_cannot_be_known_is_said_to_be_incomplete(flows, flow):
    assert not tasks_of(getattr(flows, flow)).complete


def test_a_task_that_is_found_tells_its_type(flows):
    assert tasks_of(flows.through_a_module).tasks["save_text_file"].fn.__annotations__["return"]
    assert tasks_of(flows.renamed).tasks["save_here"] is None


def test_the_packaged_example_is_wholly_known():
    found = [tasks_of(flow) for flow in (quad_scan.beam, quad_scan.track, quad_scan.fit)]
    assert all(each.complete for each in found)
    assert [set(each.tasks) for each in found] == [
        {"save_beam"},
        {"load_file", "save_images", "save_sizes"},
        {"load_file", "save_plot", "save_fit"},
    ]
