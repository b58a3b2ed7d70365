"""The robust encoder: views under looks, what it learns from them, and that nothing else depends on it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from worldmodel_fakes import seeded

from worldmodel.data.frames import box_resize
from worldmodel.evaluation.control import control
from worldmodel.evaluation.control.landmarks import ways
from worldmodel.evaluation.control.static_scenes import StaticScenes
from worldmodel.evaluation.robustness import robust
from worldmodel.learning.composites import Composites, median_background, random_pictures
from worldmodel.learning.looks_stage import LooksData, looks_stage, robust_encoder_config
from worldmodel.learning.loop import fit_quietly
from worldmodel.learning.train import train
from worldmodel.models import ModelConfig, WorldModel
from worldmodel.models.encoders import Encoder
from worldmodel.models.inference import fold_batch_norm
from worldmodel.models.world_model import read_weights
from worldmodel.runs import Run
from worldmodel.settings import (
    ControlConfig,
    DistillationConfig,
    EncoderConfig,
    PlanConfig,
    RobustConfig,
    StepsConfig,
    TrainConfig,
)
from worldmodel.settings.arguments import configure
from worldmodel.system.errors import UserError

SIZE = 16
SMALL = {
    "env": "reacher", "episodes": 12, "episode_steps": 12, "workers": 1, "env.image_size": 16, "env.supersample": 1,
    "encoder.input_size": 16, "encoder.hidden": 8, "method.optim.steps": 3, "method.optim.batch_size": 8,
    "predictor.horizon": 2, "predictor.history": [0, 1], "predictor.hidden": 8, "predictor_training.steps": 3,
    "predictor_training.batch_size": 8, "decoder": False, "robust": False,
}  # fmt: skip
ROBUST = {"robust": True, "distillation.optim.steps": 2, "distillation.frames": 50}


def dots(num: int, margin: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames uint8 (num, 3, S, S) of a bright dot on grey, and its place (num, 2) in units of the side.

    margin: pixels of the dot on either side of its place.
    """
    frames = torch.full((num, 3, SIZE, SIZE), 60, dtype=torch.uint8)
    places = torch.randint(1, SIZE - 1, (num, 2), generator=seeded(3))
    for frame, (row, column) in zip(frames, places.tolist(), strict=True):
        frame[:, row - margin : row + margin + 1, column - margin : column + margin + 1] = 250
    return frames, places / SIZE


def test_the_background_is_what_most_frames_show():
    frames, _ = dots(50)
    assert torch.equal(median_background(frames), torch.full((3, SIZE, SIZE), 60.0))


def test_views_exchange_what_stands_still_and_keep_the_robot():
    frames, _ = dots(64)
    composites = Composites(median_background(frames), ["background"], 0)
    views = composites(frames, seeded())
    assert views.shape == frames.shape and views.dtype == torch.float32
    robot = frames == 250
    assert torch.equal(views[robot], frames[robot].float())
    changed = (views - frames).abs().amax((1, 2, 3)) > 1
    assert 20 < changed.sum() < 50, "three quarters have a look, seven tenths of these a picture"
    assert torch.equal(composites(frames, seeded()), views), "the generator decides"
    assert not torch.equal(composites(frames, seeded(1)), views)


@pytest.mark.parametrize("kind", DistillationConfig().kinds)
def test_every_look_of_training_changes_some_views_and_stays_in_range(kind):
    frames, _ = dots(48)
    views = Composites(median_background(frames), [kind], 0)(frames, seeded())
    changed = (views - frames).abs().amax((1, 2, 3)) > 1
    assert 0 < changed.sum() < 48 and views.min() >= 0 and views.max() <= 255


def test_random_pictures_differ():
    pictures = random_pictures(20, SIZE, seeded())
    assert pictures.shape == (20, 3, SIZE, SIZE) and len(torch.unique(pictures.mean((1, 2, 3)))) == 20


def test_the_stage_learns_the_place_of_a_dot_whatever_is_behind_it():
    frames, places = dots(600)
    config = DistillationConfig(kinds=["background", "tint"], optim=StepsConfig(120))
    torch.manual_seed(0)
    student = Encoder(EncoderConfig("paired", SIZE, 2, 32, channels=[8, 16]))
    student.fit_normalization(frames)
    background = median_background(frames)
    fit_quietly(looks_stage(student, LooksData(frames, places, background), config, 0), 0)
    composites, moments = Composites(background, config.kinds, 9), [frames[:200].float(), frames[200:400].float()]
    views, others = (of.round().to(torch.uint8) for of in composites.of_scenes(moments, seeded(5)))
    alone, beside = (
        (of - places[:200]).square().mean() / places.var() for of in (student(views), student(views, others))
    )
    assert alone < 0.5, "a dot of nine pixels in a second of training; a reader that sees nothing scores 1"
    assert beside < 0.7 * alone, "another frame tells what stands still"


def test_the_stage_finds_a_body_of_one_pixel_among_all_looks():
    """Looks at their full share from the first step on would hide it: the error stayed at .8."""
    frames, places = dots(600, 0)
    frames, (x, y) = frames.clamp(max=160), (2 * places - 1).T
    wanted = torch.stack([3 * x**2 - 1, 3 * y**2 - 1, 2 * x * y, 5 * x**3 - 3 * x, 5 * y**3 - 3 * y], 1)
    torch.manual_seed(0)
    student = Encoder(EncoderConfig("paired", SIZE, 5, 32, channels=[8, 16]))
    student.fit_normalization(frames)
    data = LooksData(frames, wanted, median_background(frames))
    fit_quietly(looks_stage(student, data, DistillationConfig(optim=StepsConfig(120)), 0), 0)
    error = ((student.eval()(frames) - wanted) / wanted.std(0)).square().mean()
    assert error < 0.6, "a reader that sees nothing scores 1"


@pytest.mark.parametrize(
    ("image_size", "input_size", "size", "halvings"),
    [(64, 32, 64, 3), (32, 16, 32, 3), (16, 16, 16, 2), (84, 28, 28, 2), (64, 64, 64, 3)],
)
def test_the_robust_encoder_fits_the_frames(image_size: int, input_size: int, size: int, halvings: int):
    found = robust_encoder_config(EncoderConfig(input_size=input_size, latent_dim=3), image_size)
    assert (found.kind, found.input_size, found.latent_dim, len(found.channels)) == ("paired", size, 3, halvings)
    frames = torch.randint(0, 256, (2, 3, image_size, image_size), dtype=torch.uint8, generator=seeded())
    assert Encoder(found).eval()(frames).shape == (2, 3)


def test_frames_that_cannot_be_halved_are_refused():
    with pytest.raises(UserError, match="robust=true needs frames"):
        robust_encoder_config(EncoderConfig(input_size=15, latent_dim=3), 15)


def test_moments_of_a_scene_share_what_stands_still():
    frames, _ = dots(40)
    background = median_background(frames)
    moments = [frames[:20].float(), frames[20:].float(), background.expand(20, -1, -1, -1)]
    views = Composites(background, ["background", "tint", "patch", "noise"], 0).of_scenes(moments, seeded())
    robot = ((moments[0] - background).abs() + (moments[1] - background).abs()).amax(1, keepdim=True) > 0
    still = Composites(background, ["background", "tint", "patch"], 0).of_scenes(moments, seeded())
    assert ((still[0] - still[1]).abs() * ~robot).max() == 0 and ((still[0] - still[2]).abs() * ~robot).max() == 0
    assert ((still[0] - still[2]).abs() * robot).max() > 50, "the scene without the robot"
    assert ((views[0] - views[1]).abs() * ~robot).max() > 1, "noise is anew in every frame"


def test_only_a_paired_encoder_looks_at_another_frame():
    torch.manual_seed(0)
    frames = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=seeded())
    strided, paired = (Encoder(EncoderConfig(kind, 8, 3, 8, channels=[4])).eval() for kind in ("strided", "paired"))
    others = frames.clone()
    others[..., 4:12, 4:8] = 255 - others[..., 4:12, 4:8]
    assert torch.equal(strided(frames, others), strided(frames))
    assert torch.equal(paired(frames, frames), paired(frames))
    assert not torch.allclose(paired(frames, others), paired(frames))
    nearly = (frames.int() + 2).clamp(0, 255).to(torch.uint8)
    torch.testing.assert_close(paired(frames, nearly), paired(frames), msg="so small a change is no motion")
    assert torch.equal(paired(frames, frames.roll(1, 0)), paired(frames)), "another scene shows no background"


def test_what_stands_still_is_found_from_goal_and_frames_in_which_the_robot_is_elsewhere():
    picture = torch.randint(0, 200, (3, SIZE, SIZE), dtype=torch.uint8, generator=seeded())

    def shown(column: int) -> torch.Tensor:
        frame = picture.clone()
        frame[:, 6:9, column : column + 3] = 250
        return frame[None]

    goal, start = shown(0), shown(4)
    scenes = StaticScenes(goal, 1)
    scenes.look(start)
    assert scenes.changed and torch.equal(scenes.reference(start), goal) and torch.equal(scenes.reference(goal), start)
    for _ in range(9):
        scenes.look(start)
        assert not scenes.changed, "a robot that rests does not become a part of the scene"
    scenes.look(shown(8))
    assert scenes.changed and torch.equal(scenes.reference(start)[0], picture)
    alone = StaticScenes(None, 2)
    alone.keep([1])
    alone.look(start)
    assert torch.equal(alone.reference(start), start), "nothing else is known"


def test_a_model_sees_by_the_encoder_that_is_named():
    torch.manual_seed(0)
    config = EncoderConfig(input_size=8, latent_dim=3, hidden=8)
    model = WorldModel(ModelConfig(config, robust=EncoderConfig("strided", 8, 3, 8, channels=[4]))).eval()
    frames = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8, generator=seeded())
    assert model.robust_encoder is not None and torch.equal(model.embed(frames), model.encoder(frames))
    assert torch.equal(model.seeing_by("robust").embed(frames), model.robust_encoder(frames))
    assert model.config.sees_by == "encoder" and model.eye is model.encoder
    for name in ("robust", "both"):
        with pytest.raises(UserError, match="robust=true"):
            WorldModel(ModelConfig(config)).seeing_by(name)
    with pytest.raises(UserError, match="use encoder=robust"):
        model.seeing_by("both")


def test_the_robust_encoder_counts_where_the_two_disagree():
    torch.manual_seed(0)
    small = EncoderConfig("mlp", 4, 3, 8)
    robust, frames = (
        EncoderConfig("strided", 8, 3, 8, channels=[4]),
        torch.randint(0, 256, (9, 3, 8, 8), dtype=torch.uint8),
    )
    model = WorldModel(ModelConfig(small, robust=robust)).eval()
    latents, others = model.encoder(frames), model.seeing_by("robust").embed(frames)
    apart = (latents - others).square().mean(1)
    model.config = replace(model.config, agreement=float(apart.detach().median()))
    both = model.seeing_by("both")
    share = ((both.embed(frames) - latents) / (others - latents)).mean(1)
    expected = (1.5 * apart / apart.median() - 0.5).clamp(0, 1)
    assert (expected == 1).sum() == 5 and expected.unique().numel() > 2
    torch.testing.assert_close(share, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(fold_batch_norm(both.eye)(frames), both.embed(frames), rtol=1e-3, atol=1e-3)
    both.eye.fit_normalization(frames)
    assert torch.equal(model.encoder.mean, reduced_mean(frames)) and not torch.equal(latents, model.encoder(frames))


def reduced_mean(frames: torch.Tensor) -> torch.Tensor:
    """Mean of every channel of frames (n, 3, 8, 8) that are reduced to 4 pixels a side, (3, 1, 1)."""
    return box_resize(frames.movedim(1, -1), 4).float().mean((0, 1, 2)).view(3, 1, 1)


def test_a_finished_run_gets_a_robust_encoder_and_keeps_all_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    plain = train(configure(TrainConfig, SMALL))
    before = read_weights(Run(plain.run).path / "model.safetensors")
    assert plain.robust is None
    with pytest.raises(UserError, match="no robust encoder"):
        control(ControlConfig(run=plain.run, encoder="robust", tasks=1, oracle=False, videos=0))
    found = train(configure(TrainConfig, {**SMALL, **ROBUST}))
    after = read_weights(Run(found.run).path / "model.safetensors")
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    assert {name.split(".")[0] for name in after.keys() - before.keys()} == {"robust_encoder"}
    assert found.robust and found.robust.encoder == "paired 16x16"
    kept = Run(found.run).model().config
    assert found.robust.used == (kept.sees_by == "both") and found.robust.agreement == kept.agreement
    assert not found.robust.used, "two steps of training teach nothing"
    run = Run(found.run)
    seen = [run.model().seeing_by(name) for name in ("encoder", "both")]
    graphs = [ways(PlanConfig(subgoals=True), model, run.config) for model in seen]
    assert graphs[0] and graphs[1] and torch.equal(graphs[0].moments, graphs[1].moments), "recordings look as usual"
    judged = robust(RobustConfig(run=found.run, looks={}, tasks=1, instances=1, frames=20, budget_steps=2))
    assert list(judged.encoders) == ["encoder", "both"]
