"""The loop, the server and the recording: nothing that comes in stops them, and nothing foreign gets in."""

import asyncio
import base64
import gzip
import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import msgspec
import numpy as np
import pytest

from worldmodel.cli.main import main
from worldmodel.data.arrays import write_arrays
from worldmodel.settings import ViewConfig
from worldmodel.system.errors import UserError
from worldmodel.viewing import messages as say
from worldmodel.viewing import open_session, view
from worldmodel.viewing.replay_page import Recorder, page
from worldmodel.viewing.server import Server
from worldmodel.viewing.session import Commands, run_session

OPENING = say.Opening(
    title="a", mode="live", world="w", notes=[], control_dt_s=0.1, frame_size=8, viewpoint=None, meshes=[], factors=[],
    positions=[], goals=[], planners=[], drivers=[], episode_lengths=[],
)  # fmt: skip
MOMENT = say.Moment(
    step=0, episode=0, frame_number=0, playing=True, frame=b"x", reconstruction=None, goal=None, latent=[],
    distance=None, reached=False, goals_reached=0, goals_given_up=0, decision_ms=None, costs=[], plan_cost=None,
    driver="nobody", planner=None, action=[], imagined=None, solids=[], goal_solids=[], imagined_solids=[],
    paths=[], states=[], constants=[], factors={}, goal_positions={},
)  # fmt: skip


@dataclass
class Counter:
    """A session that counts its steps, refuses SetFactor and breaks on Reset."""

    opening: say.Opening = OPENING
    playing: bool = True
    steps: int = 0
    obeyed: list[say.AnyCommand] = field(default_factory=list)

    def advance(self) -> say.Moment:
        self.steps += 1
        return self.moment()

    def moment(self) -> say.Moment:
        if say.Reset() in self.obeyed:
            self.obeyed.clear()
            raise RuntimeError("broken")
        return msgspec.structs.replace(MOMENT, step=self.steps, playing=self.playing)

    def obey(self, command: say.AnyCommand) -> None:
        self.obeyed.append(command)
        match command:
            case say.Play():
                self.playing = command.on
            case say.StepOnce():
                self.playing = False
            case say.SetFactor():
                raise UserError("no factors here")

    def close(self) -> None:
        pass


# ---------------------------------------------------------------------------------------------------------------------
# commands and the loop


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        '{"do": "exec", "code": "1"}',
        '{"do": "play"}',
        '{"do": "play", "on": 1}',
        '{"do": "play", "on": true, "path": "/etc/passwd"}',
        '{"do": "pace", "steps_per_s": -1}',
        '{"do": "driver", "driver": "__import__"}',
        '{"do": "set_factor", "name": "m", "value": NaN}',
        '{"do": "pose_goal", "positions": {"x": "1"}}',
        '{"do": "step"' + " " * 5000 + "}",
        b"\xff\xfe",
    ],
)
def test_only_commands_are_read(text):
    with pytest.raises(UserError):
        say.read_command(text)


def test_commands_are_read_as_they_are_written():
    for command in (say.Play(True), say.PickGoal(), say.DragGoal(3, (0.0, 1.0, 2.0), (3.0, 4.0, 5.0)), say.Seek(2, 4)):
        assert say.read_command(msgspec.json.encode(command)) == command


def test_the_loop_obeys_in_order_and_ends_after_its_steps():
    session, commands, told = Counter(), Commands(), []
    for command in (say.Play(False), say.StepOnce(), say.SetFactor("m", 1.0), say.Pace(500.0), say.Play(True)):
        commands.put(command)
    found = run_session(session, commands, told.append, threading.Event(), 1e9, most_steps=3)
    assert found.steps == session.steps == 3 and found.last == told[-1]
    assert [type(each) for each in told] == [say.Notice, *[say.Moment] * 4]
    assert told[0] == say.Notice("no factors here", True)
    assert not any(isinstance(command, say.Pace) for command in session.obeyed)


def test_a_command_that_breaks_the_session_pauses_it(monkeypatch):
    session, commands, told = Counter(), Commands(), []
    monkeypatch.setattr(session, "obey", lambda command: 1 / 0)
    commands.put(say.Reset())
    stop = threading.Event()

    def tell(message):
        told.append(message)
        stop.set()

    run_session(session, commands, tell, stop, 1e9)
    assert not session.playing and "ZeroDivisionError" in told[0].text


def test_a_session_that_breaks_pauses_and_goes_on_when_told():
    session, commands, told, stop = Counter(), Commands(), [], threading.Event()

    def tell(message):
        told.append(message)
        if len(told) == 2:
            commands.put(say.Reset())
        if isinstance(message, say.Notice):
            assert not session.playing
            commands.put(say.Play(True))
        if len(told) == 8:
            stop.set()

    run_session(session, commands, tell, stop, 1e9)
    (notice,) = (message for message in told if isinstance(message, say.Notice))
    assert notice.error and "RuntimeError: broken" in notice.text and "Reset" in notice.text
    assert told[-1].step > 2


# ---------------------------------------------------------------------------------------------------------------------
# the server


async def _received(socket: aiohttp.ClientWebSocketResponse, kind: type) -> say.Opening | say.Moment | say.Notice:
    """The next message of this kind; every moment is answered as the page does."""
    while True:
        message = await asyncio.wait_for(socket.receive(), 10)
        found = msgspec.json.decode(message.data, type=say.Opening | say.Moment | say.Notice)
        if isinstance(found, say.Moment):
            await socket.send_str("")
        if isinstance(found, kind):
            return found


def _serve(work) -> Counter:
    """Run `work(server, client)` while a counting session is served."""

    async def run() -> Counter:
        session, commands, stop = Counter(), Commands(), threading.Event()
        server = Server(OPENING, commands)
        async with server.serving(0):
            stepping = asyncio.create_task(asyncio.to_thread(run_session, session, commands, server.tell, stop, 200.0))
            async with aiohttp.ClientSession(server.url) as client:
                await work(server, client)
            stop.set()
            await stepping
        return session

    return asyncio.run(run())


def test_two_pages_see_and_steer_one_session_and_one_may_leave():
    async def work(server: Server, client: aiohttp.ClientSession) -> None:
        first, second = await client.ws_connect("session"), await client.ws_connect("session")
        for socket in (first, second):
            assert (await _received(socket, say.Opening)) == OPENING
            assert (await _received(socket, say.Moment)).step >= 0
        first._response.connection.transport.abort()  # no goodbye
        await second.send_str('{"do": "play", "on": false}')
        while (paused := await _received(second, say.Moment)).playing:
            pass
        await second.send_str("rubbish")
        assert "not a command" in (await _received(second, say.Notice)).text
        await second.send_str('{"do": "set_factor", "name": "m", "value": 1}')
        assert (await _received(second, say.Notice)).text == "no factors here"
        await second.send_str('{"do": "step"}')
        while (after := await _received(second, say.Moment)).step == paused.step:
            pass
        assert after.step == paused.step + 1 and not after.playing
        third = await client.ws_connect("session")  # one that comes late sees the present at once
        assert await _received(third, say.Moment) == after

    _serve(work)


def test_a_page_that_takes_nothing_is_not_flooded():
    async def work(server: Server, client: aiohttp.ClientSession) -> None:
        socket = await client.ws_connect("session")
        assert msgspec.json.decode((await socket.receive()).data)["kind"] == "opening"
        first = msgspec.json.decode((await socket.receive()).data)
        await asyncio.sleep(0.3)  # sixty steps
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.receive(), 0.05)
        await socket.close()
        assert first["kind"] == "moment"

    _serve(work)


def test_only_this_machine_and_this_page_are_answered():
    async def work(server: Server, client: aiohttp.ClientSession) -> None:
        async with client.get("/") as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert answer.status == 200 and "default-src 'none'" in policy and "<canvas" in await answer.text()
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
            async with client.get("/", headers=headers) as answer:
                assert answer.status == 403, headers
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await client.ws_connect("session", headers=headers)
        async with client.get("/../pyproject.toml") as answer:
            assert answer.status == 404
        with pytest.raises(UserError, match=rf"port {server.port} is in use.*port={server.port + 1}"):
            async with Server(OPENING, Commands()).serving(server.port):
                pass

    _serve(work)


# ---------------------------------------------------------------------------------------------------------------------
# the recording


def recording(html: str) -> list[dict]:
    """The messages in a recording."""
    found = re.search(r'type="application/octet-stream">([^<]+)<', html)
    assert found
    return [msgspec.json.decode(line) for line in gzip.decompress(base64.b64decode(found[1])).split(b"\n")]


def test_a_recording_holds_what_was_shown_and_asks_no_network():
    recorder = Recorder(OPENING)
    for step in range(5):
        recorder.keep(say.encoded(msgspec.structs.replace(MOMENT, step=step)))
    html = recorder.page()
    assert [message["kind"] for message in recording(html)] == ["opening", *["moment"] * 5]
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", html) and "@import" not in html
    assert "{{" not in html and 'application/octet-stream">' in page(nonce="n")


def test_a_view_without_a_page_is_recorded(home, capsys):
    assert main(["view", "run=zoo/reacher", "serve=false", "steps=3", "save=view.html", "planner.horizon=9"]) == 0
    said = capsys.readouterr().out
    assert "control steps" in said and "view.html" in said
    opening, *moments = recording(Path("view.html").read_text())
    assert opening["title"].endswith("zoo/reacher")
    assert [moment["step"] for moment in moments] == [0, 1, 2, 3]
    assert moments[-1]["planner"]["horizon"] == 9


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], r"what to view\? add run=runs/NAME"),
        (["run=runs/nothing"], "no run at runs/nothing|runs/nothing"),
        (["data=data/nothing"], "data/nothing"),
        (["run=zoo/reacher", "serve=false"], "serve=false only records: add steps=200"),
        (["run=zoo/reacher", "port=99999"], "port must be a whole number >= 0 and <= 65535, got 99999"),
        (["run=zoo/reacher", "planner.horizon=0", "steps=1"], "horizon"),
    ],
)
def test_what_cannot_be_viewed_is_told_in_one_line(home, capsys, options, words):
    assert main(["view", "open=false", *options]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert re.search(words, line), line


def test_a_view_in_use_is_refused_before_a_model_is_loaded(home):
    async def work(server: Server, client: aiohttp.ClientSession) -> None:
        begun = time.monotonic()
        with pytest.raises(UserError, match="is in use"):
            await asyncio.to_thread(view, ViewConfig(run="zoo/reacher", port=server.port, open=False))
        assert time.monotonic() - begun < 2

    _serve(work)


# ---------------------------------------------------------------------------------------------------------------------
# recordings


def test_a_data_set_is_played_in_3d_and_can_be_sought(puck):
    session = open_session(ViewConfig(data="data/puck"))
    assert session.opening.mode == "recording" and len(session.opening.episode_lengths) == 20
    last = session.opening.episode_lengths[3] - 1
    session.obey(say.Seek(3, last))
    moment = session.moment()
    assert (moment.episode, moment.frame_number) == (3, last) and moment.solids and moment.imagined is None
    assert session.advance().episode == 4
    for command, words in ((say.Seek(20), r"episodes 1..20, got 21"), (say.SetFactor("mass", 1.0), "a recording")):
        with pytest.raises(UserError, match=words):
            session.obey(command)
    session.close()


def test_a_model_predicts_beside_a_recording(puck):
    session = open_session(ViewConfig(run=str(puck), data="data/puck"))
    session.obey(say.Seek(2, 10))
    moment = session.moment()
    assert moment.imagined and moment.imagined.actual and moment.imagined.error is not None
    assert moment.latent and {of.name for of in moment.states} >= {"x", "y"}
    assert all(np.isfinite(of.read) for of in moment.states)
    session.obey(say.Seek(2, session.opening.episode_lengths[2] - 1))
    assert session.moment().imagined is None
    session.close()


def test_a_run_that_was_trained_on_recordings_plays_them_with_its_prediction_beside(home):
    rng = np.random.default_rng(0)
    episodes = [
        {"frames": rng.integers(0, 256, (15, 16, 16, 3), np.uint8), "actions": rng.uniform(-1, 1, (14, 2))}
        for _ in range(10)
    ]
    write_arrays("data/mine", "mine", episodes)
    small = ["encoder.input_size=16", "method.optim.steps=2", "method.optim.batch_size=8", "method.lag=2"]
    small += ["predictor.horizon=3", "predictor.history=[0,1]", "predictor_training.steps=2"]
    small += ["predictor_training.batch_size=8", "encoder.latent_dim=4", "decoder=false"]
    assert main(["train", "env=recorded", "env.name=mine", *small]) == 0
    session = open_session(ViewConfig(run="runs/mine"))
    assert session.opening.mode == "recording" and session.opening.episode_lengths == [15] * 10
    session.obey(say.Seek(2, 5))
    imagined = session.moment().imagined
    assert imagined and imagined.error is not None and imagined.actual
    assert imagined.decoded is None  # without a decoder, how far off it is, and no pictures
    session.close()
