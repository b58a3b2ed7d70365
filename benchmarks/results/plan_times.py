"""Speed of planning: `python -m benchmarks.speed what=plan`, on a CPU, on a GPU, and beside the peer's planner."""

from benchmarks.results.markdown import Row
from benchmarks.results.sources import read, read_all


def rows() -> list[Row]:
    """Milliseconds of a plan and of a decision, each beside its target."""
    return [*_cpu_rows(), *_gpu_rows(), *_peer_rows()]


def _cpu_rows() -> list[Row]:
    bench = read("bench-plan.json")
    if not bench:
        return []
    command = "`python -m benchmarks.speed what=plan lewm_size=true`"
    batch = next(key.removesuffix("_plan_ms") for key in bench if key.startswith("batch_") and key.endswith("_plan_ms"))

    def decision(case: str) -> str:
        return f"{bench[f'{case}_encode_ms'] + bench[f'{case}_plan_ms']:.2f}"

    return [
        ("CPU ms of one reacher decision (encode and plan), batched", decision(batch), "0.5", command),
        ("… alone", decision("alone"), "1.0", command),
        (
            "CPU s of one plan, 300 samples x 30 iterations x 5 blocks of 5",
            f"{bench['lewm_budget_plan_ms'] / 1e3:.2f} ({bench['lewm_budget_ratio_to_floor']:.1f} x the floor)",
            "0.07",
            command,
        ),
        (
            "… with a network of LeWM's size, ours against a straightforward CEM",
            f"{bench['lewm_size_ours_plan_s']:.0f} s, {bench['lewm_size_speedup']:.1f} x faster",
            "3 x",
            command,
        ),
        ("closed loop of one reacher with rendering, Hz per core", f"{bench['closed_loop_hz']:.0f}", "100", command),
    ]


def _gpu_rows() -> list[Row]:
    """The same as CUDA graphs, on a machine with a GPU."""
    rows: list[Row] = []
    for dtype in ("float32", "bfloat16"):
        bench = read(f"bench-plan-gpu-{dtype}.json")
        if not bench:
            continue
        command = f"`python -m benchmarks.speed what=plan dtype={dtype}`, {bench['hardware']['gpu']}"
        whole, eager, many = (bench[f"lewm_budget_{key}"] for key in ("plan_ms", "eager_plan_ms", "batch_256_plan_ms"))
        rows += [
            (
                f"GPU ms of one plan, 300 samples x 30 iterations x 5 blocks of 5, {dtype}",
                f"{whole:.1f} ({eager:.0f} without a CUDA graph)",
                "5",
                command,
            ),
            ("… per environment, 256 at once", f"{many:.3f}", "0.2", command),
            (
                "… of one reacher decision (encode and plan), alone",
                f"{bench['alone_encode_ms'] + bench['alone_plan_ms']:.2f}",
                "",
                command,
            ),
            ("… closed loop of one reacher with rendering, Hz", f"{bench['closed_loop_hz']:.0f}", "", command),
        ]
    return rows


def _peer_rows() -> list[Row]:
    """The peer's own plan beside ours on its network, from `python -m benchmarks.speed what=plan lewm_size=true`."""
    rows: list[Row] = []
    for bench in read_all("bench-peer-*.json"):
        unit = "CPU-seconds" if bench["device"] == "cpu" else "GPU seconds"
        label = f"{unit} of LeWM's plan by stable-worldmodel / by ours on its network in {bench['dtype']}"
        both = f"{bench['peer_plan_s']:.3g} / {bench['ours_on_peer_plan_s']:.3g}"
        command = f"`python -m benchmarks.speed what=plan lewm_size=true dtype={bench['dtype']}`"
        where = bench["hardware"]["gpu"] if bench["device"] != "cpu" else f"one of {bench['hardware']['cores']} cores"
        value = f"{both}: {bench['ours_on_peer_speedup']:.1f} x faster"
        rows.append((label, value, "3 x", f"{command}, {where}"))
    return rows
