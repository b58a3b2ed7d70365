"""`worldmodel view`: opens a session, runs it, and serves it."""

import asyncio
import importlib.util
import os
import sys
import threading
import time
import webbrowser
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from worldmodel.envs import MujocoWorld
from worldmodel.envs.excitation import make_policy
from worldmodel.evaluation.control.landmarks import possible, ways
from worldmodel.evaluation.control.tolerance import set_tolerance
from worldmodel.evaluation.fits import check_frames
from worldmodel.evaluation.trust import trusted_world, warn_if_edited
from worldmodel.models.encoders import set_cpu_threads
from worldmodel.runs import Run, ViewResult
from worldmodel.settings import RECORDED, EnvConfig, TrainConfig, ViewConfig
from worldmodel.system.devices import pick_device, torch_kept
from worldmodel.system.errors import UserError
from worldmodel.system.files import check_replaceable, write_text
from worldmodel.system.printable import say
from worldmodel.viewing.live import LiveSession, LiveSubject
from worldmodel.viewing.messages import encoded
from worldmodel.viewing.playback import open_playback
from worldmodel.viewing.reference import reference
from worldmodel.viewing.replay_page import Recorder
from worldmodel.viewing.session import Commands, Progress, Session, run_session

_MARK = b"<title>worldmodel view</title>"
"""In the head of every page, so that `save` replaces nothing but earlier pages."""


@torch_kept()
def view(config: ViewConfig) -> ViewResult:
    """Serve a live view, or a recording, until it is stopped (Ctrl-C) or has made `config.steps`.

    Raises:
        UserError: the run or the data set cannot be shown, the port is in use, or aiohttp is not installed.
    """
    begun = time.monotonic()
    if config.save:
        check_replaceable(Path(config.save), [_MARK], "recording of a view", "choose another save=, or delete it")
    if config.serve:
        _check_serving(config.port)
    session = open_session(config)
    try:
        progress, url, recorder = _served(config, session) if config.serve else _recorded(config, session)
    finally:
        session.close()
    last = progress.last
    return ViewResult(
        url=url,
        steps=progress.steps,
        steps_per_s=progress.steps / progress.stepping_s if progress.steps else None,
        first_picture_s=max(0.0, progress.first_at - begun),
        goals_reached=last.goals_reached if last else 0,
        goals_given_up=last.goals_given_up if last else 0,
        replay=None if config.save is None else _saved(Path(config.save), recorder),
    )


def _check_serving(port: int) -> None:
    """UserError where no page can be served, so that no model is loaded in vain."""
    if not importlib.util.find_spec("aiohttp"):
        raise UserError("view serves its page with aiohttp; install it with: pip install 'worldmodel[view]'")
    from worldmodel.viewing.server import check_port

    check_port(port)


def _served(config: ViewConfig, session: Session) -> tuple[Progress, str, Recorder]:
    """Run a session in its own thread and serve it from this one; returns progress, address and recorder."""
    from worldmodel.viewing.server import Server

    commands, stop, progress = Commands(), threading.Event(), Progress()
    server = Server(session.opening, commands)

    def step() -> None:
        run_session(session, commands, server.tell, stop, config.steps_per_s, config.steps, progress)

    async def serve() -> None:
        async with server.serving(config.port):
            say(f"view: {server.url} (this machine only; Ctrl-C ends it)")
            if config.open and _has_display():
                webbrowser.open(server.url)
            stepping = asyncio.create_task(asyncio.to_thread(step))
            try:
                await asyncio.shield(stepping)
            finally:
                stop.set()
                await stepping

    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        print()  # below the ^C of the terminal
    return progress, server.url, server.recorder


def _recorded(config: ViewConfig, session: Session) -> tuple[Progress, None, Recorder]:
    """Make the steps of a session without a page; nobody could set it going again, so that an error ends it."""
    recorder, progress = Recorder(session.opening), Progress(last=session.moment(), first_at=time.monotonic())
    assert progress.last is not None and config.steps is not None  # checked with the settings
    recorder.keep(encoded(progress.last))
    for _ in range(config.steps):
        recorder.keep(encoded(progress.advance(session)))
    return progress, None, recorder


def open_session(config: ViewConfig) -> Session:
    """Open a live session or a recording without a server: `advance` steps it, `obey` carries out a command.

    Raises:
        UserError: the run or the data set cannot be shown.
    """
    if not config.run:
        if config.data is None:
            raise UserError("what to view? add run=runs/NAME, run=zoo/reacher or data=data/NAME")
        return open_playback(Path(config.data), None, config.trust_world)
    run = Run(config.run)
    trained = run.config
    model = run.model(pick_device(config.device))
    set_cpu_threads(model.config.encoder)
    if config.data is not None or trained.env.world == RECORDED:
        folder = Path(config.data) if config.data is not None else trained.collection.directory
        return open_playback(folder, model, config.trust_world)
    world = trusted_world(_held(trained.env), config.trust_world)
    window = model.context_encoder.config.window if model.context_encoder else None
    try:
        warn_if_edited(run, world)
        if world.scene.draws_itself:
            raise UserError(
                f"view moves and draws a MuJoCo model, and {world.name} holds none; worldmodel imagine shows what the "
                f"model expects, and view data={trained.collection.directory} plays the recordings"
            )
        check_frames(model, world.image_size, world.name)
        plan = possible(config.plan or trained.plan, trained)
        _set_tolerance(world, trained)
        episodes = reference(trained, world, config.seed, window)
        graph = ways(plan, model, trained)
        subject = LiveSubject(str(run.path), model, world, plan, episodes, config.seed, graph)
        return LiveSession(subject)
    except BaseException:
        world.close()
        raise


def _set_tolerance(world: MujocoWorld, trained: TrainConfig) -> None:
    """Judge goals as `control` does; where nothing moves that pictures show, no goal counts as reached."""
    if world.scene.action_dim:
        with suppress(UserError):
            set_tolerance(world, None, make_policy(**trained.collection.policy), trained.collection.episode_steps)


def _held(env: EnvConfig) -> EnvConfig:
    """Settings of the same world with factors that do not drift from where a person sets them."""
    return env if env.kinematic else replace(env, factor_rho={})


def _saved(where: Path, recorder: Recorder) -> str:
    write_text(where, recorder.page())
    return str(where)


def _has_display() -> bool:
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
