"""The results of `compare`, `design` and `positions` in a sentence, and a command that uses them."""

from collections.abc import Mapping

from worldmodel.comparing import CompareResult, LitBallResult
from worldmodel.designing import DesignResult
from worldmodel.evaluation.positions import PositionsResult
from worldmodel.settings import CompareConfig, DesignConfig, EnvConfig

QUICK = (
    "scale=quick trains every method for a fraction of the recipe's steps: it ranks them, and does not show what each "
    "can reach"
)


def compare_verdict(found: CompareResult) -> list[str]:
    """Which method reads the state best, which plans best and which collapsed."""
    rows = found.methods.items()
    said = []
    if read := _best({name: row.r2_h_to_z.mean for name, row in rows}):
        said.append(f"the true state is read best from {read[0]} (R2 {read[1]:.3f})")
    if planned := _best({name: row.planning.success_rate.mean for name, row in rows if row.planning}):
        said.append(f"goals are reached best with {planned[0]} ({planned[1]:.1%})")
    if held := _best({name: row.success_under_looks for name, row in rows}):
        said.append(f"under other looks most goals with {held[0]} ({held[1]:.1%})")
    if collapsed := [name for name, row in found.methods.items() if row.collapsed_share]:
        said.append(f"collapsed in some seed: {', '.join(collapsed)}")
    return ["; ".join(said), *([QUICK] if found.setup.scale == "quick" else [])]


def compare_next(found: CompareResult | LitBallResult, config: CompareConfig) -> str:
    """The study at the recipe's length, or a training of the world."""
    world = _world(config.training.env)
    if found.setup.scale == "quick":
        study = "" if config.study == "methods" else f" study={config.study}"
        return f"worldmodel compare env={world}{study}, or worldmodel train env={world}"
    return f"worldmodel train env={world}"


def design_verdict(found: DesignResult) -> str:
    """Which constants the better of the excitations makes identifiable."""
    best = found.designed or found.given
    missed = [name for name in best.r2_bound if name not in best.identifiable]
    said = [f"identifiable: {', '.join(best.identifiable)}"] if best.identifiable else []
    if missed:
        said.append(f"not identifiable: {', '.join(missed)}; try a longer window= or another constant's known value")
    return "; ".join(said)


def design_next(found: DesignResult, config: DesignConfig) -> str:
    """A training with the better excitation."""
    policy = f" {found.designed.policy.options}" if found.designed else ""
    return f"worldmodel train env={_world(config.training.env)}{policy}"


def positions_verdict(found: PositionsResult) -> str:
    """The best method of each constant, and how much of the bound it reaches."""
    said = []
    for constant in found.constants:
        methods = found.methods.items()
        read = _best({name: of.constants[constant].r2_linear.mean for name, of in methods if constant in of.constants})
        if read:
            bound = found.r2_bound.get(constant)
            share = f", {read[1] / bound:.2f} of the bound" if bound else ""
            said.append(f"{constant} is read best by {read[0]} (R2 {read[1]:.3f}{share})")
    return "; ".join(said)


def _best(figures: Mapping[str, float | None]) -> tuple[str, float] | None:
    """The name with the highest figure, and that figure; None where there is none."""
    known = [(figure, name) for name, figure in figures.items() if figure is not None]
    if not known:
        return None
    figure, name = max(known)
    return name, figure


def _world(env: EnvConfig) -> str:
    """What follows `env=`."""
    return env.name or env.world
