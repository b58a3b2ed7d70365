"""A whole plan as one CUDA graph: the eager code is recorded once and then replayed without the host."""

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from types import FunctionType, MethodType
from typing import Any, final

import torch
from torch import Tensor

from worldmodel.planners.interfaces import LatentDynamics, Objective, Plan, Planner

Search = Callable[[Mapping[str, Tensor]], Plan]
Shapes = Mapping[str, torch.Size]

_WARM_UP_CALLS = 3  # so that libraries choose and load their kernels before the recording
_NUM_KEPT = 8  # recordings of one planner; each holds the memory of a whole plan


@final
class CapturedPlanner:
    """A planner whose plans are CUDA graphs, recorded when asked for again; on a CPU it is that planner.

        mpc = MPC(model, CapturedPlanner(planner))

    The first plan of a kind is eager: a recording takes the time of several, which a plan that is made once never earns
    back. The inputs of a graph are z0, context, warm start and every tensor that the objective holds. It serves
    whatever has the shapes it was recorded with, and fewer environments; for other dynamics, generators and kinds of
    objective there are other graphs. The dynamics, and functions in an objective, must leave what they read at its
    place in memory. Objectives that are not frozen dataclasses of tensors, numbers and functions cannot be taken apart:
    their plans are eager.
    """

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self._recordings: deque[_Recording] = deque(maxlen=_NUM_KEPT)

    @property
    def horizon(self) -> int:
        return self.planner.horizon

    def plan(
        self,
        dynamics: LatentDynamics,
        objective: Objective,
        z0: Tensor,
        *,
        warm_start: Tensor | None = None,
        generator: torch.Generator,
        context: Tensor | None = None,
    ) -> Plan:
        """See `Planner.plan`; on a GPU the generator must be a CUDA generator."""
        given = {"z0": z0, "warm_start": warm_start, "context": context}
        inputs = {name: tensor for name, tensor in given.items() if tensor is not None}
        on_gpu = z0.device.type == "cuda"
        structure = _take_apart(objective, "objective", inputs) if on_gpu else _OPAQUE
        if structure is _OPAQUE:
            return self.planner.plan(
                dynamics, objective, z0, warm_start=warm_start, generator=generator, context=context
            )

        def search(x: Mapping[str, Tensor]) -> Plan:
            return self.planner.plan(
                dynamics,
                _put_together(objective, "objective", x),
                x["z0"],
                warm_start=x.get("warm_start"),
                generator=generator,
                context=x.get("context"),
            )

        owners, shapes = (dynamics, generator), {name: tensor.shape for name, tensor in inputs.items()}
        for recording in self._recordings:
            if recording.answers(owners, structure, shapes):
                return recording.plan(search, inputs, generator)
        self._recordings.append(_Recording(owners, structure, shapes))
        return search(inputs)


def capture(search: Search, example: Mapping[str, Tensor], generator: torch.Generator) -> Search:
    """`search` for inputs shaped like the example, as one CUDA graph where they are on a GPU; on a CPU `search` itself.

        plan = capture(
            lambda x: planner.plan(model, GoalDistance(x["goal"]), x["z0"], warm_start=x["start"], generator=generator),
            {"z0": z0, "goal": goal, "start": start},
            generator,
        )

    A plan costs as many launches as it has operations; replayed, it costs one. Everything that changes between plans
    must be an input: whatever else `search` reads is frozen at its place in memory. Later inputs may have fewer rows
    (environments) than the example, as many as the first of them.

    generator: the one that `search` draws from; on a GPU it must be a CUDA generator, and each replay draws anew.
    """
    devices = {tensor.device for tensor in example.values()}
    if len(devices) != 1:
        raise ValueError(f"all inputs must be on one device, got {sorted(map(str, devices))}; move them to the model's")
    if devices.pop().type != "cuda":
        return search
    if generator.device.type != "cuda":
        raise ValueError("a captured plan needs a CUDA generator, got one on the CPU; pass torch.Generator('cuda')")
    inputs = {name: tensor.clone() for name, tensor in example.items()}
    state = generator.get_state()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream), torch.no_grad():
        for _ in range(_WARM_UP_CALLS):
            search(inputs)
    torch.cuda.current_stream().wait_stream(stream)
    generator.set_state(state)
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)
    with torch.cuda.graph(graph), torch.no_grad():
        plan = search(inputs)
    return _Replay(graph, inputs, plan)


@final
@dataclass(frozen=True)
class _Replay:
    """A recorded search with the places in memory that it reads and writes."""

    graph: "torch.cuda.CUDAGraph"
    inputs: Mapping[str, Tensor]
    plan: Plan

    def __call__(self, inputs: Mapping[str, Tensor]) -> Plan:
        """The plan for these inputs, in memory of its own.

        Raises ValueError when a name or a shape is not the example's, but for fewer rows.
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
        diagnostics = {
            name: value[..., :rows].clone() if value.ndim else value.clone() for name, value in plan.diagnostics.items()
        }
        elites = None if plan.elites is None else plan.elites[:rows].clone()
        return Plan(plan.actions[:rows].clone(), plan.cost[:rows].clone(), diagnostics, elites)


class _Recording:
    """A kind of plan that was asked for, and from the second time on its graph."""

    def __init__(self, owners: tuple[object, ...], form: Hashable, shapes: Shapes) -> None:
        self._owners, self._form, self._shapes = owners, form, shapes
        self._replay: Search | None = None

    def answers(self, owners: tuple[object, ...], form: Hashable, shapes: Shapes) -> bool:
        """Whether these are its dynamics and generator, its form of objective, and inputs that it takes."""
        same = all(mine is theirs for mine, theirs in zip(self._owners, owners, strict=True)) and form == self._form
        return same and shapes.keys() == self._shapes.keys() and all(_takes(x, shapes, self._shapes) for x in shapes)

    def plan(self, search: Search, inputs: Mapping[str, Tensor], generator: torch.Generator) -> Plan:
        if self._replay is None:
            self._replay = capture(search, inputs, generator)
            self._shapes = {name: tensor.shape for name, tensor in inputs.items()}
        return self._replay(inputs)


def _takes(name: str, given: Shapes, recorded: Shapes) -> bool:
    """Whether a recording takes this input: one of its own shape, or of fewer rows where all have as few."""
    if given[name] == recorded[name]:
        return True
    rows, most = _num_rows(given), _num_rows(recorded)
    same_rows = (given[name][0], recorded[name][0]) == (rows, most)
    return same_rows and rows < most and given[name][1:] == recorded[name][1:]


def _num_rows(shapes: Shapes) -> int:
    return next(iter(shapes.values()))[0]


# ---------------------------------------------------------------------------------------------------------------------
# objectives as structure and tensors

_OPAQUE = object()


def _take_apart(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """What `value` is apart from its tensors, to be compared; the tensors are added by name. `_OPAQUE`: unknown."""
    if isinstance(value, Tensor):
        tensors[name] = value
        return Tensor
    if parts := _parts(value):
        structure = [_take_apart(part, f"{name}.{key}", tensors) for key, part in parts.items()]
        return _OPAQUE if any(part is _OPAQUE for part in structure) else (type(value), *structure)
    return value if value is None or isinstance(value, int | float | str | FunctionType | MethodType) else _OPAQUE


def _put_together(value: Any, name: str, tensors: Mapping[str, Tensor]) -> Any:
    """`value` with the tensors of these names in place of its own."""
    if isinstance(value, Tensor):
        return tensors[name]
    parts = {key: _put_together(part, f"{name}.{key}", tensors) for key, part in _parts(value).items()}
    if not parts:
        return value
    return type(value)(parts.values()) if isinstance(value, list | tuple) else replace(value, **parts)


def _parts(value: Any) -> dict[str, Any]:
    if is_dataclass(value) and not isinstance(value, type) and value.__dataclass_params__.frozen:
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return {str(index): part for index, part in enumerate(value)} if isinstance(value, list | tuple) else {}
