"""From recordings to a calibrated simulator: physical constants with intervals, written back into a model file.

recordings        frames and actions: an episode of a data set, a video
observation       what of positions is read
rendered          frames whose positions are known, from the simulator; `other_model`: a model file in place of its own
readout           latents to positions
field_noise       how errors of readings go together
replay            many simulations at once; `tracks`: one recording beside its simulation
least_squares     the best parameters; `estimation`: the way to them
context_reader    the learned context's answer, in one pass
calibration       how wrong readings and intervals are, from simulated recordings
explained         recordings and their best explanation; `posterior`, `alarms`, `held_out`, `drawing` look at it
next_excitation   what to record next
calibrated_mjcf   the model file
identification    `identify`
"""

from worldmodel.identifying.alarms import alarms_of
from worldmodel.identifying.calibration import Calibration, calibrate
from worldmodel.identifying.explained import Explained
from worldmodel.identifying.held_out import check
from worldmodel.identifying.identification import explain, identify
from worldmodel.identifying.recordings import RecordedMotion
from worldmodel.identifying.rendered import Simulator, open_simulator, open_worlds, rendered_windows

__all__ = [
    "Calibration",
    "Explained",
    "RecordedMotion",
    "Simulator",
    "alarms_of",
    "calibrate",
    "check",
    "explain",
    "identify",
    "open_simulator",
    "open_worlds",
    "rendered_windows",
]
