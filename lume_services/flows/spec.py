"""The form of a flow-of-flows spec."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MapType = Literal["raw", "file", "db"]

# Prefect refuses these characters in the name of a flow.
Name = Annotated[str, Field(min_length=1, pattern=r"^[^/%&<>]+$")]


def _keys_and_positions(value: Any) -> Any:
    keys = value if isinstance(value, list) else []
    if not keys or any(type(key) not in (str, int) for key in keys):
        msg = f"must be a list of keys and positions, as [outputs, y, 0]; found {value!r}."
        raise ValueError(msg)
    return value


AttributeIndex = Annotated[list[str | int], BeforeValidator(_keys_and_positions)]


def _empty_for_null(value: Any) -> Any:
    """Read a key with nothing behind it, as in `mapped_parameters:`, as left out."""
    return {} if value is None else value


class _SpecModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MappedParameter(_SpecModel):
    """A parameter that takes its value from a step before.

    Attributes:
        parent_flow_name: The step that the value comes from: its alias, or else its flow's name.
        parent_project_name: The project of that step.
        parent_task_name: The task whose result is the value; without it, the flow's return value.
        map_type: What is handed over: `raw`, the value itself; `file`, the reference to a file, which
            the step loads; `db`, a part of a stored result.
        attribute_index: The way to a part of the value, by keys and positions. For `db` it begins
            with a field of the result, as `[outputs, y]`; without it, the reference is handed over.
    """

    parent_flow_name: Name
    parent_project_name: str | None = None
    parent_task_name: Annotated[str, Field(min_length=1)] | None = None
    map_type: MapType = "raw"
    attribute_index: AttributeIndex | None = None


class RawMappedParameter(MappedParameter):
    """A mapped parameter of type `raw`, for specs written in Python."""

    map_type: Literal["raw"] = "raw"


class FileMappedParameter(MappedParameter):
    """A mapped parameter of type `file`, for specs written in Python."""

    map_type: Literal["file"] = "file"


class DBMappedParameter(MappedParameter):
    """A mapped parameter of type `db`, for specs written in Python."""

    map_type: Literal["db"] = "db"


class StepSpec(_SpecModel):
    """One step: a flow, and where its parameters come from.

    Attributes:
        name: The name of the flow.
        alias: The name of the step, where the same flow is a step more than once.
        project_name: The project of the flow.
        image: The container image that the step runs in, on backends that have images.
        entrypoint: Where the flow is defined, as `package.module:flow`.
        mapped_parameters: Parameters that steps before give.
        parameters: Values of parameters. A value given for a run replaces one given here.
        run_config: How the backend runs the step.
    """

    name: Name
    alias: Name | None = None
    project_name: str | None = None
    image: str | None = None
    entrypoint: str | None = None
    mapped_parameters: Annotated[dict[str, MappedParameter], BeforeValidator(_empty_for_null)] = {}
    parameters: Annotated[dict[str, Any], BeforeValidator(_empty_for_null)] = {}
    run_config: Annotated[dict[str, Any], BeforeValidator(_empty_for_null)] = {}

    @property
    def step(self) -> str:
        """The name of the step."""
        return self.alias or self.name


class Spec(_SpecModel):
    """A flow-of-flows.

    Attributes:
        name: The name of the whole.
        project_name: The project that it belongs to.
        labels: Prefect tags of its runs.
        image: The container image of steps that name none, on backends that have images.
        composing_flows: The steps; a step stands below the steps that it takes values from.
    """

    name: Name
    project_name: str | None = None
    labels: Annotated[list[str], BeforeValidator(lambda labels: [] if labels is None else labels)] = []
    image: str | None = None
    composing_flows: Annotated[list[StepSpec], Field(min_length=1)]

    @property
    def tags(self) -> frozenset[str]:
        """The Prefect tags of the whole and of its steps: the labels, and the project's."""
        return frozenset(self.labels) | ({f"project:{self.project_name}"} if self.project_name else set())
