"""Run configs: where and how one flow run is started, checked before anything is sent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lume_services.errors import Problem, RunConfigError, choose_from
from lume_services.values.secret import masked

_JOINED = frozenset({"labels", "env"})


@dataclass(frozen=True)
class PrefectRunConfig:
    """What Prefect needs to start one run.

    Attributes:
        work_pool_type: The type of work pool, None for a run in this process.
        work_queue: The queue of that pool, None for its default one.
        job_variables: The values for the pool's job template.
        tags: The tags of the flow run.
    """

    work_pool_type: str | None = None
    work_queue: str | None = None
    job_variables: Mapping[str, Any] = field(default_factory=dict, repr=False)
    tags: frozenset[str] = frozenset()


class RunConfig(BaseModel, ABC):
    """The settings of one run. Each backend has its own subclass, `Backend.run_config_type`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    labels: frozenset[str] = Field(default=frozenset(), description="Become Prefect tags of the flow run.")

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        return ((name, masked(name or "", value)) for name, value in super().__repr_args__())

    @abstractmethod
    def build(self) -> PrefectRunConfig:
        """Return what Prefect needs to start a run with these settings."""

    @classmethod
    def of(cls, run_config: RunConfig | Mapping[str, Any] | None, *, name: str | None = None) -> Self:
        """Return `run_config` as this class; a mapping is validated, None gives the defaults.

        Args:
            run_config: A run config of this class, or a mapping of its fields.
            name: What errors call it; the class if None.

        Raises:
            RunConfigError: The mapping is not valid, or it is the run config of another backend.
        """
        if isinstance(run_config, cls):
            return run_config
        summary = f"{name or cls.__name__} is not valid"
        if isinstance(run_config, RunConfig):
            problem = Problem(
                f"a {type(run_config).__name__} cannot be used here.", remedy=f"Use {cls.__name__}."
            )
            raise RunConfigError(summary, [problem])
        try:
            return cls.model_validate(dict(run_config or {}))
        except ValidationError as error:
            raise RunConfigError(summary, _problems(error, cls)) from error

    def updated(self, run_config: RunConfig | Mapping[str, Any] | None) -> Self:
        """Return these settings with those of `run_config` in their place; labels and `env` are joined.

        Raises:
            RunConfigError: As `of`.
        """
        given = self.of(run_config)
        here, there = (one.model_dump(exclude_unset=True) for one in (self, given))
        for name in _JOINED.intersection(here, there):
            there[name] = here[name] | there[name]
        return self.of({**here, **there})


def _problems(error: ValidationError, model: type[RunConfig]) -> list[Problem]:
    return [_problem(str(item["type"]), item["loc"], item["msg"], model) for item in error.errors()]


def _problem(kind: str, path: tuple[int | str, ...], message: str, model: type[RunConfig]) -> Problem:
    where = ".".join(map(str, path))
    if kind == "extra_forbidden":
        return Problem("no such field.", where=where, remedy=choose_from(where, model.model_fields))
    return Problem(message, where=where)
