"""Playback of a recording: a data set's episodes, in 3-D where its world is known, beside a model's prediction."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch

from worldmodel import envs
from worldmodel.data.store import DataSet
from worldmodel.envs import Episode, MujocoWorld
from worldmodel.evaluation.control.context_sources import OnlineContexts
from worldmodel.evaluation.fits import check_actions, check_frames
from worldmodel.evaluation.trust import distrusted
from worldmodel.models import WorldModel
from worldmodel.system.errors import UserError
from worldmodel.viewing import messages
from worldmodel.viewing.imagination import decoded, reconstruction, relative_error, tile_steps
from worldmodel.viewing.joints import units
from worldmodel.viewing.live import factor_controls
from worldmodel.viewing.picture_files import png, tiles
from worldmodel.viewing.readouts import StateReadout, encode
from worldmodel.viewing.reference import recorded
from worldmodel.viewing.solids import Solids


def open_playback(folder: Path, model: WorldModel | None, trust_world: bool) -> "Playback":
    """The recording in a data set's folder; `model` predicts beside it where there is one.

    Raises:
        UserError: there is no such data set, or the model takes other frames or actions.
    """
    data = DataSet(folder)
    if model is not None:
        check_frames(model, data.index.world.image_size, str(folder))
        if model.predictor is not None:
            check_actions(model, data.actions.shape[1], str(folder))
    return Playback(data, model, _world(data, trust_world))


def _world(data: DataSet, trust_world: bool) -> MujocoWorld | None:
    """The world that was recorded; None where it has no MuJoCo model here, or is a Python file that is not trusted."""
    arguments = data.index.settings.world
    if arguments is None or (distrusted(arguments.name) and not trust_world):
        return None
    try:
        world = envs.make(**msgspec.to_builtins(arguments))
    except ValueError:  # the world belongs to another version of the toolkit, or to another folder
        return None
    if list(world.state_names) == data.state_names and not world.scene.draws_itself:
        return world
    world.close()
    return None


@dataclass(frozen=True)
class _Played:
    """The episode that is played."""

    episode: Episode
    latents: torch.Tensor | None
    """Latents of its frames, float32 (T+1, D); None without a model."""


class Playback:
    """Plays the episodes of a data set, one after another."""

    def __init__(self, data: DataSet, model: WorldModel | None, world: MujocoWorld | None) -> None:
        self._data, self._model, self._world = data, model, world
        self._solids = None if world is None else Solids(world.scene.model)
        self._reader = None if model is None else _reader(data, model, world)
        encoder = None if model is None else model.context_encoder
        self._contexts = None if model is None or encoder is None else OnlineContexts(encoder, 1, model.device)
        self.playing = True
        self._step = self._frame = self._number = 0
        self._played = self._load(0)
        self.opening = self._opened()

    def obey(self, command: messages.AnyCommand) -> None:
        """Do as the page asks.

        Raises:
            UserError: it cannot be done with a recording.
        """
        match command:
            case messages.Play():
                self.playing = command.on
            case messages.StepOnce():
                self.playing = False
            case messages.Reset():
                self._frame = 0
            case messages.Seek():
                self._seek(command)
            case _:
                raise UserError("this is a recording: nothing in it can be changed")

    def advance(self) -> messages.Moment:
        """The next frame; after an episode's last one, the first of the next episode."""
        self._step += 1
        self._frame += 1
        if self._frame >= len(self._played.episode.frames):
            self._number = (self._number + 1) % self._data.num_episodes
            self._played, self._frame = self._load(self._number), 0
        return self.moment()

    def moment(self) -> messages.Moment:
        """The present frame, with the state read from it and the model's prediction."""
        episode, t = self._played.episode, self._frame
        latents, imagined = self._played.latents, self._imagined()
        state, factors = episode.states[t].astype(np.float64), self._factors(t)
        return messages.Moment(
            step=self._step,
            episode=self._number,
            frame_number=t,
            playing=self.playing,
            frame=png(episode.frames[t]),
            reconstruction=None if latents is None or self._model is None else reconstruction(self._model, latents[t]),
            goal=None,
            latent=[] if latents is None else np.round(latents[t].numpy(), 3).tolist(),
            distance=None,
            reached=False,
            goals_reached=0,
            goals_given_up=0,
            decision_ms=None,
            costs=[],
            plan_cost=None,
            driver="recording",
            planner=None,
            action=np.round(episode.actions[t], 3).tolist() if t < len(episode.actions) else [],
            imagined=imagined,
            solids=self._bodies(state, factors),
            goal_solids=[],
            imagined_solids=[],
            paths=[],
            states=self._states(state),
            constants=[],
            factors=factors,
            goal_positions={},
        )

    def close(self) -> None:
        """Free the simulator."""
        if self._world is not None:
            self._world.close()

    def _seek(self, command: messages.Seek) -> None:
        lengths = self._data.length
        if not 0 <= command.episode < len(lengths):
            raise UserError(f"there are episodes 1..{len(lengths)}, got {command.episode + 1}")
        if not 0 <= command.frame < lengths[command.episode]:
            raise UserError(
                f"episode {command.episode + 1} has frames 0..{lengths[command.episode] - 1}, got {command.frame}"
            )
        if command.episode != self._number:
            self._number, self._played = command.episode, self._load(command.episode)
        self._frame = command.frame

    def _load(self, number: int) -> _Played:
        data = self._data
        first, length = int(data.offset[number]), int(data.length[number])
        rows, steps = slice(first, first + length), slice(first, first + length - 1)
        episode = Episode(
            data.frames(rows), data.states[rows], data.actions[steps], data.rewards[steps], data.factors[rows], 0
        )
        if self._model is None:
            return _Played(episode, None)
        return _Played(episode, torch.from_numpy(encode(self._model, [episode])[0].latents))

    @torch.no_grad()
    def _imagined(self) -> messages.Imagined | None:
        """The model's prediction from the present frame under the recorded actions, beside the recording."""
        model, latents, episode, t = self._model, self._played.latents, self._played.episode, self._frame
        if model is None or model.predictor is None or latents is None or t >= len(episode.actions):
            return None
        history = model.num_context_frames - 1
        rows = torch.arange(t - history, t + 1).clamp_min(0)
        actions = torch.from_numpy(episode.actions)
        future = actions[t : t + model.predictor.config.horizon]
        z0 = model.encode(latents[rows][None].to(model.device), actions[rows[:-1]][None].to(model.device))
        context = None
        if self._contexts is not None:
            before = slice(max(0, t - model.context_encoder.config.window), t)  # type: ignore[union-attr]
            seen = latents[before.start : t + 1]
            context = self._contexts([*seen[:, None].to(model.device)], [*actions[before][:, None].to(model.device)])
        predicted = model.rollout(z0, future[None, None].to(model.device), context)[0, 0].cpu()
        steps = tile_steps(len(future))
        return messages.Imagined(
            steps=steps,
            decoded=decoded(model, predicted[[step - 1 for step in steps]]),
            actual=tiles(episode.frames[[t + step for step in steps]]),
            error=relative_error(predicted[-1], latents[t + len(future)], latents[t]),
            error_mm=None,
        )

    def _bodies(self, state: np.ndarray, factors: dict[str, float]) -> list[messages.Solid]:
        if self._world is None or self._solids is None:
            return []
        bounds = {name: of.bounds for name, of in self._world.factors.items()}
        held = {name: float(np.clip(value, *bounds[name])) for name, value in factors.items() if name in bounds}
        self._world.set_factors(held)
        self._world.set_state(state)
        return self._solids.now(self._world.scene.data)

    def _factors(self, t: int) -> dict[str, float]:
        values = self._played.episode.factors[t]
        return {name: float(value) for name, value in zip(self._data.factor_names, values, strict=True)}

    def _states(self, state: np.ndarray) -> list[messages.StateShown]:
        names, latents, t = self._data.state_names, self._played.latents, self._frame
        if self._reader is not None and latents is not None:
            before = latents[max(0, t - self._reader.lag)]
            return self._reader.readings(latents[t].double().numpy(), before.double().numpy(), state)
        unit_of = {} if self._world is None else units(self._world)
        return [
            messages.StateShown(name, unit_of.get(name, ""), float(value), None, None)
            for name, value in zip(names, state, strict=True)
        ]

    def _opened(self) -> messages.Opening:
        data, world, model = self._data, self._world, self._model
        notes = []
        if world is None:
            notes.append("No 3-D view: there is no simulator of this recording's world here.")
        if model is None:
            notes.append(f"No model: add run=runs/NAME to see its prediction beside the recording {data.directory}.")
        elif model.decoder is None:
            notes.append(
                "No pictures of the prediction: this run has no decoder; the command that trained it adds one."
            )
        if world is not None and self._solids is not None:
            world.restart(seed=0)
        return messages.Opening(
            title=str(data.directory),
            mode="recording",
            world=data.index.world.name,
            notes=notes,
            control_dt_s=data.index.world.control_dt_s,
            frame_size=data.index.world.image_size,
            viewpoint=(
                self._solids.viewpoint(world.scene.data, world.scene.view_of(world.camera))
                if world and self._solids
                else None
            ),
            meshes=self._solids.meshes() if self._solids else [],
            factors=[] if world is None else factor_controls(world),
            positions=[],
            goals=[],
            planners=[],
            drivers=[],
            episode_lengths=[int(length) for length in data.length],
        )


def _reader(data: DataSet, model: WorldModel, world: MujocoWorld | None) -> StateReadout | None:
    """The readout of the recorded state; None where no recorded variable moves, or with fewer than 10 episodes."""
    if not data.state_names or not len(data.states) or data.states.std(0).max() < 1e-9 or data.num_episodes < 10:
        return None
    lag = 1 if model.predictor is None else max(1, model.predictor.config.history[-1])
    unit_of = dict.fromkeys(data.state_names, "") if world is None else units(world)
    encoded = [each for each in encode(model, recorded(data).episodes) if len(each.latents) > lag]
    return StateReadout(encoded, data.state_names, {*data.index.world.angle_names}, unit_of, lag)
