"""A proxy that stands between a link and its broker, and breaks the line as a story wants.

TLS goes through untouched. An asyncio loop in a thread of its own carries the bytes; what a story calls is in force
when the call returns. Everything lasts until `restore`.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import Self

from broker.mosquitto import HOST, Mosquitto, free_port

CHUNK = 65536  # bytes
AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset, and forget what is unsent


class Proxy:
    """Carries bytes both ways while entered. A broker that is not there is a connection closed at once."""

    def __init__(self, broker: Mosquitto, host: str = HOST, port: int = 0) -> None:
        self.host = host
        self.port = port or free_port()
        self.accepted = 0  # connections so far
        self._target = (broker.host, broker.port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._fuse: int | None = None  # bytes of what the link says until the reset
        self._fair_weather()

    def __enter__(self) -> Self:
        self._thread.start()
        self.restore()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # --- what a story does --------------------------------------------------------------------------------------------

    def restore(self) -> None:
        """Carry everything as it comes, and accept connections. What was held back while frozen arrives late."""
        self._do(self._fair_weather)
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def cut(self) -> None:
        """Close every connection, and refuse new ones."""
        self._do(self._refuse)
        self._do(self._hang_up)

    def reset(self, after: int | None = None) -> None:
        """Reset every connection (RST): now, or in the middle of what the link says, `after` bytes further on."""
        if after is None:
            self._do(self._reset)
        self._fuse = after

    def freeze(self) -> None:
        """Let nothing through and close nothing: half-open. New connections stand, and hear nothing."""
        self._do(self._flowing.clear)

    def swallow_answers(self) -> None:
        """Carry on what the link says, and keep from it what the broker says."""
        self._deaf = True

    def delay(self, seconds: float) -> None:
        """Let every piece wait for so long, in each direction."""
        self._delay = seconds

    def throttle(self, rate: float) -> None:
        """Carry so many bytes a second in each direction."""
        self._rate = rate

    def corrupt(self) -> None:
        """Turn over one bit of the next thing that the broker says."""
        self._corrupt = True

    # --- in the loop --------------------------------------------------------------------------------------------------

    def _do(self, what: Callable[[], None]) -> None:
        async def do() -> None:
            what()

        asyncio.run_coroutine_threadsafe(do(), self._loop).result()

    def _fair_weather(self) -> None:
        self._fuse = None
        self._deaf = self._corrupt = False
        self._delay = self._rate = 0.0
        self._flowing.set()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._meet, self.host, self.port)

    def _refuse(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def _hang_up(self) -> None:
        for writer in self._writers:
            writer.close()

    def _reset(self) -> None:
        for writer in self._writers:
            with contextlib.suppress(OSError):  # closed already
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            writer.transport.abort()

    async def _end(self) -> None:
        self._refuse()
        self._reset()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _meet(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            broker, to_broker = await asyncio.open_connection(*self._target)
        except OSError:
            to_client.close()
            return
        both = {to_client, to_broker}
        self._writers |= both
        with contextlib.suppress(asyncio.CancelledError):  # the end; asyncio would complain of it
            await asyncio.gather(self._carry(client, to_broker, False), self._carry(broker, to_client, True))
        self._writers -= both

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(CHUNK):
                await self._pass_on(data, target, answers)
        await self._flowing.wait()
        target.close()

    async def _pass_on(self, data: bytes, target: asyncio.StreamWriter, answers: bool) -> None:
        await asyncio.sleep(self._delay)
        while data:
            await self._flowing.wait()
            if answers and self._deaf:
                return
            if answers and self._corrupt:
                self._corrupt = False
                data = data[:-1] + bytes([data[-1] ^ 1])
            size = max(1, int(self._rate / 10)) if self._rate else len(data)
            if not answers and self._fuse is not None:
                size = min(size, self._fuse)
                self._fuse -= size
            target.write(data[:size])
            await target.drain()
            if not answers and self._fuse == 0:
                self._fuse = None
                self._reset()
                return
            data = data[size:]
            await asyncio.sleep(size / self._rate if self._rate else 0.0)
