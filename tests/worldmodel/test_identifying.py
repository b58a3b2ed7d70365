"""Constants from recordings: exact replay, honest errors, known optima, model files that simulate to the bit."""

import importlib
import os
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import mujoco
import numpy as np
import pytest

from worldmodel import envs
from worldmodel.data.interchange import fit_frames
from worldmodel.designing.information import marginal_information
from worldmodel.envs.excitation import make_policy
from worldmodel.envs.rollout import Episode, rollout
from worldmodel.envs.sensitivity import Motion, sensitivities
from worldmodel.figures.videos import write_video
from worldmodel.identifying import estimation
from worldmodel.identifying.calibrated_mjcf import write_calibrated
from worldmodel.identifying.calibration import Calibration, Looks, _shrinkage, _stretch
from worldmodel.identifying.calibration_file import CalibrationSizes, _flat, read_calibration, write_arrays
from worldmodel.identifying.context_reader import ContextReader, fit_context_reader
from worldmodel.identifying.estimation import Errors, estimate, known_at
from worldmodel.identifying.explained import Explained
from worldmodel.identifying.field_noise import Autoregressive, ErrorField, LocalErrors
from worldmodel.identifying.held_out import check
from worldmodel.identifying.identification import _write_models
from worldmodel.identifying.least_squares import Layout, LeastSquares
from worldmodel.identifying.observation import Observation, Start, observation_of, start_of
from worldmodel.identifying.posterior import constants_found
from worldmodel.identifying.readout import Network, Readout, fit_readout
from worldmodel.identifying.recordings import RecordedMotion, open_recording
from worldmodel.identifying.rendered import Simulator, open_worlds
from worldmodel.identifying.replay import Replay
from worldmodel.identifying.rounds import true_constants
from worldmodel.identifying.tracks import Nuisances, Track
from worldmodel.settings import IdentifyConfig, recipe
from worldmodel.system.errors import CheckpointError, UserError

PUCK_POLICY = {"name": "ou_tracking", "std": 0.3, "time_constant_s": 0.94, "stiffness": 20.0, "damping": 2.0}
NOISE_M = 0.002


def _a_calibration() -> Calibration:
    rng = np.random.default_rng(0)
    local = LocalErrors(np.ones(2), rng.standard_normal((9, 2)), rng.random((9, 2)))
    network = Network(*(rng.random(shape) for shape in ((3, 4), 4, (4, 4), 4, (4, 2), 2)))
    return Calibration(
        Readout(np.zeros(3), np.ones(3), 2, rng.standard_normal((2, 9)), np.zeros(2), np.ones(2), network),
        Errors(Autoregressive(np.ones(2), 0.5), ErrorField(local, rng.random((2, 7)), np.ones(2))),
        np.ones(2),
        Looks(rng.random(5), rng.random((4, 5)), 0.1),
        np.full(2, 0.1),
        np.ones(2),
        np.ones(2),
        3.0,
        None,
    )


A_CALIBRATION = _a_calibration()
ITS_SIZES = CalibrationSizes(latents=3, numbers=2, poses=9, pixels=5, constants=2, context=0)


@pytest.fixture(scope="module")
def world() -> envs.MujocoWorld:
    return envs.make("puck", randomize=["mass", "friction"])


@pytest.fixture(scope="module")
def episodes(world: envs.MujocoWorld) -> list[Episode]:
    policy = make_policy(**PUCK_POLICY)
    return [rollout(world, policy, seed=seed, num_steps=40, render=False) for seed in range(3)]


@pytest.fixture(scope="module")
def seen(episodes: list[Episode], world: envs.MujocoWorld) -> Observation:
    return observation_of(world, np.concatenate([episode.states for episode in episodes]))


def replay_of(name: str, *constants: str) -> Replay:
    world = envs.make(name)
    world.restart(seed=0)
    return Replay(world, constants)


def true_coordinates(world: envs.MujocoWorld, episode: Episode, *names: str) -> np.ndarray:
    values = dict(zip(world.factors, episode.factors[0], strict=True))
    return np.array([world.factors[name].standardize(float(values[name])) for name in names])


def track_of(
    world: envs.MujocoWorld,
    seen: Observation,
    episode: Episode,
    replay: Replay,
    free: tuple[str, ...] = (),
    late: int = 0,
) -> Track:
    """Positions with white noise, `late` frames behind the actions."""
    rng = np.random.default_rng(5)
    numbers = seen.numbers(episode.states[:, :3].astype(float)) + NOISE_M * rng.standard_normal((41, 2))
    actions, numbers = episode.actions[late:], numbers[: len(numbers) - late]
    still, spread = np.median(episode.states, 0).astype(float), episode.states.std(0)
    start = start_of(seen, numbers, still, 3, world.control_dt_s, spread)
    nuisances = Nuisances.of(free, seen, np.zeros(2, bool))  # type: ignore[arg-type]
    return Track("recording", numbers, actions, start, seen, replay, nuisances)


def white(track: Track) -> np.ndarray:
    return Autoregressive(np.full(2, NOISE_M), 0.0).whitening(track.numbers)


def solved(track: Track):
    layout = Layout.of([track], ())
    return LeastSquares([track], [white(track)], layout).solve(np.zeros(len(layout.prior)), 30)


# ---------------------------------------------------------------------------------------------------------------------
# replay


@pytest.mark.parametrize(
    ("name", "constants"), [("puck", ("mass", "friction")), ("varied_pendulum", ("mass", "gravity"))]
)
def test_many_simulations_at_once_are_those_of_the_world_to_the_bit(name: str, constants: tuple[str, ...]):
    world, replay = envs.make(name), replay_of(name, *constants)
    world.restart(seed=0)
    rng, num, steps = np.random.default_rng(0), 3, 8
    coordinates = rng.standard_normal((num, 2))
    states = world.state() + 0.1 * rng.standard_normal((num, len(world.state_names)))
    actions = rng.uniform(-1, 1, (num, steps, world.scene.action_dim)).astype(np.float32)
    found = replay.positions(coordinates, states, actions)[:, :: replay.substeps]
    ends = replay.end(coordinates, states, actions)
    for index in range(num):
        world.set_factors(replay.values(coordinates[index]))
        world.set_state(states[index])
        expected = world.simulate(actions[index])
        np.testing.assert_array_equal(found[index], expected[:, : world.scene.model.nq])
        np.testing.assert_array_equal(ends[index], expected[-1])


def test_a_scene_that_does_more_than_hold_its_controls_is_simulated_one_by_one():
    together, alone = (replay_of("puck", "mass") for _ in range(2))
    alone.world.scene.holds_control = False
    coordinates, states = np.array([[0.5], [-1.0]]), np.tile([0.1, 0.2, 0.0, 1.0, 0.0, 0.0], (2, 1))
    actions = np.random.default_rng(0).uniform(-1, 1, (6, 2)).astype(np.float32)
    expected = together.positions(coordinates, states, actions)[:, :: together.substeps]
    np.testing.assert_array_equal(alone.positions(coordinates, states, actions), expected)
    np.testing.assert_array_equal(alone.end(coordinates, states, actions), together.end(coordinates, states, actions))


def test_angles_are_read_as_directions_and_come_back_without_jumps():
    seen = Observation(("x", "hinge"), np.array([0, 1]), np.array([False, True]))
    qpos = np.stack([np.linspace(0, 1, 50), np.linspace(-1, 15, 50)], 1)
    assert seen.names == ("x", "cos hinge", "sin hinge")
    np.testing.assert_allclose(seen.positions(seen.numbers(qpos)), qpos, atol=1e-12)


# ---------------------------------------------------------------------------------------------------------------------
# errors of readings


def test_whitening_undoes_each_error_model():
    numbers = np.random.default_rng(0).standard_normal((12, 2))
    simple = Autoregressive(np.array([0.5, 2.0]), 0.6)
    lag = np.abs(np.subtract.outer(np.arange(12), np.arange(12)))
    for matrix, std in zip(simple.whitening(numbers), simple.std, strict=True):
        np.testing.assert_allclose(matrix @ (std**2 * 0.6**lag) @ matrix.T, np.eye(12), atol=1e-12)


def test_an_error_field_is_found_again():
    """Errors drawn from a field of known length and size, on motion that comes back to where it was."""
    rng = np.random.default_rng(1)
    scale, windows, std, length, noise = np.ones(1), 400, 0.3, 0.4, 0.1
    numbers = rng.uniform(-1.5, 1.5, (windows, 20, 1))
    distance2 = (numbers - numbers.transpose(0, 2, 1)) ** 2
    covariance = std**2 * np.exp(-distance2 / 2 / length**2) + noise**2 * np.eye(20)
    errors = (np.linalg.cholesky(covariance) @ rng.standard_normal((windows, 20, 1))).reshape(windows, 20, 1)
    local = LocalErrors(scale, rng.uniform(-1.5, 1.5, (500, 1)), np.ones((500, 1)))
    field = ErrorField.fit(errors, numbers, local)
    white = np.concatenate([m @ e for m, e in zip((field.whitening(n)[0] for n in numbers), errors, strict=True)])
    assert float((white**2).mean()) == pytest.approx(1.0, abs=0.1)
    assert field.variances.sum() == pytest.approx(std**2, rel=0.2) and field.white[0] == pytest.approx(
        noise**2, rel=0.5
    )


def test_a_few_frames_read_very_badly_do_not_make_the_others_uncertain():
    rng = np.random.default_rng(2)
    errors, numbers = rng.standard_normal((50, 20, 2)), rng.uniform(-1, 1, (50, 20, 2))
    errors[0, :10] = 300.0
    local = LocalErrors(np.ones(2), rng.uniform(-1, 1, (500, 2)), np.ones((500, 2)))
    np.testing.assert_allclose(Autoregressive.fit(errors).std, 1.0, rtol=0.15)
    whitened = ErrorField.fit(errors, numbers, local).whitening(numbers[1])
    np.testing.assert_allclose(np.einsum("nst,tn->sn", whitened, errors[1]).std(), 1.0, rtol=0.25)


def test_errors_count_as_large_as_they_are_nearby():
    places = np.linspace(-1, 1, 1000)[:, None]
    local = LocalErrors(np.ones(1), places, np.where(places < 0, 0.01, 1.0) ** 2)
    np.testing.assert_allclose(local.std(np.array([[-0.5], [0.5]])), [[0.01], [1.0]])


# ---------------------------------------------------------------------------------------------------------------------
# the fit


def test_constants_of_exact_motion_are_found_within_their_intervals(world, episodes, seen):
    replay = replay_of("puck", "mass", "friction")
    for episode in episodes:
        found = solved(track_of(world, seen, episode, replay))
        errors = found.x[:2] - true_coordinates(world, episode, "mass", "friction")
        assert found.converged and 0.6 < found.misfit < 1.5
        assert (np.abs(errors) < 4 * found.deviations[:2]).all() and (found.deviations[:2] < 0.05).all()


def test_its_covariance_is_the_inverse_fisher_information_that_design_computes(world, episodes, seen):
    episode, replay = episodes[0], replay_of("puck", "mass", "friction")
    found = solved(track_of(world, seen, episode, replay))
    world.restart(seed=0)
    states = episode.states.astype(np.float64)
    spread = np.array([0.1, 0.1, 0.0, 0.1, 0.1, 0.0])
    motion = Motion(world.snapshot(), states, episode.actions)
    parts = sensitivities(world, motion, slice(0, 41), ("mass", "friction"), np.array([0, 1]), spread, 3e-3)
    constants, starts = (part.reshape(-1, part.shape[-1]) / NOISE_M for part in (parts.constants, parts.state))
    information = marginal_information(constants, starts[:, spread > 0], 0.0)
    expected = np.linalg.inv(np.eye(2) + information)
    np.testing.assert_allclose(found.covariance[:2, :2], expected, rtol=0.2, atol=1e-5)


def test_what_motion_does_not_tell_apart_stays_as_wide_as_the_prior(world, episodes, seen):
    """Mass, force and friction scale motion together: without drag only their ratios could be told."""
    replay = replay_of("puck", "mass", "force_gain", "friction", "damping")
    found = solved(track_of(world, seen, episodes[1], replay))
    ratio = np.array([-0.3, 0.2, 0.0, 0.0])  # log of force over mass, by the scales of the priors
    told = np.sqrt(ratio @ found.covariance[:4, :4] @ ratio)
    assert found.deviations[1] > 0.4 and told < 0.03


def test_recordings_share_constants_or_have_their_own(world, episodes, seen):
    replay = replay_of("puck", "mass", "friction")
    tracks = [track_of(world, seen, episode, replay) for episode in episodes[:2]]
    layout = Layout.of(tracks, ("friction",))
    assert [place[:2].tolist() for place in layout.places] == [[0, 1], [0, 6]]
    found = LeastSquares(tracks, [white(track) for track in tracks], Layout.of(tracks, ("mass", "friction"))).solve(
        np.zeros(12), 30
    )
    alone = [solved(track).x[:2] for track in tracks]
    np.testing.assert_allclose([found.x[:2], found.x[6:8]], alone, atol=2e-3)


def test_late_frames_are_told_by_the_misfit_and_found_where_delay_is_free(
    world, episodes, seen, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(estimation, "_GROWTHS", estimation._GROWTHS[:1])  # no search where nothing fits
    episode, replay = episodes[0], replay_of("puck", "mass", "friction")
    errors = Errors(Autoregressive(np.full(2, NOISE_M), 0.0), field_of(NOISE_M))
    late = track_of(world, seen, episode, replay, late=1)
    assert estimate([late], errors).misfit > 20
    found = estimate([track_of(world, seen, episode, replay, ("delay",), late=1)], errors)
    assert found.misfit < 2 and found.x[2] == pytest.approx(1.0, abs=0.05)


def test_a_swing_that_is_missed_by_windows_twice_as_long_is_found_by_slower_ones(monkeypatch: pytest.MonkeyPatch):
    """A pendulum of little damping nearly stands on its head: which way it falls decides the next two seconds."""
    world = envs.make("varied_pendulum", randomize=["mass", "damping", "gravity"])
    policy, spread = make_policy(**recipe("varied_pendulum").collection.policy), np.array([2.0, 4.0])
    episode = rollout(world, policy, seed=2683937593, num_steps=120, render=False)  # found by trying 80
    seen = observation_of(world, episode.states.astype(float))
    numbers = seen.numbers(episode.states[:, :1].astype(float))
    numbers += 0.016 * np.random.default_rng(0).standard_normal(numbers.shape)
    start = start_of(seen, numbers, np.zeros(2), 1, world.control_dt_s, spread)
    nuisances = Nuisances.of([], seen, np.ones(1, bool))
    replay = replay_of("varied_pendulum", "mass", "damping", "gravity")
    track = Track("swing", numbers, episode.actions, start, seen, replay, nuisances)
    errors = Errors(Autoregressive(np.full(2, 0.016), 0.0), field_of(0.016))
    found = estimate([track], errors)
    true = true_coordinates(world, episode, "mass", "damping", "gravity")
    assert found.misfit < 1.3 and np.abs(found.x[:3] - true).max() < 0.1
    monkeypatch.setattr(estimation, "_GROWTHS", (2.0,))
    monkeypatch.setattr(estimation, "_from_pieces", _from_the_prior)
    assert estimate([track], errors).misfit > 100


def _from_the_prior(tracks, errors, layout: Layout, own) -> np.ndarray:
    return np.zeros(len(layout.prior))


def test_contacts_that_the_prior_misses_at_any_growth_are_found_from_short_pieces(monkeypatch: pytest.MonkeyPatch):
    """A finger whose joint is damped otherwise than expected hits the spinner at other moments."""
    knee, std = {"knee": {"of": "joint.proximal.damping", "nominal": 2.5, "prior": 0.5}}, 0.03
    constants = ("spinner_mass", "spinner_damping", "spinner_friction", "knee")
    world, nominal = envs.make("finger", factors=knee, randomize=constants), envs.make("finger", factors=knee)
    nominal.restart(seed=0)
    policies = [{"name": "ou", "std": 1.0, "time_constant_s": s} for s in (0.5, 0.1)] + [{"name": "uniform"}]
    policy = make_policy("mixture", policies=policies, weights=[0.4, 0.3, 0.3])
    episode = rollout(world, policy, seed=58, num_steps=60, render=False)  # found by trying 54, of which three are such
    states = episode.states.astype(float)
    seen = observation_of(world, states)
    numbers = seen.numbers(states[:, :3])
    numbers += std * np.random.default_rng(0).standard_normal(numbers.shape)
    start = start_of(seen, numbers, np.median(states, 0), 3, world.control_dt_s, states.std(0))
    replay, nuisances = Replay(nominal, constants), Nuisances.of([], seen, np.ones(3, bool))
    track = Track("finger", numbers, episode.actions, start, seen, replay, nuisances)
    errors = Errors(Autoregressive(np.full(4, std), 0.0), field_of(std, 4))
    found = estimate([track], errors)
    assert found.misfit < 1.5 and abs(found.x[3] - true_coordinates(world, episode, "knee")[0]) < 0.1
    monkeypatch.setattr(estimation, "_from_pieces", _from_the_prior)
    assert estimate([track], errors).misfit > 3


def test_what_a_recording_can_tell_is_what_its_fit_tells(world, episodes, seen):
    replay = replay_of("puck", "mass", "friction")
    track = track_of(world, seen, episodes[0], replay)
    true = replace(
        track,
        numbers=seen.numbers(episodes[0].states[:, :3].astype(float)),
        start=replace(track.start, state=episodes[0].states[0].astype(float)),
    )
    errors = Errors(Autoregressive(np.full(2, NOISE_M), 0.0), field_of(NOISE_M))
    least = known_at(true, errors, true_coordinates(world, episodes[0], "mass", "friction"))
    np.testing.assert_allclose(np.sqrt(np.diag(least)), np.sqrt(np.diag(solved(track).covariance)[:2]), rtol=0.1)


def field_of(std: float, num: int = 2) -> ErrorField:
    """White errors of so many numbers."""
    local = LocalErrors(np.ones(num), np.zeros((1, num)), np.ones((1, num)))
    return ErrorField(local, np.zeros((num, 7)), np.full(num, std**2))


def test_delay_gain_and_offset_do_to_positions_what_their_names_say(world, episodes, seen):
    replay = replay_of("puck", "mass")
    track = track_of(world, seen, episodes[0], replay, ("camera", "delay"))
    num_parameters = len(track.replay.constants) + len(track.nuisances.units) + len(track.start.columns)
    plain = track.predict(np.zeros((1, num_parameters)))[0]
    assert list(track.nuisances.units) == ["camera_gain", "offset_x", "offset_y", "delay"]
    moved = np.zeros((4, num_parameters))
    moved[np.arange(4), 1 + np.arange(4)] = 1.0
    gain, x, _, late = track.predict(moved)
    np.testing.assert_allclose(gain, 1.03 * plain)
    np.testing.assert_allclose(x - plain, [[0.01, 0.0]] * len(plain), atol=1e-12)
    np.testing.assert_allclose(late[1:], plain[:-1])  # a step late


def test_a_context_reader_is_as_wide_as_the_errors_that_leave_out_each_recording():
    rng = np.random.default_rng(0)
    contexts = rng.standard_normal((60, 3))
    true = contexts[:, :1] - 0.5 + 0.1 * rng.standard_normal((60, 1))
    found = fit_context_reader(contexts, true)
    np.testing.assert_allclose(found(np.array([2.0, 0.0, 0.0])), [1.5], atol=0.1)
    left_out = []
    for index in range(60):
        others = np.delete(np.arange(60), index)
        inputs = np.concatenate([contexts[others], np.ones((59, 1))], 1)
        weights = np.linalg.lstsq(inputs, true[others], rcond=None)[0]
        left_out.append(abs(np.append(contexts[index], 1.0) @ weights - true[index]))
    np.testing.assert_allclose(found.width, np.quantile(left_out, 0.95, axis=0, method="higher"), rtol=0.02)


def test_a_network_reads_what_no_polynomial_does():
    rng = np.random.default_rng(0)

    def numbers(latents: np.ndarray) -> np.ndarray:
        return np.stack([latents[:, 0] + np.abs(latents[:, 1]) * np.sign(latents[:, 2]), latents[:, 3]], 1)

    latents, new = rng.standard_normal((6000, 12)), rng.standard_normal((2000, 12))
    readout = fit_readout(latents, numbers(latents))
    rmse = np.sqrt(((readout(new) - numbers(new)) ** 2).mean(0))
    polynomial = np.sqrt(((replace(readout, rest=None)(new) - numbers(new)) ** 2).mean(0))
    assert readout.rest is not None
    assert rmse[0] < 0.7 * polynomial[0]
    np.testing.assert_allclose(readout.rmse[0], rmse[0], rtol=0.2)


def test_a_linear_map_is_read_without_a_network():
    latents = np.random.default_rng(0).standard_normal((2000, 3))
    readout = fit_readout(latents, latents @ np.array([[1.0, 2.0], [0.5, 0.0], [0.0, 1.0]]))
    assert readout.degree == 1 and readout.rmse.max() < 1e-3


def test_estimates_that_tell_nothing_become_the_priors_mean():
    """Estimates with independent errors: the best factor is the share of their variance that the true values have."""
    rng = np.random.default_rng(0)
    true = rng.standard_normal((4000, 3))
    found = true * [1.0, 1.0, 0.0] + rng.standard_normal((4000, 3)) * [0.01, 1.0, 1.0]
    np.testing.assert_allclose(_shrinkage(found, true), [1.0, 0.5, 0.0], atol=0.03)


def test_constants_that_nothing_tells_do_not_narrow_the_intervals_of_others():
    rng = np.random.default_rng(0)
    deviations = np.abs(rng.standard_normal((1000, 3))) * [3.0, 2.0, 0.1]
    alone = _stretch(deviations[:, :2], np.array([True, True]))
    np.testing.assert_allclose(_stretch(deviations, np.array([True, True, False])), [*alone, 0.1], rtol=0.1)
    assert 2.0 < alone[1] < alone[0] < 3.1


def test_more_recordings_need_less_shrinkage():
    calibration = replace(A_CALIBRATION, shrinkage=np.array([1.0, 0.5, 0.0]))
    one, three = (calibration.estimates(np.ones(3), np.full(3, num)) for num in (1, 3))
    np.testing.assert_allclose(one, [1.0, 0.5, 0.0])
    np.testing.assert_allclose(three, [1.0, 0.75, 0.0])  # errors of a third of the variance


# ---------------------------------------------------------------------------------------------------------------------
# files


@pytest.mark.parametrize("factors", [np.array([1.0, 1.0]), np.array([0.0, 0.5])])
def test_the_check_judges_the_constants_of_the_model_file(
    world, episodes, seen, factors: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Also where they were moved: with a mass at the prior's mean a simulator predicts no better than that."""
    replay, errors = (
        replay_of("puck", "mass", "friction"),
        Errors(Autoregressive(np.full(2, NOISE_M), 0.0), field_of(NOISE_M)),
    )
    calibration = replace(A_CALIBRATION, errors=errors, shrinkage=factors)
    states = episodes[0].states.astype(np.float64)
    simulator = Simulator(world, replay, make_policy(**PUCK_POLICY), states, seen)
    recording = RecordedMotion("recording", np.zeros((41, 8, 8, 3), np.uint8), episodes[0].actions, states)
    track = track_of(world, seen, episodes[0], replay)
    explained = Explained(simulator, calibration, [recording], [track], [], estimate([track], errors), 0.0, [None])
    judged: list[float] = []
    monkeypatch.setattr(estimation, "_GROWTHS", estimation._GROWTHS[:1])  # no search where a wrong mass fits nothing
    fixed = Replay.fixed
    monkeypatch.setattr(Replay, "fixed", lambda self, values: judged.append(values["mass"]) or fixed(self, values))
    found, _ = check(explained, SimpleNamespace(predictor=None), 10)  # type: ignore[arg-type]
    (file,), _ = _write_models(tmp_path, explained)
    model = mujoco.MjModel.from_xml_path(str(tmp_path / file))
    assert list(found.rms["x"]) == ["nominal", "calibrated", "written"]
    assert judged[1] == pytest.approx(model.body_mass.max(), rel=1e-12) == constants_found(explained, False)[0].value
    if factors[0]:
        assert max(found.rms["x"]["written"]) < 2 * NOISE_M < found.rms["x"]["nominal"][-1]
    else:
        assert judged[0] == judged[1] == world.factors["mass"].nominal


def test_a_calibration_comes_back_from_its_file(tmp_path: Path):
    made = replace(A_CALIBRATION, context_reader=ContextReader(np.ones((1, 2)), np.ones(2)))
    path = tmp_path / "calibration.npz"
    write_arrays(path, {**_flat(made), "made_for": np.array("abc")})
    found = read_calibration(path, "abc", ITS_SIZES)
    assert found and found.readout.degree == 2 and found.misfit_limit == 3.0
    assert {name: value.tolist() for name, value in _flat(found).items()} == {
        name: value.tolist() for name, value in _flat(made).items()
    }
    np.testing.assert_array_equal(
        found.errors.field.whitening(np.ones((4, 2))), made.errors.field.whitening(np.ones((4, 2)))
    )
    assert read_calibration(path, "abd", ITS_SIZES) is None
    assert read_calibration(tmp_path / "none.npz", "abc", ITS_SIZES) is None
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(CheckpointError, match=r"calibration.npz holds no calibration of this run \(.*remove it"):
        read_calibration(path, "abc", ITS_SIZES)


FOREIGN = {
    "more numbers than the world": ("readout.weights", np.ones((3, 9))),
    "fewer features than its degree": ("readout.weights", np.ones((2, 8))),
    "a degree that nothing computes": ("readout.degree", np.array(10**9)),
    "several degrees": ("readout.degree", np.array([2, 2])),
    "layers that do not fit": ("readout.rest.second", np.ones((4, 3))),
    "poses without errors": ("errors.field.local.squared", np.ones((8, 2))),
    "more poses than were rendered": ("errors.field.local.places", np.ones((10, 2))),
    "not a number": ("stretch", np.array([1.0, np.nan])),
    "without end": ("misfit_limit", np.array(np.inf)),
    "text": ("floor", np.array(["1", "2"])),
    "complex": ("floor", np.ones(2, complex)),
    "whole numbers": ("readout.centre", np.zeros(3, int)),
    "no scale": ("readout.scale", np.zeros(3)),
    "a single number": ("shrinkage", np.array(1.0)),
    "no white part": ("errors.field.white", np.full(2, 1e-12)),
    "correlated without end": ("errors.simple.correlation", np.array(1.0)),
    "an array of no calibration": ("readout.more", np.ones(2)),
}


@pytest.mark.parametrize("of", FOREIGN)
def test_a_stranger_s_calibration_is_refused_with_its_name_and_a_remedy(of: str, tmp_path: Path):
    name, array = FOREIGN[of]
    path = tmp_path / "calibration.npz"
    write_arrays(path, {**_flat(A_CALIBRATION), "made_for": np.array("abc"), name: array})
    with pytest.raises(CheckpointError, match=f"{path} holds no calibration.*{name}.*; remove it") as caught:
        read_calibration(path, "abc", ITS_SIZES)
    assert "\n" not in str(caught.value)


def test_a_calibration_without_one_of_its_arrays_is_refused(tmp_path: Path):
    arrays = {**_flat(A_CALIBRATION), "made_for": np.array("abc")}
    for name in arrays.keys() - {"made_for"}:
        write_arrays(tmp_path / "calibration.npz", {key: array for key, array in arrays.items() if key != name})
        with pytest.raises(CheckpointError, match="holds no calibration"):
            read_calibration(tmp_path / "calibration.npz", "abc", ITS_SIZES)


@pytest.mark.parametrize("name", ["puck", "varied_pendulum", "block"])
def test_a_calibrated_model_file_simulates_to_the_bit(name: str, tmp_path: Path):
    world, rng = envs.make(name), np.random.default_rng(0)
    world.restart(seed=0)
    values = {key: factor.sample(rng) for key, factor in world.factors.items() if factor.kind == "physical"}
    model = world.episode_model.with_values({**world.factor_values, **values})
    path = write_calibrated(tmp_path / "calibrated.xml", world.scene.spec(), model)
    reread = mujoco.MjModel.from_xml_path(str(path))
    ends = []
    for compiled in (model, reread):
        data = mujoco.MjData(compiled)
        data.qpos[:] = world.scene.data.qpos
        data.ctrl[:] = 0.3
        mujoco.mj_step(compiled, data, 200)
        ends.append(data.qpos.copy())
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-6)
    np.testing.assert_allclose(reread.body_mass, model.body_mass, rtol=1e-6)


def test_what_floats_freely_is_refused():
    scene = envs.MjcfScene(
        "<mujoco><worldbody><camera/><body><freejoint name='root'/><geom size='.1'/></body></worldbody></mujoco>",
        name="ball",
        control_dt_s=0.02,
    )
    world = envs.MujocoWorld(scene)
    with pytest.raises(UserError, match="'root' of ball is a free or ball joint"):
        observation_of(world, np.zeros((5, 13)))


def test_still_motion_is_refused(world):
    with pytest.raises(UserError, match=r"nothing moves in puck"):
        observation_of(world, np.zeros((5, 6)))


def test_the_first_guess_of_a_start_follows_the_first_frames(seen):
    seconds = 0.1 * np.arange(10)
    numbers = np.stack([0.3 + 0.5 * seconds, -0.2 * seconds], 1)
    start = start_of(seen, numbers, np.zeros(6), 3, 0.1, np.ones(6))
    assert isinstance(start, Start)
    np.testing.assert_allclose(start.state, [0.3, 0.0, 0.0, 0.5, -0.2, 0.0], atol=1e-12)


# ---------------------------------------------------------------------------------------------------------------------
# recordings


@pytest.fixture
def film(world: envs.MujocoWorld, tmp_path: Path) -> tuple[Path, Episode]:
    """A video of the puck, and the table of its actions beside it."""
    episode = rollout(world, make_policy(**PUCK_POLICY), seed=1, num_steps=14)
    path = write_video(tmp_path / "clip.mp4", episode.frames, 1 / world.control_dt_s)
    write_table(path.with_suffix(".csv"), episode.actions)
    return path, episode


def write_table(path: Path, actions: np.ndarray) -> None:
    rows = [",".join(f"{value:.9g}" for value in row) for row in actions]
    path.write_text("\n".join(["push_x,push_y", *rows]) + "\n")


def test_a_video_and_its_table_are_read_back(film, world):
    path, episode = film
    found = open_recording(str(path), world, 32)
    np.testing.assert_array_equal(found.actions, episode.actions)
    assert found.frames.shape == (15, 32, 32, 3) and found.states is None and found.factors is None
    assert np.abs(found.frames.astype(float) - fit_frames(episode.frames, 32)).mean() < 3  # of 255; films lose a little
    np.savez(path.with_suffix(".npz"), actions=episode.actions)
    np.testing.assert_array_equal(open_recording(str(path), world, 32).actions, episode.actions)


def test_recordings_that_do_not_fit_are_refused_in_a_line(film, world, tmp_path: Path):
    path, episode = film
    table = path.with_suffix(".csv")
    write_table(table, episode.actions)
    table.write_text(table.read_text().partition("\n")[2])
    with pytest.raises(UserError, match="its first line is numbers; the first line names the columns"):
        open_recording(str(path), world, 32)
    for actions, said in (
        (episode.actions[:9], r"clip.mp4 lasts 1.50 s \(15 frames\), but 9 actions every 0.1 s take 1.00 s"),
        (episode.actions[:, :1], "has actions of shape .14, 1., puck takes 2 numbers a step"),
        (3 * episode.actions, "must be numbers in"),
    ):
        write_table(table, actions)
        with pytest.raises(UserError, match=said):
            open_recording(str(path), world, 32)
    table.write_text("push_x,push_y\n0.1,left\n")
    with pytest.raises(UserError, match="holds no table of actions"):
        open_recording(str(path), world, 32)
    table.write_text("push_x,push_y\n")
    with pytest.raises(UserError, match="it has no rows"):
        open_recording(str(path), world, 32)
    np.savez(path.with_suffix(".npz"), actions=episode.actions.astype(complex))
    with pytest.raises(UserError, match="it holds complex128"):
        open_recording(str(path), world, 32)
    path.with_suffix(".npz").unlink()
    table.unlink()
    with pytest.raises(UserError, match="needs a table of its actions beside it"):
        open_recording(str(path), world, 32)
    with pytest.raises(UserError, match="there is no recording nowhere"):
        open_recording("nowhere.mp4", world, 32)


def test_further_recordings_need_the_true_constants(film, world):
    path, _ = film
    with pytest.raises(UserError, match=r"the true constants, which .*clip.mp4 does not tell; give an episode"):
        true_constants(open_recording(str(path), world, 32), ("mass",))


def test_settings_say_what_is_missing():
    with pytest.raises(UserError, match="which recording"):
        _ = IdentifyConfig(run="runs/puck").recordings
    with pytest.raises(UserError, match="names 'data/puck:1' twice"):
        _ = IdentifyConfig(recording=["data/puck:1", "data/puck:1"]).recordings
    with pytest.raises(UserError, match="own= must be empty"):
        IdentifyConfig(rounds=1, own=["mass"])
    with pytest.raises(UserError, match="poses must be >= 200"):
        IdentifyConfig(poses=3)


def test_constants_and_model_files_that_do_not_fit_are_refused(tmp_path: Path):
    trained = recipe("puck")
    with pytest.raises(UserError, match=r"unknown constant 'mas' \(did you mean mass\?\)"):
        open_worlds(trained, IdentifyConfig(constants=["mas"]))
    with pytest.raises(UserError, match="own names 'damping', which is not among the constants mass, friction"):
        open_worlds(trained, IdentifyConfig(own=["damping"]))
    source = envs.make("puck").scene.spec().to_xml()
    other = tmp_path / "other.xml"
    other.write_text(source.replace('joint name="y"', 'joint name="north"').replace('joint="y"', 'joint="north"'))
    with pytest.raises(UserError, match=r"the joints of .*other.xml are x, north, z"):
        open_worlds(trained, IdentifyConfig(mjcf=str(other)))
    other.write_text(source.replace('camera name="top"', 'camera name="side"'))
    with pytest.raises(UserError, match=r"the cameras of .*other.xml are side"):
        open_worlds(trained, IdentifyConfig(mjcf=str(other)))
    other.write_text(re.sub('timestep="[^"]*"', 'timestep="1e-6"', source))  # 100,000 of them are a control step
    with pytest.raises(UserError, match=r"must be a multiple of the physics step 1e-06 s, by at most 10000, got 0.1 s"):
        open_worlds(trained, IdentifyConfig(mjcf=str(other)))
    with pytest.raises(UserError, match=r"nothing.xml is no model file"):
        open_worlds(trained, IdentifyConfig(mjcf="nothing.xml"))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="named pipes are told by Linux's /proc")
@pytest.mark.parametrize("part", ['<asset><mesh file="pipe.obj"/></asset>', '<include file="pipe.obj"/>'])
def test_a_named_pipe_in_a_model_file_is_not_waited_for(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    compiling = importlib.import_module("worldmodel.identifying.other_model")
    monkeypatch.setattr(compiling, "_MOST_LOOKS_ASLEEP", 4)
    os.mkfifo(tmp_path / "pipe.obj")
    model = tmp_path / "model.xml"
    model.write_text(f"<mujoco>{part}</mujoco>")
    with pytest.raises(UserError, match="names a mesh, a texture or another file that cannot be read to its end"):
        open_worlds(recipe("puck"), IdentifyConfig(mjcf=str(model)))


@pytest.mark.parametrize("beside", [True, False], ids=["library", "bindings"])
def test_a_model_file_takes_the_place_of_the_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: bool):
    compiling = importlib.import_module("worldmodel.identifying.other_model")
    if beside:
        assert Path(compiling._library()).is_file()
    else:
        monkeypatch.setattr(compiling, "_library", lambda: "")
    source = envs.make("puck").scene.spec()
    source.actuator("x").gear[0] = 9.0
    path = tmp_path / "strong.xml"
    path.write_text(source.to_xml())
    worlds = open_worlds(recipe("puck"), IdentifyConfig(mjcf=str(path), constants=["mass"]))
    assert worlds.nominal.scene.model.actuator_gear[0, 0] == 9.0
    assert [name for name, f in worlds.drawing.factors.items() if f.kind == "physical"] == ["mass"]
    assert worlds.drawing.randomize[0] == "mass" and "light" in worlds.drawing.randomize


def test_factors_by_mjcf_name_can_be_sought():
    config = IdentifyConfig(factors={"drag": {"of": "joint.x.damping", "prior": 0.5}}, constants=["drag"])
    worlds = open_worlds(recipe("puck"), config)
    assert worlds.constants == ("drag",) and worlds.nominal.factors["drag"].prior_scale == 0.5
