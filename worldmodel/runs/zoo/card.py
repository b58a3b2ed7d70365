"""The card of a model in the zoo: what it was trained on, what it does, and where it ends, from its results alone."""

from worldmodel.measures import digits, with_interval
from worldmodel.runs.results import ControllerResult, TrainResult
from worldmodel.runs.summary import Summary
from worldmodel.settings import TrainConfig

_READ_WELL = 0.9


def card(name: str, config: TrainConfig, summary: Summary, megabytes: float) -> str:
    """A page in Markdown.

    Args:
        name: name of the model in the zoo.
        config: settings of its training.
        summary: its results, control among them.
        megabytes: size of its weights.
    """
    train, control = summary.train, summary.control
    assert control is not None
    facts = {
        "Data": f"{train.data.episodes:,} episodes of {config.collection.episode_steps} control steps of simulated "
        f"{train.env}, frames of {train.data.image_size} x {train.data.image_size} pixels; no labels",
        "Recipe": f"`{summary.commands['train']}`",
        "Model": f"{train.model.parameters:,} parameters, {megabytes:.1f} MB: {train.model.encoder} encoder by "
        f"{train.method}, {train.model.latent_dim} latents, {config.predictor.kind} predictor",
        f"Goal images reached, protocol {control.protocol.name}": f"{_rate(control.latent)} of "
        f"{control.latent.num_tasks}; random actions {_rate(control.controllers['random'])}",
        "One decision": f"{control.cpu_ms_per_decision:.1f} CPU-milliseconds, tasks side by side",
        **_figures(train),
    }
    table = "\n".join(f"| {what} | {value} |" for what, value in facts.items())
    limits = "\n".join(f"- {limit}" for limit in _limits(train))
    return (
        f"# {name}\n\nA world model of `{train.env}` that comes with the package.\n\n| | |\n|---|---|\n{table}\n\n"
        f"## Limits\n\n{limits}\n\n## Use\n\n```bash\nworldmodel control run=zoo/{name}\n"
        f"worldmodel report run=zoo/{name}\n```\n"
    )


def _rate(found: ControllerResult) -> str:
    assert found.success
    return with_interval(found.success.rate, found.success.interval, ".0%")


def _figures(train: TrainResult) -> dict[str, str]:
    figures = {}
    if train.identifiability:
        figures["True state from latents, linear R2, held out"] = digits(train.identifiability.r2_h_to_z)
    if train.prediction:
        steps, ratio = train.prediction.farthest
        figures[f"Prediction error {steps} steps ahead, over that of persistence"] = digits(ratio)
    if train.decoding:
        figures["Decoded frames, held out"] = f"{digits(train.decoding.decoded.psnr_db, '.1f')} dB PSNR"
    return figures


def _limits(train: TrainResult) -> list[str]:
    limits = [
        "Trained on this simulated world alone, from one camera: other looks and physics need their own.",
    ]
    if train.identifiability:
        read = train.identifiability.per_variable
        badly = {name: r2 for name, r2 in read.items() if r2 is None or r2 < _READ_WELL}
        if badly:
            listed = ", ".join(f"{name} {digits(r2)}" for name, r2 in badly.items())
            limits.append(f"A linear map reads these variables with R2 below {_READ_WELL}: {listed}.")
    return limits
