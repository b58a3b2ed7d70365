"""From recordings to a calibrated simulator: physical constants with intervals, written back into a model file.

recordings        frames and actions: an episode of a data set, a video
observation       which positions are read, and as which numbers
rendered          frames whose positions are known, from the simulator; `other_model`: a model file in place of its own
readout           latents to positions
field_noise       correlations of readout errors
replay            many simulations at once; `tracks`: one recording beside its simulation
least_squares     the best parameters; `estimation`: the way to them
context_reader    the learned context's answer, in one pass
calibration       errors of readings and widths of intervals, from simulated recordings
array_files       tables of arrays
calibration_file  a calibration kept for the next recording
explained         recordings and their best explanation; `posterior`, `alarms`, `held_out`, `drawing` look at it
explaining        recordings to explanations
next_excitation   what to record next; `rounds`: estimate, design, record, estimate, in simulation
calibrated_mjcf   the model file
identification    `identify`
"""

from worldmodel.identifying.alarms import alarms_of
from worldmodel.identifying.calibration import Calibration
from worldmodel.identifying.calibration_file import kept_calibration
from worldmodel.identifying.estimation import known_at
from worldmodel.identifying.explained import Explained
from worldmodel.identifying.explaining import explain
from worldmodel.identifying.held_out import check
from worldmodel.identifying.identification import identify
from worldmodel.identifying.other_model import other_model
from worldmodel.identifying.readout import encode
from worldmodel.identifying.recordings import RecordedMotion, open_recording
from worldmodel.identifying.rendered import Simulator, open_simulator, open_worlds, rendered_windows
from worldmodel.identifying.rounds import run_rounds, simulated_recording
from worldmodel.identifying.tracks import Track

__all__ = [
    "Calibration",
    "Explained",
    "RecordedMotion",
    "Simulator",
    "Track",
    "alarms_of",
    "check",
    "encode",
    "explain",
    "identify",
    "kept_calibration",
    "known_at",
    "open_recording",
    "open_simulator",
    "open_worlds",
    "other_model",
    "rendered_windows",
    "run_rounds",
    "simulated_recording",
]
