"""Rollouts of many episodes at once by MuJoCo Warp: simulated and ray-traced together on a CUDA GPU, or on the CPU.

An engine beside `envs.rollout.rollout`. Starts, factors and actions are drawn by the same code from the same seeds and
states; what differs is arithmetic (float32 here) and shading (light is computed per pixel, and a textured surface may
get brighter than its texture, which OpenGL forbids). Kinematic worlds are moved by their process, and ray-traced.

Imported only where it is asked for: it needs `mujoco-warp`, and the first use on a machine compiles its kernels. Shape
letters are those of planners/interfaces.py; the batch B are episodes.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import worldmodel.envs.rendering  # noqa: F401  # first: it sets MUJOCO_GL  # isort: skip

import mujoco
import numpy as np
import warp as wp

wp.config.log_level = wp.LOG_ERROR  # before its first use, which tells a machine without a GPU so

import mujoco_warp as mjw  # noqa: E402

from worldmodel.envs.episode_model import EPISODE_FIELDS  # noqa: E402
from worldmodel.envs.excitation import Policy  # noqa: E402
from worldmodel.envs.factors import WRITABLE_FIELDS  # noqa: E402
from worldmodel.envs.rollout import Episode, middle_frame  # noqa: E402
from worldmodel.envs.world import MujocoWorld, SimulationDiverged, Snapshot  # noqa: E402

# What mj_setConst derives from masses and lengths.
_DERIVED_FIELDS = (
    "body_subtreemass",
    "body_invweight0",
    "dof_invweight0",
    "tendon_length0",
    "tendon_invweight0",
    "actuator_acc0",
)
# Of those that a factor or a reset may write, the ones of which MuJoCo Warp keeps one for all worlds.
_SHARED_FIELDS = ("wrap_prm", "hfield_data")
_OWN_FIELDS = tuple(
    name for name in (*WRITABLE_FIELDS, *EPISODE_FIELDS, *_DERIVED_FIELDS) if name not in _SHARED_FIELDS
)


class WarpUnsupported(ValueError):
    """A world that this engine would simulate or draw differently."""


def warp_rollouts(
    world: MujocoWorld,
    policy: Policy,
    *,
    seeds: Sequence[int],
    num_steps: int,
    drift_rho: float | None = None,
    device: str = "auto",
    progress: Callable[[int], None] = lambda num_frames: None,
) -> Iterator[Episode]:
    """The episodes of these seeds, simulated together. All their frames are held in memory at once.

    Args:
        world, policy, num_steps, drift_rho: see `envs.rollout.rollout`.
        seeds: one for each episode.
        device: "auto" takes CUDA where there is a GPU; or "cpu", "cuda:0", …
        progress: called with the number of frames drawn since the last call.

    Raises:
        WarpUnsupported: the world does what this engine cannot do.
        SimulationDiverged: a state is no longer finite.
    """
    check_supported(world)
    if num_steps < 1:
        raise ValueError(f"num_steps must be >= 1, got {num_steps}")
    episodes = _Episodes(world, policy, seeds, drift_rho)
    worlds = _Worlds(world, len(seeds), device)
    worlds.pose(episodes.states())
    worlds.write(episodes.rows)
    side = world.image_size
    frames = np.empty((len(seeds), num_steps + 1, side, side, 3), np.uint8)
    states = np.empty((len(seeds), num_steps + 1, len(world.state_names)), np.float32)
    actions = np.empty((len(seeds), num_steps, world.scene.action_dim), np.float32)
    factors = np.empty((len(seeds), num_steps + 1, len(world.factors)), np.float32)
    for t in range(num_steps + 1):
        frames[:, t], states[:, t], factors[:, t] = worlds.frames(), worlds.states(), episodes.factors()
        progress(len(seeds))
        if t == num_steps:
            break
        actions[:, t] = episodes.actions(states[:, t])
        if world.scene.kinematic is None:
            worlds.step(actions[:, t])
        if episodes.advance(actions[:, t], middle=t + 1 == middle_frame(num_steps)):
            worlds.write(episodes.rows)
        if world.scene.kinematic is not None:
            worlds.pose(episodes.states())
    for index, seed in enumerate(seeds):
        rewards = np.zeros(num_steps, np.float32)
        yield Episode(frames[index], states[index], actions[index], rewards, factors[index], seed)


def check_supported(world: MujocoWorld) -> None:
    """Raise WarpUnsupported unless this engine moves and draws the world as MuJoCo does."""
    scene, model = world.scene, world.scene.model
    alpha, with_material = model.site_rgba[:, 3].copy(), model.site_matid >= 0
    alpha[with_material] = model.mat_rgba[model.site_matid[with_material], 3]
    reasons = {
        "its control step does more than hold controls": scene.kinematic is None and not scene.holds_control,
        "it has a reward or an end of episodes": scene.is_task and not scene.hides_task,
        "looks are painted over frames of OpenGL": world.appearance is not None,
        "quality=suite asks for OpenGL's shadows and reflections": world.quality != "fast",
        "tendons, skins and visible sites are not ray-traced": (
            model.ntendon or model.nskin or bool(alpha[model.site_group <= 2].any())
        ),
    }
    if found := [reason for reason, holds in reasons.items() if holds]:
        raise WarpUnsupported(f"engine=warp cannot run {world.name}: {'; '.join(found)}. Use engine=classic")


def drawn_differently(world: MujocoWorld) -> str:
    """Why frames look different from OpenGL's; empty where they differ only by rounding and along edges."""
    model = world.scene.model
    materials = np.unique(model.geom_matid[(model.geom_matid >= 0) & (model.geom_group <= 2)])
    if materials.size and (model.mat_texid[materials] >= 0).any():
        return (
            f"engine=warp draws the textured surfaces of {world.name} brighter than OpenGL, which control draws with: "
            "judge a model of these frames on frames of the same engine"
        )
    return ""


class _Episodes:
    """The host's part of B episodes: their randomness, factors and actors, and what these write into the models."""

    def __init__(self, world: MujocoWorld, policy: Policy, seeds: Sequence[int], drift_rho: float | None) -> None:
        self._world, self._drift_rho = world, drift_rho
        self._snapshots: list[Snapshot] = []
        self._actors: list[Callable[[np.ndarray], np.ndarray]] = []
        self.rows: dict[str, np.ndarray] = {}
        """Model field -> what it should be now in each episode, float32 (B, …)."""
        for index, seed in enumerate(seeds):
            world.restart(seed=seed)
            self._actors.append(policy.begin(world, np.random.default_rng((seed, 1))))
            self._snapshots.append(world.snapshot())
            own, shared = _model_fields(world.scene.model)
            if index == 0:
                self.rows = {name: np.empty((len(seeds), *value.shape), np.float32) for name, value in own.items()}
                self._shared = shared
            self._record(index)

    def states(self) -> np.ndarray:
        """Float64 (B, X), of the host: the starts, and the poses of kinematic worlds."""
        model = self._world.scene.model
        kind = mujoco.mjtState.mjSTATE_QPOS | mujoco.mjtState.mjSTATE_QVEL | mujoco.mjtState.mjSTATE_ACT
        state = np.empty((len(self._snapshots), mujoco.mj_stateSize(model, kind)))
        for row, snapshot in zip(state, self._snapshots, strict=True):
            mujoco.mj_extractState(model, snapshot.physics, mujoco.mjtState.mjSTATE_INTEGRATION, row, kind)
        return state

    def factors(self) -> np.ndarray:
        """The value of every factor, (B, P)."""
        return np.array([[*snapshot.values.values()] for snapshot in self._snapshots], np.float32)

    def actions(self, states: np.ndarray) -> np.ndarray:
        """Actions (B, A) in [-1, 1] of the policies in states (B, X)."""
        return np.stack(
            [np.clip(act(state), -1, 1) for act, state in zip(self._actors, states.astype(np.float64), strict=True)]
        )

    def advance(self, actions: np.ndarray, middle: bool) -> bool:
        """Do what a control step does besides physics: factors drift, kinematic worlds move. Returns whether any did.

        In the `middle` of an episode the constants drift too.
        """
        world, drift_rho = self._world, self._drift_rho if middle else None
        if world.scene.kinematic is None and not world.drifts and drift_rho is None:
            return False
        for index, snapshot in enumerate(self._snapshots):
            world.restore(snapshot)
            if world.scene.kinematic is None:
                world.drift()
            else:
                world.advance(actions[index])
            if drift_rho is not None:
                world.drift_constants(drift_rho)
            self._snapshots[index] = world.snapshot()
            self._record(index)
        return True

    def _record(self, index: int) -> None:
        if unknown := [name for name in self._world.episode_model.reset_fields if not _may_differ(name)]:
            raise WarpUnsupported(
                f"engine=warp cannot run {self._world.name}: its reset writes {', '.join(unknown)}, and Warp has one "
                "of each for all episodes. Use engine=classic"
            )
        own, shared = _model_fields(self._world.scene.model)
        for name, value in own.items():
            self.rows[name][index] = value
        for name, value in shared.items():
            if not np.array_equal(value, self._shared[name]):
                raise WarpUnsupported(
                    f"engine=warp cannot run {self._world.name}: {name} differs between episodes (randomised factors: "
                    f"{', '.join(self._world.randomize) or 'none'}), and Warp has one for all. Use engine=classic"
                )


def _may_differ(field: str) -> bool:
    """Whether a model field may differ between episodes, or is compared between them (see `_model_fields`)."""
    return field in (*_OWN_FIELDS, *_SHARED_FIELDS, "opt.gravity", "vis.headlight.ambient", "vis.headlight.diffuse")


def _model_fields(model: mujoco.MjModel) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Views of what may differ between episodes: what Warp keeps for each world, and what it keeps once."""
    own = {name: value for name in _OWN_FIELDS if (value := getattr(model, name)).size} | {"gravity": model.opt.gravity}
    headlight = {f"headlight {name}": getattr(model.vis.headlight, name) for name in ("ambient", "diffuse")}
    shared = {name: getattr(model, name) for name in _SHARED_FIELDS} | headlight
    return own, {name: value.copy() for name, value in shared.items()}


class _Worlds:
    """The device's part: B worlds of one model, each with its own constants and colours."""

    def __init__(self, world: MujocoWorld, num: int, device: str) -> None:
        scene, model = world.scene, world.scene.model
        self._device = wp.get_preferred_device() if device == "auto" else wp.get_device(device)
        self._scene, self._name = scene, world.name
        self._action_repeat = world.action_repeat
        own = [name for name in _model_fields(model)[0] if name != "gravity"]
        side = world.image_size * world.supersample
        with wp.ScopedDevice(self._device), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # frictionless geoms might give NaN, it says; `states` would notice
            try:
                self._model = mjw.put_model(model, batch_sizes=dict.fromkeys(own, num))
            except NotImplementedError as error:
                raise WarpUnsupported(f"engine=warp cannot run {world.name}: {error} Use engine=classic") from error
            self._model.opt.gravity = wp.zeros(num, dtype=wp.vec3)
            fields = {name: getattr(self._model, name) for name in own} | {"gravity": self._model.opt.gravity}
            self._fields = {name: (field, field.numpy().shape) for name, field in fields.items()}
            self._data = mjw.make_data(model, nworld=num)
            self._context = mjw.create_render_context(
                model, nworld=num, cam_res=(side, side), render_rgb=True, render_depth=False, render_seg=False,
                cam_active=[model.camera(world.camera).id],
            )  # fmt: skip
            self._frames: Any = wp.empty((num, world.image_size, world.image_size, 3), dtype=wp.uint8)  # type: ignore
        self._supersample = world.supersample
        self._written: dict[str, np.ndarray] = {}
        self._graphs: dict[str, Any] = {}

    def write(self, rows: dict[str, np.ndarray]) -> None:
        """Give every world its own model fields, float (B, …) each; only what changed travels."""
        for name, values in rows.items():
            if name in self._written and np.array_equal(self._written[name], values):
                continue
            field, shape = self._fields[name]
            field.assign(values.reshape(shape))
            self._written[name] = values.copy()

    def pose(self, states: np.ndarray) -> None:
        """Put the worlds into states (B, X)."""
        model = self._scene.model
        parts = np.split(states.astype(np.float32), (model.nq, model.nq + model.nv), axis=1)
        for field, values in zip((self._data.qpos, self._data.qvel, self._data.act), parts, strict=True):
            field.assign(values)

    def step(self, actions: np.ndarray) -> None:
        """One control step under actions (B, A)."""
        controls = self._scene.ctrl_centre + self._scene.ctrl_half_range * actions
        self._data.ctrl.assign(controls.astype(np.float32))
        self._run("step", self._substeps)
        if self._data.overflow.numpy().any():
            raise WarpUnsupported(
                f"engine=warp cannot run {self._name}: more contacts than Warp keeps room for. Use engine=classic"
            )

    def states(self) -> np.ndarray:
        """The current states, float32 (B, X)."""
        data = self._data
        states = np.concatenate([data.qpos.numpy(), data.qvel.numpy(), data.act.numpy()], axis=1)
        if not np.isfinite(states).all():
            raise SimulationDiverged(f"{self._name} diverged; narrow the factor bounds or shorten the physics step")
        return states

    def frames(self) -> np.ndarray:
        """The current frames, uint8 (B, S, S, 3)."""
        self._run("look", self._look)
        return self._frames.numpy()

    def _substeps(self) -> None:
        for _ in range(self._action_repeat * self._scene.num_substeps):
            mjw.step(self._model, self._data)

    def _look(self) -> None:
        mjw.kinematics(self._model, self._data)  # a step leaves poses one substep behind
        mjw.com_pos(self._model, self._data)  # for cameras that follow
        mjw.camlight(self._model, self._data)
        mjw.refit_bvh(self._model, self._data, self._context)
        mjw.render(self._model, self._data, self._context)
        num, side = self._frames.shape[:2]
        wp.launch(_box_average, (num, side, side), [self._context.rgb_data, self._supersample], [self._frames])

    def _run(self, name: str, work: Callable[[], None]) -> None:
        """Launch kernels; on a GPU as one CUDA graph from the second time on, when all are compiled."""
        with wp.ScopedDevice(self._device):
            if graph := self._graphs.get(name):
                wp.capture_launch(graph)
                return
            work()
            if self._device.is_cuda:
                with wp.ScopedCapture() as capture:
                    work()
                self._graphs[name] = capture.graph


@wp.kernel
def _box_average(packed: wp.array2d(dtype=wp.uint32), k: int, frames: wp.array4d(dtype=wp.uint8)):  # type: ignore
    """Packed colours (B, kS * kS), first row on top -> means over k x k boxes, rounded as `rendering.box_average`."""
    world, y, x = wp.tid()  # type: ignore
    side = frames.shape[2] * k
    red, green, blue = wp.int32(0), wp.int32(0), wp.int32(0)  # literals would not change in a loop
    for i in range(k):
        for j in range(k):
            colour = int(packed[world, (y * k + i) * side + x * k + j])
            red += (colour >> 16) & 255
            green += (colour >> 8) & 255
            blue += colour & 255
    half = k * k // 2
    frames[world, y, x, 0] = wp.uint8((red + half) // (k * k))
    frames[world, y, x, 1] = wp.uint8((green + half) // (k * k))
    frames[world, y, x, 2] = wp.uint8((blue + half) // (k * k))
