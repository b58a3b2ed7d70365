"""Measures a sample of the committed results again, from the same seeds, with today's code.

`python -m benchmarks.agreement` prints the committed value of every figure, the value of today, and the difference; it
takes about ten minutes on two CPU cores. Simulation repeats exactly. Training rounds differently with another number of
threads or another version of PyTorch, and then differs by 1e-5 or so.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import command
from benchmarks.engines import engines
from benchmarks.reproduce.definitions import Cell
from benchmarks.reproduce.result import RowResult, read_table
from benchmarks.reproduce.tables import TABLES
from benchmarks.results.commands import training
from benchmarks.results.sources import FOLDER, paths, read, read_demos
from benchmarks.settings import AgreementConfig, ReproduceConfig
from worldmodel.designing import ChosenPolicy, DesignResult, judge
from worldmodel.evaluation import PositionsResult, positions
from worldmodel.learning import train
from worldmodel.runs import read_record
from worldmodel.settings import CollectConfig, DesignConfig, PositionsConfig, TrainConfig, recipe
from worldmodel.system import UserError

STUDIES = ("puck", "varied_pendulum")
TABLES_OF_VECTORS = ("mixings", "scaling", "generalised_normal", "lambda_rho", "misspecified")

LEFT_OUT = {
    "compare-*, lit-ball": "hundreds of trainings, hours",
    "control-*, surprise-*, *-seed*": "need trained models: minutes with a GPU, or hours without, each",
    "reproduce-*": "the others render a data set first, or measure time",
    "state-*": "the others have options of the context encoder that docs/LOG.md keeps, and the file does not",
    "identify-*, rounds-*, calibrated-*, imagined-*, robust-*, left_out-*, change-*": "they need trained runs",
    "recipes-*, rewards-*": "an hour of trainings or more",
    "bench-*": "the others are seconds and bytes of the machine that measured",
}
"""Files of docs/results that are not measured again -> why."""


@dataclass(frozen=True)
class Pair:
    """A figure that was committed, and what the same seeds give today."""

    file: str
    """Name of the file in docs/results."""
    figure: str
    """Which figure."""
    committed: float | None
    """The committed value; None where it could not be determined."""
    again: float | None
    """Its value today."""

    @property
    def difference(self) -> float:
        """Today's less the committed one; infinite where only one of them could be determined."""
        if self.committed is None or self.again is None:
            return 0.0 if self.committed == self.again else float("inf")
        return self.again - self.committed


# ---------------------------------------------------------------------------------------------------------------------
# kinds of results


def _designs(folder: Path) -> Iterator[Pair]:
    """Bounds under the given excitation; the search for a better one would take minutes each."""
    for path in paths("design-*.json"):
        found = read_record(path, DesignResult).result
        again = judge(_judged(found))
        for constant, bound in found.given.r2_bound.items():
            yield Pair(path.name, f"r2_bound {constant}", bound, again.r2_bound[constant])
        for constant, bound in found.given.r2_bound_van_trees.items():
            yield Pair(path.name, f"r2_bound_van_trees {constant}", bound, again.r2_bound_van_trees[constant])


def _judged(found: DesignResult) -> DesignConfig:
    """The settings behind a design; its noise is the default one."""
    trained = training(found.env).config
    names = [constant.name for constant in found.constants]
    collection = _moved(trained.collection, names, found.given.policy, found.episode_steps)
    return DesignConfig(
        replace(trained, collection=collection),
        window=found.window_steps,
        num_trajectories=found.num_trajectories,
        seed=found.seed,
    )


def _positions(folder: Path) -> Iterator[Pair]:
    """LeJEPA's contexts of the first seed, with the learning rate and weight decay that were chosen."""
    for name in STUDIES:
        path = FOLDER / f"state-{name}.json"
        found = read_record(path, PositionsResult).result
        again = positions(_studied(found, folder)).methods["lejepa"]
        for constant, reading in found.methods["lejepa"].constants.items():
            today = again.constants[constant]
            yield Pair(path.name, f"r2_linear {constant}", reading.r2_linear.values[0], today.r2_linear.values[0])
            yield Pair(path.name, f"r2_mlp {constant}", reading.r2_mlp.values[0], today.r2_mlp.values[0])


def _studied(found: PositionsResult, folder: Path) -> PositionsConfig:
    """The settings behind a study of one method, for one seed."""
    trained, chosen = training(found.env).config, found.methods["lejepa"]
    collection = replace(
        _moved(trained.collection, found.constants, found.policy, found.episode_steps),
        episodes=found.episodes,
        drift_rho=found.drift_rho,
        restart_midway=found.restart_midway,
    )
    learning = trained.context_training_or_default
    optim = replace(learning.optim, lr=chosen.lr, weight_decay=chosen.weight_decay)
    trained = replace(
        trained,
        collection=collection,
        context=replace(trained.context_or_default, window=found.window_steps),
        context_training=replace(learning, optim=optim),
        runs=str(folder),
        device="cpu",
    )
    return PositionsConfig(
        trained,
        noise_m=found.noise.m,
        noise_rad=found.noise.rad,
        methods=["lejepa"],
        tune=False,
        num_seeds=1,
        shift_episodes=0,
        bound_trajectories=0,
    )


def _moved(collection: CollectConfig, constants: list[str], policy: ChosenPolicy, episode_steps: int) -> CollectConfig:
    """The same world with these constants drawn, under this policy."""
    env = replace(collection.env, randomize=constants)
    options = {"name": policy.name, **policy.parameters}
    return replace(collection, env=env, policy=options, episode_steps=episode_steps)


def _reproductions(folder: Path) -> Iterator[Pair]:
    """The quickest row of each table of vectors, its first seed, with the settings that were chosen."""
    for name in TABLES_OF_VECTORS:
        path = FOLDER / f"reproduce-{name}.json"
        found = read_table(path)
        row: RowResult = min(found.rows, key=lambda row: row.cpu_s)
        request = ReproduceConfig(table=name, scale="quick", out=str(folder / name), device="cpu")
        today = TABLES[name].measure(Cell(row.settings, found.seeds[0], folder / name, request))
        for figure, committed in row.measures.items():
            if figure in today and not figure.endswith("_s"):
                yield Pair(path.name, f"{row.key} {figure}", committed.values[0], float(f"{today[figure]:.7g}"))


def _demo(folder: Path) -> Iterator[Pair]:
    """The first part of `worldmodel demo`, seed 0: an encoder of the reacher's joint angles."""
    committed, again = read_demos()[0].identifiability, train(_identifying(folder)).identifiability
    assert again is not None
    for figure in ("r2_h_to_z", "r2_z_to_h", "orthogonality_error", "procrustes_mse", "r2_ceiling"):
        yield Pair("demo-seed0.json", figure, getattr(committed, figure), getattr(again, figure))


def _identifying(folder: Path) -> TrainConfig:
    """The settings of that part."""
    found = recipe("reacher_ou").at(str(folder / "data"), str(folder))
    optim = replace(found.method.optim, steps=1500)
    return replace(
        found,
        collection=replace(found.collection, episodes=12_000, data_seed=0),
        method=replace(found.method, optim=optim),
        name="identify",
        device="cpu",
    )


def _engines(folder: Path) -> Iterator[Pair]:
    """How far MuJoCo Warp's episodes are from MuJoCo's."""
    committed = read("bench-engines.json")
    assert committed is not None
    for world, again in engines().items():
        for figure in ("state_error", "frame_error", "pixels_off"):
            yield Pair("bench-engines.json", f"{world} {figure}", committed[world][figure], again[figure])


KINDS: dict[str, Callable[[Path], Iterator[Pair]]] = {
    "design": _designs,
    "positions": _positions,
    "reproduce": _reproductions,
    "demo": _demo,
    "engines": _engines,
}


# ---------------------------------------------------------------------------------------------------------------------
# the command


def agreement(config: AgreementConfig) -> Iterator[Pair]:
    """Every figure of the kinds that are asked for, as soon as it is measured.

    Raises:
        UserError: an unknown kind.
    """
    if unknown := [kind for kind in config.kinds if kind not in KINDS]:
        raise UserError(f"unknown kind {unknown[0]!r}; choose from {', '.join(KINDS)}")
    with tempfile.TemporaryDirectory() as folder:
        for kind in config.kinds or KINDS:
            yield from KINDS[kind](Path(folder) / kind)


def report(pairs: Iterable[Pair]) -> str:
    """Print a line for each figure as it comes; returns the largest difference of each file, and what was left out."""
    start = time.monotonic()
    largest: dict[str, Pair] = {}
    for pair in pairs:
        shown = "  ".join(f"{'–' if value is None else f'{value:.7g}':>12}" for value in (pair.committed, pair.again))
        print(f"{pair.file:<34}{pair.figure:<56}{shown}  {pair.difference:>+9.1e}", flush=True)
        largest[pair.file] = max(largest.get(pair.file, pair), pair, key=lambda pair: abs(pair.difference))
    lines = [f"{pair.file:<34}{abs(pair.difference):.1e}  ({pair.figure})" for pair in largest.values()]
    left_out = [f"{files}: {why}" for files, why in LEFT_OUT.items()]
    seconds = f"measured in {time.monotonic() - start:.0f} s"
    return "\n".join(["", "largest differences", *lines, seconds, "", "not measured again", *left_out])


if __name__ == "__main__":
    sys.exit(command.run(AgreementConfig, lambda config: report(agreement(config))))
