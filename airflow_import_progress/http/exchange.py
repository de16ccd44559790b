# SPDX-License-Identifier: Apache-2.0
"""
One HTTP exchange with a vendor, without the sending, and what can be wrong with an answer.

Vendor code never sends: it is a generator that yields a :class:`Request` and is handed a :class:`Response`.
``hooks/base.py`` drives such a conversation with requests or with aiohttp, so that a vendor's knowledge is
written once for both.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from functools import cached_property
from http import HTTPStatus
from typing import Any, ClassVar, Final, TypeVar
from urllib.parse import quote, urlsplit
from uuid import UUID

from airflow_import_progress.exceptions import ImportPollError, ImportProtocolError, ImportRequestError
from airflow_import_progress.progress import NotForXCom

T = TypeVar("T")

NOT_JSON: Final = object()
#: How much of a text is looked at to make an excerpt, in characters: more than an excerpt and any secret together.
EXCERPT_SOURCE = 8192
#: An address, as people or as JSON write it: the user and password in it, or its query, may be what opens a file.
ADDRESS = re.compile(r"(:(?:\\?/){2})(?:[^\s/?#@'\"]*@)?([^\s?'\"]*)(?:\?[^\s'\"]*)?")

#: Largest body that a progress endpoint may answer with, in bytes.
MAX_ANSWER_BYTES = 1024 * 1024
_TRANSIENT_STATUSES = frozenset({408, 425, 429})
#: Where an identifier begins or ends with one of these, it is the JSON or the Python that it was written in.
OPENING_MARKS, CLOSING_MARKS = frozenset("\"'`{[("), frozenset("\"'`}])")
#: Keys under which vendors put the words of an error, in order of preference.
ERROR_TEXT_KEYS = ("Message", "message", "detail", "error", "title")


#: The content of a request, and its headers, among which may be the credentials. A tuple, because each poll makes one.
RequestKey = tuple[tuple[str, str, int, str], tuple[tuple[str, str], ...]]


def is_transient(status: int) -> bool:
    """
    Return whether asking again later may well work after this HTTP status.

    :param status: The status.
    """
    return status >= 500 or status in _TRANSIENT_STATUSES


@dataclass(frozen=True, kw_only=True)
class Request:
    """
    Say what to ask, relative to the host of the connection.

    :param method: The HTTP method.
    :param path: The path from the root, beginning with ``/``; identifiers in it go through :func:`quoted`.
    :param params: Query parameters; their values are quoted when sent.
    :param json: A body to send as JSON, or None.
    :param data: A body to send as it is, or a form's fields, or None.
    :param files: Parts of a multipart form: field name to (file name, content, content type), or None.
    :param headers: Headers besides those of the authentication.
    :param max_answer_bytes: Largest acceptable body of the answer, in bytes; default 1 MiB.
    :param shared: Whether those who send the same at the same time on one event loop share one request and its
        answer, as many waits do that need one log-in.
    """

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    json: Any = field(default=None, repr=False)
    data: Mapping[str, str] | bytes | None = field(default=None, repr=False)
    files: Mapping[str, tuple[str, bytes, str]] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    max_answer_bytes: int = MAX_ANSWER_BYTES
    shared: bool = False

    def __post_init__(self) -> None:
        # An address in place of a path would carry the credentials to another host, a line break another header.
        if not (self.path.startswith("/") and self.path.isascii() and self.path.isprintable() and " " not in self.path):
            raise ValueError(f"path must begin with '/' and be quoted, not {self.path!r}")

    def with_headers(self, headers: Mapping[str, str]) -> Request:
        """
        Return the same request with more headers; those given here win.

        :param headers: The headers to add.
        """
        return replace(self, headers={**self.headers, **headers})


def request_key(request: Request) -> RequestKey:
    """
    Return the key of a request. Only requests with the same key may share an answer.

    All fields of the request are part of it except ``shared``, which does not change the answer. ``max_answer_bytes``
    is part of it because an answer that one request accepts may be too long for another one.

    :param request: The request.
    """
    rest = ""
    # Most requests have only a path.
    if request.params or request.json is not None or request.data is not None or request.files is not None:
        # Unlike JSON or equality, repr keeps types apart: 1, True and "1", bytes and text, None and an empty body.
        rest = repr((request.params, request.json, request.data, request.files))
    return (request.method, request.path, request.max_answer_bytes, rest), tuple(request.headers.items())


@dataclass(frozen=True, kw_only=True)
class Response(NotForXCom):
    """
    Hold a vendor's answer.

    :param status: The HTTP status.
    :param headers: The headers, with names in lower case.
    :param body: The body, whole and bounded.
    :param request_line: What was asked, for error messages, such as ``"GET https://acme.ilucca.net/path"``.
    :param secrets: What must not appear in an excerpt, whatever the vendor repeats.
    :param unreadable: The reason why the body of a successful answer could not be read, such as its length. None if
        it was read.
    """

    instead_in_xcom: ClassVar[str] = "its json(), or the part of it that the next task needs"

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    request_line: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    unreadable: ImportProtocolError | None = None

    @cached_property
    def _parsed(self) -> Any:
        try:
            return json.loads(self.body, parse_constant=_refuse_constant, object_pairs_hook=_object_without_duplicates)
        # A deeply nested body ends in RecursionError, one with an endless number in ValueError.
        except (ValueError, RecursionError):
            return NOT_JSON

    def parsed_or_none(self) -> Any:
        """Return the body as JSON whatever the status, or None if it is not JSON."""
        return None if self._parsed is NOT_JSON else self._parsed

    def json(self) -> Any:
        """
        Return the body of a successful answer as JSON.

        :raises ImportPollError: if the status says that asking again later may work.
        :raises ImportRequestError: if the status is any other but 2xx.
        :raises ImportProtocolError: if the body is not JSON. That is transient, because it is what proxies and
            maintenance pages answer.
        """
        self.raise_for_status()
        if self._parsed is NOT_JSON:
            raise ImportProtocolError(
                f"{self.request_line} answered HTTP {self.status} with something that is not JSON: "
                f"{self.excerpt() or 'an empty body'}.",
                transient=True,
                retry_after=self.retry_after,
                status=self.status,
            )
        return self._parsed

    @property
    def is_too_long(self) -> bool:
        """Whether the body of a successful answer was longer than the request allows."""
        # Whatever else keeps a body from being read may pass.
        return self.unreadable is not None and not self.unreadable.transient

    def raise_for_status(self) -> None:
        """
        Raise unless the status is 2xx and the body was read.

        :raises ImportPollError: if the status says that asking again later may work (408, 425, 429, 5xx).
        :raises ImportRequestError: if the status is any other.
        :raises ImportProtocolError: if the status is 2xx but the body could not be read.
        """
        if 200 <= self.status < 300:
            if self.unreadable is not None:
                raise self.unreadable
            return
        if 300 <= self.status < 400:
            target = None
            with suppress(ValueError):
                target = self.redacted(urlsplit(self.headers.get("location", "")).hostname or "")
            raise ImportRequestError(
                f"{self.request_line} answered HTTP {self.status}, a redirect to {target or 'elsewhere'!r}. "
                f"Redirects are not followed, because the credentials are meant for the connection's host alone. "
                f"Check the connection's host.",
                status=self.status,
            )
        phrase = _phrase(self.status)
        words = f"{self.request_line} answered HTTP {self.status} {phrase}".rstrip()
        said = self.error_text()
        if said and said != phrase:
            words = f"{words}: {said.rstrip('.')}"
        if is_transient(self.status):
            raise ImportPollError(
                f"{words}.",
                transient=True,
                rate_limited=self.status == 429,
                retry_after=self.retry_after,
                status=self.status,
            )
        raise ImportRequestError(f"{words}.", status=self.status)

    @property
    def retry_after(self) -> float | None:
        """Return the seconds that the vendor asks to wait (``Retry-After``, seconds or date), or None."""
        return parse_retry_after(self.headers.get("retry-after"), now=time.time())

    def with_retry_after(self, seconds: float) -> Response:
        """
        Return the same answer as one that asks to wait, for vendors that say so in their own way.

        :param seconds: How long to wait, in seconds.
        """
        return replace(self, headers={**self.headers, "retry-after": f"{seconds:.3f}"})

    def with_secret(self, secret: str) -> Response:
        """
        Return the same answer, parsed once for both, with one more text that must not appear in an excerpt.

        :param secret: The text.
        """
        other = replace(self, secrets=(*self.secrets, secret))
        if "_parsed" in vars(self):
            vars(other)["_parsed"] = self._parsed
        return other

    def error_text(self) -> str:
        """Return the vendor's words for an error, or the beginning of the body if there are none."""
        parsed = self.parsed_or_none()
        if isinstance(parsed, dict):
            for key in ERROR_TEXT_KEYS:
                if isinstance(parsed.get(key), str) and parsed[key].strip():
                    return self.excerpt(parsed[key])
        return "" if parsed in ({}, [], "") else self.excerpt()

    def name(self, text: str, length: int = 200) -> str:
        """
        Return the beginning of a name that the vendor gives, such as that of a file, as one printable line.

        Addresses in it lose their query, user and password, as in :meth:`excerpt`. But a name that happens to contain a
        secret keeps it, because without it would be another name.

        :param text: The name.
        :param length: Longest result, in characters.
        """
        return excerpt(ADDRESS.sub(r"\1\2", text[:EXCERPT_SOURCE]), length)

    def redacted(self, text: str) -> str:
        """
        Return a text without secrets.

        :param text: The text.
        """
        return redacted(text, self.secrets)

    def excerpt(self, text: str | None = None, length: int = 300) -> str:
        """
        Return the beginning of a text that the vendor has worded, as one printable line without secrets.

        Addresses in it lose their query and the user and password, which may open what they lead to.

        :param text: The text; None takes the body.
        :param length: Longest result, in characters.
        """
        if text is None:
            text = self.body[: EXCERPT_SOURCE * 4].decode("utf-8", "replace")
        # Before anything is cut: half a secret would not be recognised any more.
        return excerpt(ADDRESS.sub(r"\1\2", redacted(text[:EXCERPT_SOURCE], self.secrets)), length)


#: A conversation with a vendor that ends in a T.
Conversation = Generator[Request, Response, T]


def quoted(identifier: str) -> str:
    """
    Return an identifier so that it is one segment of a path, whatever it contains.

    :param identifier: The vendor's identifier.
    """
    return quote(identifier, safe="")


def checked_id(name: str, value: object) -> str:
    """
    Return an import's identifier as text, or refuse a value that cannot be one.

    A task that pushed nothing renders to ``"None"`` or to an empty string. Sent to a vendor, that would at best
    be an unknown import, and at worst a request for another resource.

    :param name: Name of the argument, for the message.
    :param value: The identifier: a text, or a whole number or a UUID, which are written in one way only.
    :raises ValueError: if it is not an identifier; the message names the argument.
    """
    if isinstance(value, int | UUID) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(  # noqa: TRY004
            f"{name} must be the import's identifier as text, not {excerpt(repr(value))}. If it comes from an XCom, "
            f"check that the upstream task returned it."
        )
    value = value.strip()
    if value.lower() in ("", "none", "null", "undefined"):
        raise ValueError(
            f"{name} is {value!r}, which is not an identifier. If it comes from an XCom, "
            f"check that the upstream task returned it."
        )
    if "{{" in value or "{%" in value:
        raise ValueError(f"{name} is a template that was not rendered: {value!r}")
    if value[0] in OPENING_MARKS or value[-1] in CLOSING_MARKS:
        raise ValueError(
            f"{name} must be the identifier alone, without quotes or brackets, not {excerpt(value)!r}. If it comes "
            f"from the XCom of a shell command, that may be JSON: take the identifier out of it."
        )
    # Quoting does not keep the two of dots from walking the path.
    if not value.isprintable() or len(value) > 500 or value in (".", ".."):
        raise ValueError(f"{name} is not an identifier of an import: {excerpt(value)!r}")
    return value


def parse_retry_after(value: str | None, *, now: float) -> float | None:
    """
    Return the seconds that a ``Retry-After`` header asks to wait, or None if it does not say.

    :param value: The header's value: seconds or an HTTP date.
    :param now: The time in seconds since the epoch.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return max(seconds, 0.0) if seconds < float("inf") else None


def excerpt(text: str, length: int = 300) -> str:
    """
    Return the beginning of a text as one printable line.

    :param text: Any text, such as a vendor's.
    :param length: Longest result, in characters.
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text[:EXCERPT_SOURCE]).split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def redacted(text: str, secrets: Iterable[str]) -> str:
    """
    Return a text without secrets.

    :param text: Any text.
    :param secrets: What must not appear in it.
    """
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice, and nobody knows which counts")
    return result


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
