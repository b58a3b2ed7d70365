"""Robots that change in mid-task, and a predictor that is corrected by its own errors."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.results import changes, sources
from worldmodel import envs
from worldmodel.cli.terminal import control_lines
from worldmodel.envs import BatchWorld
from worldmodel.evaluation.control import control
from worldmodel.evaluation.control.adaptation import Adaptation
from worldmodel.evaluation.control.changes import Arrival, world_that_changes
from worldmodel.measures.statistics import share_won_back
from worldmodel.reporting.verdicts import change_verdict, control_verdict
from worldmodel.runs import Run
from worldmodel.runs.zoo import find_run
from worldmodel.settings import ChangeConfig, ControlConfig, EnvConfig
from worldmodel.system.errors import UserError

FORCE = torch.tensor([[0.3, 0.1, 0.0], [-0.1, 0.2, 0.2]])
CPU = torch.device("cpu")


class Drawer:
    """Exact dynamics of a mass in three dimensions under two forces: z'' = a F."""

    num_context_frames, action_dim = 2, 2

    def embed(self, frames: Tensor) -> Tensor:
        return frames

    def encode(self, latents: Tensor, actions: Tensor) -> Tensor:
        return torch.cat([latents[:, -1], latents[:, -1] - latents[:, -2]], -1)

    def rollout(self, z0: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        position, velocity = z0.chunk(2, -1)
        velocities = velocity[:, None, None] + (actions @ FORCE).cumsum(2)
        return position[:, None, None] + velocities.cumsum(2)


def motion(gain: Tensor, delay: list[int], steps: int, noise: float = 0.0) -> tuple[list[Tensor], list[Tensor]]:
    """Latents (n, 3), one more than the actions sent (n, 2), of robots whose actions arrive late and times a gain."""
    generator = torch.Generator().manual_seed(1)
    n = len(gain)
    sent = [torch.rand(n, 2, generator=generator) * 2 - 1 for _ in range(steps)]
    zeros = [torch.zeros(2)] * 3
    latents, velocity = [torch.zeros(n, 3)], torch.zeros(n, 3)
    for step in range(steps):
        arrived = torch.stack([[*zeros, *(a[i] for a in sent)][3 + step - late] for i, late in enumerate(delay)])
        velocity = velocity + (arrived * gain) @ FORCE
        latents.append(latents[-1] + velocity)
    return [z + noise * torch.randn(n, 3, generator=generator) for z in latents], sent


def adapted(latents: list[Tensor], sent: list[Tensor]) -> Adaptation:
    adaptation = Adaptation(Drawer(), len(sent[0]), 9, CPU)
    for step in range(1, len(sent) + 1):
        adaptation.dynamics(latents[: step + 1], sent[:step], None)
    return adaptation


GAIN, DELAY = torch.tensor([[0.5, 1.0], [0.0, 1.0], [1.0, -1.0], [1.0, 1.0]]), [0, 3, 1, 2]


def test_a_change_of_a_linear_system_is_found_and_predicted():
    latents, sent = motion(GAIN, DELAY, 24)
    adaptation = Adaptation(Drawer(), 4, 9, CPU)
    for step in range(1, 17):
        told = adaptation.dynamics(latents[: step + 1], sent[:step], None)
    found = adaptation.correction()
    assert found.delay.tolist() == DELAY and torch.allclose(found.gain, GAIN, atol=0.02)
    z0 = told.encode(torch.stack(latents[15:17], 1), sent[15][:, None])
    ahead = told.rollout(z0, torch.stack(sent[16:24], 1)[:, None])[:, 0]
    truth = torch.stack(latents[17:25], 1)
    fixed = Drawer().rollout(z0, torch.stack(sent[16:24], 1)[:, None])[:, 0]
    assert (ahead - truth).norm() < 0.05 * (fixed - truth).norm()


def test_a_robot_that_has_not_changed_is_left_alone_under_noise():
    latents, sent = motion(torch.ones(40, 2), [0] * 40, 30, noise=0.3)
    found = adapted(latents, sent).correction()
    assert (found.gain == 1).all(1).float().mean() >= 0.9 and (found.delay == 0).float().mean() >= 0.9


def test_a_correction_needs_no_more_than_the_steps_that_it_says():
    latents, sent = motion(GAIN, DELAY, 60, noise=0.01)
    whole, recent = (Adaptation(Drawer(), 4, 8, torch.device("cpu")) for _ in range(2))
    for step in range(61):
        whole.dynamics(latents[: step + 1], sent[:step], None)
        recent.dynamics(latents[: step + 1][-recent.num_steps - 1 :], sent[:step][-recent.num_steps :], None)
    assert torch.equal(whole.correction().gain, recent.correction().gain)


def test_a_correction_is_undone_when_the_robot_is_as_before():
    weak, sent = motion(torch.full((2, 2), 0.3), [0, 0], 20)
    adaptation = adapted(weak, sent)
    assert (adaptation.correction().gain < 0.5).all()
    usual, more = motion(torch.ones(2, 2), [0, 0], 40)
    for step in range(20, 41):
        adaptation.dynamics(usual[: step + 1], more[:step], None)
    assert torch.allclose(adaptation.correction().gain, torch.ones(2, 2), atol=0.02)


def test_robots_together_are_corrected_as_alone():
    latents, sent = motion(GAIN, DELAY, 14, noise=0.01)
    together = adapted(latents, sent).correction()
    for i in range(4):
        alone = adapted([z[i : i + 1] for z in latents], [a[i : i + 1] for a in sent]).correction()
        assert torch.allclose(together.gain[i], alone.gain[0], atol=1e-4) and together.delay[i] == alone.delay[0]
    some = adapted(latents, sent)
    some.keep(torch.tensor([1, 3]))
    assert torch.equal(some.correction().gain, together.gain[[1, 3]])


def test_what_changes_changes_at_its_step_and_is_as_before_in_the_next_episode():
    change = ChangeConfig({"body.hand.mass": 3.0, "actuator.wrist.gear": 0.0}, delay=2, at=2)
    world, known = world_that_changes(EnvConfig("reacher", image_size=8, randomize=["all"]), change, False)
    plain = envs.make("reacher", image_size=8, randomize=["all"])
    assert world.randomize == plain.randomize, "what is to change is not drawn"
    batch, model = BatchWorld(world, 2, render=False), world.scene.model
    rows = model.body("hand").id, model.actuator("wrist").id
    sent = np.arange(20, dtype=np.float32).reshape(5, 2, 2) / 20
    for _ in range(2):
        batch.reset(seed=3)
        arrival, masses, arrived = Arrival(known), [], []
        for actions in sent:
            arrived.append(arrival(actions, batch))
            batch.step(arrived[-1])
            masses.append((model.body_mass[rows[0]], model.actuator_gear[rows[1], 0]))
        before, after = np.array(masses[:2]), np.array(masses[2:])
        assert np.allclose(before, before[0]) and before[0, 1] > 0
        assert np.allclose(after, before[0] * [3, 0])
        assert np.array_equal(arrived, sent[[0, 1, 0, 1, 2]])
    plain.restart(seed=4)
    assert plain.scene.model.body_mass[rows[0]] == pytest.approx(before[0, 0]), "the draws are those without a change"
    arrival.keep(np.array([False, True]))
    assert np.array_equal(arrival(sent[4, 1:], batch), sent[3, 1:])
    assert np.array_equal(Arrival(None)(sent[0], batch), sent[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": {"body.hnd.mass": 2.0}}, "unknown body 'hnd' in 'body.hnd.mass' .did you mean hand?"),
        ({"times": {"hand_mas": 2.0}}, "reacher has no factor 'hand_mas' .did you mean hand_mass?"),
        ({"times": {"hand_mass": 9.0}}, "hand_mass would become .* outside its bounds .* or the MJCF path"),
        ({"times": {"light": 2.0}}, "light changes how reacher looks; judge that with worldmodel robust"),
        ({"times": {"body.hand.inertia": 2.0}}, "body.hand.inertia is several numbers; name one of them"),
        ({"times": {"joint.wrist.stiffness": 2.0}}, "joint.wrist.stiffness is 0 in reacher"),
        ({"delay": 1, "at": 50}, "change.at=50 is after the tasks, which end after 50 steps"),
        ({}, "change= changes nothing"),
    ],
)
def test_a_change_that_cannot_be_is_refused_in_one_line(run: str, change: dict, message: str):
    with pytest.raises(UserError, match=message) as caught:
        control(ControlConfig(run=run, change=ChangeConfig(**change), oracle=False, tasks=1))
    assert "\n" not in str(caught.value) and "changed_0" not in str(caught.value)


def test_the_reward_protocol_has_no_goals_to_lose():
    with pytest.raises(UserError, match="use protocol=lewm or strict"):
        ControlConfig(change=ChangeConfig(delay=1), protocol="reward")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("runs") / "reacher"
    shutil.copytree(find_run("zoo/reacher"), path)
    return str(path)


def test_control_says_what_a_change_costs_and_what_adaptation_wins_back(
    run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    change = ChangeConfig({"actuator.wrist.gear": 0.25}, at=1)
    options = {"oracle": False, "tasks": 3, "videos": 0, "budget_steps": 30}
    out = str(tmp_path / "change-reacher-weak.json")
    found = control(ControlConfig(run=run, change=change, out=out, **options))  # type: ignore[arg-type]
    assert found.change is not None and found.change.change == change and Run(run).control == found
    assert found.change.unchanged == found.latent.success, "the main figures are of the robot as it is"
    said = control_lines(found, {run: found})
    assert "actuator.wrist.gear x 0.25 from step 1 on" in said and "the same with adaptation" in said
    assert "mean constants" not in said, "this run knows no constants"
    monkeypatch.setattr(sources, "FOLDER", tmp_path)
    assert "| reacher, 1 x 3 | actuator.wrist.gear x 0.25 from step 1 on |" in changes.details()
    assert len(changes.rows()) <= 1
    again = control(ControlConfig(run=run, adapt=True, **options))  # type: ignore[arg-type]
    assert again.adapt and again.change is None and again.latent.success


def test_an_oracle_knows_what_has_changed_from_the_start(run: str):
    """Where no motor works, not even the true simulator reaches a goal."""
    options = {"tasks": 2, "oracle_tasks": 2, "videos": 0, "protocol": "strict", "budget_steps": 25}
    found = control(ControlConfig(run=run, change=ChangeConfig({"actuator.*.gear": 0.0}), **options))  # type: ignore[arg-type]
    reached = {name: of.success.rate for name, of in found.controllers.items() if of.success}
    assert reached["oracle"] > 0 and reached["changed_oracle"] == 0
    assert found.change is not None and found.change.fixed.rate == 0
    assert "no planning wins back" in (control_verdict(found) or "")


def test_the_verdict_says_whether_adaptation_pays(run: str):
    found = Run(run).control
    assert found is not None and found.latent.success is not None
    of = control(ControlConfig(run=run, change=ChangeConfig(delay=1), oracle=False, tasks=1, budget_steps=2)).change
    assert of is not None

    def verdict(unchanged: float, fixed: float, adapting: float, interval: tuple[float, float] | None) -> str:
        rates = {"unchanged": unchanged, "fixed": fixed, "adapting": adapting}
        successes = {name: replace(of.unchanged, rate=rate) for name, rate in rates.items()}
        lost = unchanged - fixed
        share = (adapting - fixed) / lost if lost > 0 else None
        return change_verdict(replace(of, won_back=share, won_back_interval=interval, **successes))

    assert verdict(1, 0.5, 0.9, (0.6, 1)).endswith(
        "costs 50% of the goals, of which adaptation wins back 80%: use adapt=true"
    )
    assert verdict(1, 0.5, 0.6, (-0.1, 0.4)).endswith("nothing that these tasks could tell from chance")
    assert verdict(1, 1, 1, None).endswith("costs no goals: replanning makes up for it")
    assert "adaptation costs 10% more" in verdict(1, 0.9, 0.8, (-2, 0))
    assert verdict(0, 0, 0, None).endswith("costs cannot be told: the robot as it is reaches no goal either")


def test_the_share_won_back_is_of_what_was_lost():
    before, lost = np.ones(40, bool), np.arange(40) >= 20
    share, interval = share_won_back(np.arange(40) >= 5, lost, before)
    assert share == pytest.approx(0.75) and interval is not None and 0.5 < interval[0] < 0.75 < interval[1] <= 1
    assert share_won_back(before, before, before) == (None, None)
