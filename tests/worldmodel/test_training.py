"""The training loop: interrupted and resumed is bit for bit as never interrupted, and failures are diagnosed."""

import os
import signal
import sys
import time
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from worldmodel_fakes import seeded

import worldmodel as wm
from worldmodel.learning.loop import Stage, StageSettings, Trainer, spread, stream_of
from worldmodel.learning.train import PARTS
from worldmodel.measures.regression import Examples, Split, mlp_probe
from worldmodel.models.encoders import set_cpu_threads
from worldmodel.runs.run_directory import RunDirectory
from worldmodel.settings import EncoderConfig, OptimConfig, in_round
from worldmodel.settings.method import PredictorOptim
from worldmodel.system.devices import torch_kept
from worldmodel.system.errors import CheckpointError, TrainingError, UserError
from worldmodel.system.interrupts import Terminated

IN, HIDDEN, OUT, BATCH, STEPS = 5, 7, 3, 16, 12
X = torch.randn(90, IN, generator=seeded(1))
Y = X @ torch.randn(IN, OUT, generator=seeded(2))
SAME: StageSettings = {"first": {}, "second": {}}


class TwoParts(nn.Module):
    """Two things to train, with statistics that no optimiser moves."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Sequential(nn.Linear(IN, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.Linear(HIDDEN, OUT))
        self.second = nn.Linear(IN, OUT)


def stage(
    name: str,
    module: nn.Module,
    steps: int = STEPS,
    change: Callable[[int, Tensor], Tensor] | None = None,
    **extra: Any,
) -> Stage:
    """Noisy regression on random rows; `change` sees (step, loss)."""

    def loss(progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        rows = torch.randint(len(X), (BATCH,), generator=generator)
        noise = 0.1 * torch.randn(BATCH, OUT, generator=generator)
        value = (module(X[rows]) - Y[rows] + noise).square().mean()
        if change:
            value = change(round(progress * steps), value)
        return {"loss": value, **extra}

    return Stage(name, module, loss, OptimConfig(steps=steps, batch_size=BATCH, lr=0.02))


def interrupt_at(step: int) -> Callable[[int, Tensor], Tensor]:
    def change(now: int, loss: Tensor) -> Tensor:
        if now == step:
            raise KeyboardInterrupt
        return loss

    return change


def constant(value: float, at: int) -> Callable[[int, Tensor], Tensor]:
    return lambda now, loss: loss * value if now == at else loss


def train(path: Path, *, stop: tuple[str, int] | None = None, seed: int = 3, every_s: float = 0.0) -> TwoParts:
    """Both stages in a fresh process's stead; `stop` interrupts a stage at a step."""
    model = TwoParts()
    trainer = Trainer(RunDirectory(path), model, SAME, seed, checkpoint_every_s=every_s)
    for name, module in (("first", model.first), ("second", model.second)):
        trainer.fit(stage(name, module, change=interrupt_at(stop[1]) if stop and stop[0] == name else None))
    return model


def assert_same_weights(one: nn.Module, other: nn.Module) -> None:
    first, second = one.state_dict(), other.state_dict()
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


@pytest.mark.parametrize("every_s", [0.0, 1e9], ids=["checkpoint each step", "checkpoint each stage"])
@pytest.mark.parametrize("stop", [("first", 0), ("first", 5), ("second", 0), ("second", 7), ("second", STEPS - 1)])
def test_interrupted_and_resumed_is_as_never_interrupted(tmp_path, stop, every_s):
    whole = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", stop=stop, every_s=every_s)
    assert_same_weights(train(tmp_path / "cut", every_s=every_s), whole)
    steps = [(line["stage"], line["step"]) for line in RunDirectory(tmp_path / "cut").read_metrics()]
    assert steps == [(name, step) for name in ("first", "second") for step in range(STEPS)]
    losses = [[line["loss"] for line in RunDirectory(tmp_path / name).read_metrics()] for name in ("whole", "cut")]
    assert losses[0] == losses[1]


def test_a_run_cut_off_many_times_goes_on_from_where_it_was(tmp_path):
    whole = train(tmp_path / "whole")
    for step in (2, 3, 9):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "cut", stop=("second", step))
    assert_same_weights(train(tmp_path / "cut"), whole)


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_takes_effect_between_two_steps_and_loses_none(tmp_path, number, raised):
    def kill_at_four(now: int, loss: Tensor) -> Tensor:
        if now == 4:
            os.kill(os.getpid(), number)
        return loss

    model = TwoParts()
    trainer = Trainer(RunDirectory(tmp_path / "cut"), model, SAME, 3, checkpoint_every_s=1e9)
    with pytest.raises(raised):
        trainer.fit(stage("first", model.first, change=kill_at_four))
    assert torch.load(tmp_path / "cut" / "trainer.pt", weights_only=True)["step"] == 5
    assert_same_weights(train(tmp_path / "cut"), train(tmp_path / "whole"))


@pytest.mark.parametrize(("every_s", "saves"), [(0, [1, 2]), (1e9, [STEPS])], ids=["midway", "last"])
def test_a_signal_that_comes_while_a_checkpoint_is_written_takes_effect_after_it(tmp_path, monkeypatch, every_s, saves):
    saved_after: list[int] = []

    def save(self: Trainer, training: object, step: int) -> None:
        if not saved_after:
            os.kill(os.getpid(), signal.SIGINT)
        saved_after.append(step)

    monkeypatch.setattr(Trainer, "_save", save)
    model = TwoParts()
    trainer = Trainer(RunDirectory(tmp_path), model, SAME, 3, checkpoint_every_s=every_s)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(stage("first", model.first))
    assert saved_after == saves


def test_two_commands_on_one_run_refuse_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["worldmodel", "train"])
    with RunDirectory(tmp_path).locked():
        with pytest.raises(UserError, match=r"is in use by .*process \d+") as caught, RunDirectory(tmp_path).locked():
            pass
        assert "\n" not in str(caught.value)
    with RunDirectory(tmp_path).locked():
        pass


def test_half_written_files_of_a_killed_command_are_cleared_away_by_the_next(tmp_path: Path):
    (tmp_path / ".trainer.pt.0123456789ab.tmp").write_bytes(b"half")
    (tmp_path / "trainer.pt").write_bytes(b"whole")
    with RunDirectory(tmp_path).locked():
        assert {path.name for path in tmp_path.iterdir()} == {".lock", "trainer.pt"}


def test_a_log_line_that_a_kill_cut_short_is_dropped(tmp_path):
    whole = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", stop=("second", 5))
    with (tmp_path / "cut" / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "second", "st')
    assert_same_weights(train(tmp_path / "cut"), whole)
    steps = [line["step"] for line in RunDirectory(tmp_path / "cut").read_metrics()]
    assert steps == 2 * list(range(STEPS))


def test_a_resumed_stage_does_not_begin_again(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop=("first", 5))
    seen: list[int] = []
    model = TwoParts()

    def watch(now: int, loss: Tensor) -> Tensor:
        seen.append(now)
        return loss

    Trainer(RunDirectory(tmp_path), model, SAME, 3).fit(stage("first", model.first, change=watch))
    assert seen == list(range(5, STEPS))


def test_a_stage_that_continues_another_goes_on_with_what_is_no_part_of_the_model(tmp_path):
    """A loss's own network, which is built anew each time, as in every round: in one command, or in a later one."""

    def begun(name: str, head: float, model: TwoParts) -> tuple[Stage, nn.Module]:
        module = nn.ModuleDict({"encoder": model.first, "head": nn.Linear(OUT, OUT)})
        nn.init.constant_(module["head"].weight, head)

        def loss(progress: float, generator: torch.Generator) -> dict[str, Tensor]:
            return {"loss": (module["head"](module["encoder"](X)) - Y).square().mean()}

        return Stage(name, module, loss, OptimConfig(steps=STEPS, batch_size=BATCH, lr=0.02), kept_as="encoder"), module

    def run(folder: Path, *, afresh: bool) -> tuple[TwoParts, list[Tensor]]:
        model, heads = TwoParts(), []
        trainer = Trainer(RunDirectory(folder), model, {"encoder": {}, "encoder-1": {}}, 0)
        for index, name in enumerate(["encoder", "encoder-1"]):
            if afresh and index:
                model = TwoParts()
                trainer = Trainer(RunDirectory(folder), model, {"encoder": {}, "encoder-1": {}}, 0)
            of_stage, module = begun(name, head=float(index), model=model)
            trainer.fit(replace(of_stage, optim=replace(of_stage.optim, lr=1e-12 if index else 0.02)))
            heads.append(module["head"].weight.detach().clone())
        return model, heads

    once, again = run(tmp_path / "once", afresh=False), run(tmp_path / "again", afresh=True)
    for _, (first, second) in (once, again):
        assert torch.allclose(first, second, atol=1e-9) and float(first.abs().min()) > 1e-6
    assert_same_weights(once[0], again[0])


def test_stages_of_all_rounds_have_random_numbers_of_their_own():
    names = [*PARTS, *(in_round(stage, number) for stage in ("encoder", "predictor") for number in range(1, 100))]
    assert len({stream_of(name) for name in names}) == len(names)
    before = [*PARTS, *(in_round(stage, number) for stage in ("encoder", "predictor") for number in range(1, 11))]
    assert all(stream_of(name) == sum(name.encode()) for name in before)


def test_finished_stages_are_skipped(tmp_path):
    done = train(tmp_path)
    model = TwoParts()
    trainer = Trainer(RunDirectory(tmp_path), model, SAME, 3)
    assert trainer.stages_done == ["first", "second"]

    def never(now: int, loss: Tensor) -> Tensor:
        raise AssertionError("trained again")

    logged = [line["seconds"] for line in RunDirectory(tmp_path).read_metrics() if line["stage"] == "first"]
    assert trainer.fit(stage("first", model.first, change=never)) == logged[-1]
    assert not model.first.training
    assert_same_weights(model, done)


def test_seconds_count_what_was_trained_before_an_interruption(tmp_path):
    def slowly(now: int, loss: Tensor) -> Tensor:
        if now == 7:
            raise KeyboardInterrupt
        time.sleep(0.05)
        return loss

    model = TwoParts()
    with pytest.raises(KeyboardInterrupt):
        Trainer(RunDirectory(tmp_path), model, SAME, 3, checkpoint_every_s=0.0).fit(
            stage("first", model.first, change=slowly)
        )
    assert Trainer(RunDirectory(tmp_path), model, SAME, 3).fit(stage("first", model.first)) >= 7 * 0.05


def test_training_lowers_the_loss_and_leaves_evaluation_mode(tmp_path):
    model = TwoParts()
    Trainer(RunDirectory(tmp_path), model, SAME, 3).fit(stage("first", model.first, steps=100))
    assert not model.first.training
    losses = [line["loss"] for line in RunDirectory(tmp_path).read_metrics()]
    assert sum(losses[-20:]) < 0.5 * sum(losses[:20])


def test_weights_depend_on_the_seed_alone(tmp_path):
    one, same, other = train(tmp_path / "1"), train(tmp_path / "2"), train(tmp_path / "3", seed=4)
    assert_same_weights(one, same)
    assert not torch.equal(one.second.weight, other.second.weight)


def test_a_stage_does_not_depend_on_the_stages_before_it(tmp_path):
    model = TwoParts()
    Trainer(RunDirectory(tmp_path / "alone"), model, SAME, 3).fit(stage("second", model.second))
    assert_same_weights(model.second, train(tmp_path / "both").second)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_stage_and_step(tmp_path, value):
    model = TwoParts()
    trainer = Trainer(RunDirectory(tmp_path), model, SAME, 3)
    with pytest.raises(TrainingError, match=r"stage first: the loss is not finite at step 4 .*learning rate") as caught:
        trainer.fit(stage("first", model.first, change=constant(value, at=4)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("latents", "collapsed"), [(torch.ones(20, OUT), True), (torch.randn(20, OUT), False)])
def test_collapsed_latents_are_diagnosed_after_a_quarter_of_training(tmp_path, latents, collapsed):
    model = TwoParts()
    trainer = Trainer(RunDirectory(tmp_path), model, SAME, 3)
    watched = stage("first", model.first, latents=latents)
    if not collapsed:
        trainer.fit(watched)
        assert all("latents" not in line for line in RunDirectory(tmp_path).read_metrics())
        return
    with pytest.raises(TrainingError, match=r"stage first: the latents have collapsed at step 4 .*sigreg") as caught:
        trainer.fit(watched)
    assert "\n" not in str(caught.value)


def test_spread_counts_the_directions_that_latents_use():
    z = torch.randn(5000, 4, generator=seeded())
    assert spread(z).effective_rank == pytest.approx(4, abs=0.02)
    assert spread(2 * z).latent_std == pytest.approx(2, abs=0.05)
    assert spread(z * torch.tensor([1.0, 1, 0, 0])).effective_rank == pytest.approx(2, abs=0.02)
    assert spread(torch.ones(9, 4)).latent_std == 0


def test_a_run_of_other_settings_is_refused_and_kept(tmp_path):
    train(tmp_path)
    before = (tmp_path / "trainer.pt").read_bytes()
    with pytest.raises(CheckpointError, match="other settings") as caught:
        Trainer(RunDirectory(tmp_path), TwoParts(), {"first": {"encoder.hidden": 9}, "second": {}}, 3)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "trainer.pt").read_bytes() == before


def test_stages_before_the_first_that_is_set_otherwise_are_kept(tmp_path, capsys):
    done = train(tmp_path)
    other: StageSettings = {"first": {}, "second": {"predictor.hidden": 9}}
    model = TwoParts()
    parts = {"first": "first.", "second": "second."}
    trainer = Trainer(RunDirectory(tmp_path), model, other, 3, parts=parts)
    assert trainer.stages_done == ["first"]
    assert_same_weights(model.first, done.first)
    assert torch.equal(model.second.weight, TwoParts().second.weight)
    said = capsys.readouterr().out
    assert "keeps first; trains second again (predictor.hidden was its default, is 9)" in said
    trainer.fit(stage("second", model.second))
    again = Trainer(RunDirectory(tmp_path), TwoParts(), other, 3, parts=parts)
    assert again.stages_done == ["first", "second"]


def test_a_refused_run_says_which_settings_differ(tmp_path):
    train(tmp_path)
    other = {"first": {"encoder.hidden": 9, "seed": 1, "a": 2, "b": 3}, "second": {}}
    with pytest.raises(CheckpointError, match=r"\(a was its default, is 2; .* and 1 more\); choose another name="):
        Trainer(RunDirectory(tmp_path), TwoParts(), other, 3, parts={"first": "first.", "second": "second."})


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "list", "schema"])
def test_a_damaged_checkpoint_is_one_line(tmp_path, damage):
    train(tmp_path)
    path = tmp_path / "trainer.pt"
    whole = path.read_bytes()
    if damage == "list":
        torch.save([1, 2], path)
    elif damage == "schema":
        torch.save({**torch.load(path, weights_only=True), "schema": 99}, path)
    else:
        path.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"hello\n" * 50}[damage])
    with pytest.raises(CheckpointError, match=r"trainer\.pt") as caught:
        Trainer(RunDirectory(tmp_path), TwoParts(), SAME, 3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"batch_size": 1}, {"lr": 0.0}, {"lr": float("nan")}, {"optimizer": "sgd"}]
)
def test_wrong_optimiser_settings(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        PredictorOptim(**wrong)


@pytest.mark.parametrize(("kind", "threads", "used"), [("mlp", None, 1), ("cnn", None, 2), ("mlp", 3, 3)])
def test_cpu_threads_suit_the_encoder_and_are_given_back(kind, threads, used):
    @torch_kept()
    def work() -> int:
        set_cpu_threads(EncoderConfig(kind, input_size=16), threads)
        return torch.get_num_threads()

    with torch_kept():
        torch.set_num_threads(2)
        assert work() == used
        assert torch.get_num_threads() == 2


@pytest.mark.parametrize("verb", "choose compare control identify imagine positions probe robust surprise view".split())
def test_a_verb_leaves_torch_to_its_caller_as_it_was(verb):
    """By its decorator: to run each of them here would take minutes."""
    assert isinstance(getattr(wm, verb), types.FunctionType) and hasattr(getattr(wm, verb), "__wrapped__")


def test_random_numbers_go_on_as_they_would_have():
    with torch_kept():
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        with torch_kept():
            torch.manual_seed(0)
        x = np.random.default_rng(0).normal(size=(40, 2))
        one = Examples(x, x, np.arange(40))
        mlp_probe(Split(one, one, one), 10, np.random.default_rng(0), seed=0)
        assert torch.equal(torch.rand(3), expected)
