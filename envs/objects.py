"""Objects: what a robot can touch and move, and does not drive, found in the MuJoCo model.

MuJoCo groups joints into trees, bodies that hang together by joints. An object is a tree on which no actuator acts and
that can collide with a tree on which one does: a cube on a table, the T of push_t, a spinner on its axis.
"""

from dataclasses import dataclass

import worldmodel.envs.rendering  # noqa: F401  # first: it sets MUJOCO_GL  # isort: skip

import mujoco
import numpy as np

_FAR_M = 100.0
"""Gaps are not measured beyond this."""
_TRANSMISSION = mujoco.mjtTrn


@dataclass(frozen=True)
class MovableObject:
    """A tree of bodies that is moved by touch alone."""

    name: str
    """Of its first body."""
    dofs: np.ndarray
    """Its degrees of freedom, int."""
    geoms: np.ndarray
    """Its geoms that collide, int (g,)."""
    pairs: tuple[tuple[int, int], ...]
    """Geoms of the robot and of the object that may touch."""
    size_m: float
    """Radius of its largest geom."""

    def places(self, data: mujoco.MjData) -> np.ndarray:
        """Where the centres of its geoms are, (g, 3) in metres; the data must hold the poses of its state."""
        return data.geom_xpos[self.geoms].copy()

    def gap(self, model: mujoco.MjModel, data: mujoco.MjData) -> float:
        """How far the robot is from touching it, in metres; 0 or less: it touches. Poses as in `places`."""
        return min(mujoco.mj_geomDistance(model, data, one, other, _FAR_M, None) for one, other in self.pairs)


def movable_objects(model: mujoco.MjModel) -> tuple[MovableObject, ...]:
    """The objects of a model; none where nothing, or everything, is driven."""
    driven = _driven_trees(model)
    robot = [geom for geom in range(model.ngeom) if _tree(model, geom) in driven]
    objects = []
    for tree in sorted(set(range(model.ntree)) - driven):
        own = [geom for geom in range(model.ngeom) if _tree(model, geom) == tree]
        pairs = tuple((one, other) for one in robot for other in own if _collide(model, one, other))
        if not pairs:
            continue
        geoms = np.array(sorted({other for _, other in pairs}))
        body = int(np.flatnonzero(model.body_treeid == tree)[0])
        objects.append(
            MovableObject(
                model.body(body).name or f"body{body}",
                np.flatnonzero(model.dof_treeid == tree),
                geoms,
                pairs,
                float(model.geom_rbound[geoms].max()),
            )
        )
    return tuple(objects)


def _tree(model: mujoco.MjModel, geom: int) -> int:
    """The tree of a geom; -1 where it does not move."""
    return int(model.body_treeid[model.geom_bodyid[geom]])


def _driven_trees(model: mujoco.MjModel) -> set[int]:
    """Trees on which an actuator acts."""
    return {int(model.body_treeid[body]) for index in range(model.nu) for body in _driven_bodies(model, index)} - {-1}


def _driven_bodies(model: mujoco.MjModel, actuator: int) -> list[int]:
    """Bodies on which an actuator acts."""
    kind, target = _TRANSMISSION(model.actuator_trntype[actuator]), int(model.actuator_trnid[actuator, 0])
    if kind in (_TRANSMISSION.mjTRN_JOINT, _TRANSMISSION.mjTRN_JOINTINPARENT):
        return [int(model.jnt_bodyid[target])]
    if kind in (_TRANSMISSION.mjTRN_SITE, _TRANSMISSION.mjTRN_SLIDERCRANK):
        return [int(model.site_bodyid[target])]
    if kind == _TRANSMISSION.mjTRN_BODY:
        return [target]
    if kind == _TRANSMISSION.mjTRN_TENDON:
        first = model.tendon_adr[target]
        return [body for row in range(first, first + model.tendon_num[target]) for body in _pulled(model, row)]
    return []


def _pulled(model: mujoco.MjModel, wrap: int) -> list[int]:
    """The body that a point of a tendon belongs to; none for pulleys."""
    kind, target = mujoco.mjtWrap(model.wrap_type[wrap]), int(model.wrap_objid[wrap])
    if kind == mujoco.mjtWrap.mjWRAP_JOINT:
        return [int(model.jnt_bodyid[target])]
    return [int(model.site_bodyid[target])] if kind == mujoco.mjtWrap.mjWRAP_SITE else []


def _collide(model: mujoco.MjModel, one: int, other: int) -> bool:
    """Whether MuJoCo looks for contacts between two geoms: by their bits, or by a pair of the model."""
    bits = (model.geom_contype[one] & model.geom_conaffinity[other]) | (
        model.geom_contype[other] & model.geom_conaffinity[one]
    )
    pairs = zip(model.pair_geom1, model.pair_geom2, strict=True)
    return bool(bits) or {one, other} in [{int(first), int(second)} for first, second in pairs]
