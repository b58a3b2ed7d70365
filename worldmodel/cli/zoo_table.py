"""`worldmodel zoo`: the models that come with the package, and their cards."""

from worldmodel.cli.terminal import achievement, table
from worldmodel.measures.wording import digits
from worldmodel.runs.zoo import ZooModel, find_model, zoo
from worldmodel.settings import ZooConfig


def zoo_text(config: ZooConfig) -> str:
    """The list of all models, or the card of one."""
    if config.name is not None:
        return find_model(config.name).card
    rows = [("run", "goal images reached", "random", "state R2", "MB")]
    rows += [_row(model) for model in zoo()]
    return f"{table(rows)}\nnext: worldmodel control run=zoo/NAME, worldmodel zoo name=NAME for its card"


def _row(model: ZooModel) -> tuple[str, ...]:
    train, control = model.summary.train, model.summary.control
    state = train.identifiability.r2_h_to_z if train.identifiability else None
    driven = [achievement(control.controllers[name]) for name in ("latent", "random")] if control else ["–", "–"]
    return (f"zoo/{model.name}", *driven, digits(state), f"{model.megabytes:.1f}")
