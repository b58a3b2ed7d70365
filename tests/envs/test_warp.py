"""MuJoCo Warp gives the episodes that MuJoCo gives: the same draws, states to float32's accuracy, pictures to shading.

On Warp's CPU device everywhere, on a GPU where there is one.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest

from worldmodel import envs
from worldmodel.data.index import plain
from worldmodel.data.recording import Recording
from worldmodel.envs import warp
from worldmodel.envs.excitation import OUTracking, Policy, Uniform
from worldmodel.envs.rollout import Episode, rollout
from worldmodel.envs.warp import WarpUnsupported, check_supported, drawn_differently, warp_rollouts

DEVICES = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
SEEDS = (4, 7, 8)
PUCK: dict[str, Any] = {
    "name": "puck", "image_size": 20, "supersample": 2,
    "randomize": ["mass", "friction", "visual"], "factor_rho": {"visual": 0.5},
}  # fmt: skip
TRACKING = OUTracking(std=0.3, time_constant_s=0.94, stiffness=20.0, damping=2.0)


@pytest.fixture(scope="module", autouse=True)
def quick_compilation() -> Iterator[None]:
    """Kernels are compiled once per machine; without optimisation in half of the time."""
    before, warp.wp.config.optimization_level = warp.wp.config.optimization_level, 0
    yield
    warp.wp.config.optimization_level = before


def both(world: dict[str, Any], policy: Policy, device: str, **options: Any) -> tuple[list[Episode], list[Episode]]:
    made = envs.make(**world)
    theirs = [rollout(made, policy, seed=seed, **options) for seed in SEEDS]
    return list(warp_rollouts(made, policy, seeds=SEEDS, device=device, **options)), theirs


def pixel_error(one: Episode, other: Episode) -> np.ndarray:
    """Largest difference over the colours of each pixel, in levels of 255."""
    return np.abs(one.frames.astype(int) - other.frames.astype(int)).max(-1)


@DEVICES
def test_puck_with_constants_and_colours_of_its_own_in_every_episode(device: str):
    ours, theirs = both(PUCK, TRACKING, device, num_steps=6, drift_rho=0.9)
    for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        assert one.seed == other.seed and (one.rewards == 0).all()
        np.testing.assert_array_equal(one.factors, other.factors)
        # a stiff feedback, and friction that lets go, magnify float32's rounding
        np.testing.assert_allclose(one.states, other.states, atol=2e-3)
        np.testing.assert_allclose(one.actions, other.actions, atol=1e-2)
        assert pixel_error(one, other).mean() < 1.5 and (pixel_error(one, other) > 8).mean() < 5e-3
        assert pixel_error(one, theirs[index - 1]).mean() > 10  # the colours are those of the right episode
    assert {getattr(one, name).dtype for one in ours for name in ("states", "actions", "rewards", "factors")} == {
        np.dtype(np.float32)
    }


def test_an_episode_does_not_depend_on_those_beside_it():
    world = envs.make(**PUCK)
    together = list(warp_rollouts(world, TRACKING, seeds=SEEDS, num_steps=2, device="cpu"))
    fewer = list(warp_rollouts(world, TRACKING, seeds=SEEDS[1:], num_steps=2, device="cpu"))
    for index, episode in enumerate(fewer):
        for name, value in vars(episode).items():
            np.testing.assert_array_equal(value, getattr(together[index + 1], name), err_msg=name)


@DEVICES
def test_reacher_moves_alike_and_its_arm_is_seen_where_it_is(device: str):
    world = {"name": "reacher", "image_size": 32, "randomize": ["physical"]}
    for one, other in zip(*both(world, Uniform(), device, num_steps=4), strict=True):
        np.testing.assert_array_equal(one.actions, other.actions)
        np.testing.assert_allclose(one.states, other.states, atol=1e-5)
        arm, their_arm = (episode.frames[..., 0] > episode.frames[..., 2] for episode in (one, other))
        assert (arm & their_arm).sum() > 0.8 * (arm | their_arm).sum() > 0
    # the light on the textured floor differs, and a recording says so
    assert "textured" in drawn_differently(envs.make("reacher")) and not drawn_differently(envs.make("puck"))


@DEVICES
def test_kinematic_worlds_are_moved_by_their_process(device: str):
    world = {**PUCK, "kinematic": {"latents": {"x": 0.65, "y": 0.65}, "rho": 0.9}, "randomize": ["visual"]}
    for one, other in zip(*both(world, Uniform(), device, num_steps=3), strict=True):
        np.testing.assert_array_equal(one.states, other.states)
        np.testing.assert_array_equal(one.factors, other.factors)
        assert one.actions.shape == (3, 0) and pixel_error(one, other).mean() < 1.5


def test_a_recording_is_made_of_batches():
    settings = Recording("puck", PUCK, {"name": "ou"}, 3, 5, engine="warp", worlds=2)
    told: list[int] = []
    episodes = list(settings.episodes(range(2), told.append))
    assert settings.episodes_per_shard == 2 and told == [2] * 4 and len(episodes) == 2
    assert plain(settings.record())["engine"] == "warp"
    assert "engine" not in plain(Recording("puck", PUCK, {"name": "ou"}, 3, 5).record())  # as old indices hold it


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        ({"name": "cartpole"}, "reward"),
        ({"name": "walker-walk"}, "reward"),
        ({"name": "point_mass"}, "sites"),
        ({"name": "puck", "quality": "suite"}, "shadows"),
    ],
)
def test_what_would_come_out_differently_is_refused(world: dict[str, Any], reason: str):
    with pytest.raises(WarpUnsupported, match=f"engine=warp cannot run {world['name']}.*{reason}.*engine=classic"):
        check_supported(envs.make(**world))


def test_what_cannot_differ_between_episodes_is_named():
    world = envs.make("reacher", image_size=8, randomize=["visual"])
    with pytest.raises(WarpUnsupported, match="headlight ambient differs between episodes"):
        next(warp_rollouts(world, Uniform(), seeds=SEEDS, num_steps=1, device="cpu"))


def test_a_reset_that_writes_what_all_episodes_share_is_refused():
    def reset(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        model.geom_solmix[0] *= rng.uniform(0.8, 1.2)

    scene = envs.MjcfScene(
        Path(warp.__file__).parent / "scenes" / "puck" / "scene.xml",
        name="puck",
        camera="top",
        control_dt_s=0.1,
        reset=reset,
    )
    world = envs.MujocoWorld(scene, image_size=8)
    with pytest.raises(
        WarpUnsupported, match="its reset writes geom_solmix, and Warp has one of each for all episodes"
    ):
        next(warp_rollouts(world, Uniform(), seeds=SEEDS, num_steps=1, device="cpu"))
