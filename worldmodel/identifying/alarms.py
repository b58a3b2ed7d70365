"""Why an estimate is not to be trusted: each reason in one line, with what to do about it."""

from dataclasses import replace

import numpy as np

from worldmodel.identifying.calibration import Calibration
from worldmodel.identifying.estimation import estimate
from worldmodel.identifying.explained import Explained
from worldmodel.identifying.tracks import Track
from worldmodel.models import WorldModel
from worldmodel.system.errors import UserError

LEAST_MOTION = 2.0
"""Readings of a recording must vary by at least this many times the readout's error."""
_AT_BOUND = 0.02
"""Distance from a bound, in prior standard deviations, below which an estimate counts as on it."""
_FAMILIAR = 2.0
"""Frames farther from the simulator's than this many times the usual distance count as unlike anything it draws."""
_LATE = 0.3
"""Control steps from which frames are called late or early."""


def check_moves(track: Track, calibration: Calibration) -> None:
    """UserError where nothing moves more than readings err: no constant shows in a still picture."""
    moved, error = track.numbers.std(0), calibration.readout_rmse
    if not (moved > LEAST_MOTION * error).any():
        index = int(np.argmax(moved / error))
        raise UserError(
            f"nothing moves in {track.name}: {track.observation.names[index]} varies by {moved[index]:.3g} where "
            f"readings err by {error[index]:.3g}; record livelier motion"
        )


def alarms_of(explained: Explained, model: WorldModel) -> tuple[list[str], float]:
    """Reasons to distrust the estimate, if any, and how unfamiliar the least familiar frames are."""
    solution, limit = explained.solution, explained.calibration.misfit_limit
    unfamiliar = max(explained.calibration.looks.unfamiliar(model, one.frames) for one in explained.recordings)
    found = []
    if unfamiliar > _FAMILIAR:
        found.append(
            f"the frames look unlike those of the simulator ({unfamiliar:.1f} times as far as its own differ); match "
            "camera and scene, or train the run with env.randomize=[visual] over such looks"
        )
    if not solution.converged:
        found.append(f"the fit did not come to rest in {solution.iterations} iterations; give a longer recording")
    if solution.misfit > limit:
        found.append(
            f"the simulator does not explain the recording: misfit {solution.misfit:.1f}, at most {limit:.1f} in "
            f"recordings of its own; {_reason(explained)}"
        )
    for place, name, _ in explained.sought():
        low, high = explained.layout.bounds[:, place]
        if min(solution.x[place] - low, high - solution.x[place]) < _AT_BOUND:
            value = explained.simulator.world.factors[name].value(solution.x[place])
            found.append(f"{name} sits on its bound of {value:.4g}; widen its prior, or free what else may differ")
    return found, unfamiliar


def _reason(explained: Explained) -> str:
    """What may be wrong with a recording that no constants explain: late frames if these explain it, or hints."""
    nuisances = explained.tracks[0].nuisances
    if not nuisances.delay:
        late = [replace(track, nuisances=replace(nuisances, delay=True)) for track in explained.tracks]
        found = estimate(late, explained.calibration.errors, explained.own)
        place = len(explained.simulator.constants) + list(late[0].nuisances.units).index("delay")
        steps = late[0].nuisances.units["delay"][1] * found.x[place]
        if found.misfit < explained.calibration.misfit_limit and abs(steps) > _LATE:
            word = "late" if steps > 0 else "early"
            return f"frames that are {abs(steps):.2f} steps {word} would explain it: add free=[delay]"
    return (
        "look for dropped frames, another rate, contacts that the simulator lacks, or add free=[camera,delay,actuators]"
    )
