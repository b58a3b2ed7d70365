"""Choosing settings, one after the other: each by short trainings of a few values, judged without labels.

A candidate is judged by how many control steps its predictions are off in time (`learning/retrieval.py`), on episodes
that it did not learn from. It takes the place of the best candidate before it where it is better, episode by episode,
by more than the standard error of the mean difference; so what makes no difference stays as it was.
"""

import math
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from worldmodel.choosing.short_trainings import EPISODES, ShortTrainings
from worldmodel.data.collecting import collect
from worldmodel.data.store import DataSet
from worldmodel.learning.checkpoints import CHECKPOINT
from worldmodel.learning.retrieval import steps_ahead
from worldmodel.learning.sources import long_enough
from worldmodel.learning.train import check_collection
from worldmodel.models.encoders import check_installed, set_cpu_threads
from worldmodel.runs import ChoiceResult, RunDirectory, ShortTraining, read_record, write_record
from worldmodel.runs.choice_result import CHOICE, shown
from worldmodel.settings import RECORDED, VALUES, Choosable, TrainConfig, changed, options_of, recipe, with_options
from worldmodel.settings.base import flatten
from worldmodel.system.devices import pick_device, torch_kept
from worldmodel.system.digest import digest
from worldmodel.system.distributed import places
from worldmodel.system.errors import ResultError, UserError
from worldmodel.system.printable import say
from worldmodel.system.progress import progress

SHARE = 1 / 3
"""Most that all short trainings may cost together, as a share of the cost of the training itself."""
_NO_TIME = "short training runs would take more than a third of the training's time"
_BAR = "{desc}: {n:.0f}% of the time for it [{elapsed}<{remaining}]"


def left_open(config: TrainConfig) -> tuple[Choosable, ...]:
    """The settings of `config.choose` that still have the values of the world's recipe, which training chooses first.

    So a setting that was changed in Python stays, like one given on the command line. Nothing is chosen in a run that
    began without a choice, nor by several processes.
    """
    run = config.run_directory
    if not config.choose or ((run / CHECKPOINT).exists() and not (run / CHOICE).exists()):
        return ()
    if places(config.devices, os.environ) != (1, 1):
        return ()
    own, given = dict(flatten(config)), dict(flatten(recipe(config.env.world)))
    return tuple(what for what in config.choose if all(own[option] == given[option] for option in options_of(what)))


@torch_kept()
def choose(config: TrainConfig) -> ChoiceResult:
    """Choose the settings that a training leaves open, by short trainings on the first episodes of its recording.

    They take at most a third of the multiplications of the training's encoder and predictor. The result is kept in the
    run directory: an interrupted call continues when it is made again, and a run chooses once.

    Raises:
        UserError: nothing is left open, or the settings do not fit the world.
    """
    config = replace(config, choose=left_open(config))
    if not config.choose:
        raise UserError(f"{config.run_directory} leaves nothing to choose; name settings, such as choose=[lag,sigreg]")
    run = RunDirectory(config.run_directory)
    if not _begun(run.path, config).complete:  # what cannot be trained or recorded leaves no run directory
        check_collection(config)
        check_installed(config.encoder)
        _record(config)
    with run.locked():
        begun = _begun(run.path, config)
        if begun.complete:
            return begun
        set_cpu_threads(config.encoder, config.threads)
        found = begun
        for found in _Search(config, _recording(config), begun).results():
            write_record(run.path / CHOICE, found)
    for sentence in found.sentences():
        say(sentence)
    return found


def _begun(run: Path, config: TrainConfig) -> ChoiceResult:
    """The result as an earlier call left it in the run, or an empty one."""
    every = dict(flatten(config))
    before = {option: every[option] for what in config.choose for values in VALUES[what] for option in values}
    fresh = ChoiceResult(digest([changed(config), list(config.choose)]), list(config.choose), before)
    if not (run / CHOICE).exists():
        return fresh
    try:
        found = read_record(run / CHOICE, ChoiceResult).result
    except ResultError as error:
        raise ResultError(f"{run / CHOICE} cannot be read; delete it, and settings are chosen again") from error
    has_trained = (run / CHECKPOINT).exists()
    return found if found.settings == fresh.settings or (found.complete and has_trained) else fresh


def _record(config: TrainConfig) -> None:
    """Record the first episodes, where they are missing."""
    if config.collection.env.world != RECORDED:
        collect(replace(config.collection, episodes=min(EPISODES, config.collection.episodes)))


def _recording(config: TrainConfig) -> ShortTrainings:
    """Short trainings on the first episodes of the recording."""
    collection = config.collection
    there = DataSet(collection.directory).num_episodes if collection.env.world == RECORDED else collection.episodes
    data = DataSet(collection.directory, min(EPISODES, there))
    return ShortTrainings(long_enough(data, config.context_or_default.window), pick_device(config.device))


class _Search:
    """Searches one setting after another; trainings that an earlier call finished are not repeated."""

    def __init__(self, config: TrainConfig, short: ShortTrainings, begun: ChoiceResult) -> None:
        self._config, self._short, self._begun = config, short, begun
        self._known = {_label(of.what, of.options): replace(of, taken=False) for of in begun.trainings}
        self._done: list[ShortTraining] = []
        self._left_out: dict[str, str] = {}
        self._steps_ahead = steps_ahead(config.predictor)
        self._whole = 0.0

    def results(self) -> Iterator[ChoiceResult]:
        """The result after every short training, and at last the complete one."""
        why = self._short.unjudgeable(self._config, self._steps_ahead)
        if why:
            self._left_out = dict.fromkeys(self._config.choose, why)
        else:
            self._whole = self._short.cost_of_training(self._config)
            with progress(total=100, desc="choose settings", unit="%", bar_format=_BAR) as bar:
                for what in self._config.choose:
                    for found in self._tried(what):
                        bar.update(round(100 * found.share / SHARE) - bar.n)
                        yield found
        yield self._result(complete=True)

    def _tried(self, what: Choosable) -> Iterator[ChoiceResult]:
        """Try the values of one setting; the best of those that are better than what there was takes its place."""
        first = len(self._done)
        for options in VALUES[what]:
            if options.items() <= dict(flatten(self._candidate({}))).items():
                continue  # the candidate has this value already
            if why := self._reason_against(what, options):
                self._left_out[_label(what, options)] = why
                continue
            if not self._done:
                first = 1  # training 0 is that of the unchanged settings
                self._done.append(self._training(None, {}))
                yield self._result()
            self._done.append(self._compared(self._training(what, options)))
            yield self._result()
        better = [of for of in self._done[first:] if _is_better(of)]
        if better:
            best = min(better, key=lambda of: of.steps_off or 0.0)
            self._done[self._done.index(best)] = replace(best, taken=True)

    def _candidate(self, options: Mapping[str, int | float]) -> TrainConfig:
        """The settings with what has been taken so far, and these options."""
        return with_options(self._config, {**self._result().chosen, **options})

    def _reason_against(self, what: Choosable, options: Mapping[str, int | float]) -> str:
        """Why a value is not tried; empty where it is."""
        method = self._config.method.name
        if (what == "sigreg" and method not in ("lejepa", "lewm")) or (what == "lag" and method == "lewm"):
            return f"method={method} has none"
        spent = sum(of.share for of in self._done)
        try:
            asked = [self._candidate(options), *([] if self._done else [self._config])]
            share = sum(self._short.cost(of) for of in asked) / self._whole
        except UserError as error:
            return str(error)
        return "" if spent + share <= SHARE else _NO_TIME

    def _training(self, what: Choosable | None, options: dict[str, int | float]) -> ShortTraining:
        """A short training with these options, or what an earlier call kept of it."""
        if known := self._known.get(_label(what, options)):
            return known
        begun, candidate = time.monotonic(), self._candidate(options)
        found = self._short.judge(candidate)
        off = float(found.by_episode.mean()) if len(found.by_episode) else None
        share, seconds = self._short.cost(candidate) / self._whole, round(time.monotonic() - begun, 2)
        return ShortTraining(what, options, off, found.by_episode.tolist(), found.ratio_to_persistence, share, seconds)

    def _compared(self, of: ShortTraining) -> ShortTraining:
        """A short training with its gain over the best candidate so far, paired by episode."""
        best = next((best for best in reversed(self._done) if best.taken), self._done[0])
        if not (of.by_episode and best.by_episode):
            return of
        gain = np.array(best.by_episode) - np.array(of.by_episode)
        error = float(gain.std(ddof=1)) / math.sqrt(len(gain))
        return replace(of, better_by=float(gain.mean()), standard_error=error)

    def _result(self, complete: bool = False) -> ChoiceResult:
        return replace(
            self._begun,
            episodes=len(self._short.fitted),
            judged_episodes=len(self._short.judged),
            steps_ahead=self._steps_ahead,
            trainings=list(self._done),
            left_out=dict(self._left_out),
            complete=complete,
        )


def _label(what: Choosable | None, options: Mapping[str, int | float]) -> str:
    """Name of a candidate: `lag 2`."""
    return f"{what} {shown(options)}" if what else ""


def _is_better(of: ShortTraining) -> bool:
    """Whether a candidate is better than the best one before it by more than chance explains."""
    return of.better_by is not None and of.standard_error is not None and of.better_by > of.standard_error
