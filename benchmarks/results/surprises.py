"""Surprise at what cannot happen: `worldmodel surprise`."""

from benchmarks.results.markdown import digits, with_interval
from benchmarks.results.sources import read_surprises


def details() -> str:
    """Every evaluation of `worldmodel surprise out=docs/results/surprise-*.json`."""
    lines = []
    for found in read_surprises():
        by_contexts = {f"{event}, by contexts": of for event, of in found.contexts.items()}
        for event, of in (found.events | by_contexts).items():
            cells = [
                found.world or "–",
                event,
                str(found.num_trajectories),
                digits(of.median_without, ".2f"),
                digits(of.median_with, ".2f"),
                with_interval(of.mean_gain, of.mean_gain_interval, ".2f"),
                digits(of.more_surprised, ".0%"),
                digits(of.p_wilcoxon, ".1e"),
                digits(of.auroc),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    if not lines:
        return ""
    head = [
        "",
        "## Surprise at what cannot happen",
        "",
        "`worldmodel surprise run=zoo/reacher trajectories=200 out=docs/results/surprise-reacher.json`: highest",
        "whitened prediction error (1 is usual) in the windows that see the event, with it and without it, from one",
        "start under the same actions. Mean gain with its 95 % interval, share of trajectories with a gain, Wilcoxon's",
        "signed-rank p, one-sided, and the area under the ROC curve over all trajectories. By contexts: the change of",
        "the constants that the model reads from the steps before and after the event.",
        "",
        "| world | event | pairs | median without | median with | mean gain | more surprised | p | AUROC |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *lines]) + "\n"
