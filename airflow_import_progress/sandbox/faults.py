# SPDX-License-Identifier: Apache-2.0
"""The ways in which an answer can go wrong, each made on purpose."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from aiohttp import web

from airflow_import_progress.sandbox.checks import (
    InvalidInputError,
    Json,
    as_count,
    as_fields,
    as_number,
    as_text,
    path_of,
)

_CHUNK = 65536
_DRIP_INTERVAL = 0.05
_HEADER_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")


class Fault(Protocol):
    """One way in which an answer goes wrong."""

    @property
    def status(self) -> int | None:
        """Return the HTTP status that the client gets; None if it gets none or the normal one."""

    async def answer(self, request: web.Request) -> web.StreamResponse | None:
        """
        Answer the request wrongly; None: the vendor shall go on and answer it normally.

        :param request: the vendor request that is hit
        """


@dataclass(frozen=True)
class Status:
    """
    Answer any HTTP status.

    :param status: 200 to 599
    :param headers: headers of the answer
    :param body: body of the answer
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer the status."""
        headers = dict(self.headers)
        if "content-type" not in map(str.lower, headers):
            headers["Content-Type"] = "text/plain; charset=utf-8"
        return web.Response(status=self.status, headers=headers, body=_encoded(self.body))


@dataclass(frozen=True)
class Delay:
    """
    Let the client wait, then answer normally.

    :param seconds: 0 or more
    """

    seconds: float
    status: ClassVar[None] = None

    async def answer(self, request: web.Request) -> None:
        """Wait, and leave the answer to the vendor."""
        await asyncio.sleep(self.seconds)


@dataclass(frozen=True)
class Reset:
    """Reset the connection without an answer."""

    status: ClassVar[None] = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Reset the connection."""
        if request.transport is not None:
            # Closing a socket that lingers for zero seconds sends RST instead of FIN.
            no_linger = struct.pack("ii", 1, 0)
            request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
            request.transport.abort()
        return web.Response()


@dataclass(frozen=True)
class Garbage:
    """
    Answer 200 with a body that no vendor would send.

    :param body: the body
    :param content_type: its content type
    """

    body: str
    content_type: str = "text/html"
    status: ClassVar[int] = 200

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer the garbage."""
        return web.Response(body=_encoded(self.body), headers={"Content-Type": self.content_type})


@dataclass(frozen=True)
class Large:
    """
    Answer 200 with a long JSON string, in chunks and without a Content-Length.

    :param size: length of the body in bytes, 2 or more
    """

    size: int
    status: ClassVar[int] = 200

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer the long string."""
        return await _streamed_json(request, self._chunks())

    async def _chunks(self) -> AsyncIterator[bytes]:
        yield b'"'
        for start in range(0, self.size - 2, _CHUNK):
            yield b"x" * min(_CHUNK, self.size - 2 - start)
        yield b'"'


@dataclass(frozen=True)
class Endless:
    """Answer 200 with a body that never ends: a byte now and then."""

    status: ClassVar[int] = 200

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer until the client leaves."""
        return await _streamed_json(request, self._drip())

    async def _drip(self) -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(_DRIP_INTERVAL)


@dataclass(frozen=True)
class Deep:
    """
    Answer 200 with lists within lists.

    :param depth: how many, 1 or more
    """

    depth: int
    status: ClassVar[int] = 200

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer the lists."""
        return web.Response(body=b"[" * self.depth + b"]" * self.depth, content_type="application/json")


@dataclass(frozen=True)
class Redirect:
    """
    Send the client elsewhere with 302.

    :param location: where to
    """

    location: str
    status: ClassVar[int] = 302

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer the redirect."""
        return web.Response(status=self.status, headers={"Location": self.location})


def fault_from_json(value: Json, where: str = "fault") -> Fault:
    """
    Make the fault that a user describes.

    :param value: an object such as ``{"status": 503}``
    :param where: path of the object in what the user sent, for error messages
    """
    kinds = ("status", "delay", "reset", "body", "bytes", "endless", "deep", "redirect")
    fields = as_fields(value, where, (*kinds, "headers", "content_type"))
    kind = next((name for name in kinds if name in fields), None)
    if kind is None:
        raise InvalidInputError(where, f"must have one of {', '.join(kinds)}")
    extras = {"status": ("headers", "body"), "body": ("content_type",)}.get(kind, ())
    fields = as_fields(value, where, (kind, *extras))
    name = path_of(where, kind)
    match kind:
        case "status":
            status = as_count(fields["status"], name, minimum=200, maximum=599)
            headers = _headers(fields.get("headers", {}), path_of(where, "headers"))
            return Status(status, headers, _body(fields.get("body", ""), path_of(where, "body")))
        case "delay":
            return Delay(as_number(fields["delay"], name, minimum=0))
        case "body":
            content_type = _line(fields.get("content_type", "text/html"), path_of(where, "content_type"))
            return Garbage(_body(fields["body"], name), content_type)
        case "bytes":
            return Large(as_count(fields["bytes"], name, minimum=2))
        case "deep":
            return Deep(as_count(fields["deep"], name, minimum=1))
        case "redirect":
            return Redirect(_line(fields["redirect"], name))
    if fields[kind] is not True:
        raise InvalidInputError(name, "must be true")
    return Reset() if kind == "reset" else Endless()


async def _streamed_json(request: web.Request, chunks: AsyncIterator[bytes]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    try:
        await response.prepare(request)
        async for chunk in chunks:
            await response.write(chunk)
    except ConnectionError:
        pass  # The client had enough.
    return response


def _headers(value: Json, where: str) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise InvalidInputError(where, "must be a JSON object of strings")
    for name, header in value.items():
        field = path_of(where, str(name))
        _line(header, field)
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise InvalidInputError(field, "must have the name of a header")
        if name.lower() in ("content-length", "transfer-encoding"):
            raise InvalidInputError(field, "is set by the server")
    return dict(value)


def _body(value: Json, field: str) -> str:
    if not isinstance(value, str):
        raise InvalidInputError(field, "must be a string")
    return value


def _encoded(body: str) -> bytes:
    # JSON can name half a surrogate pair, which becomes a body that is not UTF-8.
    return body.encode("utf-8", "surrogatepass")


def _line(value: Json, field: str) -> str:
    text = as_text(value, field)
    if not text.isprintable():
        raise InvalidInputError(field, "must not contain control characters")
    return text
