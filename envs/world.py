"""The one environment class, around a `Scene`: pixels and state, factors, goal frames, exact snapshots, seeding.

Shape letters are those of planners/interfaces.py; the state is described in envs/scene.py. Alignment in time:
`frames[t]` is seen, then `actions[t]` is taken, then `frames[t+1]` is seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

from worldmodel.envs.rendering import FrameRenderer, Quality, check_frame_options  # first: it sets MUJOCO_GL  # isort: skip

import gymnasium
import mujoco
import numpy as np

from worldmodel.envs.episode_model import EpisodeModel
from worldmodel.envs.factor_draws import FactorDraws
from worldmodel.envs.held_actions import advance_held, num_repeats
from worldmodel.envs.looks.appearance import Appearance
from worldmodel.envs.looks.redrawn import LOOKS, RedrawnLooks, factors_in, redrawn_looks
from worldmodel.envs.scene import Scene, checked_camera
from worldmodel.envs.snapshot import PHYSICS, SimulationDiverged, Snapshot, finite, physics_of

__all__ = ["MujocoWorld", "SimulationDiverged", "Snapshot"]

FactorValues = Mapping[str, float]  # factor -> its value, in its unit


class MujocoWorld(gymnasium.Env):
    """The environment around a scene.

    Args:
        scene: what is simulated.
        image_size: S, the side of a frame in pixels.
        supersample: a frame is rendered this many times larger and box-averaged.
        quality: "fast" or "suite"; see `FrameRenderer`.
        randomize, factor_rho, factor_shell, factor_spread: what is drawn, and how; see `FactorDraws`, `RedrawnLooks`.
        time_limit_s: seconds until truncation; by default the scene's.
        camera: name or number of the camera that sees the frames; by default the scene's.
        action_repeat: control steps of the scene in one of this world, which holds its action; see `num_repeats`.
        render_mode: "rgb_array", for Gymnasium.

    Raises:
        ValueError: an option that is out of range or names an unknown factor.
    """

    def __init__(
        self,
        scene: Scene,
        *,
        image_size: int = 64,
        supersample: int = 1,
        quality: Quality = "fast",
        randomize: Sequence[str] = (),
        factor_rho: Mapping[str, float] | None = None,
        factor_shell: Mapping[str, Sequence[float]] | None = None,
        factor_spread: Mapping[str, float] | None = None,
        time_limit_s: float | None = None,
        camera: str | int | None = None,
        action_repeat: int | Literal["auto"] = 1,
        render_mode: str | None = "rgb_array",
    ) -> None:
        check_frame_options(image_size, supersample, quality)
        _check_scene(scene, render_mode, randomize)
        self.scene, self.render_mode, self.action_repeat = scene, render_mode, num_repeats(scene, action_repeat)
        self.image_size, self.supersample = image_size, supersample
        self.quality: Quality = quality
        self.camera = scene.camera if camera is None else checked_camera(scene, camera)
        self.time_limit_s = scene.time_limit_s if time_limit_s is None else time_limit_s
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": max(1, round(1 / self.control_dt_s))}
        self.state_names = scene.state_names
        names = factors_in(randomize)
        self._draws = FactorDraws(
            scene.name, scene.factors, names, factor_rho or {}, factor_shell or {}, factor_spread or {}
        )
        self.factors, self.randomize = self._draws.factors, self._draws.randomize
        self._renderer: FrameRenderer | None = None
        self.appearance: Appearance | RedrawnLooks | None = redrawn_looks(randomize)  # how every frame looks
        self.episode_model = EpisodeModel(scene.name, scene.model, self.factors)
        self._num_steps, self._is_judged = 0, not scene.hides_task
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (scene.action_dim,), np.float32)
        self.observation_space = gymnasium.spaces.Dict(
            pixels=gymnasium.spaces.Box(0, 255, (image_size, image_size, 3), np.uint8),
            state=gymnasium.spaces.Box(-np.inf, np.inf, (len(self.state_names),), np.float64),
        )

    # What the world is

    @property
    def name(self) -> str:
        return self.scene.name

    @property
    def control_dt_s(self) -> float:
        return self.action_repeat * self.scene.control_dt_s

    @property
    def max_steps(self) -> int:
        """Control steps until truncation."""
        return round(self.time_limit_s / self.control_dt_s)

    @property
    def factor_values(self) -> dict[str, float]:
        """The current value of every factor, in its unit."""
        return self._draws.values

    @property
    def drifts(self) -> bool:
        """Whether any factor changes in the course of an episode."""
        return any(rho != 1 for rho in self._draws.rho.values())

    def randomized(self, kind: str) -> list[str]:
        """Names of the randomised factors of a kind, "physical" or "visual"."""
        return self._draws.names(kind)

    @property
    def actuated(self) -> list[tuple[int, int] | None]:
        """Per action, the state indices of the position and velocity it drives; None where it drives no one joint."""
        return self.scene.actuated

    def describe(self) -> dict[str, Any]:
        """The description of the world that a data set keeps, ready for JSON."""
        return _description(self, self._draws)

    # An episode, as Gymnasium runs it

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Start an episode.

        Args:
            seed: makes the start, and all that is drawn later in the episode, reproducible.
            options: "factors", "state" and "reward_hidden", as arguments of `restart`.

        Returns:
            The observation {"pixels": uint8 (S, S, 3), "state": float64 (X,)} and {"factors": {name: value}}.
        """
        self.restart(seed=seed, **_known_options(options))
        return self._observe(), {"factors": self.factor_values}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """One control step: `advance`, then the observation, reward, terminated, truncated and info."""
        reward, terminated = self.advance(action)
        truncated = self._num_steps >= self.max_steps
        return self._observe(), reward, terminated, truncated, {"factors": self.factor_values}

    def render(self) -> np.ndarray | None:
        """Gymnasium's name for `frame`; None unless render_mode is "rgb_array"."""
        return self.frame() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Free the renderer, of which a later frame makes a new one, and what the scene holds; see `Scene.close`."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
        self.scene.close()

    # The same in parts, for loops that do not want a frame at each step

    def restart(
        self,
        *,
        seed: int | None = None,
        factors: FactorValues | None = None,
        state: np.ndarray | None = None,
        reward_hidden: bool = False,
    ) -> None:
        """Start an episode without rendering.

        Args:
            seed: makes the start, and all that is drawn later in the episode, reproducible.
            factors: name -> value, instead of what would be drawn.
            state: start here, float (X,).
            reward_hidden: in this episode reward and termination count, even where frames do not show what they ask for
                (`Scene.hides_task`): for controllers that are shown the goal in another way.

        Raises:
            ValueError: an unknown factor, a value out of bounds, or a state of another shape.
        """
        super().reset(seed=seed)
        self._num_steps, self._is_judged = 0, reward_hidden or not self.scene.hides_task
        # The start is drawn before the factors and from the nominal model, so that one seed gives one start,
        # whatever is randomised and whatever the last episode's factors were.
        self.episode_model.forget_reset()
        self._draws.assign_nominal()
        if self.factors:
            self._write_factors()
        with self.episode_model.keeping_reset(), finite(self.scene, 0, {}):
            self.scene.reset(self.np_random)
        self._draws.draw(self.np_random)
        self._draws.assign(self._draws.check(factors or {}))
        self._write_factors()
        if state is not None:
            self.set_state(state)

    def advance(self, action: np.ndarray) -> tuple[float, bool]:
        """Physics only: one control step under an action (A,), clipped to [-1, 1]; the reward and terminated.

        Raises:
            ValueError: the action has another shape, or a value that is not finite; or the reward is not finite.
            SimulationDiverged: the state is no longer finite.
        """
        held = _checked_action(self, action), self.action_repeat
        result = advance_held(self.scene, *held, self._is_judged, self._num_steps + 1, self.factor_values)
        self._num_steps += 1
        self.drift()
        return result

    def simulate(self, actions: np.ndarray) -> np.ndarray:
        """Physics alone under actions (T, A) as they were recorded: the states float64 (T+1, X), the current one first.

        Nothing else of an episode happens: no reward, no end, no drift of factors, no step counted.

        Raises:
            SimulationDiverged: a state is no longer finite.
        """
        states = [self.state()]
        with finite(self.scene, len(actions), self.factor_values):
            for action in actions:
                for _ in range(self.action_repeat):
                    self.scene.advance(action)
                states.append(self.state())
        return np.stack(states)

    def frame(self, moving: bool = True) -> np.ndarray:
        """The current state as uint8 (S, S, 3); moving=False renders it without anything that can move."""
        if (own := self.scene.picture(self.image_size)) is not None:
            return own
        if self._renderer is None:
            checked_camera(self.scene, self.camera)  # a world that is never seen needs none
            self._renderer = FrameRenderer(self.scene.model, self.image_size, self.supersample, self.quality)
        shown = self.scene.drawn(), self.scene.view_of(self.camera)
        if self.appearance is not None:
            return self.appearance.photograph(self._renderer, *shown, self._num_steps, moving)
        return self._renderer.render(*shown, moving=moving)

    def state(self) -> np.ndarray:
        """The current state, a new float64 (X,)."""
        return self.scene.state()

    def set_state(self, state: np.ndarray) -> None:
        """Put the simulation into a state (X,); the episode keeps its clock, factors and randomness.

        Raises:
            ValueError: another shape, a value that is not finite, or a world whose state cannot be set.
        """
        self.scene.put_state(_checked_state(self, state))

    def reached(self, state: np.ndarray, goal_state: np.ndarray, wrap: bool = True) -> bool:
        """Whether a state (X,) is within the goal tolerance of another; see `Scene.reached`."""
        return self.scene.reached(state, goal_state, wrap)

    def goal_frame(self, state: np.ndarray, factors: FactorValues | None = None, moving: bool = True) -> np.ndarray:
        """The `frame` of another state (X,), and of other factors if given; the episode is left as it was."""
        before = self.snapshot()
        try:
            self.set_factors(factors or {})
            self.set_state(state)
            return self.frame(moving)
        finally:
            self.restore(before)

    # Factors

    def set_factors(self, values: FactorValues) -> None:
        """Change factors at any time, without recompiling.

        Raises:
            FactorError: an unknown name, or a value out of bounds; then nothing has changed.
        """
        checked = self._draws.check(values)
        self._draws.assign(checked)
        if checked:
            self._write_factors()

    def drift(self) -> None:
        """Redraw the randomised factors as `factor_rho` says, as every control step does."""
        if self._draws.drift(self.np_random):
            self._write_factors()

    def drift_constants(self, rho: float) -> None:
        """Redraw the randomised physical factors with correlation rho to what they are."""
        self.drift_factors(self.randomized("physical"), rho)

    def drift_factors(self, names: Sequence[str], rho: float) -> None:
        """Redraw factors with correlation rho to what they are: t becomes rho t + sqrt(1 - rho^2) spread eps."""
        self._draws.redraw(names, rho, self.np_random)
        if names:
            self._write_factors()

    def start_afresh(self) -> None:
        """Another start of the scene under the same physical constants; visual factors are drawn anew."""
        kept = {name: value for name, value in self.factor_values.items() if self.factors[name].kind == "physical"}
        self.restart(factors=kept, reward_hidden=self._is_judged)

    # Exact continuation

    def snapshot(self) -> Snapshot:
        """This moment of the episode: simulation, model, factors, step count and randomness."""
        return Snapshot(
            physics_of(self.scene),
            self.episode_model.state(),
            self._draws.coordinates,
            self._draws.values,
            self._num_steps,
            self._is_judged,
            dict(self.np_random.bit_generator.state),
            self.scene.moment(),
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Go back, or over, to a moment; from here the same actions give bit-identical states and frames."""
        self.episode_model.restore(snapshot.model)
        self._num_steps, self._is_judged = snapshot.num_steps, snapshot.is_judged
        self.np_random.bit_generator.state = snapshot.rng_state
        mujoco.mj_setState(self.scene.model, self.scene.data, snapshot.physics, PHYSICS)
        self._draws.restore(snapshot.coordinates, snapshot.values)
        self._write_factors()
        self.scene.go_back(snapshot.scene)

    def _write_factors(self) -> None:
        """Bring the model to the current values, and what the data derives from model and state up to date."""
        self.episode_model.write(self._draws.values)
        mujoco.mj_step1(self.scene.model, self.scene.data)

    def _observe(self) -> dict[str, np.ndarray]:
        return {"pixels": self.frame(), "state": self.state()}


def _description(world: MujocoWorld, draws: FactorDraws) -> dict[str, Any]:
    kinematic = world.scene.kinematic
    return {
        "name": world.name,
        "image_size": world.image_size,
        "supersample": world.supersample,
        "quality": world.quality,
        "camera": world.camera,
        "action_repeat": world.action_repeat,
        "control_dt_s": world.control_dt_s,
        "time_limit_s": world.time_limit_s,
        "state_names": list(world.state_names),
        "angle_names": list(world.scene.angle_names),
        "goal_tolerance": dict(world.scene.goal_tolerance),
        "factors": [factor.describe() for factor in world.factors.values()],
        "randomize": [*world.randomize, *([LOOKS] if isinstance(world.appearance, RedrawnLooks) else [])],
        "factor_rho": dict(draws.rho),
        "factor_shell": {name: list(shell) for name, shell in draws.shell.items()},
        "factor_spread": dict(draws.spread),
        "kinematic": None if kinematic is None else asdict(kinematic),
    }


def _checked_action(world: MujocoWorld, action: np.ndarray) -> np.ndarray:
    array = np.asarray(action, np.float32)
    if array.shape != world.action_space.shape or not np.isfinite(array).all():
        raise ValueError(
            f"action of {world.name} must be finite with shape {world.action_space.shape}, got {_summary(array)}"
        )
    return np.clip(array, -1.0, 1.0)


def _checked_state(world: MujocoWorld, state: np.ndarray) -> np.ndarray:
    array, names = np.asarray(state, np.float64), world.state_names
    if array.shape != (len(names),) or not np.isfinite(array).all():
        raise ValueError(f"state must be {len(names)} finite numbers ({', '.join(names)}), got {_summary(array)}")
    return array


def _check_scene(scene: Scene, render_mode: str | None, randomize: Sequence[str]) -> None:
    """ValueError for what a scene cannot show, or where it speaks of a state variable that it has not."""
    if LOOKS in randomize and scene.draws_itself:
        raise ValueError(f"{scene.name} draws its own frames; leave looks out of randomize")
    if any(LOOKS in (factor.name, factor.group) for factor in scene.factors):
        raise ValueError(f"a factor of {scene.name} is called {LOOKS}, which is another word of randomize; rename it")
    if render_mode not in (None, "rgb_array"):
        raise ValueError(f'render_mode must be "rgb_array" or None, got {render_mode!r}; no window is opened')
    if not 0 < scene.time_limit_s < np.inf:
        raise ValueError(f"time_limit_s of {scene.name} must be a number of seconds > 0, got {scene.time_limit_s}")
    for name, value in (*scene.goal_tolerance.items(), *scene.symmetries.items()):
        if not isinstance(value, int | float | np.number) or not value > 0:
            raise ValueError(f"goal_tolerance and symmetries of {scene.name} hold numbers > 0, got {name}: {value!r}")
    for what in ("goal_tolerance", "symmetries", "angle_names"):
        if unknown := [name for name in getattr(scene, what) if name not in scene.state_names]:
            of, there = f"{what} of {scene.name}", ", ".join(scene.state_names)
            raise ValueError(f"{of} names {unknown[0]!r}, which is no state variable; there are {there}")


def _known_options(options: dict[str, Any] | None) -> dict[str, Any]:
    options, known = options or {}, ("factors", "state", "reward_hidden")
    if unknown := options.keys() - {*known}:
        raise ValueError(
            f"unknown reset option {', '.join(map(repr, sorted(unknown)))}; known: {', '.join(map(repr, known))}"
        )
    return options


def _summary(array: np.ndarray) -> str:
    return f"shape {array.shape}" + ("" if np.isfinite(array).all() else " with values that are not finite")
