"""Models that version 0.1 wrote open in this one, and answer as they did.

`fixtures/models-0.1` holds five of them, small, with every kind of encoder, predictor and force law among them; beside
each the answers that version 0.1 gave to `questions`, float32.
"""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from worldmodel.models import PlanningModel, WorldModel

FOLDER = Path(__file__).parent / "fixtures" / "models-0.1"
MODELS = sorted(path.name for path in FOLDER.iterdir())
# answers pass some 10 layers: 1e3 roundings of 6e-8, for values about 1 in size, however sums are ordered
CLOSE = {"rtol": 1e-4, "atol": 1e-4}
# a context comes from a regression over a dozen steps: float32 is up to .007 away from float64 there
CLOSE_BY_REGRESSION = {"rtol": 0.0, "atol": 2e-2}


def wave(*shape: int, speed: float) -> Tensor:
    """Numbers between -1 and 1 that no generator draws."""
    num = torch.Size(shape).numel()
    return torch.sin(speed * torch.arange(1, num + 1, dtype=torch.float64)).float().view(shape)


@torch.no_grad()
def answers(model: WorldModel | PlanningModel, context: Tensor | None) -> dict[str, Tensor]:
    """What a model makes of fixed frames, latents and actions, and of this context."""
    frames, latent_dim, action_dim = model.num_context_frames, model.latent_dim, model.action_dim
    images = (127 * (1 + wave(6, 3, 16, 16, speed=0.7))).round().to(torch.uint8)
    latents = wave(2, frames, latent_dim, speed=1.3)
    actions = wave(2, 3, 10, action_dim, speed=2.1)
    state = model.encode(latents, wave(2, frames - 1, action_dim, speed=0.9))
    found = {"latents": model.embed(images), "state": state}
    if model.context_encoder is not None:
        window = wave(2, 13, latent_dim, speed=0.31), wave(2, 12, action_dim, speed=0.47)
        found["context"] = model.context_encoder(*window)
    found["rollout"] = model.rollout(state, actions, context)
    if model.heads is not None:
        goal, steps = wave(2, latent_dim, speed=0.2), torch.tensor([2.0, 4.0])
        found["actions_to_goal"] = model.heads.actions_to(state, goal, steps)
        found["squared_time"] = model.heads.squared_time(goal, goal.flip(0))
    return found


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_version_0_1_answers_as_it_did(name: str):
    model = WorldModel.load(FOLDER / name)
    expected = load_file(FOLDER / name / "answers.safetensors")
    for kind in (model, PlanningModel(model)):
        found = answers(kind, expected.get("context"))
        assert found.keys() == expected.keys()
        for question, answer in found.items():
            close = CLOSE_BY_REGRESSION if question == "context" else CLOSE
            torch.testing.assert_close(answer, expected[question], **close, msg=lambda text, q=question: f"{q}: {text}")


@pytest.mark.parametrize("name", MODELS)
def test_its_weights_have_the_names_that_this_version_gives_them(name: str, tmp_path: Path):
    model = WorldModel.load(FOLDER / name)
    model.save(tmp_path)
    before, after = load_file(FOLDER / name / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert WorldModel.load(tmp_path).config == model.config


def test_every_kind_is_among_them():
    configs = [WorldModel.load(FOLDER / name).config for name in MODELS]
    assert {config.encoder.kind for config in configs} == {"mlp", "cnn", "keypoints", "glimpse"}  # a ViT is timm's
    assert {config.predictor.kind for config in configs if config.predictor} == {"mlp", "recurrent", "transformer"}
    laws = {config.context.forces for config in configs if config.context}
    assert laws == {"free", "placed", "turning", "hinged", "sliding"}
    assert any(config.heads for config in configs)
