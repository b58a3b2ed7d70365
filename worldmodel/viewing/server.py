"""The page's server: this machine only, one page, one socket, typed commands in, moments out.

It answers only a browser on this machine that shows this very page: other hosts cannot connect, and pages of
other sites are refused by their origin. The only module that needs aiohttp.
"""

import asyncio
import errno
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from aiohttp import WSMsgType, web

from worldmodel.system.errors import UserError
from worldmodel.viewing.messages import LONGEST_COMMAND, Moment, Notice, Opening, encoded, read_command
from worldmodel.viewing.replay_page import Recorder, page
from worldmodel.viewing.session import Commands

HOST = "127.0.0.1"
_FAREWELL_S = 2.0
"""Longest wait for a page to hear that the view ends."""
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_MOST_CLIENTS = 20  # open pages


def check_port(port: int) -> None:
    """UserError where a port is in use or may not be used, so that no model is loaded in vain; 0 stands for any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: one that has just ended is gone
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise _refused(port, error) from error


def _refused(port: int, error: OSError) -> UserError:
    used = error.errno == errno.EADDRINUSE
    why = "is in use, perhaps by another view" if used else f"cannot be used ({error.strerror})"
    return UserError(f"port {port} {why}; choose another: port={port + 1}, or port=0 for any")


class _Client:
    """One open page. It gets the newest moment when it has received the last one, so a slow page delays nobody."""

    def __init__(self, page: web.WebSocketResponse) -> None:
        self.page = page
        self._notices: list[bytes] = []
        self._moment: bytes | None = None
        self._news, self._ready = asyncio.Event(), True

    def offer(self, message: bytes, droppable: bool) -> None:
        """Queue a message; of droppable ones only the newest is kept."""
        if droppable:
            self._moment = message
        else:
            self._notices.append(message)
        self._news.set()

    def taken(self) -> None:
        """Note that the page has received the last moment."""
        self._ready = True
        self._news.set()

    async def send_all(self) -> None:
        """Send queued messages until the page is gone."""
        with suppress(ConnectionError):
            while True:
                await self._news.wait()
                self._news.clear()
                notices, self._notices = self._notices, []
                for notice in notices:
                    await self.page.send_str(notice.decode())
                if self._moment is not None and self._ready:
                    moment, self._moment, self._ready = self._moment, None, False
                    await self.page.send_str(moment.decode())


class Server:
    """Serves one session to any number of pages on this machine.

    Args:
        opening: the session's opening message.
        commands: the queue that takes the pages' commands.
    """

    def __init__(self, opening: Opening, commands: Commands) -> None:
        self._opening, self._commands = encoded(opening).decode(), commands
        self.recorder = Recorder(opening)
        """Keeps the moments shown, for the replay."""
        self._clients: set[_Client] = set()
        self._last: bytes | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.port = 0
        """Port at which it serves; 0 before `serving`."""

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{HOST}:{self.port}/"

    def tell(self, message: Moment | Notice) -> None:
        """Show a message on every page; from any thread."""
        content, is_moment = encoded(message), isinstance(message, Moment)
        if is_moment:
            self.recorder.keep(content)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._offer, content, is_moment)

    def _offer(self, content: bytes, is_moment: bool) -> None:
        if is_moment:
            self._last = content
        for client in self._clients:
            client.offer(content, is_moment)

    @asynccontextmanager
    async def serving(self, port: int) -> AsyncIterator[None]:
        """Serve the page for as long as the context is open.

        Raises:
            UserError: the port is in use, or may not be used.
        """

        @web.middleware
        async def guarded(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            if self._is_own(request):
                return await handler(request)
            return web.Response(status=403, text="this view serves its own page on this machine only\n")

        self._loop = asyncio.get_running_loop()
        application = web.Application(middlewares=[guarded], client_max_size=LONGEST_COMMAND)
        application.add_routes(
            [web.get("/", self._page), web.get("/session", self._talk), web.get("/replay.html", self._replay)]
        )
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, HOST, port)
            try:
                await site.start()
            except OSError as error:
                raise _refused(port, error) from error
            self.port = runner.addresses[0][1]
            yield
        finally:
            self._loop = None
            for client in tuple(self._clients):
                # a page that is too busy to read must not keep the view from ending
                with suppress(TimeoutError):
                    async with asyncio.timeout(_FAREWELL_S):
                        await client.page.close(code=1001, message=b"the view ends")
            await runner.cleanup()

    def _is_own(self, request: web.Request) -> bool:
        """Whether a request names this machine and does not come from another site's page."""
        own = {f"{host}:{self.port}" for host in (HOST, "localhost")}
        origin = request.headers.get("Origin")
        return request.host in own and (origin is None or origin.removeprefix("http://") in own)

    async def _page(self, request: web.Request) -> web.Response:
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; img-src data:; "
            f"connect-src ws://{request.host}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        headers = {**_HEADERS, "Content-Security-Policy": policy}
        return web.Response(text=page(nonce=nonce), content_type="text/html", headers=headers)

    async def _replay(self, request: web.Request) -> web.Response:
        html = await asyncio.to_thread(self.recorder.page)
        headers = {**_HEADERS, "Content-Disposition": 'attachment; filename="worldmodel-view.html"'}
        return web.Response(text=html, content_type="text/html", headers=headers)

    async def _talk(self, request: web.Request) -> web.StreamResponse:
        if len(self._clients) >= _MOST_CLIENTS:
            return web.Response(status=503, text=f"{_MOST_CLIENTS} pages are open already\n")
        answer = web.WebSocketResponse(max_msg_size=LONGEST_COMMAND, heartbeat=20, compress=False)
        await answer.prepare(request)
        client = _Client(answer)
        await answer.send_str(self._opening)
        if self._last is not None:
            client.offer(self._last, droppable=True)
        self._clients.add(client)
        sender = asyncio.create_task(client.send_all())
        try:
            async for message in answer:
                if message.type != WSMsgType.TEXT:
                    break
                if not message.data:
                    client.taken()
                    continue
                try:
                    self._commands.put(read_command(message.data))
                except UserError as error:
                    client.offer(encoded(Notice(str(error), True)), droppable=False)
        finally:
            self._clients.discard(client)
            sender.cancel()
        return answer
