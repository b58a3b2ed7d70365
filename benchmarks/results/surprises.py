"""Surprise at what cannot happen: `worldmodel surprise`."""

from benchmarks.results.sources import read_all


def details() -> str:
    """Every evaluation of `worldmodel surprise out=docs/results/surprise-*.json`."""
    lines = []
    for content in read_all("surprise-*.json"):
        for event, of in content["events"].items():
            low, high = of["mean_gain_interval"]
            cells = [
                content["env"],
                event,
                str(content["num_trajectories"]),
                f"{of['median_without']:.2f}",
                f"{of['median_with']:.2f}",
                f"{of['mean_gain']:.2f} [{low:.2f}, {high:.2f}]",
                f"{of['more_surprised']:.0%}",
                f"{of['p_wilcoxon']:.1e}",
                f"{of['auroc']:.3f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    if not lines:
        return ""
    head = [
        "",
        "## Surprise at what cannot happen",
        "",
        "`worldmodel surprise run=pretrained/reacher trajectories=200 out=docs/results/surprise-reacher.json`: highest",
        "whitened prediction error (1 is usual) in the windows that see the event, with it and without it, from one",
        "start under the same actions. Mean gain with its 95 % interval, share of trajectories with a gain, Wilcoxon's",
        "signed-rank p, one-sided, and the area under the ROC curve over all trajectories.",
        "",
        "| world | event | pairs | median without | median with | mean gain | more surprised | p | AUROC |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *lines]) + "\n"
