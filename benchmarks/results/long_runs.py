"""Long runs and large ones: kills, several processes, growth of memory, the batched engine."""

import statistics
from typing import Any

from benchmarks.results.markdown import Row, grid
from benchmarks.results.sources import read

_WORK = {
    "episodes": "episodes of ten steps",
    "worlds": "worlds made and closed",
    "training": "ten training steps with log and checkpoint",
    "control": "five control steps of two robots",
}


def rows() -> list[Row]:
    """The worst figure of each measurement, beside its target."""
    rows: list[Row] = []
    if kills := read("bench-faults.json"):
        value = f"{kills['lost']} of {kills['kills']}"
        verbs = [of for of in kills.values() if isinstance(of, dict) and "undisturbed_s" in of]
        label = f"random kills of {len(verbs)} verbs after which anything differed"
        rows.append((label, value, "0", "`python -m benchmarks.speed what=faults repeats=210`"))
    if flips := read("bench-flips.json"):
        kinds = [of for of in flips.values() if isinstance(of, dict) and "refused" in of]
        num = sum(of["refused"] + of["the_same"] + len(of["different"]) + len(of["crashed"]) for of in kinds)
        value = f"{sum(len(of['different']) for of in kinds)} of {num}"
        label = "single flipped bits, in seven kinds of file, that changed anything without a word"
        rows.append((label, value, "0", "`python -m benchmarks.trust what=flips repeats=300`"))
    if hostile := read("bench-hostile.json"):
        value = f"{hostile['largest_s']:.1f} s, {hostile['largest_mb']:.0f} MB"
        label = f"most that one of {hostile['cases']} hostile files cost before it was refused"
        rows.append((label, value, "5 s, 500 MB", "`python -m benchmarks.trust what=hostile`"))
    if fuzz := read("bench-fuzz.json"):
        each = [of["inputs"] for of in fuzz["readers"].values()]
        most, full = f"{max(each):,}", each.count(max(each))
        how_many = f"{most} for {full} of them and at least {min(each):,} for the others"
        if full == len(each):
            how_many = f"{most} for each"
        label = f"files changed within their formats, neither read nor refused: {len(each)} readers, {how_many}"
        value = f"{fuzz['failed']} of {fuzz['inputs']:,}"
        rows.append((label, value, "0", "`python -m benchmarks.trust what=fuzz`"))
    if hosts := read("bench-hosts.json"):
        differing = len(hosts["data_differing"]) + len(hosts["run_differing"])
        label = (
            f"{hosts['hosts']} machines, one shared folder, same data set and same run at once: failed, files differing"
        )
        rows.append((label, f"{hosts['failed']}, {differing}", "0, 0", "`python -m benchmarks.trust what=hosts`"))
    if processes := read("bench-processes.json"):
        noise, rendered = (processes[f"gradient_difference{kind}_largest"] for kind in ("", "_rendered"))
        value = f"{noise:.1e} on noise, {rendered:.1e} on rendered frames"
        label = f"gradients of two processes against one, largest of {len(processes['gradient_difference'])} objectives"
        rows.append((label, value, "1e-5", "`python -m benchmarks.speed what=processes`"))
    if memory := read("bench-memory.json"):
        worst = max(_gained_mb(memory, kind) for kind in _WORK)
        label = (
            "memory gained from the middle to the last third of a long run, MB, worst of collection, training, control"
        )
        most = max(memory[f"{kind}_rounds"] for kind in _WORK)
        rows.append((label, f"{worst:.1f}", "flat", f"`python -m benchmarks.speed what=memory repeats={most}`"))
    return rows


def details() -> str:
    """Several processes, long runs, and the batched engine."""
    blocks = [
        *_processes(read("bench-processes.json")),
        *_long_runs(read("bench-memory.json")),
        *_engines(read("bench-engines.json")),
    ]
    return "\n" + "\n\n".join(["## Bigger than one process", *blocks]) + "\n" if blocks else ""


def _gained_mb(memory: dict[str, Any], kind: str) -> float:
    """From the middle third of a run to its last."""
    looks = memory[f"{kind}_memory_mb"]
    third = len(looks) // 3
    return statistics.mean(looks[-third:]) - statistics.mean(looks[third : 2 * third])


def _processes(processes: dict[str, Any] | None) -> list[str]:
    if not processes:
        return []
    worst = sorted(processes["gradient_difference"].items(), key=lambda item: -item[1])
    differences = ", ".join(f"{name} {value:.1e}" for name, value in worst)
    columns = [
        "encoder",
        "CPU ms a step, 1",
        "2 processes",
        "efficiency",
        "wall ms, 1",
        "2 processes",
        "efficiency",
    ]
    rows = {
        kind: [
            text
            for unit in ("cpu", "wall")
            for text in (
                *(f"{processes[f'{kind}_{unit}_ms_per_step_{num}']:.1f}" for num in (1, 2)),
                f"{processes[f'{kind}_{unit}_efficiency']:.2f}",
            )
        ]
        for kind in ("mlp", "cnn")
    }
    return [
        "`python -m benchmarks.speed what=processes`: gradients of two gloo processes against one, the largest "
        f"difference of any tensor in terms of its largest entry: {differences}.",
        f"At the same total batch of {processes['total_batch']} on two shared cores:",
        grid(columns, rows),
    ]


def _long_runs(memory: dict[str, Any] | None) -> list[str]:
    if not memory:
        return []
    columns = ["a round is", "rounds", "MB", "MB gained", "files", "threads", "OpenGL contexts gained"]
    rows = {
        label: [
            f"{memory[f'{kind}_rounds']:,}",
            f"{memory[f'{kind}_memory_mb'][-1]:.0f}",
            f"{_gained_mb(memory, kind):.1f}",
            *(str(memory[f"{kind}_{what}_growth"]) for what in ("open_files", "threads", "opengl_contexts")),
        ]
        for kind, label in _WORK.items()
    }
    return [
        "`python -m benchmarks.speed what=memory`: growth from the middle of a long run to its end:",
        grid(columns, rows),
    ]


def _engines(engines: dict[str, Any] | None) -> list[str]:
    if not engines:
        return []
    columns = [
        "world",
        "state, largest difference",
        "of",
        "colour, mean levels of 255",
        "pixels off by > 8",
        "textured",
    ]
    rows = {
        name: [
            f"{found['state_error']:.1e}",
            f"{found['state_range']:.1f}",
            f"{found['frame_error']:.2f}",
            f"{found['pixels_off']:.2%}",
            "yes" if found["textured"] else "no",
        ]
        for name, found in engines.items()
        if isinstance(found, dict) and "state_error" in found
    }
    what = "`python -m benchmarks.speed what=engines`: MuJoCo Warp's episodes against MuJoCo's, equal draws, 20 steps:"
    return [what, grid(columns, rows)]
