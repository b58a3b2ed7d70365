"""The MuJoCo model of one episode: as it was compiled, changed by the scene's reset, with the values of the factors."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass

import mujoco
import numpy as np

from worldmodel.envs.factors import Factor, write_factors

# Model fields that a scene moves: targets, lights, tendon gains, terrain. No factor depends on them.
EPISODE_FIELDS = ("geom_pos", "site_pos", "body_pos", "body_quat", "light_pos", "wrap_prm", "hfield_data")
_PARTS = ("opt", "stat", "vis.global_", "vis.headlight", "vis.map", "vis.scale", "vis.rgba")

_Number = np.ndarray | float


class _Fields:
    """The numbers of a model by the name of their field, such as "geom_rgba" or "opt.gravity"."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model  # keeps the memory that the fields show
        self._arrays: dict[str, np.ndarray] = {}  # views, which show the model as it is now
        self._scalars: dict[str, tuple[object, str]] = {}
        for prefix, part in _parts(model):
            for attribute in dir(part):
                value = None if attribute.startswith("_") else getattr(part, attribute)
                if isinstance(value, np.ndarray) and value.size:
                    self._arrays[prefix + attribute] = value
                elif prefix and isinstance(value, int | float):  # numbers of the model itself are sizes, and fixed
                    self._scalars[prefix + attribute] = part, attribute
        self._compared = {name: _sample(array) if is_on_device(name) else array for name, array in self._arrays.items()}

    def __getitem__(self, name: str) -> _Number:
        return self._arrays[name].copy() if name in self._arrays else getattr(*self._scalars[name])

    def __setitem__(self, name: str, value: _Number) -> None:
        if name in self._arrays:
            self._arrays[name][...] = value
        else:
            setattr(*self._scalars[name], value)

    def content(self) -> dict[str, bytes | float]:
        """The content of each field, for comparison; only a sample of a field on the graphics device."""
        arrays: dict[str, bytes | float] = {name: array.tobytes() for name, array in self._compared.items()}
        return arrays | {name: getattr(*place) for name, place in self._scalars.items()}


def is_on_device(field: str) -> bool:
    """Whether the renderer copies a field to the graphics device once, when it is made."""
    return field.startswith(("tex_", "mesh_", "skin_"))


def _sample(array: np.ndarray) -> np.ndarray:
    """Some numbers of a field, enough to notice that all of it was drawn anew."""
    return array.reshape(-1)[:: max(1, array.size // 4096)]


@dataclass(frozen=True)
class ModelState:
    """The model of an episode at one moment, without the values of its factors."""

    writes: Mapping[str, _Number]
    """Model field -> what the scene's reset made of it."""

    moved: Mapping[str, np.ndarray]
    """Each of `EPISODE_FIELDS` as it was."""


class EpisodeModel:
    """A scene's model with three layers: as compiled, as the scene's reset changed it, with the values of the factors.

    Factors are written on the second layer, so that what a reset draws (a size, a damping) stands beside factors that
    scale or replace other numbers of the same field.
    """

    def __init__(self, name: str, model: mujoco.MjModel, factors: Mapping[str, Factor]) -> None:
        self._name, self._model, self._factors = name, model, factors
        self._base_model = copy(model)  # the first two layers
        self._live, self._base, self._compiled = _Fields(model), _Fields(self._base_model), _Fields(copy(model))
        self._scratch = mujoco.MjData(model)
        self._writes: Mapping[str, _Number] = {}
        self._written: dict[str, float] = {}

    @property
    def reset_fields(self) -> tuple[str, ...]:
        """The model fields that this episode's reset wrote."""
        return tuple(self._writes)

    def forget_reset(self) -> None:
        """Undo what the last reset wrote, so that an episode depends on its own seed alone."""
        self._apply({})

    @contextmanager
    def keeping_reset(self) -> Iterator[None]:
        """Around a scene's reset: what it writes to the model becomes part of the episode.

        Raises:
            ValueError: it writes a texture or a mesh, which the renderer would not notice.
        """
        before = self._live.content()
        yield
        after = self._live.content()
        changed = [name for name, content in before.items() if content != after[name]]
        if unseen := [name for name in changed if is_on_device(name)]:
            raise ValueError(
                f"the reset of {self._name} changes {', '.join(unseen)}, which is on the graphics device already; "
                "change colours (geom_rgba, mat_rgba) or choose among materials (geom_matid)"
            )
        self._writes = {name: self._live[name] for name in changed}
        for name, value in self._writes.items():
            self._base[name] = value
        self._expect_rewrite(changed)

    def write(self, values: Mapping[str, float]) -> None:
        """Bring the model to the values of all factors."""
        changed = [self._factors[name] for name, value in values.items() if value != self._written.get(name)]
        if changed:
            write_factors(self._model, self._base_model, {self._factors[name]: value for name, value in values.items()})
            self._written = dict(values)
        if any(factor.moves_constants for factor in changed):
            # Subtree masses and inverse weights follow from the masses. The call disturbs the data it is given.
            mujoco.mj_setConst(self._model, self._scratch)

    def with_values(self, values: Mapping[str, float], into: mujoco.MjModel | None = None) -> mujoco.MjModel:
        """A separate model with these values of all factors, for a simulation beside the world, which is unchanged.

        Values may be outside their bounds. `into`: a model from an earlier call, to be overwritten; a new copy takes
        far longer where there are textures.
        """
        model = copy(self._base_model) if into is None else into
        write_factors(model, self._base_model, {self._factors[name]: value for name, value in values.items()})
        mujoco.mj_setConst(model, self._scratch)
        return model

    def state(self) -> ModelState:
        """The model as it is now, but for the factors, to be gone back to."""
        return ModelState(self._writes, {name: getattr(self._model, name).copy() for name in EPISODE_FIELDS})

    def restore(self, state: ModelState) -> None:
        """Go back to a state; the factors are to be written next."""
        if state.writes is not self._writes:
            self._apply(state.writes)
        for name, saved in state.moved.items():
            getattr(self._model, name)[:] = saved

    def _apply(self, writes: Mapping[str, _Number]) -> None:
        """Make these the writes of the reset, in place of those of another episode."""
        touched = [*{**self._writes, **writes}]
        for name in touched:
            value = writes[name] if name in writes else self._compiled[name]
            self._live[name] = self._base[name] = value
        self._writes = writes
        self._expect_rewrite(touched)

    def _expect_rewrite(self, changed: list[str]) -> None:
        """Have all factors, and what follows from them, written anew if a reset changed more than what scenes move."""
        if not {*changed} <= {*EPISODE_FIELDS}:
            self._written = {}


def _parts(model: mujoco.MjModel) -> Iterator[tuple[str, object]]:
    """The model and the structures in it, each with what stands before the names of its fields."""
    yield "", model
    for path in _PARTS:
        part: object = model
        for attribute in path.split("."):
            part = getattr(part, attribute)
        yield f"{path}.", part
