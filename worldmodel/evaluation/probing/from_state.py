"""`worldmodel probe mode=state`: constants from true positions, with noise, in place of frame latents.

What a context method could find if the frame encoder were perfect up to that noise, in minutes and without rendering:
for choosing an excitation, a window or a method, and as the control beside results from pixels.
"""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from worldmodel import envs
from worldmodel.data.store import SPLITS, EpisodeIndex
from worldmodel.data.table import LatentTable
from worldmodel.data.truth import moving_columns
from worldmodel.design.study import judge, settings_for
from worldmodel.envs.excitation import make_policy
from worldmodel.envs.rollout import Episode, rollout
from worldmodel.envs.sensitivity import position_names, rotational
from worldmodel.envs.world import MujocoWorld
from worldmodel.evaluation.probing.constant_probes import context_examples
from worldmodel.evaluation.probing.count import count_constants
from worldmodel.evaluation.probing.shifted_episodes import read_held
from worldmodel.learning.constants import Contexts, Windows, context_stage, fit_context_scale
from worldmodel.learning.loop import fit_quietly
from worldmodel.measures.identifiability import scores
from worldmodel.measures.regression import Examples, Split, linear_r2, mlp_probe
from worldmodel.measures.statistics import best_told, mean_told, over_seeds
from worldmodel.measures.wording import told
from worldmodel.models.context_encoder import ContextEncoder
from worldmodel.runs.run_directory import RunDirectory
from worldmodel.settings import SHELL_SD, PositionsConfig
from worldmodel.system.devices import pick_device
from worldmodel.system.errors import UserError
from worldmodel.system.files import write_json
from worldmodel.system.progress import progress

# what every method is tuned over: learning rate, weight decay
GRID = ((1e-3, 1.0), (3e-3, 1.0), (1e-3, 0.3), (3e-3, 0.3))
TUNING_SEED = 1000
SHIFT_SEED = 1  # added to data_seed: constants and starts that no other episode had


@dataclass(frozen=True)
class Recorded:
    """Simulated episodes as contexts see them: positions as latents, and the constants (E, 2, P) of either half."""

    table: LatentTable
    episodes: EpisodeIndex
    constants: np.ndarray

    def split(self, name: str) -> tuple[EpisodeIndex, np.ndarray]:
        """Episodes of a split, as data sets are split, and their constants."""
        chosen = np.isin(np.arange(len(self.episodes)) % 10, list(SPLITS[name]))
        held = EpisodeIndex(self.episodes.offset[chosen], self.episodes.length[chosen], self.episodes.restart_midway)
        return held, self.constants[chosen]


@dataclass(frozen=True)
class Study:
    """What is asked: constants by name, and episodes in range and out of it."""

    config: PositionsConfig
    constants: tuple[str, ...]
    data: Recorded
    out_of_range: Recorded | None

    @cached_property
    def windows(self) -> Windows:
        """The same for every encoder: their input scales are those of the training episodes."""
        return Windows(self.fresh_encoder, self.data.table)

    @cached_property
    def fresh_encoder(self) -> ContextEncoder:
        """Untrained, its input scales fitted."""
        table, episodes = self.data.table, self.data.split("train")[0]
        shape = dataclasses.replace(
            self.config.training.context_or_default,
            dim=self.config.training.context_or_default.dim or len(self.constants),
        )
        encoder = ContextEncoder(shape, table.latents.shape[1], table.actions.shape[1]).to(table.latents.device)
        fit_context_scale(encoder, table, episodes)
        return encoder

    @property
    def unseen(self) -> EpisodeIndex:
        """Episodes that no encoder was trained on."""
        parts = [self.data.split(name)[0] for name in ("validation", "test")]
        offset, length = (np.concatenate([getattr(p, key) for p in parts]) for key in ("offset", "length"))
        return EpisodeIndex(offset, length, self.data.episodes.restart_midway)


def probe_from_state(config: PositionsConfig) -> tuple[dict[str, Any], str]:
    """Simulate, tune, train and probe every method; returns the figures and a table, and writes both.

    Raises:
        UserError: no physical constant varies, or nothing moves.
    """
    device = pick_device(config.training.device)
    torch.set_num_threads(config.training.threads or 1)
    study = open_study(config, device)
    content: dict[str, Any] = {
        "env": config.training.env.label,
        "policy": dict(config.training.collection.policy),
        "constants": list(study.constants),
        "window_steps": config.training.context_or_default.window,
        "episodes": config.training.collection.episodes,
        "episode_steps": config.training.collection.episode_steps,
        "drift_rho": config.training.collection.drift_rho,
        "restart_midway": config.training.collection.restart_midway,
        "noise": {"m": config.noise_m, "rad": config.noise_rad},
        "num_seeds": config.num_seeds,
        "tuning": f"{len(GRID)} settings of learning rate and weight decay each, by R2 on validation episodes with a "
        "seed of its own"
        if config.tune
        else "none: defaults",
    }
    if config.bound_trajectories:
        judged = judge(settings_for(config.training, config.noise_m, config.noise_rad, config.bound_trajectories))
        content |= {key: judged[key] for key in ("r2_bound", "r2_bound_interval", "identifiable", "combinations")}
    content["methods"] = {method: _try_method(study, method) for method in config.methods}
    run = RunDirectory(config.run_directory)
    run.update_summary("probe", state=content)
    if config.out:
        write_json(Path(config.out), content)
    return content, f"{_table(content)}\nresults: {run.path}/summary.json"


# ---------------------------------------------------------------------------------------------------------------------
# episodes


def open_study(config: PositionsConfig, device: torch.device) -> Study:
    """Simulate the episodes, in range and out of it."""
    world = _make_world(config, config.training.env.make_arguments())
    pairs = {
        "drift_rho": config.training.collection.drift_rho,
        "restart_midway": config.training.collection.restart_midway,
    }
    near = _simulate(config, world, config.training.collection.episodes, config.training.collection.data_seed, **pairs)
    lens = Lens.fitted(config, world, np.concatenate([episode.states for episode in near]))
    out_of_range = None
    if config.shift_episodes:
        shell = config.training.env.make_arguments() | {
            "factor_shell": {"physical": list(SHELL_SD)},
            "factor_spread": {},
        }
        seed = config.training.collection.data_seed + SHIFT_SEED
        far = _simulate(config, _make_world(config, shell), config.shift_episodes, seed)
        out_of_range = _recorded(world, far, lens, device, seed)
    data = _recorded(
        world, near, lens, device, config.training.collection.data_seed, config.training.collection.restart_midway
    )
    return Study(config, world.randomize, data, out_of_range)


def _make_world(config: PositionsConfig, arguments: dict[str, Any]) -> MujocoWorld:
    """The environment's world with nothing but its physical constants randomised: nothing is rendered."""
    arguments = arguments | {"factor_rho": {}}
    bare = envs.make(**dict(arguments, factor_shell={}, factor_spread={}))
    names = [name for name in bare.randomize if bare.factors[name].kind == "physical"]
    if not names:
        raise UserError(
            f"no physical constant varies in env={config.training.env.label}; name some, env.randomize=[physical], "
            "or choose env=puck"
        )
    return envs.make(**dict(arguments, randomize=names))


def _simulate(config: PositionsConfig, world: MujocoWorld, num: int, seed: int, **pairs: Any) -> list[Episode]:
    policy = make_policy(**config.training.collection.policy)
    seeds = (int(np.random.SeedSequence([seed, index]).generate_state(1)[0]) for index in range(num))
    return [
        rollout(
            world, policy, seed=of_episode, num_steps=config.training.collection.episode_steps, render=False, **pairs
        )
        for of_episode in progress(seeds, total=num, desc=f"simulate {world.name}", unit="episode")
    ]


@dataclass(frozen=True)
class Lens:
    """How states become latents: positions that move, each with its noise; angles as cosine and sine, metres by their
    standard deviation.

    chosen: columns of the state, noise: (N,) theirs. names: of positions kept. scale: (D,) of latents.
    """

    chosen: list[int]
    names: list[str]
    noise: np.ndarray
    angles: frozenset[str]
    kept: list[str]
    scale: np.ndarray

    @staticmethod
    def fitted(config: PositionsConfig, world: MujocoWorld, states: np.ndarray) -> "Lens":
        """UserError when no position moves."""
        names = [name for name in world.state_names if not name.endswith("_vel")]
        chosen = [world.state_names.index(name) for name in names]
        turns = dict(zip(position_names(world), rotational(world), strict=True))
        noise = np.where([turns.get(name, False) for name in names], config.noise_rad, config.noise_m)
        angles = frozenset(world.scene.angle_names)
        moving = moving_columns(names, states[:, chosen], set(angles))
        if not moving.names:
            raise UserError(f"nothing of {world.name} moves under this policy; choose a livelier one")
        on_circle = [name.startswith(("cos ", "sin ")) for name in moving.names]
        scale = np.where(on_circle, 1.0, moving.values.std(0))
        return Lens(chosen, names, noise, angles, moving.names, scale)

    def __call__(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """States (rows, X) -> latents float32 (rows, D)."""
        seen = states[:, self.chosen] + self.noise * rng.standard_normal((len(states), len(self.chosen)))
        variables = moving_columns(self.names, seen, set(self.angles))
        columns = [variables.names.index(name) for name in self.kept]
        return (variables.values[:, columns] / self.scale).astype(np.float32)


def _recorded(
    world: MujocoWorld,
    episodes: list[Episode],
    lens: Lens,
    device: torch.device,
    seed: int,
    restart_midway: bool = False,
) -> Recorded:
    length = np.array([len(episode.states) for episode in episodes])
    index = EpisodeIndex(np.concatenate([[0], length.cumsum()[:-1]]), length, restart_midway)
    latents = lens(np.concatenate([e.states for e in episodes]), np.random.default_rng([seed, len(episodes)]))
    actions = np.concatenate([np.concatenate([e.actions, np.zeros_like(e.actions[:1])]) for e in episodes])
    table = LatentTable(torch.from_numpy(latents).to(device), torch.from_numpy(actions).to(device))
    columns = [list(world.factors).index(name) for name in world.randomize]
    values = np.concatenate([e.factors for e in episodes])[:, columns].astype(np.float64)
    # at a half's first frame the constants may be the other half's still
    halves = np.stack([values[half.offset + 1] for half in index.halves()], 1)
    factors = [world.factors[name] for name in world.randomize]
    constants = [np.vectorize(factor.standardize)(halves[..., k]) for k, factor in enumerate(factors)]
    return Recorded(table, index, np.stack(constants, -1))


# ---------------------------------------------------------------------------------------------------------------------
# methods


def _try_method(study: Study, method: str) -> dict[str, Any]:
    """Tune one method, train it with every seed, and probe it on test episodes."""
    config = study.config
    default = config.training.context_training_or_default.optim
    setting = (default.lr, default.weight_decay)
    reached: dict[tuple[float, float], float | None] = {}
    if config.tune:
        for candidate in GRID:
            split = _read(study, _trained(study, method, candidate, TUNING_SEED), "validation")
            reached[candidate] = mean_told(linear_r2(split))
        setting = best_told(reached)
    found = [
        _judged(study, _trained(study, method, setting, config.training.seed + k), config.training.seed + k)
        for k in progress(range(config.num_seeds), desc=method, unit="seed")
    ]
    measures = [key for key in found[0] if key != "count"]
    return {
        "lr": setting[0],
        "weight_decay": setting[1],
        "validation_r2": {f"lr {lr:g}, weight decay {decay:g}": score for (lr, decay), score in reached.items()},
        "constants": {
            name: {key: over_seeds([of[key][k] for of in found]) for key in measures}
            for k, name in enumerate(study.constants)
        },
        "num_constants": [of["count"].num_constants for of in found],
        "correlations": [of["count"]["values"] for of in found],
    }


def _trained(study: Study, method: str, setting: tuple[float, float], seed: int) -> ContextEncoder:
    """A context encoder of these settings, trained on the training episodes."""
    config, fresh = study.config, study.fresh_encoder
    episodes, constants = study.data.split("train")
    torch.manual_seed(seed)
    encoder = ContextEncoder(fresh.config, fresh.latent_dim, fresh.action_dim).to(fresh.scale.device)
    encoder.scale.copy_(fresh.scale)
    optim = dataclasses.replace(
        config.training.context_training_or_default.optim, lr=setting[0], weight_decay=setting[1]
    )
    training = dataclasses.replace(config.training.context_training_or_default, method=method, optim=optim)
    truth = torch.from_numpy(constants).float().to(fresh.scale.device)
    fit_quietly(context_stage(encoder, study.windows, episodes, training, truth), seed)
    return encoder.eval()


def _judged(study: Study, encoder: ContextEncoder, seed: int) -> dict[str, Any]:
    """R2 of the probes, one a constant, on test episodes, in range and out of it; and how many constants the contexts
    hold."""
    split = _read(study, encoder, "test")
    rng = np.random.default_rng(seed)
    found: dict[str, Any] = {"r2_linear": linear_r2(split), "r2_mlp": mlp_probe(split, 2, rng, seed).r2}
    far = study.out_of_range
    if far is not None:
        read = read_held(encoder, far.table, far.episodes.offset, far.episodes.length, split.train)
        truth = far.constants[:, 0]
        found["r2_out_of_range"] = scores(truth, read.single)
        found["r2_out_of_range_averaged"] = scores(truth, read.averaged)
    unseen = Contexts(encoder, study.windows, study.unseen, len(study.data.table.latents))
    halves = unseen.of_halves(1, torch.Generator().manual_seed(seed))[:, :, 0].cpu().numpy()
    return found | {"count": count_constants(halves[:, 0], halves[:, 1], seed)}


def _read(study: Study, encoder: ContextEncoder, held_out: str) -> Split:
    """Contexts against constants; `held_out` names the split that is scored."""

    def part(name: str) -> Examples:
        episodes, constants = study.data.split(name)
        contexts = Contexts(encoder, study.windows, episodes, len(study.data.table.latents))
        return context_examples(contexts, constants, study.config.windows, study.config.training.seed)

    return Split(part("train"), part("validation"), part(held_out))


def _table(content: dict[str, Any]) -> str:
    lines = [
        f"{content['env']}: windows of {content['window_steps']} steps, positions within {content['noise']['m']:g} m "
        f"or {content['noise']['rad']:g} rad, {content['episodes']} episodes, {content['num_seeds']} seeds; linear R2 "
        "of one window (MLP; constants 2 to 3 sd out)"
    ]
    width = max(map(len, (*content["methods"], "bound")))
    if "r2_bound" in content:
        bounds = "   ".join(f"{name} {value:.3f}" for name, value in content["r2_bound"].items())
        lines.append(f"  {'bound':<{width}}  {bounds}")
    for method, found in content["methods"].items():
        cells = []
        for name, of in found["constants"].items():
            linear, mlp, *far = (
                told(of[key]["mean"]) for key in ("r2_linear", "r2_mlp", "r2_out_of_range") if key in of
            )
            cells.append(f"{name} {linear} ({'; '.join([mlp, *far])})")
        counted = ", ".join(told(num, "d") for num in found["num_constants"])
        lines.append(f"  {method:<{width}}  {'   '.join(cells)}   constants found: {counted}")
    return "\n".join(lines)
