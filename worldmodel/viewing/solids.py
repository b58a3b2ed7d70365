"""The visible geometry of a MuJoCo simulation, as numbers that a page can draw.

`mjv_updateScene` lists all that is visible of any model: geoms, sites and tendons at their current place, size and
colour. It needs no OpenGL.
"""

from worldmodel.envs.rendering import Camera, FreeCamera  # first: it sets MUJOCO_GL  # isort: skip

import mujoco
import numpy as np

from worldmodel.viewing.messages import DragGoal, Mesh, Path, Solid, Viewpoint

_SHAPES = {
    int(mujoco.mjtGeom.mjGEOM_PLANE): "plane",
    int(mujoco.mjtGeom.mjGEOM_SPHERE): "sphere",
    int(mujoco.mjtGeom.mjGEOM_CAPSULE): "capsule",
    int(mujoco.mjtGeom.mjGEOM_ELLIPSOID): "ellipsoid",
    int(mujoco.mjtGeom.mjGEOM_CYLINDER): "cylinder",
    int(mujoco.mjtGeom.mjGEOM_BOX): "box",
}
_MESH = int(mujoco.mjtGeom.mjGEOM_MESH)
_MAX_GEOMS = 2_000
_TILT_RAD = np.radians(38)  # elevation of the first viewpoint where the camera looks straight down
_PULL_ITERATIONS, _DAMPING = 10, 1e-4
_LARGEST_CHANGE = 0.3  # of a position in one iteration, metres or radians


class Solids:
    """Draws one model: its current state, and others that a planner imagines or a goal asks for.

    Args:
        model: the model, whose factors may change later.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model
        self._scene = mujoco.MjvScene(model, _MAX_GEOMS)
        self._camera, self._options = mujoco.MjvCamera(), mujoco.MjvOption()
        self._scratch = mujoco.MjData(model)
        self._moving = _moving_bodies(model)

    def meshes(self) -> list[Mesh]:
        """The model's meshes, in their order."""
        model = self._model
        return [
            Mesh(
                _rounded(model.mesh_vert[start : start + count].ravel()),
                model.mesh_face[first : first + faces].ravel().tolist(),
            )
            for start, count, first, faces in zip(
                model.mesh_vertadr, model.mesh_vertnum, model.mesh_faceadr, model.mesh_facenum, strict=True
            )
        ]

    def now(self, data: mujoco.MjData) -> list[Solid]:
        """All that is visible of the current state."""
        return self._solids(data, mujoco.mjtCatBit.mjCAT_ALL)

    def at(self, positions: np.ndarray) -> list[Solid]:
        """The moving solids at other positions (nq,)."""
        self._place(positions)
        return self._solids(self._scratch, mujoco.mjtCatBit.mjCAT_DYNAMIC)

    def path(self, positions: np.ndarray) -> np.ndarray:
        """Centres of mass of the outermost moving bodies at each of T positions (T, nq): metres (bodies, T, 3)."""
        places = []
        for row in positions:
            self._place(row)
            places.append(self._scratch.xipos[self._moving].copy())
        return np.stack(places, 1)

    def pulled(self, positions: np.ndarray, pull: DragGoal, free: np.ndarray) -> np.ndarray:
        """Positions (nq,) at which a point of a geom is nearer to a target: damped least squares on its Jacobian.

        free: degrees of freedom that may move, bool (nv,).
        """
        model, data, body = self._model, self._scratch, int(self._model.geom_bodyid[pull.geom])
        jacobian, positions = np.zeros((3, model.nv)), positions.copy()
        for _ in range(_PULL_ITERATIONS):
            self._place(positions)
            mujoco.mj_comPos(model, data)
            held = data.geom_xpos[pull.geom] + data.geom_xmat[pull.geom].reshape(3, 3) @ pull.grip
            mujoco.mj_jac(model, data, jacobian, None, held, body)
            moved = jacobian * free
            change = moved.T @ np.linalg.solve(moved @ moved.T + _DAMPING * np.eye(3), np.asarray(pull.point) - held)
            mujoco.mj_integratePos(model, positions, np.clip(change, -_LARGEST_CHANGE, _LARGEST_CHANGE), 1.0)
            for joint in np.flatnonzero(model.jnt_limited):
                address = model.jnt_qposadr[joint]
                positions[address] = np.clip(positions[address], *model.jnt_range[joint])
        return positions

    def viewpoint(self, data: mujoco.MjData, camera: Camera) -> Viewpoint:
        """The first viewpoint: the camera's own, or a slanted one where the camera looks straight down."""
        if isinstance(camera, FreeCamera):
            eye, forward = camera.position, -camera.rotation[:, 2]
        else:
            number = self._model.camera(camera).id
            eye, forward = data.cam_xpos[number], -data.cam_xmat[number].reshape(3, 3)[:, 2]
        drop = eye[2] / -forward[2] if forward[2] < -0.2 else np.linalg.norm(self._model.stat.center - eye)
        centre = eye + forward * min(drop, 3 * self._model.stat.extent)
        distance = 1.15 * np.linalg.norm(eye - centre)
        side = np.array([0.0, -np.cos(_TILT_RAD), np.sin(_TILT_RAD)])
        direction = side if forward[2] < -0.8 else -forward
        return Viewpoint(_rounded(centre), _rounded(centre + distance * direction))

    def _place(self, positions: np.ndarray) -> None:
        self._scratch.qpos[:] = positions
        mujoco.mj_kinematics(self._model, self._scratch)

    def _solids(self, data: mujoco.MjData, category: int) -> list[Solid]:
        mujoco.mjv_updateScene(self._model, data, self._options, None, self._camera, category, self._scene)
        return [
            self._solid(geom)
            for geom in self._scene.geoms[: self._scene.ngeom]
            if geom.rgba[3] > 0 and (geom.type in _SHAPES or geom.type == _MESH)
        ]

    def _solid(self, geom: mujoco.MjvGeom) -> Solid:
        # MuJoCo numbers a mesh's own triangles 2 K and its convex hull 2 K + 1
        shape = _SHAPES.get(geom.type) or f"mesh:{geom.dataid // 2}"
        is_geom = geom.objtype == mujoco.mjtObj.mjOBJ_GEOM
        return Solid(
            shape,
            _rounded(geom.size),
            _rounded(geom.pos),
            _rounded(geom.mat.ravel()),
            _rounded(geom.rgba, 3),
            int(geom.objid) if is_geom else -1,
        )


def path_of(kind: str, places: np.ndarray, goodness: float = 1.0) -> list[Path]:
    """A path for each body of `Solids.path`, (bodies, T, 3)."""
    return [Path(kind, _rounded(of_body.ravel()), round(goodness, 3)) for of_body in places]  # type: ignore[arg-type]


def _moving_bodies(model: mujoco.MjModel) -> np.ndarray:
    """The outermost bodies that move: those with a joint, their own or an ancestor's, and without moving children."""
    moves = np.zeros(model.nbody, bool)
    for body in range(1, model.nbody):
        moves[body] = model.body_dofnum[body] > 0 or moves[model.body_parentid[body]]
    parents = {int(model.body_parentid[body]) for body in np.flatnonzero(moves)}
    return np.array([body for body in np.flatnonzero(moves) if body not in parents], int)


def _rounded(values: np.ndarray, digits: int = 4) -> list[float]:
    return np.round(np.asarray(values, float), digits).tolist()
