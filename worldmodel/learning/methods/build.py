"""From a method's settings and a data set to its recipe."""

import numpy as np
import torch
from torch import Tensor, nn

from worldmodel.data.pairs import LagPairs, OUPairs, PairSampler
from worldmodel.data.store import DataSet, EpisodeIndex
from worldmodel.data.truth import latent_variables
from worldmodel.learning.methods.contrastive import InfoNCE
from worldmodel.learning.methods.gaussian import Clips, JointLeWM, LeJEPA, LeWM, SIGRegWeight
from worldmodel.learning.methods.jepa import JEPA
from worldmodel.learning.methods.reconstruction import VAE, Autoencoder
from worldmodel.learning.methods.supervised import Supervised, supervised_targets
from worldmodel.learning.methods.variance import VICReg, Whitening
from worldmodel.learning.methods.views import MovingAverage, Recipe
from worldmodel.models.encoders import Encoder
from worldmodel.models.kinds import AnyPredictor
from worldmodel.models.transformer import TransformerPredictor
from worldmodel.settings import LeWMConfig, MethodConfig
from worldmodel.system.errors import UserError


def build_recipe(
    method: MethodConfig,
    encoder: Encoder,
    data: DataSet,
    episodes: EpisodeIndex,
    seed: int,
    pairs: tuple[PairSampler, float] | None = None,
    predictor: AnyPredictor | None = None,
) -> Recipe:
    """The recipe of `method` on the training `episodes` of `data`.

    `seed` is of the prepared pairs; recipes may share `pairs` that `positive_pairs` made. `predictor`: of the run;
    method=lewm trains it with the encoder where it is a transformer.

    Raises UserError where the data lacks what the method needs.
    """
    latent_dim = encoder.config.num_latents
    if method.name == "lewm":
        return _lewm_recipe(method, encoder, data, episodes, predictor)
    sampler, unit = pairs or positive_pairs(method, data, episodes, seed)
    target, own = None, method.own()
    match method.name:
        case "lejepa":
            nearer = method.lag_end / method.lag if method.lag_end else 1.0
            weight = SIGRegWeight(method.sigreg_start, method.sigreg_end, unit, nearer)
            actions = _controls(method, data, encoder)
            objective: nn.Module = LeJEPA(weight, method.num_slices, encoder.location_latents, actions)
        case "jepa":
            target = MovingAverage(encoder, own.momentum) if own.target == "ema" else None
            objective = JEPA(own, latent_dim)
        case "infonce":
            objective = InfoNCE(own)
        case "vicreg":
            objective = VICReg(own)
        case "whitening":
            objective = Whitening(own)
        case "autoencoder":
            objective = Autoencoder(own, encoder)
        case "vae":
            objective = VAE(own, encoder)
        case "supervised":
            objective = Supervised(supervised_targets(latent_variables(data), latent_dim))
        case _:
            raise AssertionError(method.name)
    return Recipe(sampler, objective, target, _closer_pairs(method, data, episodes))


def _lewm_recipe(
    method: MethodConfig, encoder: Encoder, data: DataSet, episodes: EpisodeIndex, predictor: AnyPredictor | None
) -> Recipe:
    actions = _actions(data, encoder, "method=lewm predicts from", "use method=lejepa")
    weight = SIGRegWeight(method.sigreg_start, method.sigreg_end)
    if isinstance(predictor, TransformerPredictor) and not predictor.context_dim:  # constants are learned later
        tokens = range(predictor.window + 1)
        clips = Clips(episodes, [predictor.block * index for index in tokens])
        return Recipe(clips, JointLeWM(weight, method.num_slices, predictor, actions))
    own: LeWMConfig = method.own()
    history, block = own.num_history, own.block
    objective = LeWM(weight, method.num_slices, encoder.config.num_latents, actions, block, history)
    return Recipe(Clips(episodes, [*range(history), history - 1 + block]), objective)


def _controls(method: MethodConfig, data: DataSet, encoder: Encoder) -> Tensor | None:
    """The actions that alignment looks at, where it does."""
    if not method.controlled:
        return None
    if _pair_kind(method, data) != "lag":
        raise UserError("method.controlled=true applies to pairs a lag apart: set method.pairs=lag, or leave it false")
    return _actions(data, encoder, "method.controlled=true looks at", "leave it false")


def _actions(data: DataSet, encoder: Encoder, use: str, remedy: str) -> Tensor:
    """Actions (rows, A) of the data set, on the encoder's device; 0 where an episode has ended."""
    if data.actions.shape[1] == 0:
        raise UserError(f"{use} actions, and {data.index.name} has none; {remedy}")
    return torch.from_numpy(np.nan_to_num(data.actions)).to(encoder.mean.device)


def check_pairs(method: MethodConfig, world: str, kinematic: bool) -> None:
    """UserError where OU pairs are wanted of a world without them: to be asked before data are collected for it."""
    if method.pairs == "ou" and not kinematic:
        raise UserError(f"method.pairs=ou needs a kinematic world, {world} is not one; use method.pairs=lag")


def positive_pairs(method: MethodConfig, data: DataSet, episodes: EpisodeIndex, seed: int) -> tuple[PairSampler, float]:
    """Positive pairs of `episodes`, and the unit that lambda is counted in (1 - rho for OU pairs, else 1)."""
    kinematic = data.index.world.kinematic
    if _pair_kind(method, data) == "lag":
        return LagPairs(episodes, method.lag), 1.0
    check_pairs(method, data.index.name, kinematic is not None)
    assert kinematic is not None
    rho = method.rho or kinematic.rho
    if not 0 < rho < 1:
        raise UserError("the atlas holds still poses (env.kinematic.rho=1): set method.rho strictly between 0 and 1")
    held = kinematic.rho == 1  # an episode is one pose in several renderings
    if held:
        rows = episodes.offset[:, None] + np.arange(int(episodes.length.min()))
    else:
        rows = episodes.rows()[:, None]
    latents = latent_variables(data).values[rows[:, 0]]
    return OUPairs(latents, rows, rho, method.same_pose_fraction, seed=seed), 1.0 - rho


def _closer_pairs(method: MethodConfig, data: DataSet, episodes: EpisodeIndex) -> PairSampler | None:
    """What the second half of training sees, where that is something else."""
    if method.lag_end is None:
        return None
    if _pair_kind(method, data) != "lag":
        raise UserError("method.lag_end applies to pairs a lag apart: set method.pairs=lag, or leave it null")
    return LagPairs(episodes, method.lag_end)


def _pair_kind(method: MethodConfig, data: DataSet) -> str:
    if method.pairs != "auto":
        return method.pairs
    return "ou" if data.index.world.kinematic else "lag"
