"""A whole plan as one CUDA graph: the eager code is recorded once and then replayed without the host."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from worldmodel.planners.interfaces import NotRecordable, Objective, Plan, Planner, Problem, form_of, map_tensors

PlanOf = Callable[[Mapping[str, Tensor]], Plan]
Shapes = Mapping[str, torch.Size]

_WARM_UP_CALLS = 3  # so that libraries choose and load their kernels before the recording
_NUM_KEPT = 8  # recordings of one planner; each holds the memory of a whole plan
_OBJECTIVE = "objective tensor "


@final
class CapturedPlanner:
    """A planner whose plans are CUDA graphs, recorded when asked for again. On a CPU it is the planner itself.

        mpc = MPC(model, CapturedPlanner(planner))

    The first plan of a kind is eager: a recording takes the time of several plans, which a plan that is made once never
    earns back. The inputs of a graph are the problem's tensors: z0, context, warm start and every tensor that the
    objective shows. A graph serves whatever has the shapes it was recorded with, or fewer environments. Other dynamics,
    another generator and other forms of objective get graphs of their own. The dynamics, and functions in an objective,
    must leave what they read at its place in memory. Plans for an objective that does not show its tensors are eager;
    see `RecordableObjective`.
    """

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self._recordings: deque[_Recording] = deque(maxlen=_NUM_KEPT)

    @property
    def horizon(self) -> int:
        return self.planner.horizon

    def plan(self, problem: Problem, generator: torch.Generator) -> Plan:
        """See `Planner.plan`; on a GPU the generator must be a CUDA generator."""
        form = _recordable_form(problem.objective) if problem.z0.device.type == "cuda" else None
        if form is None:
            return self.planner.plan(problem, generator)
        return self._plan_by_graph(problem, form, generator)

    def _plan_by_graph(self, problem: Problem, form: object, generator: torch.Generator) -> Plan:
        """Replay the CUDA graph of an earlier problem of this form; the first of a form is planned without one."""

        def plan_of(inputs: Mapping[str, Tensor]) -> Plan:
            return self.planner.plan(_with_inputs(problem, inputs), generator)

        inputs = _inputs_of(problem)
        owners, shapes = (problem.dynamics, generator), {name: tensor.shape for name, tensor in inputs.items()}
        for recording in self._recordings:
            if recording.answers(owners, form, shapes):
                return recording.plan(plan_of, inputs, generator)
        self._recordings.append(_Recording(owners, form, shapes))
        return plan_of(inputs)


def _recordable_form(objective: Objective) -> object | None:
    """The objective's form; None where it does not show its tensors."""
    try:
        return form_of(objective)
    except NotRecordable:
        return None


def _inputs_of(problem: Problem) -> dict[str, Tensor]:
    """Every tensor of a problem by name, z0 first."""
    shown: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        shown.append(tensor)
        return tensor

    map_tensors(problem.objective, note)
    given = {"z0": problem.z0, "warm_start": problem.warm_start, "context": problem.context}
    inputs = {name: tensor for name, tensor in given.items() if tensor is not None}
    return inputs | {f"{_OBJECTIVE}{index}": tensor for index, tensor in enumerate(shown)}


def _with_inputs(problem: Problem, inputs: Mapping[str, Tensor]) -> Problem:
    """The problem with these tensors, named as by `_inputs_of`, in place of its own."""
    shown = iter([tensor for name, tensor in inputs.items() if name.startswith(_OBJECTIVE)])
    return replace(
        problem,
        objective=map_tensors(problem.objective, lambda _: next(shown)),
        z0=inputs["z0"],
        context=inputs.get("context"),
        warm_start=inputs.get("warm_start"),
    )


def capture(plan_of: PlanOf, example: Mapping[str, Tensor], generator: torch.Generator) -> PlanOf:
    """`plan_of` for inputs shaped like the example, as one CUDA graph. On a CPU it is `plan_of` itself.

        def plan_of(x):
            problem = Problem(model, GoalDistance(x["goal"]), x["z0"], warm_start=x["start"])
            return planner.plan(problem, generator)

        replayed = capture(plan_of, {"z0": z0, "goal": goal, "start": start}, generator)

    An eager plan costs as many launches as it has operations; replayed, it costs one. Everything that changes between
    plans must be an input: whatever else `plan_of` reads is frozen at its place in memory. Later inputs may have fewer
    rows (environments) than the example, as many as the first of them.

    Args:
        plan_of: maps named tensors to a plan.
        example: its inputs, all on one device.
        generator: the one that `plan_of` draws from; on a GPU it must be a CUDA generator. Each replay draws anew.

    Raises:
        ValueError: the inputs are on several devices, or the generator is on another one.
    """
    devices = {tensor.device for tensor in example.values()}
    if len(devices) != 1:
        raise ValueError(f"all inputs must be on one device, got {sorted(map(str, devices))}; move them to the model's")
    if devices.pop().type != "cuda":
        return plan_of
    if generator.device.type != "cuda":
        raise ValueError("a captured plan needs a CUDA generator, got one on the CPU; pass torch.Generator('cuda')")
    inputs = {name: tensor.clone() for name, tensor in example.items()}
    state = generator.get_state()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream), torch.no_grad():
        for _ in range(_WARM_UP_CALLS):
            plan_of(inputs)
    torch.cuda.current_stream().wait_stream(stream)
    generator.set_state(state)
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)
    with torch.cuda.graph(graph), torch.no_grad():
        plan = plan_of(inputs)
    return _Replay(graph, inputs, plan)


@final
@dataclass(frozen=True)
class _Replay:
    """A recorded plan with the places in memory that it reads and writes."""

    graph: "torch.cuda.CUDAGraph"

    inputs: Mapping[str, Tensor]
    """Where the graph reads."""

    plan: Plan
    """Where the graph writes."""

    def __call__(self, inputs: Mapping[str, Tensor]) -> Plan:
        """The plan for these inputs, in memory of its own.

        Raises:
            ValueError: a name or a shape is not the example's; fewer rows are accepted.
        """
        if inputs.keys() != self.inputs.keys():
            raise ValueError(f"inputs must be {', '.join(self.inputs)}, got {', '.join(inputs)}; capture again")
        given, recorded = ({name: x.shape for name, x in of.items()} for of in (inputs, self.inputs))
        for name, tensor in inputs.items():
            if not _takes(name, given, recorded):
                raise ValueError(
                    f"{name} must have shape {tuple(recorded[name])}, got {tuple(tensor.shape)}; capture again"
                )
            # rows beyond the given ones keep what was there: environments do not mix
            self.inputs[name][: len(tensor)].copy_(tensor, non_blocking=True)
        self.graph.replay()
        rows, plan = _num_rows(given), self.plan
        return Plan(
            actions=plan.actions[:rows].clone(),
            cost=plan.cost[:rows].clone(),
            valid=plan.valid[:rows].clone(),
            cost_curve=plan.cost_curve[:, :rows].clone(),
            num_rollouts=plan.num_rollouts.clone(),
            elites=None if plan.elites is None else plan.elites[:rows].clone(),
        )


class _Recording:
    """A kind of plan that was asked for; from the second time on it has a graph."""

    def __init__(self, owners: tuple[object, ...], form: object, shapes: Shapes) -> None:
        self._owners, self._form, self._shapes = owners, form, shapes
        self._replay: PlanOf | None = None

    def answers(self, owners: tuple[object, ...], form: object, shapes: Shapes) -> bool:
        """Whether these are its dynamics and generator, its form of objective, and inputs that it takes."""
        same = all(mine is theirs for mine, theirs in zip(self._owners, owners, strict=True)) and form == self._form
        return same and shapes.keys() == self._shapes.keys() and all(_takes(x, shapes, self._shapes) for x in shapes)

    def plan(self, plan_of: PlanOf, inputs: Mapping[str, Tensor], generator: torch.Generator) -> Plan:
        if self._replay is None:
            self._replay = capture(plan_of, inputs, generator)
            self._shapes = {name: tensor.shape for name, tensor in inputs.items()}
        return self._replay(inputs)


def _takes(name: str, given: Shapes, recorded: Shapes) -> bool:
    """Whether a recording takes this input: of its own shape, or with fewer rows where all inputs have as few."""
    if given[name] == recorded[name]:
        return True
    rows, most = _num_rows(given), _num_rows(recorded)
    same_rows = (given[name][0], recorded[name][0]) == (rows, most)
    return same_rows and rows < most and given[name][1:] == recorded[name][1:]


def _num_rows(shapes: Shapes) -> int:
    return next(iter(shapes.values()))[0]
