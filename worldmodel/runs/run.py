"""A trained run, opened: its settings, its model, and the results of verbs."""

import glob
from dataclasses import replace
from pathlib import Path

import torch

from worldmodel.data.joined import with_rounds
from worldmodel.data.store import DataSet
from worldmodel.models import WorldModel
from worldmodel.runs.identify_result import IdentifyResult
from worldmodel.runs.imagine_result import ImagineResult
from worldmodel.runs.probe_result import ProbeResult
from worldmodel.runs.results import ControlResult, SurpriseResult, TrainResult
from worldmodel.runs.robust_result import RobustResult
from worldmodel.runs.run_directory import LogLine, RunDirectory
from worldmodel.runs.summary import Summary
from worldmodel.runs.zoo import find_run
from worldmodel.settings import TrainConfig, read_run_config
from worldmodel.system.errors import UserError


class Run:
    """A trained run. Files are read when they are asked for, so that a run shows what was added to it meanwhile."""

    def __init__(self, path: Path | str) -> None:
        """Open a run directory, or one that comes with the package: "zoo/reacher".

        Raises:
            UserError: no run was named.
            CheckpointError: nothing was trained there.
            ResultError: its summary cannot be read.
        """
        if not str(path):
            raise UserError("which run? add run=runs/NAME (worldmodel train makes one), or run=zoo/reacher")
        self.directory = RunDirectory.open(Path(find_run(str(path))))

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.directory.path

    @property
    def figures(self) -> Path:
        """Folder of pictures."""
        return self.directory.figures

    @property
    def videos(self) -> Path:
        """Folder of films."""
        return self.directory.videos

    @property
    def config(self) -> TrainConfig:
        """The settings that it was trained with."""
        return read_run_config(self.path)

    def episodes(self, data: str | None = None) -> DataSet:
        """The episodes that its dynamics learned from: the recording, and what every round of training added to it.

        Args:
            data: the folder in which the recording's data set is; None takes that of the settings.

        Raises:
            StoreError: one of the data sets is missing or damaged.
        """
        trained = self.config
        collection = trained.collection if data is None else replace(trained.collection, data=data)
        return with_rounds(collection, (self.path / "rounds" / str(number) for number in range(1, trained.rounds + 1)))

    def model(self, device: torch.device | str = "cpu") -> WorldModel:
        """The trained model, ready for inference."""
        return WorldModel.load(self.path, device)

    @property
    def metrics(self) -> list[LogLine]:
        """What training logged: rows with stage, step, seconds and the logged numbers."""
        return self.directory.read_metrics()

    @property
    def summary(self) -> Summary:
        """What the verbs found, with their commands, the versions and the machine."""
        return self.directory.read_summary()

    @property
    def train(self) -> TrainResult:
        """What `train` found."""
        return self.summary.train

    @property
    def control(self) -> ControlResult | None:
        """What `control` found; None where it was not run."""
        return self.summary.control

    @property
    def imagine(self) -> ImagineResult | None:
        """What `imagine` found; None where it was not run."""
        return self.summary.imagine

    @property
    def probe(self) -> ProbeResult | None:
        """What `probe` found; None where it was not run."""
        return self.summary.probe

    @property
    def surprise(self) -> SurpriseResult | None:
        """What `surprise` found; None where it was not run."""
        return self.summary.surprise

    @property
    def identify(self) -> IdentifyResult | None:
        """What `identify` found last; None where it was not run."""
        return self.summary.identify

    @property
    def robust(self) -> RobustResult | None:
        """What `robust` found; None where it was not run."""
        return self.summary.robust


def find_runs(pattern: str) -> list[Run]:
    """The runs that a path, a name such as "zoo/reacher" or a pattern such as "runs/reacher-s?" means, in order.

    Raises:
        UserError: no run was named.
        CheckpointError: there is none.
    """
    paths = sorted(path for path in glob.glob(pattern) if Path(path).is_dir()) or [pattern]
    return [Run(path) for path in paths]
