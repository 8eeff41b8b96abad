"""Every error of LUME-services.

One root, `LUMEServicesError`. A message says what happened, where, and what to do next. Each class
also inherits the Python error that fits, keeps its facts as attributes, and survives pickling, so
that it reaches the caller whole from a worker process.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


def nearest(name: object, choices: Iterable[object]) -> str | None:
    """Return the choice that most resembles `name`, or None where none does."""
    known = {str(choice).lower(): str(choice) for choice in choices}
    found = difflib.get_close_matches(str(name).lower(), known, n=1, cutoff=0.6)
    return known[found[0]] if found else None


def choose_from(name: object, choices: Iterable[object]) -> str:
    """Return the sentence that helps after a name was not found among `choices`."""
    known = sorted({str(choice) for choice in choices})
    if not known:
        return "There is none yet."
    meant = nearest(name, known)
    question = f"Did you mean {meant!r}? " if meant else ""
    return f"{question}Choose one of: {', '.join(known)}."


def _rebuild(cls: type[LUMEServicesError], args: tuple[Any, ...], facts: dict[str, Any]) -> LUMEServicesError:
    error = cls.__new__(cls)
    Exception.__init__(error, *args)
    error.__dict__.update(facts)
    return error


class LUMEServicesError(Exception):
    """Root of all errors raised by LUME-services.

    Args:
        message: What happened.
        where: The place: a file and line, a flow, a step, a parameter, an environment variable.
        remedy: What to do next.
        **facts: Kept as attributes for programs.

    Attributes:
        message: What happened, without place and remedy.
        where: The place, or None.
        remedy: What to do next, or None.
    """

    def __init__(
        self, message: str, *, where: str | None = None, remedy: str | None = None, **facts: Any
    ) -> None:
        place = f"{where}: " if where else ""
        advice = f" {remedy}" if remedy else ""
        super().__init__(f"{place}{message}{advice}")
        self.message = message
        self.where = where
        self.remedy = remedy
        self.__dict__.update(facts)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__.copy())


@dataclass(frozen=True)
class Problem:
    """One of several problems that are reported together.

    Attributes:
        message: What is wrong.
        where: The place: `spec.yaml:12`, `LUME_BACKEND`, `step fit`.
        remedy: What to do about it.
    """

    message: str
    where: str | None = None
    remedy: str | None = None

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f" {self.remedy}" if self.remedy else ""
        return f"{place}{self.message}{advice}"

    def as_dict(self) -> Mapping[str, str | None]:
        """Return the problem for a program that reads JSON."""
        return {"message": self.message, "where": self.where, "remedy": self.remedy}


class ProblemsError(LUMEServicesError):
    """Several problems found in one go.

    Args:
        summary: What was being done.
        problems: All that is wrong, in the order of the source.

    Attributes:
        problems: The problems.
    """

    problems: Sequence[Problem]

    def __init__(self, summary: str, problems: Sequence[Problem]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"{summary}: {count}\n{lines}", problems=tuple(problems), summary=summary)


class UnreadableFileError(LUMEServicesError, ValueError):
    """A file that somebody named cannot be read, or is not of the form that it should have."""


# configuration ------------------------------------------------------------------------------------


class ConfigurationError(ProblemsError, ValueError):
    """The settings from arguments, environment or file are not valid."""


class PluginError(LUMEServicesError, ImportError):
    """A plug-in named in the settings cannot be found, imported, or is not of the right kind."""


# values -------------------------------------------------------------------------------------------


class EncodeError(LUMEServicesError, TypeError):
    """A value cannot be stored or fingerprinted; `where` is its path, as `outputs["beam"][3]`."""


class DecodeError(LUMEServicesError, ValueError):
    """Stored data is not what the codec wrote, or names a type that is not registered here."""


class BlobCorruptError(DecodeError):
    """The bytes of a stored array do not match their digest."""


# files --------------------------------------------------------------------------------------------


class FilesystemNotConfigured(LUMEServicesError, LookupError):
    """No filesystem of that identifier is configured."""


class PathNotInFilesystem(LUMEServicesError, ValueError):
    """A path leads out of its filesystem."""


class PathNotInMount(PathNotInFilesystem):
    """A path is neither below the mount path nor below the mount alias."""


class FileReferenceError(LUMEServicesError, ValueError):
    """What was given is not the reference to a file."""


class FileTypeNotRegistered(LUMEServicesError, LookupError):
    """A file reference names a serializer that this process does not know."""


class FileChangedError(LUMEServicesError, ValueError):
    """A file is not the one its reference was made from: the checksum differs."""


class SerializationError(LUMEServicesError, ValueError):
    """An object cannot be written as this file type, or a file cannot be read as it."""


# results ------------------------------------------------------------------------------------------


class ResultsDBError(LUMEServicesError):
    """The results store cannot do what was asked."""


class StoreUnavailableError(ResultsDBError, ConnectionError):
    """The server of the results store does not answer, or cannot be reached."""


class ResultNotFoundError(ResultsDBError, LookupError):
    """No stored result matches the query."""


class MultipleResultsError(ResultsDBError, LookupError):
    """More than one stored result matches a query that must give one."""


class ResultCorruptError(ResultsDBError, ValueError):
    """A stored result is damaged: its content does not match its unique hash, or is not readable."""


class ResultTypeNotRegistered(LUMEServicesError, LookupError):
    """A stored result names a class that this process does not know."""


class QueryError(ResultsDBError, ValueError):
    """A query uses an operator or a form that is not supported."""


# scheduling ---------------------------------------------------------------------------------------


class BackendError(LUMEServicesError):
    """A backend cannot do what was asked."""


class FlowFailedError(BackendError, RuntimeError):
    """A flow run ended in state Failed."""


class FlowCrashedError(BackendError, RuntimeError):
    """A flow run ended in state Crashed: its process died."""


class FlowCancelledError(BackendError, RuntimeError):
    """A flow run was cancelled."""


class RunException(Exception):
    """The exception that ended a run in another process.

    Attributes:
        type_name: The name of its class.
        message: Its text.
        traceback: The traceback as text.
    """

    def __init__(self, type_name: str, message: str, traceback: str) -> None:
        super().__init__(message)
        self.type_name = type_name
        self.message = message
        self.traceback = traceback

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.type_name, self.message, self.traceback)


class RunTimeoutError(BackendError, TimeoutError):
    """A flow run did not end within the time given."""


class RunNotStartedError(BackendError, TimeoutError):
    """A flow run waits for its start for too long; the message has what was found out about why."""


class NoWorkerError(RunNotStartedError):
    """No worker takes runs from the work pool."""


class UnschedulableError(RunNotStartedError):
    """The cluster has no place for the job of a flow run."""


class ImageMissingError(RunNotStartedError, FlowCrashedError):
    """The container image of a flow run is not there."""


class APIUnreachableError(BackendError, ConnectionError):
    """The Prefect API does not answer."""


class APINotAuthorisedError(BackendError, PermissionError):
    """The Prefect API refuses the credentials, or asks for some."""


class APIVersionError(BackendError):
    """The Prefect API is of a version that this Prefect does not understand."""


class ServicesError(LUMEServicesError):
    """`docker compose` is not there, or a service does not do what was asked."""


class RunConfigError(ProblemsError, ValueError):
    """A run config is not valid for its backend."""


class FlowParametersError(ProblemsError, TypeError):
    """A run was asked for with parameters that its flow does not have, or without one that it needs."""


class NotAFlowError(BackendError, TypeError):
    """What was given to be run or registered is not a Prefect flow."""


class FlowNotFoundError(BackendError, LookupError):
    """No flow of that name is known."""


class TaskNotInFlowError(BackendError, LookupError):
    """No task of that name ran in the flow."""


class TaskNotCompletedError(BackendError, RuntimeError):
    """The task whose result was asked for did not complete."""


class EmptyResultError(BackendError, LookupError):
    """The task ran, but its result was not kept."""


class UnsupportedRouteError(BackendError, NotImplementedError):
    """The Prefect engine asked the in-process API for something that only a server has."""


# flow-of-flows ------------------------------------------------------------------------------------


class SpecError(ProblemsError, ValueError):
    """A flow-of-flows spec is not valid."""


class StepFailedError(BackendError, RuntimeError):
    """A step of a flow-of-flows failed.

    Attributes:
        whole_run_id: The id of the run of the whole, which `resume` takes; None before that has ended.
    """

    whole_run_id: str | None = None


class RunNotFoundError(BackendError, LookupError):
    """There is no record of such a run."""


class NotTrustedError(BackendError, PermissionError):
    """A record names the code that would run, and nobody has said that it may.

    Attributes:
        folder: Where modules would be imported from, besides the installed packages; None if from nowhere.
        entrypoints: What would be imported, by step; None for a step whose flow is found by its name.
    """


class RunTakenOverError(BackendError, RuntimeError):
    """Another process carries on the run."""
