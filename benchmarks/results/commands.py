"""The commands that measure a figure again: files keep the options of the version that wrote them, not today's."""

from dataclasses import dataclass, fields

from worldmodel.evaluation import farther
from worldmodel.planners import make_planner
from worldmodel.runs import ControlResult
from worldmodel.settings import ControlConfig, PlanConfig, TrainConfig, recipe


@dataclass(frozen=True)
class Training:
    """A training whose evaluations are committed: a world's recipe, in one of its sizes."""

    world: str
    """The recipe."""
    size: str | None
    """Its size; None takes its default."""

    @property
    def config(self) -> TrainConfig:
        """Its settings."""
        return recipe(self.world, self.size)

    @property
    def is_default(self) -> bool:
        """Whether `env=` alone chooses it."""
        return recipe(self.world).run_name == self.config.run_name

    @property
    def command(self) -> str:
        """`worldmodel train env=… size=…`."""
        size = "" if self.is_default else f" size={self.size}"
        return f"worldmodel train env={self.world}{size}"

    def runs(self, num_seeds: int = 1) -> str:
        """What `run=` takes: a run, or the runs of several seeds (`-m seed=0,1,2`)."""
        name = self.config.run_name
        return f"run=runs/{name}" if num_seeds == 1 else f'"run=runs/{name}-s?"'


def training(name: str) -> Training:
    """The training that a committed file is named after, `WORLD` or `WORLD-SIZE`, such as `push_t-large`."""
    world, _, size = name.partition("-")
    return Training(world, size or None)


def control_command(found: ControlResult, trained: Training, *options: str) -> str:
    """The evaluation's command: the run, what is given, and every setting in which it differs from the run's own."""
    own = trained.config.plan
    if found.protocol.rewarded:
        own = farther(own, trained.config.predictor.horizon)
    num_runs, num_tasks = found.latent.num_runs, found.latent.num_tasks
    words = [trained.runs(num_runs), *options, *_plan_options(found.plan, own)]
    oracle = found.controllers.get("oracle") or found.controllers.get("recorded")
    if oracle is None:
        words.append("oracle=false")
    elif oracle.num_tasks != min(num_tasks, ControlConfig.oracle_tasks):
        words.append(f"oracle_tasks={oracle.num_tasks}")
    if found.dtype != ControlConfig.dtype:
        words.append(f"dtype={found.dtype}")
    return f"worldmodel control {' '.join(words)}"


def _plan_options(plan: PlanConfig, own: PlanConfig) -> list[str]:
    """How an evaluation's plan differs from the plan that its run keeps."""
    options = [
        f"{name}={_written(getattr(plan, name))}"
        for name in ("reduction", "metric", "proposal", "subgoals", "action_cost", "replan_every", "lead_steps")
        if getattr(plan, name) != getattr(own, name)
    ]
    used, kept = _parameters(plan), _parameters(own)
    return options + [f"planner.{name}={value}" for name, value in used.items() if value != kept.get(name)]


def _parameters(plan: PlanConfig) -> dict[str, object]:
    """Every hyperparameter of a planner, also those at their default."""
    planner = make_planner(**plan.planner)
    return {item.name: getattr(planner, item.name) for item in fields(planner)}  # type: ignore[arg-type]


def _written(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value
