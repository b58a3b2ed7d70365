"""Ground truth of every frame: the variables that latents are compared with and probed for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worldmodel.data.store import DataSet, EpisodeIndex
from worldmodel.measures.statistics import unit_spread
from worldmodel.system.errors import UserError

# A coordinate whose spread is below this share of the largest of its kind (position or velocity) is contact noise.
_SMALLEST_SHARE = 0.01


@dataclass(frozen=True)
class Variables:
    """True values of named variables in every row."""

    names: list[str]
    """Z names."""

    units: list[str]
    """A unit for each; "sd" for standard units, empty for sines and cosines."""

    values: np.ndarray
    """float64 (rows, Z)."""

    def standardized(self, rows: np.ndarray) -> np.ndarray:
        """Values of all rows, scaled so that those of the given rows, int64 (n,), have mean 0 and deviation 1."""
        chosen = self.values[rows]
        return (self.values - chosen.mean(0)) / unit_spread(chosen)


def latent_variables(data: DataSet) -> Variables:
    """The variables that an encoder should recover: those that a single frame can show.

    In a kinematic world: its OU latents in standard units, and factors that move within an episode. Elsewhere: every
    position that varies, angles on a circle as cosine and sine.
    """
    world = data.index.world
    if world.kinematic:
        names = list(world.latent_names)
        scale = np.array([world.kinematic.latents[name] for name in names])
        columns = [data.state_names.index(name) for name in names]
        values = data.states[:, columns].astype(np.float64) / scale
        moving = [name for name, rho in world.factor_rho.items() if 0 < rho < 1 and name in data.factor_names]
        coordinates = [standardized_factor(data, name)[:, None] for name in moving]
        return Variables(names + moving, ["sd"] * (len(names) + len(moving)), np.concatenate([values, *coordinates], 1))
    return _state_columns(data, [name for name in data.state_names if not name.endswith("_vel")])


def state_variables(data: DataSet) -> Variables:
    """Every varying state variable, velocities included; angles on a circle as cosine and sine."""
    return _state_columns(data, data.state_names)


def _state_columns(data: DataSet, chosen: list[str]) -> Variables:
    values = data.states[:, [data.state_names.index(name) for name in chosen]]
    variables = moving_columns(chosen, values, set(data.index.world.angle_names))
    if not variables.names:
        raise UserError(
            f"no position varies in {data.directory}, so that there is nothing to recover; "
            "choose a world that moves, or a livelier policy"
        )
    return variables


def moving_columns(chosen: list[str], values: np.ndarray, angles: set[str]) -> Variables:
    """The state variables `chosen`, float (rows, X), that move; those in `angles` as cosine and sine.

    One that is not a finite number throughout is left out.
    """
    names: list[str] = []
    units: list[str] = []
    columns: list[np.ndarray] = []
    stds = dict(zip(chosen, np.where(np.isfinite(values).all(0), values.std(0), 0.0), strict=True))
    for name, column in zip(chosen, values.astype(np.float64).T, strict=True):
        kind = [std for other, std in stds.items() if other.endswith("_vel") == name.endswith("_vel")]
        if stds[name] <= _SMALLEST_SHARE * max(kind):
            continue
        parts = {f"cos {name}": np.cos(column), f"sin {name}": np.sin(column)} if name in angles else {name: column}
        names += parts
        units += [""] * len(parts)
        columns += parts.values()
    return Variables(names, units, np.stack(columns, 1) if columns else np.zeros((len(values), 0)))


def columns_named(names: Sequence[str], states: np.ndarray, state_names: Sequence[str]) -> np.ndarray:
    """The columns, float64 (rows, Z), that `moving_columns` named in other states, whether or not they move in these.

    states: (rows, X), variables `state_names`.
    """
    of = dict(zip(state_names, states.astype(np.float64).T, strict=True))
    turned = {f"{kind} {name}": (turn, name) for name in of for kind, turn in (("cos", np.cos), ("sin", np.sin))}
    columns = [of[name] if name in of else turned[name][0](of[turned[name][1]]) for name in names]
    return np.stack(columns, 1) if columns else np.zeros((len(states), 0))


def joined(names: Sequence[str], values: np.ndarray) -> dict[str, np.ndarray]:
    """State variable -> its values (…) in columns (…, Z) as `moving_columns` names them, angles in radians."""
    columns = dict(zip(names, np.moveaxis(values, -1, 0), strict=True))
    found = {}
    for name, column in columns.items():
        kind, _, angle = name.partition(" ")
        if kind == "cos" and f"sin {angle}" in columns:
            found[angle] = np.arctan2(columns[f"sin {angle}"], column)
        elif not (kind == "sin" and f"cos {angle}" in columns):
            found[name] = column
    return found


def physical_constants(data: DataSet) -> Variables:
    """Physical factors that vary in the data, as their standardised coordinate (the log of a log-normal one)."""
    varying = data.index.world.drawn("physical")
    values = [standardized_factor(data, factor.name) for factor in varying]
    stacked = np.stack(values, 1) if values else np.zeros((data.num_rows, 0))
    names = [factor.name for factor in varying]
    for name, value in zip(names, stacked.T, strict=True):
        _check_constant(name, value, data)
    return Variables(names, [factor.unit for factor in varying], stacked)


def _check_constant(name: str, value: np.ndarray, data: DataSet) -> None:
    """UserError where a constant cannot be learned or probed: it is not finite, or the same in all episodes."""
    if not np.isfinite(value).all():
        row = int(np.flatnonzero(~np.isfinite(value))[0])
        episode = int(np.searchsorted(data.offset, row, side="right")) - 1
        raise UserError(
            f"{name} is not a finite number in episode {episode} of {data.directory}; record it again, or leave it out "
            "of env.randomize"
        )
    if value.std() < 1e-6 and data.num_episodes > 1:
        raise UserError(
            f"{name} is the same in all {data.num_episodes} episodes of {data.directory}, so nothing can be learned "
            f"of it; leave {name} out of env.randomize, or record episodes in which it varies"
        )


def half_constants(data: DataSet, episodes: EpisodeIndex) -> np.ndarray:
    """Physical constants of each half of the given episodes, in standardised coordinates, float64 (E, 2, P).

    At its first frame a half may still have the constants of the other one, so they are read at its second.
    """
    return physical_constants(data).values[second_rows(episodes)]


def second_rows(episodes: EpisodeIndex) -> np.ndarray:
    """The second row of either half of each episode, or its last where it ended before that, int64 (E, 2)."""
    last = episodes.offset + episodes.length - 1
    return np.stack([np.minimum(half.offset + 1, last) for half in episodes.halves()], 1)


def standardized_factor(data: DataSet, name: str) -> np.ndarray:
    """A factor's standardised coordinate of every row, float64 (rows,); see `FactorRecord`."""
    values = data.factors[:, data.factor_names.index(name)].astype(np.float64)
    return data.index.world.factor(name).coordinate(values)
