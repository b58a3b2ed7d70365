"""A whole plan as one CUDA graph: the eager code is recorded once and then replayed without the host."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from planners.interfaces import Plan

Search = Callable[[Mapping[str, Tensor]], Plan]

_WARM_UP_CALLS = 3  # so that libraries choose and load their kernels before the recording


def capture(search: Search, example: Mapping[str, Tensor], generator: torch.Generator) -> Search:
    """`search` for inputs shaped like the example, as one CUDA graph where they are on a GPU; on a CPU `search` itself.

        plan = capture(
            lambda x: planner.plan(model, GoalDistance(x["goal"]), x["z0"], warm_start=x["start"], generator=generator),
            {"z0": z0, "goal": goal, "start": start},
            generator,
        )

    A plan costs as many launches as it has operations; replayed, it costs one. Everything that changes between plans
    must be an input: whatever else `search` reads is frozen at its place in memory.

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

        Raises ValueError when a name or a shape is not the example's.
        """
        if inputs.keys() != self.inputs.keys():
            raise ValueError(f"inputs must be {', '.join(self.inputs)}, got {', '.join(inputs)}; capture again")
        for name, tensor in inputs.items():
            if tensor.shape != self.inputs[name].shape:
                raise ValueError(
                    f"{name} must have shape {tuple(self.inputs[name].shape)}, got {tuple(tensor.shape)}; capture again"
                )
            self.inputs[name].copy_(tensor, non_blocking=True)
        self.graph.replay()
        plan = self.plan
        diagnostics = {name: value.clone() for name, value in plan.diagnostics.items()}
        elites = None if plan.elites is None else plan.elites.clone()
        return Plan(plan.actions.clone(), plan.cost.clone(), diagnostics, elites)
