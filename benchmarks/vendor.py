# SPDX-License-Identifier: Apache-2.0
"""
A vendor that costs next to nothing, so that it is never what a figure shows.

It answers each request for an import's progress as Lucca does, and 404 to what
:class:`~airflow.providers.http.triggers.http.HttpSensorTrigger` asks, which takes that for "not yet".
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

COUNT_PATH = "/count"
PROGRESS = b"42"


@contextmanager
def cheap_vendor() -> Iterator[int]:
    """Serve from a process of its own, and give the port on loopback."""
    with subprocess.Popen([sys.executable, "-m", "benchmarks.vendor"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def polls_answered(port: int) -> int:
    """Return how many polls the vendor has answered so far. It blocks for about a millisecond."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{COUNT_PATH}", timeout=30) as answer:
        return int(answer.read())


def allow_many_connections() -> None:
    """Let this process have as many connections open as the system allows it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class _Conversation(asyncio.Protocol):
    polls = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            self._transport.write(_answer(path))  # type: ignore[attr-defined]


def _answer(path: str) -> bytes:
    if path == COUNT_PATH:
        return _response(b"200 OK", str(_Conversation.polls).encode())
    _Conversation.polls += 1
    return _response(b"200 OK", PROGRESS) if path.endswith("/progress") else _response(b"404 Not Found", b"{}")


def _response(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


async def _serve() -> None:
    allow_many_connections()
    server = await asyncio.get_running_loop().create_server(_Conversation, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
