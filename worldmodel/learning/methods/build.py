"""From a method's settings and a data set to the objective of the encoder."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from worldmodel.data.pairs import LagPairs, OUPairs, PairSampler
from worldmodel.data.store import DataSet, EpisodeIndex
from worldmodel.data.truth import latent_variables
from worldmodel.learning.methods.infonce import InfoNCE
from worldmodel.learning.methods.jepa import JEPA
from worldmodel.learning.methods.lejepa import LeJEPA, SIGRegWeight
from worldmodel.learning.methods.lewm import Clips, JointLeWM, LeWM
from worldmodel.learning.methods.reconstruction import VAE, Autoencoder
from worldmodel.learning.methods.supervised import Supervised, supervised_targets
from worldmodel.learning.methods.vicreg import VICReg, Whitening
from worldmodel.learning.methods.views import EncoderObjective, MovingAverage
from worldmodel.models.encoders import Encoder
from worldmodel.models.kinds import AnyPredictor
from worldmodel.models.transformer import TransformerPredictor
from worldmodel.settings import LeWMConfig, MethodConfig
from worldmodel.system.errors import UserError


def encoder_objective(
    method: MethodConfig,
    encoder: Encoder,
    data: DataSet,
    episodes: EpisodeIndex,
    seed: int,
    pairs: tuple[PairSampler, float] | None = None,
    predictor: AnyPredictor | None = None,
) -> EncoderObjective:
    """The objective by which `method` trains `encoder` on the training episodes of a data set.

    Args:
        method: settings of the method.
        encoder: the encoder that learns.
        data: the data set.
        episodes: its training episodes.
        seed: seed of the OU pairs.
        pairs: the result of `positive_pairs`, which several objectives may share; None computes it.
        predictor: the run's predictor; method=lewm trains it with the encoder if it is a transformer.

    Raises:
        UserError: the data lack what the method needs.
    """
    objective = _objective(method, encoder, data, episodes, seed, pairs, predictor)
    return replace(objective, drop=method.drop)


def _objective(
    method: MethodConfig,
    encoder: Encoder,
    data: DataSet,
    episodes: EpisodeIndex,
    seed: int,
    pairs: tuple[PairSampler, float] | None,
    predictor: AnyPredictor | None,
) -> EncoderObjective:
    if method.name == "lewm":
        return _lewm(method, encoder, data, episodes, predictor)
    sampler, unit = pairs or positive_pairs(method, data, episodes, seed)
    closer, own = _closer_pairs(method, data, episodes), method.own()
    latent_dim = encoder.config.num_latents
    match method.name:
        case "lejepa":
            nearer = method.lag_end / method.lag if method.lag_end else 1.0
            weight = SIGRegWeight(method.sigreg_start, method.sigreg_end, unit, nearer)
            actions = _controls(method, data, encoder)
            loss = LeJEPA(weight, method.num_slices, encoder.location_latents, actions)
            return EncoderObjective(sampler, loss, closer=closer)
        case "jepa":
            target = MovingAverage(encoder, own.momentum) if own.target == "ema" else None
            return EncoderObjective(sampler, JEPA(own, latent_dim), target, closer)
        case "infonce":
            return EncoderObjective(sampler, InfoNCE(own), closer=closer)
        case "vicreg":
            return EncoderObjective(sampler, VICReg(own), closer=closer)
        case "whitening":
            return EncoderObjective(sampler, Whitening(own), closer=closer)
        case "autoencoder":
            return EncoderObjective(sampler, Autoencoder(own, encoder), closer=closer)
        case "vae":
            return EncoderObjective(sampler, VAE(own, encoder), closer=closer)
        case "supervised":
            truth = supervised_targets(latent_variables(data), latent_dim)
            return EncoderObjective(sampler, Supervised(truth), closer=closer)


def _lewm(
    method: MethodConfig, encoder: Encoder, data: DataSet, episodes: EpisodeIndex, predictor: AnyPredictor | None
) -> EncoderObjective:
    actions = _actions(data, encoder, "method=lewm predicts from", "use method=lejepa")
    weight = SIGRegWeight(method.sigreg_start, method.sigreg_end)
    # a predictor with a context cannot be trained yet: physical constants are learned after the encoder
    if isinstance(predictor, TransformerPredictor) and not predictor.context_dim:
        tokens = range(predictor.window + 1)
        clips = Clips(episodes, [predictor.block * index for index in tokens])
        return EncoderObjective(clips, JointLeWM(weight, method.num_slices, predictor, actions))
    own: LeWMConfig = method.own()
    history, block = own.num_history, own.block
    loss = LeWM(weight, method.num_slices, encoder.config.num_latents, actions, block, history)
    return EncoderObjective(Clips(episodes, [*range(history), history - 1 + block]), loss)


def _controls(method: MethodConfig, data: DataSet, encoder: Encoder) -> Tensor | None:
    """The actions that alignment explains away, float (rows, A); None where it counts all change."""
    if not method.controlled:
        return None
    if _pair_kind(method, data) != "lag":
        raise UserError("method.controlled=true applies to pairs a lag apart: set method.pairs=lag, or leave it false")
    return _actions(data, encoder, "method.controlled=true looks at", "leave it false")


def _actions(data: DataSet, encoder: Encoder, use: str, remedy: str) -> Tensor:
    """Actions float32 (rows, A) of the data set, on the encoder's device; 0 after the last one of an episode."""
    if data.actions.shape[1] == 0:
        raise UserError(f"{use} actions, and {data.index.name} has none; {remedy}")
    return torch.from_numpy(np.nan_to_num(data.actions)).to(encoder.mean.device)


def check_pairs(method: MethodConfig, world: str, kinematic: bool) -> None:
    """UserError where OU pairs are asked for in a world that has none; called before data are collected for it."""
    if method.pairs == "ou" and not kinematic:
        raise UserError(f"method.pairs=ou needs a kinematic world, {world} is not one; use method.pairs=lag")


def positive_pairs(method: MethodConfig, data: DataSet, episodes: EpisodeIndex, seed: int) -> tuple[PairSampler, float]:
    """Positive pairs of `episodes`, and the unit of lambda: 1 - rho for OU pairs, else 1.

    Raises:
        UserError: OU pairs are asked for in a world that has none, or with a rho of 1.
    """
    kinematic = data.index.world.kinematic
    if _pair_kind(method, data) == "lag":
        return LagPairs(episodes, method.lag), 1.0
    check_pairs(method, data.index.name, kinematic is not None)
    assert kinematic is not None
    rho = method.rho or kinematic.rho
    if not 0 < rho < 1:
        raise UserError("the atlas holds still poses (env.kinematic.rho=1): set method.rho strictly between 0 and 1")
    if kinematic.rho == 1:  # an episode is one pose in several renderings
        rows = episodes.offset[:, None] + np.arange(int(episodes.length.min()))
    else:
        rows = episodes.rows()[:, None]
    latents = latent_variables(data).values[rows[:, 0]]
    return OUPairs(latents, rows, rho, method.same_pose_fraction, seed=seed), 1.0 - rho


def _closer_pairs(method: MethodConfig, data: DataSet, episodes: EpisodeIndex) -> PairSampler | None:
    """The pairs of the second half of training; None where they stay the same."""
    if method.lag_end is None:
        return None
    if _pair_kind(method, data) != "lag":
        raise UserError("method.lag_end applies to pairs a lag apart: set method.pairs=lag, or leave it null")
    return LagPairs(episodes, method.lag_end)


def _pair_kind(method: MethodConfig, data: DataSet) -> str:
    if method.pairs != "auto":
        return method.pairs
    return "ou" if data.index.world.kinematic else "lag"
