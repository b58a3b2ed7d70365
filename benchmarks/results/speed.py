"""Speed of everything but planning: `python -m benchmarks.speed`, from rendering to training."""

from typing import Any

from benchmarks.results.markdown import Row
from benchmarks.results.sources import read


def rows() -> list[Row]:
    """Frames rendered, collected and loaded in a CPU-second."""
    rows: list[Row] = []
    render, collect = (read(f"bench-{what}.json") for what in ("render", "collect"))
    if render:
        value = f"{render['render_frames_per_cpu_s']:,.0f}"
        rows.append(
            (
                "reacher frames per CPU-second, 64 x 64, software OpenGL",
                value,
                "1,000",
                "`python -m benchmarks.speed what=render`",
            )
        )
    if collect:
        value = f"{collect['frames_per_cpu_s']:,.0f} ({collect['ratio_to_peer']:.0f} x the peer's 30)"
        rows.append(
            (
                "collected frames per CPU-second, everything included",
                value,
                "20 x",
                "`python -m benchmarks.speed what=collect`",
            )
        )
    if load := read("bench-load.json"):
        value = f"{load['memory_clips_per_cpu_s']:,.0f} / {load['disk_clips_per_cpu_s']:,.0f}"
        if peer := load.get("peer_hdf5_all_columns_clips_per_cpu_s"):
            value += f" (the peer's HDF5 reader on the same shard: {peer:,.0f})"
        label = "clips of 4 frames loaded per CPU-second, memory / mapped shards"
        rows.append((label, value, "50,000 / 20,000", "`python -m benchmarks.speed what=load`"))
    if startup := read("bench-startup.json"):
        measured = (startup[name] for name in ("help_cpu_s", "slowest_verb_help_cpu_s", "import_cpu_s"))
        value = " / ".join(f"{seconds:.2f}" for seconds in measured)
        label = "CPU-seconds of the list of verbs / of the slowest help of a verb / of importing the package"
        rows.append((label, value, "0.5 / 1 / 0.2", "`python -m benchmarks.speed what=startup`"))
    if goals := read("bench-goals.json"):
        share, last = [(key, of) for key, of in goals.items() if key.startswith("share_")][-1]
        label = f"CPU-seconds from nothing to {last['success']:.1%} of goals, {goals['env']}, collection included"
        value = f"{last['cpu_s']:.0f} ({share.removeprefix('share_')} of the recipe)"
        if theirs := goals.get("lewm_cpu_s_extrapolated"):
            value += f"; size=lewm {theirs:,.0f}, extrapolated"
        rows.append((label, value, "100", "`python -m benchmarks.speed what=goals`"))
    if worlds := read("bench-worlds.json"):
        label = "seconds from `worldmodel worlds env=NAME` to its pictures and factors, the slowest of these"
        value = f"{worlds['slowest_s']:.0f} ({', '.join(f'{name} {of:.0f}' for name, of in worlds['seconds'].items())})"
        rows.append((label, value, "15", "`python -m benchmarks.speed what=worlds out=docs/results/bench-worlds.json`"))
    if oracle := read("bench-oracle.json"):
        samples = f"{oracle['planner']['num_samples']} samples x {oracle['planner']['num_iterations']}"
        label = f"CPU-seconds of {oracle['env']}'s oracle, {oracle['tasks']} tasks, {samples}"
        command = "`python -m benchmarks.speed what=oracle world=push_t out=docs/results/bench-oracle.json`"
        rows.append((label, f"{oracle['cpu_s']:,.0f} ({oracle['success']:.0%} of goals)", "600", command))
    if view := read("bench-view.json"):
        rows += _view_rows(view)
    return rows


def _view_rows(view: dict[str, Any]) -> list[Row]:
    """What the live view takes."""
    command = "`python -m benchmarks.speed what=view run=runs/reacher out=docs/results/bench-view.json`"
    load = f"{view['hardware']['cores']} cores, {view['load_average']:.0f} processes waiting or at work"
    whole = "live view, everything shown: CPU-ms of a control step, and of its picture in a browser without a GPU"
    cost = f"{view['server_cpu_ms_per_step']:.0f} / {view['browser_cpu_ms_per_moment']:.0f}"
    rate = f"{view['control_steps_per_s']:.1f} ({load})"
    wait = f"{view['command_to_first_picture_s']:.0f} ({load})"
    return [
        (whole, cost, "200 together", command),
        ("live view, everything shown: control steps a second", rate, "10", command),
        ("live view: seconds from the command to the first picture", wait, "30", command),
    ]


def cost_rows() -> list[Row]:
    """What training takes: memory, and how SIGReg's time grows."""
    rows: list[Row] = []
    if train := read("bench-train.json"):
        value = f"{train['peak_memory_mb']:,.0f} MB"
        rows.append(
            (
                "peak memory of the default training (reacher, CPU)",
                value,
                "1,500 MB",
                "`python -m benchmarks.speed what=train`",
            )
        )
    if cost := read("bench-sigreg.json"):
        value = f"batch^{cost['exponent_in_batch']:.2f}, slices^{cost['exponent_in_slices']:.2f}"
        rows.append(("SIGReg's CPU time grows as", value, "linear", "`python -m benchmarks.speed what=sigreg`"))
    return rows
