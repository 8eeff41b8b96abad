"""Flows composed to one by a spec."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lume_services.errors import FlowFailedError, LUMEServicesError, Problem, RunTimeoutError, StepFailedError
from lume_services.flows.events import Observer, StepEvent
from lume_services.flows.plan import Plan
from lume_services.flows.runs.request import LATEST, RunRequest, steps_again
from lume_services.flows.spec import Spec, StepSpec
from lume_services.values import fingerprint

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import State
    from prefect.schedules import Schedule

    from lume_services.flows.check import CheckedSpec
    from lume_services.flows.runs.spec_key import SpecKey
    from lume_services.flows.scans.axes import Over
    from lume_services.flows.scans.scan import Scan
    from lume_services.flows.signature import Signature
    from lume_services.services.scheduling import RunHandle
    from lume_services.services.scheduling.travelling import TravellingFlow

SECONDS_TO_STOP = 5.0


@dataclass(frozen=True)
class FlowOfFlowsRun:
    """A run that completed.

    Attributes:
        run_id: The id of the flow run of the whole.
        state: Its final state.
        results: What every flow returned, by the name of its step.
        steps: How every step ended: its duration, the id of its flow run.
    """

    run_id: str
    state: State[Any]
    results: Mapping[str, Any]
    steps: Mapping[str, StepEvent]


class FlowOfFlows:
    """Flows that run as one: some take as parameters what others gave.

    Build it with `from_yaml`.

    Attributes:
        spec: The spec.
        plan: The spec as a graph.
        warnings: What is probably a mistake in the spec.
    """

    def __init__(self, checked: CheckedSpec) -> None:
        self._checked = checked
        self.spec: Spec = checked.spec
        self.plan = Plan.from_spec(checked.spec)
        self.warnings: Sequence[Problem] = checked.warnings

    @classmethod
    def from_yaml(
        cls,
        spec: str | Path | Mapping[str, Any],
        flows: Sequence[Flow[..., Any]] = (),
        parameters: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> FlowOfFlows:
        """Read a spec, find its flows and check all of it. Nothing runs.

        Args:
            spec: The path of a YAML file, or its content as a dict.
            flows: Flows at hand, for the steps of their names. The others are found by the `entrypoint`
                of their step, or by an entry point of an installed package in `lume_services.flows`.
                Modules are also found beside the file and in the working directory.
            parameters: Values for a run, by step and parameter, to be checked in the same go.

        Raises:
            SpecError: All problems in one report, each with its place and its remedy.
        """
        from lume_services.flows.check import check_spec

        return cls(check_spec(spec, flows, parameters))

    @property
    def steps(self) -> Mapping[str, StepSpec]:
        """The steps by name, in the order of the spec."""
        return self.plan.steps

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The parameters and the return type of every step's flow."""
        return self._checked.signatures

    @property
    def spec_key(self) -> SpecKey:
        """What the spec is known by, where its latest run is looked for."""
        from lume_services.flows.runs.spec_key import SpecKey

        document = self._checked.document
        return SpecKey.of(self.spec.name, self.spec.project_name, document.data, document.source)

    def check(self, parameters: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Check that a run with these values can start.

        Args:
            parameters: Values by step and parameter.

        Raises:
            SpecError: All problems in one report: a value is missing, unknown or does not fit, or the
                configured backend cannot use the run config of a step.
        """
        from lume_services.config import current_context
        from lume_services.flows.check import check_run

        check_run(self._checked, parameters or {}, current_context().scheduling_backend())

    def run(
        self,
        parameters: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        on_step: Observer | None = None,
        resume: str | None = None,
        from_step: str | None = None,
        only: str | None = None,
        no_cache: bool = False,
        retries: int = 0,
        limit: int | None = None,
    ) -> FlowOfFlowsRun:
        """Run all steps, each as soon as the steps that it takes values from are done.

        What a step gave is kept in the results store. A run that resumes an earlier one takes from there what
        a step gave with the same parameters and the same code, and runs the others. Where another process
        carries on the same run, this one waits for it.

        Args:
            parameters: Values by step and parameter; they replace those of the spec, and those of the run
                that is resumed.
            on_step: Is called with what happens to the steps, in a thread of the run.
            resume: The id of an earlier run, the beginning of it, or `latest`: the last run of this spec, in
                this file.
            from_step: Run this step and all that depend on it again; resumes the latest run, unless `resume`
                names another.
            only: Run only this step, with what an earlier run of its parents gave; resumes likewise.
            no_cache: Run every step again, and every task that Prefect would take from its cache.
            retries: How often to go on by itself after a step has failed.
            limit: How many steps may run at the same time; all that are ready if None.

        Raises:
            SpecError: The values do not fit; nothing has run.
            RunNotFoundError: There is no run to resume.
            StepFailedError: A step failed. The steps that ran beside it were left to finish; no other was
                started. Its cause is the error of the step's flow.
            ResultsDBError: The results store is away, or may only be read; no step has run.
            RunTakenOverError: Another process carries on the run.
        """
        from prefect.settings import PREFECT_TASKS_REFRESH_CACHE, temporary_settings

        from lume_services.config import current_context
        from lume_services.flows.execute import Execution
        from lume_services.flows.parent import InputForm, parent_flow
        from lume_services.flows.resolve import importable_from

        resume = resume or (LATEST if from_step or only else None)
        again = steps_again(self.plan, from_step=from_step, only=only, no_cache=no_cache)
        parameters, root = self._resumed(parameters or {}, resume)
        request = RunRequest(parameters, root, again, only, limit)
        self.check(request.parameters)
        backend = current_context().scheduling_backend()
        events: dict[str, StepEvent] = {}
        ended: set[str] = set()

        def observe(event: StepEvent) -> None:
            events[event.step] = event
            if on_step is not None:
                on_step(event)

        def run_steps(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
            execution = Execution(self._checked, self.plan, backend, observe, request, ended=ended)
            return execution.run(values)

        form = InputForm(self._checked)
        flow = parent_flow(self.spec.name, form, run_steps).with_options(retries=retries)
        with (
            importable_from(self._checked.document.folder),
            temporary_settings({PREFECT_TASKS_REFRESH_CACHE: True} if no_cache else {}),
        ):
            handle = backend.for_parents().run(
                flow, form.parameters(request.parameters), {"labels": self.spec.tags}
            )
            results = _result_of(handle)
        return FlowOfFlowsRun(handle.run_id, handle.state, results, events)

    def as_flow(self) -> TravellingFlow:
        """Return the whole as a Prefect flow, which runs the steps on the backend that is configured there.

        Its parameters are one group per step, of those parameters that no other step gives.
        """
        from lume_services.config import current_context
        from lume_services.flows.execute import Execution
        from lume_services.flows.parent import InputForm, parent_function
        from lume_services.flows.travel import PREFIX, job_variables
        from lume_services.services.scheduling.travelling import TravellingFlow

        checked = self._checked
        name = fingerprint(checked.document.data)

        def run_steps(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
            backend = current_context().scheduling_backend()
            request = RunRequest(values)
            execution = Execution(checked, self.plan, backend, lambda _: None, request, ended=set())
            return execution.run(values)

        return TravellingFlow(
            parent_function(InputForm(checked), run_steps),
            name=self.spec.name,
            version=name[:12],
            entrypoint=f"{PREFIX}{name}",
            environment=lambda: job_variables(checked),
        )

    def register(
        self,
        project_name: str | None = None,
        labels: Iterable[str] = (),
        *,
        schedule: Schedule | None = None,
        description: str | None = None,
    ) -> str:
        """Register the whole as one flow on the configured backend, under the name of the spec.

        The spec travels with it; its version is the fingerprint of the spec. A worker that has the packages
        of the flows runs it; each step runs as a run of its own.

        Args:
            project_name: The project; that of the spec if None.
            labels: Become Prefect tags of every run, beside those of the spec.
            schedule: When it runs by itself: Prefect's `Cron`, `Interval` or `RRule`.
            description: Default: the graph as text.

        Returns:
            The id of the registered flow, `spec name/project name`.

        Raises:
            NotAFlowError: No other process could import one of the flows.
            BackendError: The backend has no schedules.
        """
        from lume_services.config import current_context
        from lume_services.flows.pictures.graph import graph_text
        from lume_services.services.scheduling import DEFAULT_PROJECT

        registered: str = (
            current_context()
            .scheduling_service()
            .register_flow(
                self.as_flow(),
                project_name or self.spec.project_name or DEFAULT_PROJECT,
                [*self.spec.labels, *labels],
                schedule=schedule,
                description=description or graph_text(self.plan),
            )
        )
        return registered

    def scan(
        self,
        over: Over,
        *,
        parameters: Mapping[str, Mapping[str, Any]] | None = None,
        zipped: bool = False,
        random: int | None = None,
        sobol: int | None = None,
        seed: int = 0,
        workers: int | None = None,
        collection: str | None = None,
    ) -> Scan:
        """Return a scan: an iterator that runs all steps at each point.

        On the local backend, that is in processes of this machine, elsewhere in jobs of the work pool, which
        write to the results store. A point runs once: the same scan, begun again, runs what is missing and
        what failed. Nothing runs before the first point is asked for.

        Args:
            over: The axes by parameter, as `{"track.k1": "-10:10:41", "beam.charge": [1e-12, 2e-12]}`:
                values, or text as for `lume-services scan --over`. Or texts alone, as `["@points.csv"]`.
            parameters: Values for all points, by step and parameter.
            zipped: Take the axes in parallel, instead of all combinations.
            random: Take so many random samples.
            sobol: Take so many samples of a Sobol' sequence.
            seed: Of the samples.
            workers: The number of processes, by default one for each core; or of jobs at the same time, by
                default 4.
            collection: Where to store the results; by default `PROJECT.scan`.

        Raises:
            SpecError: The axes or the values do not fit, or a step wants a job of its own; nothing has run.
            NotAFlowError: A flow is defined where no other process can import it from.
        """
        from lume_services.flows.scans.points import Design
        from lume_services.flows.scans.scan import scan_of

        return scan_of(
            self._checked,
            over,
            Design(zipped=zipped, random=random, sobol=sobol, seed=seed),
            parameters or {},
            check=self.check,
            workers=workers,
            collection=collection,
        )

    def _resumed(
        self, parameters: Mapping[str, Mapping[str, Any]], resume: str | None
    ) -> tuple[Mapping[str, Mapping[str, Any]], str | None]:
        """Return the values for a run with those of the run that it resumes, and the root of that."""
        if resume is None:
            return parameters, None
        from lume_services.flows.runs.records import RunRecords

        resumed = RunRecords().run(resume, self.spec_key)
        before = resumed.parameters or {}
        merged = {
            step: {**before.get(step, {}), **parameters.get(step, {})}
            for step in before.keys() | parameters.keys()
        }
        return merged, resumed.root


def _result_of(handle: RunHandle) -> Any:
    """Return the value of the run, or raise what ended it: its step, or its records; Ctrl-C ends the run."""
    try:
        return handle.result()
    except FlowFailedError as error:
        failed = error.__cause__
        if not isinstance(failed, LUMEServicesError):
            raise
        if isinstance(failed, StepFailedError):
            failed.whole_run_id = handle.run_id
        raise failed from failed.__cause__
    except KeyboardInterrupt:
        handle.cancel()
        with suppress(RunTimeoutError):
            handle.wait(SECONDS_TO_STOP)
        raise
