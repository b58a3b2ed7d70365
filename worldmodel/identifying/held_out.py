"""Is the simulator calibrated? It must predict the end of a recording after a fit to its beginning alone.

Letters: T control steps, H of them held out, J observed joints, N numbers, P constants, X state.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from worldmodel.envs.angles import shorter_way
from worldmodel.identifying.calibration import Calibration
from worldmodel.identifying.estimation import estimate
from worldmodel.identifying.explained import Explained
from worldmodel.identifying.least_squares import Layout
from worldmodel.identifying.recordings import SHORTEST, RecordedMotion
from worldmodel.identifying.rendered import Simulator
from worldmodel.identifying.tracks import Track
from worldmodel.models import WorldModel
from worldmodel.runs.identify_result import HeldOutCheck

LONGEST = 15
"""Most control steps that are held out, unless the settings name a number."""


@dataclass(frozen=True)
class HeldOutPrediction:
    """Predictions of one recording's end by each simulator."""

    joints: dict[str, np.ndarray]
    """Simulator -> positions of the observed joints (H, J), in metres or radians."""
    reference: np.ndarray
    """True positions, or readings, of these joints, (H, J)."""
    qpos: dict[str, np.ndarray]
    """Simulator with a world -> all positions (H, nq), for pictures."""


def held_out_steps(asked: int | None, tracks: Sequence[Track]) -> int:
    """H: what the settings ask for, or a quarter of the shortest recording, as far as enough is left for the fit."""
    shortest = min(track.num_steps for track in tracks)
    wanted = min(LONGEST, shortest // 4) if asked is None else asked
    return wanted if shortest - wanted >= SHORTEST else 0


def check(explained: Explained, model: WorldModel, steps: int) -> tuple[HeldOutCheck, list[HeldOutPrediction]]:
    """Fit all but the last `steps` steps of every recording, and predict these with each simulator.

    Estimates are moved towards the prior's mean as those that `identify` writes, since a check of others would say
    nothing of what is written. With the constants decided, start and nuisances are fitted once more.
    """
    simulator, calibration, tracks = explained.simulator, explained.calibration, explained.tracks
    parts = [track.first(track.num_steps - steps) for track in tracks]
    solution, layout = estimate(parts, calibration.errors, explained.own), Layout.of(parts, explained.own)
    predicted = []
    for number, (track, part, recording) in enumerate(zip(tracks, parts, explained.recordings, strict=True)):
        place = layout.places[number][: len(simulator.constants)]
        constants = {
            "calibrated": simulator.replay.values(explained.moved(solution.x[place])),
            "written": simulator.replay.values(explained.coordinates(number)),
        }
        if recording.factors is not None and all(name in recording.factors for name in simulator.constants):
            constants["true"] = {name: recording.factors[name] for name in simulator.constants}
        ends = {name: _end(calibration, track, part, values) for name, values in constants.items()}
        nominal = _nominal(simulator, track, part, ends["calibrated"].state)
        found = {"nominal": nominal, **{name: end.qpos for name, end in ends.items()}}
        joints = {name: qpos[:, track.observation.columns] for name, qpos in found.items()}
        learned = _by_model(model, calibration, track, recording, part.num_steps)
        if learned is not None:
            joints["learned"] = learned
        predicted.append(
            HeldOutPrediction(joints, _reference(simulator, track, recording)[part.num_steps + 1 :], found)
        )
    true = all(recording.states is not None for recording in explained.recordings)
    compared_with = "true positions" if true else "readings"
    rms = _rms(predicted, simulator)
    return HeldOutCheck(parts[0].num_steps, list(range(1, steps + 1)), rms, compared_with), predicted


def _rms(predicted: Sequence[HeldOutPrediction], simulator: Simulator) -> dict[str, dict[str, list[float]]]:
    """Joint -> simulator that predicts every recording -> error at each step; a learned model may give fewer steps."""
    names = [name for name in predicted[0].joints if all(name in item.joints for item in predicted)]
    found: dict[str, dict[str, list[float]]] = {}
    for index, joint in enumerate(simulator.observation.joints):
        found[joint] = {}
        for name in names:
            reach = min(len(item.joints[name]) for item in predicted)
            errors = np.stack([(item.joints[name][:reach] - item.reference[:reach])[:, index] for item in predicted])
            if simulator.angles[index]:
                errors = shorter_way(errors)
            found[joint][name] = np.sqrt((errors**2).mean(0)).tolist()
    return found


def _reference(simulator: Simulator, track: Track, recording: RecordedMotion) -> np.ndarray:
    """Where the joints were, (T+1, J): as the recording's file says, or as was read."""
    if recording.states is not None:
        return recording.states[:, simulator.observation.columns]
    return track.observation.positions(track.numbers)


@dataclass(frozen=True)
class _End:
    """The end of a recording, predicted from a fit of its start to its beginning."""

    qpos: np.ndarray
    """Positions (H, nq)."""
    state: np.ndarray
    """The state (1, X) from which they are predicted: that after the beginning."""


def _end(calibration: Calibration, track: Track, part: Track, constants: Mapping[str, float]) -> _End:
    """Predict the end of a recording with these constants, whose start and nuisances are fitted to its beginning."""
    replay = track.replay.fixed(constants)
    fixed = replace(part, replay=replay)
    parameters = estimate([fixed], calibration.errors).x[None]
    none, nuisances, starts = fixed.split(parameters)
    gain = 1 + nuisances.get("actuator_gain", np.zeros(1))
    state = replay.end(none, starts, gain[:, None, None] * part.actions)
    return _End(replace(track, replay=replay).states(parameters)[0, part.num_steps + 1 :], state)


def _nominal(simulator: Simulator, track: Track, part: Track, state: np.ndarray) -> np.ndarray:
    """Positions (H, nq) with the constants before calibration, from the state (1, X) after the beginning."""
    nominal = np.zeros((1, len(simulator.constants)))
    found = simulator.replay.positions(nominal, state, track.actions[part.num_steps :])
    return found[0, simulator.replay.substeps :: simulator.replay.substeps]


@torch.no_grad()
def _by_model(
    model: WorldModel, calibration: Calibration, track: Track, recording: RecordedMotion, known: int
) -> np.ndarray | None:
    """Positions (h, J) by the run's latent dynamics, h <= H its horizon; None where it has none.

    Its context, where it has one, is that of the fitted frames.
    """
    if model.predictor is None or known + 1 < model.num_context_frames:
        return None
    frames = torch.from_numpy(recording.frames).movedim(-1, -3).to(model.device)
    latents, actions = model.embed(frames), torch.from_numpy(recording.actions).to(model.device)
    context = None
    if (encoder := model.context_encoder) is not None:
        context = torch.zeros(1, encoder.config.num_values, device=model.device)
        if known >= encoder.min_steps:
            context = encoder(latents[None, : known + 1], actions[None, :known])
    first = known + 1 - model.num_context_frames
    state = model.encode(latents[None, first : known + 1], actions[None, first:known])
    horizon = min(model.predictor.config.horizon, track.num_steps - known)
    horizon -= horizon % model.predictor.config.stride
    if not horizon:
        return None
    future = actions[None, None, known : known + horizon]
    predicted = model.rollout(state, future, context)[0, 0].cpu().numpy().astype(np.float64)
    return track.observation.positions(calibration.readout(predicted))
