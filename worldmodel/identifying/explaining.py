"""From recordings to their best explanation: read their frames, and fit the simulator."""

import time

from worldmodel.identifying.alarms import check_moves
from worldmodel.identifying.calibration import Calibration, track_of
from worldmodel.identifying.context_reader import context_of
from worldmodel.identifying.estimation import estimate
from worldmodel.identifying.explained import Explained
from worldmodel.identifying.readout import encode
from worldmodel.identifying.recordings import RecordedMotion
from worldmodel.identifying.rendered import Simulator
from worldmodel.models import WorldModel
from worldmodel.settings import IdentifyConfig


def explain(
    simulator: Simulator,
    calibration: Calibration,
    model: WorldModel,
    config: IdentifyConfig,
    recordings: list[RecordedMotion],
) -> Explained:
    """Read recordings and fit them.

    Raises:
        UserError: nothing moves in one of them.
    """
    tracks, learned = [], []
    for recording in recordings:
        latents = encode(model, recording.frames)
        numbers = calibration.readout(latents)
        tracks.append(track_of(recording.name, numbers, recording.actions, simulator, config))
        check_moves(tracks[-1], calibration)
        context = context_of(model, latents, recording.actions)
        reader = calibration.context_reader
        learned.append(None if reader is None or context is None else reader(context))
    begin = time.process_time()
    solution = estimate(tracks, calibration.errors, config.own)
    seconds = time.process_time() - begin
    return Explained(simulator, calibration, recordings, tracks, config.own, solution, seconds, learned)
