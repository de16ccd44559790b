# SPDX-License-Identifier: Apache-2.0
"""Deliberate faults in the answers of simulated vendors."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from aiohttp import web

from airflow_import_progress.sandbox.checks import (
    InvalidInputError,
    Json,
    path_of,
    require_fields,
    require_integer,
    require_number,
    require_text,
)

_CHUNK_BYTES = 65536
_DRIP_INTERVAL = 0.05
_HEADER_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")


class Fault(Protocol):
    """A fault in an answer."""

    @property
    def status(self) -> int | None:
        """The HTTP status that the client receives. None: no status, or the normal one."""

    async def answer(self, request: web.Request) -> web.StreamResponse | None:
        """
        Return a faulty answer. None: the vendor answers normally.

        :param request: The affected request.
        """


@dataclass(frozen=True)
class HttpStatus:
    """
    Answer with any HTTP status.

    :param status: The status, 200 to 599.
    :param headers: Headers of the answer.
    :param body: Body of the answer.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer with the status."""
        headers = dict(self.headers)
        if "content-type" not in map(str.lower, headers):
            headers["Content-Type"] = "text/plain; charset=utf-8"
        return web.Response(status=self.status, headers=headers, body=_encoded(self.body))


@dataclass(frozen=True)
class Delay:
    """
    Delay the normal answer.

    :param seconds: Length of the delay, 0 or more.
    """

    seconds: float
    status: ClassVar[None] = None

    async def answer(self, request: web.Request) -> None:
        """Wait. The vendor answers afterwards."""
        await asyncio.sleep(self.seconds)


@dataclass(frozen=True)
class Reset:
    """Reset the connection without an answer."""

    status: ClassVar[None] = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Reset the connection."""
        if request.transport is not None:
            # With a linger time of zero, closing the socket sends RST instead of FIN.
            no_linger = struct.pack("ii", 1, 0)
            request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
            request.transport.abort()
        return web.Response()


@dataclass(frozen=True)
class Garbage:
    """
    Answer 200 with a body that no vendor would send.

    :param body: The body.
    :param content_type: Its content type.
    """

    body: str
    content_type: str = "text/html"
    status: ClassVar[int] = 200

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer with the garbage."""
        return web.Response(body=_encoded(self.body), headers={"Content-Type": self.content_type})


@dataclass(frozen=True)
class Large:
    """
    Answer 200 with a long JSON string, in chunks and without a Content-Length.

    :param size: Length of the body in bytes, 2 or more.
    """

    size: int
    status: ClassVar[int] = 200

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer with the long string."""
        return await _streamed_json(request, self._chunks())

    async def _chunks(self) -> AsyncIterator[bytes]:
        yield b'"'
        for start in range(0, self.size - 2, _CHUNK_BYTES):
            yield b"x" * min(_CHUNK_BYTES, self.size - 2 - start)
        yield b'"'


@dataclass(frozen=True)
class Endless:
    """Answer 200 with a body that never ends, byte by byte."""

    status: ClassVar[int] = 200

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer until the client disconnects."""
        return await _streamed_json(request, self._drip())

    async def _drip(self) -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(_DRIP_INTERVAL)


@dataclass(frozen=True)
class Deep:
    """
    Answer 200 with nested lists.

    :param depth: Depth of the nesting, 1 or more.
    """

    depth: int
    status: ClassVar[int] = 200

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer with the lists."""
        return web.Response(body=b"[" * self.depth + b"]" * self.depth, content_type="application/json")


@dataclass(frozen=True)
class Redirect:
    """
    Redirect the client with 302.

    :param location: The address to redirect to.
    """

    location: str
    status: ClassVar[int] = 302

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer with the redirect."""
        return web.Response(status=self.status, headers={"Location": self.location})


@dataclass
class FaultRule:
    """
    A fault and the requests that it affects.

    :param fault: The fault.
    :param vendor: Affect only requests to this vendor. None: to any.
    :param import_id: Affect only requests for this import. None: for any.
    :param path_contains: Affect only paths with this text.
    :param times_left: Number of requests that it still affects. None: unlimited.
    :param processed: Whether the vendor processes the requests, so that only their answers are lost.
    """

    fault: Fault
    vendor: str | None
    import_id: str | None
    path_contains: str
    times_left: int | None
    processed: bool = False

    def matches(self, vendor: str | None, import_id: str | None, path: str) -> bool:
        """Return True if the rule affects a request: see :meth:`.FaultRules.take`."""
        return self.vendor in (None, vendor) and self.import_id in (None, import_id) and self.path_contains in path


class FaultRules:
    """The faults of coming requests. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[FaultRule] = []

    def add(self, rule: FaultRule) -> None:
        """Add a rule. Earlier rules take precedence."""
        with self._lock:
            self._rules.append(rule)

    def clear(self) -> None:
        """Remove all rules."""
        with self._lock:
            self._rules.clear()

    def take(self, vendor: str | None, import_id: str | None, path: str) -> FaultRule | None:
        """
        Return the rule for a request and count it as used. None: no rule matches.

        :param vendor: Name of the requested vendor.
        :param import_id: Id of the requested import.
        :param path: Path of the request.
        """
        with self._lock:
            for rule in self._rules:
                if rule.matches(vendor, import_id, path):
                    if rule.times_left is not None:
                        rule.times_left -= 1
                        if rule.times_left == 0:
                            self._rules.remove(rule)
                    return rule
        return None


def fault_from_json(value: Json, where: str = "fault") -> Fault:
    """
    Make a fault from a user's input.

    :param value: An object such as ``{"status": 503}``.
    :param where: Path of the object in the input, for error messages.
    """
    kinds = ("status", "delay", "reset", "body", "bytes", "endless", "deep", "redirect")
    fields = require_fields(value, where, (*kinds, "headers", "content_type"))
    kind = next((name for name in kinds if name in fields), None)
    if kind is None:
        raise InvalidInputError(where, f"must have one of {', '.join(kinds)}")
    extras = {"status": ("headers", "body"), "body": ("content_type",)}.get(kind, ())
    fields = require_fields(value, where, (kind, *extras))
    name = path_of(where, kind)
    match kind:
        case "status":
            status = require_integer(fields["status"], name, minimum=200, maximum=599)
            headers = _headers(fields.get("headers", {}), path_of(where, "headers"))
            return HttpStatus(status, headers, _body(fields.get("body", ""), path_of(where, "body")))
        case "delay":
            return Delay(require_number(fields["delay"], name, minimum=0))
        case "body":
            content_type = _line(fields.get("content_type", "text/html"), path_of(where, "content_type"))
            return Garbage(_body(fields["body"], name), content_type)
        case "bytes":
            return Large(require_integer(fields["bytes"], name, minimum=2))
        case "deep":
            return Deep(require_integer(fields["deep"], name, minimum=1))
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
        pass  # The client disconnected.
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
    # Let surrogates pass: JSON can contain half a pair, and the body is then not valid UTF-8.
    return body.encode("utf-8", "surrogatepass")


def _line(value: Json, field: str) -> str:
    text = require_text(value, field)
    if not text.isprintable():
        raise InvalidInputError(field, "must not contain control characters")
    return text
