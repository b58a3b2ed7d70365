"""Options of `python -m benchmarks.speed`, `python -m benchmarks.reproduce` and `python -m benchmarks.agreement`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from worldmodel.settings import (
    Count,
    NonNegativeInt,
    OpenFraction,
    PlanConfig,
    Settings,
    no_effect_on_weights,
)
from worldmodel.system import UserError

T = TypeVar("T")

Bench = Literal[
    "render", "collect", "plan", "train", "sigreg", "load", "processes", "faults", "memory", "engines", "view",
    "startup", "goals", "worlds", "oracle",
]  # fmt: skip


@dataclass(frozen=True)
class BenchConfig(Settings):
    """Measure speed and endurance on this machine: rates per CPU-second and medians."""

    what: Bench = "render"
    """render: frames of a world. collect: a whole data set. plan: a plan by its parts, and the closed loop. train: peak
    memory of the default training. sigreg: SIGReg's cost by batch and slices. load: clips from memory and from disk.
    processes: training in two processes against one, gradients and costs. faults: random kills of every verb that
    writes, and what they lose. memory: growth over many episodes, training steps and control steps. engines: MuJoCo
    Warp's episodes against MuJoCo's. view: control steps a second of the live view, with everything shown. startup:
    importing the package, and every help. goals: from nothing to a model that reaches 95 % of goals. worlds: seconds to
    the pictures and factors of worlds without a recipe. oracle: CPU-seconds of 60 tasks by the planner of world=push_t
    on the true simulator."""
    world: str = "reacher"
    """Name of a recipe or a world, for render, collect, train, goals, oracle and memory."""
    warp_worlds: Count | None = None
    """For collect: episodes that MuJoCo Warp makes at once; null collects with MuJoCo and OpenGL."""
    run: str | None = None
    """For plan and view: a run directory; null takes the default reacher model, for plan with random weights."""
    planner: dict[str, Any] = field(default_factory=lambda: PlanConfig().planner)
    """For plan: the planner, its name and hyperparameters."""
    batch: Count = 64
    """For plan: environments planned for at once."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """For plan: type of its matrix products."""
    lewm_size: bool = False
    """For plan: also time a network of LeWM's size, ours beside a straightforward CEM and beside stable-worldmodel."""
    repeats: Count = 5
    """Measurements of each figure; kills, for faults; rounds, for memory."""
    episodes: Count = 40
    """For collect: episodes of each measurement."""
    seed: NonNegativeInt = 0
    """For faults: seed of the times of the kills."""
    out: str | None = None
    """Also write the figures there, as JSON; faults goes on from what is there."""


@dataclass(frozen=True)
class ReproduceConfig(Settings):
    """Measure a published table again: theirs beside ours, with seeds and 95 % intervals.

    Finished cells are kept, so that an interrupted command continues where it was.
    """

    table: str = ""
    """Name of the table; empty lists all tables."""
    rows: tuple[str, ...] = no_effect_on_weights(())
    """Patterns of row names, such as 'rows=["s=1-*"]'; empty takes all rows."""
    scale: Literal["quick", "full"] = "quick"
    """quick: minutes on two CPU cores. full: the paper's size."""
    seeds: tuple[NonNegativeInt, ...] = no_effect_on_weights((0, 1, 2))
    """Seeds of training; settings are chosen on a validation split with the first."""
    rhos: tuple[OpenFraction, ...] = no_effect_on_weights(())
    """Autocorrelations, where the table has such rows; empty takes its own."""
    world: str | None = None
    """World whose pixels the pixel tables use; null takes the table's own."""
    out: str | None = no_effect_on_weights(None)
    """Folder of the cells, results.json and figure.png; null: runs/reproduce/TABLE-SCALE."""
    data: str = no_effect_on_weights("data/reproduce")
    """Folder of rendered data sets."""
    polish: bool = True
    """Also read latents through the canonical readout (`worldmodel.measures`), which needs no labels either, in columns
    of its own."""
    workers: Count | None = no_effect_on_weights(None)
    """Rendering processes; null takes every core."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes CUDA where there is a GPU."""
    together: bool = no_effect_on_weights(True)
    """On a GPU, train the cells of a table side by side, where it knows how."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.seeds:
            raise UserError("seeds is empty; name at least one, e.g. seeds=[0,1,2]")
        if len(set(self.seeds)) < len(self.seeds):
            raise UserError(f"seeds must be different, got {list(self.seeds)}")

    @property
    def full(self) -> bool:
        """Whether the paper's size was asked for."""
        return self.scale == "full"

    def pick(self, quick: T, full: T) -> T:
        """The value for the scale that was asked for."""
        return full if self.full else quick

    @property
    def folder(self) -> Path:
        """Where results go."""
        return Path(self.out or f"runs/reproduce/{self.table}-{self.scale}")


@dataclass(frozen=True)
class AgreementConfig(Settings):
    """Measure a sample of docs/results again from the same seeds, and print how far the figures are from theirs."""

    kinds: tuple[str, ...] = ()
    """Kinds of results: design, positions, reproduce, demo, engines; empty takes all."""


@dataclass(frozen=True)
class TrustConfig(Settings):
    """What damage and malice can do: flipped bits, changed files, and files that promise more than they hold."""

    what: Literal["flips", "hostile", "fuzz", "verification", "hosts"] = "flips"
    """flips: single bits, one at a time, in each kind of file of a run and of a data set. hostile: seconds and memory
    that hostile files cost before they are refused. fuzz: thousands of valid files, changed within their formats, for
    everything that reads a file. verification: what checksums cost when a training starts. hosts: three machines that
    collect one data set and train one run at once (Linux, as root)."""
    repeats: Count = 300
    """For flips: of each kind of file; for verification: starts with and without."""
    world: str = "reacher"
    """For verification: a recipe, whose data set is recorded where it is missing."""
    inputs: Count = 20_000
    """For fuzz: changed files for each reader."""
    minutes: Count = 5
    """For fuzz: of each reader at most, on the clock; the same command goes on from `out`."""
    readers: tuple[str, ...] = ()
    """For fuzz: names of readers; empty takes all."""
    keep: str = ""
    """For fuzz: a folder for changed files that fail."""
    seed: NonNegativeInt = 0
    """For flips and fuzz: of the changes."""
    out: str | None = None
    """Also write the figures there, as JSON."""
