"""Options of `python -m benchmarks.speed` and `python -m benchmarks.reproduce`."""

from dataclasses import dataclass, field
from typing import Any

from worldmodel.models.inference import DTYPES
from worldmodel.planners import PLANNERS
from worldmodel.settings.verbs import check_choice, check_engine, check_numbers
from worldmodel.system.errors import UserError

BENCHES = ("render", "collect", "plan", "train", "sigreg", "load", "processes", "faults", "memory", "engines")


@dataclass
class BenchConfig:
    """Measure speed and endurance on this machine: rates per CPU-second and medians.

    what: "render", "collect", "plan", "train" (peak memory of the default training), "sigreg", "load" (clips from
    memory and from disk), "processes" (training in two against one: gradients and costs), "faults" (`repeats` random
    kills of collection and training, and what they cost), "memory" (growth over `repeats` episodes, training steps and
    control steps) or "engines" (MuJoCo Warp's episodes against MuJoCo's). world: an environment's name, for render,
    collect, train and memory. engine, worlds: of collect. run: for plan; empty takes the default reacher model with
    random weights. batch: environments planned for at once. dtype: of a plan's matrix products, float32 or bfloat16.
    lewm_size: also time a network of LeWM's size, ours beside a straightforward CEM. repeats: of each measurement.
    episodes: collected in each repeat. seed: of faults. out: also write the figures there, as JSON.
    """

    what: str = "render"
    world: str = "reacher"
    engine: str = "classic"
    worlds: int = 128
    run: str = ""
    planner: dict[str, Any] = field(default_factory=dict)
    batch: int = 64
    dtype: str = "float32"
    lewm_size: bool = False
    repeats: int = 5
    episodes: int = 40
    seed: int = 0
    out: str = ""

    def __post_init__(self) -> None:
        if self.what not in BENCHES:
            raise UserError(f"what is one of {', '.join(BENCHES)}, got {self.what!r}")
        check_numbers("planner", self.planner, PLANNERS)
        check_engine(self.engine, self.worlds)
        check_choice("dtype", self.dtype, tuple(DTYPES))
        for name in ("batch", "repeats", "episodes"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be >= 1, got {getattr(self, name)}")


@dataclass
class ReproduceConfig:
    """Measure a published table again: theirs beside ours, with seeds and 95 % intervals.

    table: which one; `worldmodel reproduce` without a table lists them. rows: patterns of row names, such as
    'rows=["s=1-*"]'; empty takes all. scale: "quick" (minutes on two CPU cores) or "full" (the paper's size). seeds: of
    training; settings are chosen on a validation split with the first. rhos: autocorrelations, where the table has such
    rows; empty takes its own. world: what pixel tables look at; empty takes their own. out: where cells, results.json
    and figure.png go; empty: runs/reproduce/<table>-<scale>. Finished cells are kept there, and a command that was cut
    off goes on. data: folder of rendered data sets. workers: rendering processes; 0 takes every core. device: auto, cpu
    or cuda. together: on a GPU, train the cells of a table side by side, where it knows how. polish: also read
    latents through the canonical readout (`worldmodel.measures.canonical`), self-supervised too, in columns of its own.
    """

    table: str = ""
    rows: list[str] = field(default_factory=list)
    scale: str = "quick"
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    rhos: list[float] = field(default_factory=list)
    world: str = ""
    out: str = ""
    data: str = "data/reproduce"
    polish: bool = True
    workers: int = 0
    device: str = "auto"
    together: bool = True

    def __post_init__(self) -> None:
        if self.scale not in ("quick", "full"):
            raise UserError(f"scale is quick or full, got {self.scale!r}")
        if not self.seeds:
            raise UserError("seeds is empty; name at least one, e.g. seeds=[0,1,2]")
        if len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise UserError(f"seeds must be different whole numbers >= 0, got {self.seeds}")
        for rho in self.rhos:
            if not 0 < rho < 1:
                raise UserError(f"rho must lie strictly between 0 and 1, got {rho}; e.g. rhos=[0.5,0.9]")
