"""Plans that the controller chose: what the model expected of them, and what happened when they were carried out."""

import numpy as np
import torch

from worldmodel.envs import BatchWorld, MujocoWorld
from worldmodel.evaluation.control.context_sources import context_source
from worldmodel.evaluation.control.controllers import GoalController, check_heads
from worldmodel.evaluation.control.driving import begin
from worldmodel.evaluation.control.landmarks import ways
from worldmodel.evaluation.control.planning import planner_of
from worldmodel.evaluation.control.tasks import Tasks, draw_tasks, goal_frames, make_protocol
from worldmodel.figures import drawing
from worldmodel.figures.videos import rows_of_films, write_film
from worldmodel.learning.imagining import film_fps
from worldmodel.models import PlanningModel, WorldModel
from worldmodel.runs import Run, TaskProtocol
from worldmodel.settings import ControlConfig, ImagineConfig, PlanConfig

_GOAL_STEPS = 15
"""Control steps from start to goal in their episode: near enough for one plan."""


def film_plans(config: ImagineConfig, run: Run, model: WorldModel, world: MujocoWorld, plan: PlanConfig) -> list[str]:
    """Film the first plan to a few goal images: what the camera then saw above what the model imagined.

    Each plan is carried out to its end, without a further look and without planning again. Returns the film's path,
    relative to the run, where it could be written.
    """
    trained = run.config
    settings = ControlConfig(run=config.run, tasks=config.tasks, goal_steps=_GOAL_STEPS, seed=config.seed)
    check_heads(model, plan)
    protocol = make_protocol(settings, world.name)
    tasks = draw_tasks(world, trained, protocol, settings, plan)
    goals, planner = goal_frames(world, tasks), planner_of(plan)
    contexts = context_source("online", model, trained, world, tasks)
    graph = ways(plan, model, trained)
    controller = GoalController(PlanningModel(model), planner, plan, goals, contexts, config.seed, graph)
    camera, latents = _carry_out(world, tasks, controller, protocol)
    imagined = model.decode(latents).cpu().numpy()
    goal = np.repeat(goals[:, None], camera.shape[1], 1)
    notes = ["seen", *(f"+{step}" for step in range(1, camera.shape[1]))]
    film = rows_of_films({"goal": goal, "camera": camera, "imagined": imagined}, notes)
    with drawing("imagined_plans.mp4"):
        path = run.videos / "imagined_plans.mp4"
        write_film(path, film, film_fps(world.control_dt_s))
        return [str(path.relative_to(run.path))]
    return []


def _carry_out(
    world: MujocoWorld, tasks: Tasks, controller: GoalController, protocol: TaskProtocol
) -> tuple[np.ndarray, torch.Tensor]:
    """Plan once for each of n tasks and execute it: frames uint8 (n, H+1, S, S, 3), latents seen and imagined
    (n, H+1, D)."""
    batch = BatchWorld(world, len(tasks))
    frames, states = begin(batch, tasks, controller, protocol)
    controller.act(frames, states)
    actions, latents = controller.expected()
    seen = [frames]
    for step in range(actions.shape[1]):
        seen.append(batch.step(actions[:, step])[0])
    return np.stack(seen, 1), latents
