"""Every dm_control suite task as a scene, named "domain-task": "reacher-hard", "cartpole-swingup", "humanoid_CMU-run".

Domains without a task in their name ("reacher", "pendulum", …) are worlds about reaching goal states, see `GoalScene`.
`varied_pendulum` and `varied_cartpole` are swing-up tasks at 25 Hz, with noticeable damping and colours that vary, for
reading physical constants from pixels.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from worldmodel.envs import rendering  # first: it sets MUJOCO_GL  # isort: skip

import mujoco
import numpy as np

from worldmodel.envs import writers
from worldmodel.envs.factors import Factor, PhysicsFactor, VisualFactor, Writer
from worldmodel.envs.scene import Scene, hide_geoms
from worldmodel.envs.scenes import palette
from worldmodel.envs.state_variables import unlimited_hinges

# Written out because importing dm_control takes a second; a test compares them with its own list.
_TASKS = {
    "acrobot": "swingup swingup_sparse",
    "ball_in_cup": "catch",
    "cartpole": "balance balance_sparse swingup swingup_sparse two_poles three_poles",
    "cheetah": "run",
    "dog": "stand walk trot run fetch",
    "finger": "spin turn_easy turn_hard",
    "fish": "upright swim",
    "hopper": "stand hop",
    "humanoid": "stand walk run run_pure_state",
    "humanoid_CMU": "stand walk run",
    "lqr": "lqr_2_1 lqr_6_2",
    "manipulator": "bring_ball bring_peg insert_ball insert_peg",
    "pendulum": "swingup",
    "point_mass": "easy hard",
    "quadruped": "walk run escape fetch",
    "reacher": "easy hard",
    "stacker": "stack_2 stack_4",
    "swimmer": "swimmer6 swimmer15",
    "walker": "stand walk run",
}
TASKS = tuple((domain, task) for domain, tasks in _TASKS.items() for task in tasks.split())
_NUM_STEPS = 1000  # the suite's episode length, whatever the control rate


def _suite() -> Any:
    """dm_control's suite, which takes a second to import; ValueError where it is not installed."""
    try:
        from dm_control import suite
    except ModuleNotFoundError as error:
        raise ValueError(
            f"this world needs dm_control, and {error.name} is missing; from Python 3.13 on it is installed alone, "
            "without what it asks for and nothing here needs: pip install --no-deps dm-control"
        ) from error
    return suite


class SuiteScene(Scene):
    """A dm_control suite task, stepped as dm_control's own `Environment` steps it.

    Actions in [-1, 1] span the task's action range (and are the action itself where that is unbounded, as in lqr).

    Args:
        domain, task: as in `dm_control.suite.load`.
        control_dt_s: seconds per control step; None takes the task's.
    """

    def __init__(self, domain: str, task: str, control_dt_s: float | None = None) -> None:
        suite = _suite()
        from dm_control.suite.base import Task

        rendering.close_all_first_at_exit()
        self._domain, self._task = domain, task
        # The fixed seed only shapes lqr's generated model; episodes are seeded at each reset.
        rate = None if control_dt_s is None else {"control_timestep": control_dt_s}
        self._env: Any = suite.load(domain, task, task_kwargs={"random": 0}, environment_kwargs=rate)
        self._env.reset()  # some tasks finish their model here
        self.model, self.data = self._env.physics.model.ptr, self._env.physics.data.ptr
        self.name = f"{domain}-{task}"
        self.camera = 0
        self.control_dt_s = self._env.control_timestep()
        self.time_limit_s = _NUM_STEPS * self.control_dt_s
        self.num_substeps = round(self.control_dt_s / self._env.physics.timestep())
        spec = self._env.action_spec()
        self.action_dim = spec.shape[0]
        bounded = spec.maximum - spec.minimum < mujoco.mjMAXVAL
        self.ctrl_centre = np.where(bounded, (spec.minimum + spec.maximum) / 2, 0.0)
        self.ctrl_half_range = np.where(bounded, (spec.maximum - spec.minimum) / 2, 1.0)
        self.angle_names = unlimited_hinges(self.model)
        self.factors = _factors(domain, self.model)
        plain = all(
            getattr(type(self._env.task), name) is getattr(Task, name) for name in ("before_step", "after_step")
        )
        self.holds_control = plain and type(self).advance is SuiteScene.advance

    def spec(self) -> mujoco.MjSpec:
        suite = _suite()
        # MuJoCo keeps the source of the model that it compiled last
        model = suite.load(self._domain, self._task, task_kwargs={"random": 0}).physics.model.ptr
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/scene.xml"
            mujoco.mj_saveLastXML(path, model)
            return mujoco.MjSpec.from_file(path)

    def reset(self, rng: np.random.Generator) -> None:
        task, env_physics = self._env.task, self._env.physics
        task.random.seed(int(rng.integers(2**32)))
        with env_physics.reset_context():
            task.initialize_episode(env_physics)

    def advance(self, action: np.ndarray) -> None:
        task, env_physics = self._env.task, self._env.physics
        task.before_step(self.ctrl_centre + self.ctrl_half_range * action, env_physics)
        env_physics.step(self.num_substeps)
        task.after_step(env_physics)

    def reward(self) -> float:
        return float(self._env.task.get_reward(self._env.physics))

    def terminated(self) -> bool:
        return self._env.task.get_termination(self._env.physics) is not None


class GoalScene(SuiteScene):
    """A suite task as a world about goal states: a goal is reached within `goal_tolerance` of it.

    Args:
        domain, task: the suite task that gives physics, starts and reward.
        goal_tolerance, symmetries: see `Scene`.
        angle_names: positions that a picture shows as directions; by default the hinges without limits.
        task_goal: the state (X,) that the reward asks for, where it is the same in every episode.
        hidden: geoms that are not drawn; with them the task is hidden, see `Scene.hides_task`.
    """

    def __init__(
        self,
        domain: str,
        task: str,
        goal_tolerance: Mapping[str, float],
        *,
        angle_names: Sequence[str] | None = None,
        symmetries: Mapping[str, float] | None = None,
        task_goal: Sequence[float] | None = None,
        hidden: Sequence[str] = (),
    ) -> None:
        super().__init__(domain, task)
        self.name = domain
        self.goal_tolerance = dict(goal_tolerance)
        self.angle_names = self.angle_names if angle_names is None else tuple(angle_names)
        self.symmetries = dict(symmetries or {})
        self._task_goal = task_goal
        hide_geoms(self.model, hidden)
        self.hides_task = bool(hidden)

    def task_goal(self) -> np.ndarray | None:
        return None if self._task_goal is None else np.array(self._task_goal, float)


class ReacherScene(GoalScene):
    """The two-link arm in colours that can vary. Its target is not drawn, but stands where each episode puts it."""

    def __init__(self) -> None:
        tolerance = {"shoulder": 0.05, "wrist": 0.05}
        super().__init__("reacher", "hard", tolerance, angle_names=("shoulder", "wrist"), hidden=("target",))
        self.factors += _robot_colours()

    def task_goal(self) -> np.ndarray:
        """The arm at rest with its finger on this episode's target, bent to the side that is nearer to its state now.

        Inverse kinematics of two links a and b to a point at distance r: cos(wrist) = (r^2 - a^2 - b^2) / 2ab.
        """
        x, y = self.model.geom("target").pos[:2]
        a, b = (self.model.body(name).pos[0] for name in ("hand", "finger"))
        bend = np.arccos(np.clip((x * x + y * y - a * a - b * b) / (2 * a * b), -1, 1))
        limit = self.model.joint("wrist").range[1]
        wrist = np.minimum(bend, limit) * np.array([1, -1])
        turn = np.arctan2(y, x) - np.arctan2(b * np.sin(wrist), a + b * np.cos(wrist)) - self.data.qpos[0]
        shoulder = self.data.qpos[0] + (turn + np.pi) % (2 * np.pi) - np.pi
        postures = np.stack([shoulder, wrist], 1)
        nearer = np.abs(postures - self.data.qpos).max(1).argmin()
        return np.concatenate([postures[nearer], np.zeros(2)])


# The reacher's wrist stops short of pi, but a picture shows it as a direction. The reacher's tolerances are those of
# arXiv:2603.19312; elsewhere they are about a tenth of a radian, or a tenth of the range of motion.
GOAL_SCENES: dict[str, Callable[[], GoalScene]] = {
    "reacher": ReacherScene,
    "pendulum": partial(GoalScene, "pendulum", "swingup", {"hinge": 0.1}, task_goal=(0.0, 0.0)),
    "cartpole": partial(
        GoalScene, "cartpole", "swingup", {"slider": 0.1, "hinge_1": 0.1}, task_goal=(0.0, 0.0, 0.0, 0.0)
    ),
    "ball_in_cup": partial(
        GoalScene, "ball_in_cup", "catch", {"cup_x": 0.05, "cup_z": 0.05, "ball_x": 0.05, "ball_z": 0.05}
    ),
    "finger": partial(
        GoalScene, "finger", "spin", {"proximal": 0.15, "distal": 0.15, "hinge": 0.15}, symmetries={"hinge": np.pi}
    ),
    "point_mass": partial(
        GoalScene, "point_mass", "easy", {"root_x": 0.02, "root_y": 0.02}, task_goal=(0.0, 0.0, 0.0, 0.0),
        hidden=("target",),
    ),
}  # fmt: skip


class VariedPendulum(SuiteScene):
    """pendulum-swingup at 25 Hz, in colours that can vary."""

    def __init__(self) -> None:
        super().__init__("pendulum", "swingup", control_dt_s=0.04)
        self.name = "varied_pendulum"
        self.model.cam_fovy[self.camera] = 36  # a narrower view than the suite's: the swing fills the frame
        self.goal_tolerance = {"hinge": 0.1}
        self.factors += _material_colours()


class VariedCartpole(SuiteScene):
    """cartpole-swingup at 25 Hz, in colours that can vary, with damped joints (the suite's have almost no damping)."""

    def __init__(self) -> None:
        super().__init__("cartpole", "swingup", control_dt_s=0.04)
        self.name = "varied_cartpole"
        self.goal_tolerance = {"slider": 0.05, "hinge_1": 0.1}
        self.model.joint("slider").damping[:] = 0.5
        self.model.joint("hinge_1").damping[:] = 0.02
        dampings = (
            _log_factor("cart_damping", "N s/m", 0.5, writers.joint_damping("slider"), "viscous damping of the cart"),
            _damping(self.model, "pole_damping", "hinge_1"),
        )
        self.factors = (*dampings, *self.factors, *_material_colours())


def _material_colours() -> tuple[VisualFactor, ...]:
    """Colours of the suite's moving parts and of its floor, whose texture they tint."""
    floor = {"red": 0.7, "green": 0.7, "blue": 0.7}
    return (
        *_robot_colours(),
        *palette.colours("floor", floor, partial(writers.material_colour, "grid"), prior_scale=0.12),
    )


def _robot_colours() -> tuple[VisualFactor, ...]:
    """Colours of the suite's moving parts, nominally about the suite's own."""
    own = {"red": 0.7, "green": 0.5, "blue": 0.3}
    return palette.colours("robot", own, partial(writers.material_colour, "self"), prior_scale=0.15)


def _factors(domain: str, model: mujoco.MjModel) -> tuple[Factor, ...]:
    """The constants of the domain, then the ratios and the light that every task has.

    Constants are written before the ratios: a body's mass is its own constant times mass_scale.
    """
    factors: list[Factor] = [
        *_domain_factors(domain, model),
        _ratio("mass_scale", writers.mass_scale(), "all masses and inertias"),
        _ratio("actuator_scale", writers.actuator_scale(), "the force of all actuators"),
    ]
    if model.dof_damping.any():
        factors.append(_ratio("damping_scale", writers.damping_scale(), "the damping of all joints"))
    return (*factors, palette.all_lights())


def _domain_factors(domain: str, model: mujoco.MjModel) -> list[PhysicsFactor]:
    """Named constants, in their own units, of the domains that have few enough to name."""
    mass, damping = partial(_mass, model), partial(_damping, model)
    match domain:
        case "reacher":
            dampings = [damping(f"{joint}_damping", joint) for joint in ("shoulder", "wrist")]
            return [mass("arm_mass", "arm"), mass("hand_mass", "hand"), *dampings]
        case "pendulum":
            length = writers.link_length("pole", "pole", rod_has_mass=False)
            return [
                mass("mass", "pole"),
                _length("length", _rod_length(model, "pole"), length, "distance of the bob from the hinge"),
                damping("damping", "hinge"),
                _gravity(model),
            ]
        case "cartpole":
            poles = [name for index in range(model.nbody) if (name := model.body(index).name).startswith("pole")]
            masses = [mass("cart_mass", "cart"), *(mass(f"{pole}_mass", pole) for pole in poles)]
            lengths = [
                _length(
                    f"{pole}_length",
                    _rod_length(model, pole),
                    writers.link_length(pole, pole, rod_has_mass=True),
                    f"length of {pole}",
                )
                for pole in poles
            ]
            return [*masses, *lengths, _gravity(model)]
        case "acrobot":
            arms = ("upper_arm", "lower_arm")
            return [*(mass(f"{arm}_mass", arm) for arm in arms), _gravity(model)]
        case "ball_in_cup":
            taut, write = float(model.tendon_range[model.tendon("string").id, 1]), writers.tendon_length("string")
            string = _length("string_length", taut, write, "length of the taut string")
            return [mass("ball_mass", "ball"), mass("cup_mass", "cup"), string, _gravity(model)]
        case "finger":
            dry = _log_factor(
                "spinner_friction", "N m", model.joint("hinge").frictionloss[0], writers.joint_friction("hinge"),
                "dry friction of the spinner",
            )  # fmt: skip
            return [mass("spinner_mass", "spinner"), damping("spinner_damping", "hinge"), dry]
        case "walker" | "hopper" | "cheetah":
            return [mass("torso_mass", "torso"), _ratio("friction_scale", writers.friction_scale(), "all friction")]
        case _:
            return []


def _ratio(name: str, write: Writer, what: str) -> PhysicsFactor:
    return _log_factor(name, "1", 1.0, write, f"ratio for {what}")


def _mass(model: mujoco.MjModel, name: str, body: str) -> PhysicsFactor:
    return _log_factor(name, "kg", model.body(body).mass[0], writers.body_mass(body), f"mass of {body}")


def _damping(model: mujoco.MjModel, name: str, joint: str) -> PhysicsFactor:
    write = writers.joint_damping(joint)
    return _log_factor(name, "N m s/rad", model.joint(joint).damping[0], write, f"viscous damping of {joint}")


def _gravity(model: mujoco.MjModel) -> PhysicsFactor:
    return _log_factor("gravity", "m/s^2", -model.opt.gravity[2], writers.gravity(), "downward acceleration")


def _length(name: str, nominal: float, write: Writer, description: str) -> PhysicsFactor:
    return palette.constant(name, "m", nominal, 0.1, write, description)


def _rod_length(model: mujoco.MjModel, geom: str) -> float:
    return float(2 * model.geom(geom).size[1])


def _log_factor(name: str, unit: str, nominal: float, write: Writer, description: str) -> PhysicsFactor:
    return palette.constant(name, unit, float(nominal), 0.2, write, description)
