"""What an evaluation leaves to look at: figures, films, and curves in a tracker."""

import numpy as np

from worldmodel import figures
from worldmodel.envs import MujocoWorld
from worldmodel.evaluation.control.controllers import LatentController
from worldmodel.evaluation.control.driving import VIDEO_TAIL_STEPS, Outcome
from worldmodel.evaluation.control.tasks import Tasks, goal_frames
from worldmodel.figures.videos import control_video
from worldmodel.runs import ControlResult, Run, track_result
from worldmodel.settings import TrackerName
from worldmodel.system.printable import say


def track(run: Run, found: ControlResult, tracker: TrackerName) -> None:
    """Show rates, videos and figures in a tracker."""
    rates = {f"success/{name}": one.success.rate for name, one in found.controllers.items() if one.success}
    rates |= {f"return/{name}": one.returns.mean for name, one in found.controllers.items() if one.returns}
    media = [*(run.path / video for video in found.videos), *sorted(run.figures.glob("planner_cost.png"))]
    track_result(tracker, run.path, "control", rates, media)
    own = run.config.track
    if tracker == "tensorboard" and own != tracker:
        say(f"note: the training of {run.path} was shown in {own}; add track={own} to show this there, too")


def draw(run: Run, found: ControlResult, controller: LatentController) -> None:
    """Draw what was achieved, and how plans and tasks converged."""
    if not found.protocol.rewarded:
        with figures.drawing("success.png"):
            figures.success_bars(run.figures / "success.png", found.labelled_rates())
    with figures.drawing("planner_cost.png"):
        label = "value of the state" if found.protocol.by_head else "distance to goal (latent units)"
        figures.planner_cost(run.figures / "planner_cost.png", *controller.traces(), label)


def film(world: MujocoWorld, tasks: Tasks, run: Run, outcome: Outcome) -> list[str]:
    """Videos of the filmed tasks, the goal beside the view where there is one; paths relative to the run."""
    paths, fps = [], min(20.0, 1 / world.control_dt_s)
    filmed = tasks.part(0, outcome.frames.shape[1])
    goals = goal_frames(world, filmed) if len(filmed) and filmed.have_goals else None
    for i in range(outcome.frames.shape[1]):
        solved = int(outcome.solved_at[i])
        last = solved + VIDEO_TAIL_STEPS if solved >= 0 else len(outcome.frames) - 1
        views = outcome.frames[: last + 1, i]
        reached = (np.arange(len(views)) >= solved) & (solved >= 0)
        with figures.drawing(f"control_{i:03d}.mp4"):
            path = run.videos / f"control_{i:03d}.mp4"
            control_video(path, views, None if goals is None else goals[i], reached, fps)
            paths.append(str(path.relative_to(run.path)))
    return paths
