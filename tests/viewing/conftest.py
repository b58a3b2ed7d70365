"""Sessions that tests look at: the reacher that comes with the package, and a puck learned from a few episodes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from worldmodel.cli.main import main
from worldmodel.settings import ViewConfig
from worldmodel.viewing import open_session, reference
from worldmodel.viewing.live import LiveSession

PUCK = [
    "env=puck",
    "episodes=20",
    "atlas.episodes=20",
    "workers=1",
    "encoder.hidden=16",
    "method.optim.steps=30",
    "method.optim.batch_size=16",
    "predictor.hidden=16",
    "predictor_training.steps=6",
    "predictor_training.batch_size=16",
    "context_training.optim.steps=20",
    "decoder_training.steps=2",
    "distillation.optim.steps=2",
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder to work in, with few reference episodes for a reacher without a data set."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "STATE_EPISODES", 8)
        patch.setattr(reference, "STATE_STEPS", 40)
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def puck(home: Path) -> Path:
    """A run of the puck, which varies in mass and friction."""
    assert main(["train", *PUCK]) == 0
    return home / "runs/puck"


@pytest.fixture(scope="module")
def reacher(home: Path) -> Iterator[LiveSession]:
    """A live session of the pretrained reacher; tests leave it running."""
    session = open_session(ViewConfig(run="zoo/reacher"))
    assert isinstance(session, LiveSession)
    yield session
    session.close()
