"""Flows composed to one by a spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lume_services.errors import FlowFailedError, Problem, RunTimeoutError, StepFailedError
from lume_services.flows.events import Observer, StepEvent
from lume_services.flows.plan import Plan
from lume_services.flows.spec import Spec, StepSpec

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import State

    from lume_services.flows.check import CheckedSpec
    from lume_services.flows.scans.axes import Over
    from lume_services.flows.scans.scan import Scan
    from lume_services.flows.signature import Signature

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

        check_run(self._checked, parameters or {}, current_context().scheduling_backend().run_config_type)

    def run(
        self,
        parameters: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        on_step: Observer | None = None,
    ) -> FlowOfFlowsRun:
        """Run all steps, each as soon as the steps that it takes values from are done.

        Args:
            parameters: Values by step and parameter; they replace those of the spec.
            on_step: Is called with what happens to the steps, in a thread of the run.

        Raises:
            SpecError: The values do not fit; nothing has run.
            StepFailedError: A step failed. The steps that ran beside it were left to finish; no other was
                started. Its cause is the error of the step's flow.
        """
        from lume_services.config import current_context
        from lume_services.flows.execute import Execution
        from lume_services.flows.parent import InputForm, parent_flow
        from lume_services.flows.resolve import importable_from

        self.check(parameters)
        context = current_context()
        backend = context.scheduling_backend()
        execution = Execution(self._checked, self.plan, backend, on_step or (lambda _: None))
        form = InputForm(self._checked)
        flow = parent_flow(self.spec.name, form, execution.run)
        with importable_from(self._checked.document.folder):
            handle = backend.for_parents().run(
                flow, form.parameters(parameters or {}), {"labels": self.spec.tags}
            )
            try:
                results = handle.result()
            except FlowFailedError as error:
                if isinstance(error.__cause__, StepFailedError):
                    raise error.__cause__ from error.__cause__.__cause__
                raise
            except KeyboardInterrupt:
                handle.cancel()
                with suppress(RunTimeoutError):
                    handle.wait(SECONDS_TO_STOP)
                raise
        return FlowOfFlowsRun(handle.run_id, handle.state, results, execution.events)

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
        """Return a scan: an iterator that runs all steps at each point, in processes of this machine.

        A point runs once: the same scan, begun again, runs what is missing and what failed. Nothing runs
        before the first point is asked for.

        Args:
            over: The axes by parameter, as `{"track.k1": "-10:10:41", "beam.charge": [1e-12, 2e-12]}`:
                values, or text as for `lume-services scan --over`. Or texts alone, as `["@points.csv"]`.
            parameters: Values for all points, by step and parameter.
            zipped: Take the axes in parallel, instead of all combinations.
            random: Take so many random samples.
            sobol: Take so many samples of a Sobol' sequence.
            seed: Of the samples.
            workers: The number of processes; by default one for each core.
            collection: Where to store the results; by default `PROJECT.scan`.

        Raises:
            SpecError: The axes or the values do not fit; nothing has run.
            NotAFlowError: A flow is defined where no other process can import it from.
            BackendError: The configured backend has no scans.
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
