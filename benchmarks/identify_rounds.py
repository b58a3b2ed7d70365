"""How much a recording designed at the estimate narrows intervals: `python -m benchmarks.identify_rounds run=RUN`.

For comparison, another recording is made under the run's own policy. Widths are those of 95 % intervals, over the width
before.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks import command
from benchmarks.identify import TEST_STREAM, Bench, about, open_bench, recordings_of
from worldmodel.designing import chosen_policy
from worldmodel.identifying import Explained, alarms_of, explain, rendered_windows, run_rounds, simulated_recording
from worldmodel.measures import wilson_interval
from worldmodel.settings import Count, IdentifyConfig, NonNegativeInt, Settings
from worldmodel.system import write_json


@dataclass(frozen=True)
class RoundsBench(Settings):
    """Width and coverage of intervals after one further recording, designed at the estimate."""

    run: str = ""
    """A run whose world has constants."""
    recordings: Count = 20
    """First recordings, each of constants of its own."""
    steps: Count = 40
    """Control steps of each recording."""
    search: Count = 48
    """Excitations tried at each estimate."""
    calibration_recordings: Count = 128
    """Simulated recordings behind error model and width of intervals."""
    seed: NonNegativeInt = 0
    """Seed of recordings and calibration."""
    out: str | None = None
    """Also write the figures there, as JSON."""


def measure(config: RoundsBench) -> dict[str, Any]:
    """The figures, ready for JSON."""
    settings = IdentifyConfig(
        run=config.run,
        rounds=1,
        search=config.search,
        calibration_recordings=config.calibration_recordings,
        seed=config.seed,
    )
    bench = open_bench(settings, config.steps)
    episodes = rendered_windows(bench.simulator, config.recordings, config.steps, TEST_STREAM + config.seed)
    seen = []
    for recording in tqdm(recordings_of(bench.simulator, episodes, config.steps), desc="rounds", mininterval=10):
        first = explain(bench.simulator, bench.calibration, bench.model, settings, [recording])
        if not alarms_of(first, bench.model)[0]:
            seen.append(_after(bench, first, len(seen)))
    return {
        "run": bench.trained.run_name,
        "world": bench.simulator.world.name,
        "settings": dataclasses.asdict(config),
        "used": len(seen),
        "told": sum(told for *_, told in seen),
        "constants": {name: _scores([of[k] for *of, _ in seen]) for k, name in enumerate(bench.simulator.constants)},
        **about(bench),
    }


def _after(bench: Bench, first: Explained, number: int) -> list[Any]:
    """For each constant the width that the design promised, the width after it and the width after repeating, as shares
    of the width before, and whether the interval covers; then whether there was an alarm."""
    given = chosen_policy(bench.trained.collection)
    settings = dataclasses.replace(bench.settings, seed=bench.settings.seed + 1_000 * number)
    designed, (told,) = run_rounds(first, bench.model, settings, given)
    factors, num_steps = first.recordings[0].factors or {}, first.tracks[0].num_steps
    constants = {name: factors[name] for name in bench.simulator.constants}
    again = simulated_recording(bench.simulator, given, constants, num_steps, [settings.seed, 2])
    repeated = explain(bench.simulator, bench.calibration, bench.model, settings, [first.recordings[0], again])
    num, true = len(constants), bench.simulator.coordinates(constants)
    shares = repeated.deviations[:num] / first.deviations[:num]
    covers = np.abs(designed.coordinates(0) - true) <= 1.96 * designed.deviations[:num]
    names = enumerate(constants)
    found = [(told.expected[name], told.since_first[name], float(shares[k]), bool(covers[k])) for k, name in names]
    return [*found, bool(told.alarms)]


def _scores(seen: list[tuple[float, float, float, bool]]) -> dict[str, Any]:
    expected, designed, repeated, covers = (np.array(column) for column in zip(*seen, strict=True))
    shares = {"promised": expected, "designed": designed, "repeated": repeated}
    quartiles = {name: np.quantile(share, [0.25, 0.5, 0.75]).tolist() for name, share in shares.items()}
    return {"width_over_that_before": quartiles, "covered": int(covers.sum())}


def report(config: RoundsBench) -> str:
    """Measure, write the figures, and return a line for each."""
    found = measure(config)
    if config.out:
        write_json(Path(config.out), found)
    lines = [f"{found['world']}: {found['used']} recordings, one more each; {found['told']} not to be trusted after it"]
    for name, of in found["constants"].items():
        low, high = wilson_interval(of["covered"], found["used"])
        medians = ", ".join(f"{kind} {values[1]:.2f}" for kind, values in of["width_over_that_before"].items())
        lines.append(f"  {name}: width {medians}; {of['covered']} intervals cover [{low:.3f}, {high:.3f}]")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(command.run(RoundsBench, report))
