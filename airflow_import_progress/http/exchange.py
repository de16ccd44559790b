# SPDX-License-Identifier: Apache-2.0
"""
The requests to vendors and their responses, without the sending.

Vendor code never sends: it is a generator that yields a :class:`Request` and receives a :class:`Response`.
``http/conversation.py`` runs it with requests or with aiohttp, so vendor code is written once for both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from functools import cached_property
from http import HTTPStatus
from typing import Any, ClassVar, Final, TypeVar
from urllib.parse import urlsplit

from airflow_import_progress import clock
from airflow_import_progress.exceptions import ImportPollError, ImportProtocolError, ImportRequestError
from airflow_import_progress.http.body import Body
from airflow_import_progress.progress import NotForXCom

T = TypeVar("T")

NOT_JSON: Final = object()
#: Characters of a text that are read to make an excerpt: more than an excerpt and any secret together.
MAX_EXCERPT_SOURCE = 8192
#: An address in plain text or in JSON. Its user and password, or its query, may give access to a file.
ADDRESS = re.compile(r"(:(?:\\?/){2})(?:[^\s/?#@'\"]*@)?([^\s?'\"]*)(?:\?[^\s'\"]*)?")

#: Default limit of a response's body, in bytes.
MAX_ANSWER_BYTES = 1024 * 1024
_TRANSIENT_STATUSES = frozenset({408, 425, 429})
#: Keys of the error messages in vendors' responses, in order of preference.
ERROR_TEXT_KEYS = ("Message", "message", "detail", "error", "title")

#: The content of a request, and its headers, which may include the credentials. A tuple, because each poll creates one.
RequestKey = tuple[tuple[str, str, int, str], tuple[tuple[str, str], ...]]


def is_transient(status: int) -> bool:
    """
    Return whether a later request may succeed after this HTTP status.

    :param status: The HTTP status.
    """
    return status >= 500 or status in _TRANSIENT_STATUSES


@dataclass(frozen=True, kw_only=True)
class Request:
    """
    A request, relative to the connection's address.

    :param method: The HTTP method.
    :param path: The path from the root, beginning with ``/``; identifiers in it go through
        :func:`~airflow_import_progress.imports.quoted`.
    :param params: Query parameters; their values are quoted when sent.
    :param json: A body to send as JSON, or None.
    :param data: A body to send unchanged, or a form's fields, or None. A :class:`.Body` is read while it is sent.
    :param files: Parts of a multipart form: field name to (file name, content, content type), or None.
    :param headers: Headers besides those of the authentication.
    :param max_answer_bytes: Limit of the response's body, in bytes. Default 1 MiB.
    :param shared: Whether identical requests that are in flight on one event loop share one response, such as the
        log-in that many waits need.
    """

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    json: Any = field(default=None, repr=False)
    data: Mapping[str, str] | bytes | Body | None = field(default=None, repr=False)
    files: Mapping[str, tuple[str, bytes, str]] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    max_answer_bytes: int = MAX_ANSWER_BYTES
    shared: bool = False

    def __post_init__(self) -> None:
        # An address instead of a path would send the credentials to another host; a line break would add a header.
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
    Return the key of a request. Only requests with the same key may share a response.

    All fields of the request are part of it except ``shared``, which does not change the response.
    ``max_answer_bytes`` is part of it because a response that one request accepts may be too long for another one.

    :param request: The request.
    """
    rest = ""
    # Most requests have only a path.
    if request.params or request.json is not None or request.data is not None or request.files is not None:
        # Unlike JSON or equality, repr distinguishes 1, True and "1", bytes and text, None and an empty body.
        rest = repr((request.params, request.json, request.data, request.files))
    return (request.method, request.path, request.max_answer_bytes, rest), tuple(request.headers.items())


@dataclass(frozen=True, kw_only=True)
class Response(NotForXCom):
    """
    A vendor's response.

    :param status: The HTTP status.
    :param headers: The headers, with names in lower case.
    :param body: The complete body, at most as long as the request allows.
    :param request_line: The method and address of the request for error messages, such as
        ``"GET https://acme.ilucca.net/path"``.
    :param secrets: The texts that must not appear in an excerpt.
    :param unreadable: The reason why the body of a successful response could not be read, such as its length. None if
        it was read.
    :param hidden_because: The reason why no text of the response may be shown, because it may contain secrets that are
        not known. None: its texts are shown without the known ones.
    """

    instead_in_xcom: ClassVar[str] = "its json(), or the part of it that the next task needs"

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    request_line: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    unreadable: ImportProtocolError | None = None
    hidden_because: str | None = None

    @cached_property
    def _parsed(self) -> Any:
        try:
            return json.loads(self.body, parse_constant=_refuse_constant, object_pairs_hook=_unique_keys)
        # A deeply nested body raises RecursionError, a number with too many digits ValueError.
        except (ValueError, RecursionError):
            return NOT_JSON

    def parsed_or_none(self) -> Any:
        """Return the parsed body whatever the status, or None if it is not JSON."""
        return None if self._parsed is NOT_JSON else self._parsed

    def json(self) -> Any:
        """
        Return the parsed body of a successful response.

        :raises ImportPollError: if a later request may succeed after this status.
        :raises ImportRequestError: if the status is any other but 2xx.
        :raises ImportProtocolError: if the body is not JSON. That is transient, because proxies and maintenance pages
            return such bodies.
        """
        self.raise_for_status()
        if self._parsed is NOT_JSON:
            raise ImportProtocolError(
                f"{self.request_line} returned HTTP {self.status} with a body that is not JSON: "
                f"{self.excerpt() or 'an empty body'}.",
                transient=True,
                retry_after=self.retry_after,
                status=self.status,
            )
        return self._parsed

    @property
    def is_too_long(self) -> bool:
        """Whether the body of a successful response was longer than the request allows."""
        # All other reasons why a body cannot be read are transient.
        return self.unreadable is not None and not self.unreadable.transient

    def raise_for_status(self) -> None:
        """
        Raise unless the status is 2xx and the body was read.

        :raises ImportPollError: if a later request may succeed after this status (408, 425, 429, 5xx).
        :raises ImportRequestError: if the status is any other.
        :raises ImportProtocolError: if the status is 2xx but the body could not be read.
        """
        if 200 <= self.status < 300:
            if self.unreadable is not None:
                raise self.unreadable
            return
        if 300 <= self.status < 400:
            target = ""
            with suppress(ValueError):
                target = self.redacted(urlsplit(self.headers.get("location", "")).hostname or "")
            raise ImportRequestError(
                f"{self.request_line} returned HTTP {self.status}, a redirect to {target or 'elsewhere'!r}. "
                f"Redirects are not followed, because the credentials are only for the connection's host. "
                f"Check the connection's host.",
                status=self.status,
            )
        phrase = ""
        with suppress(ValueError):
            phrase = HTTPStatus(self.status).phrase
        message = f"{self.request_line} returned HTTP {self.status} {phrase}".rstrip()
        reason = self.error_text()
        if reason and reason != phrase:
            message = f"{message}: {reason.rstrip('.')}"
        if is_transient(self.status):
            raise self.poll_error(f"{message}.", rate_limited=self.status == 429)
        raise ImportRequestError(f"{message}.", status=self.status)

    def poll_error(self, message: str, *, rate_limited: bool = False) -> ImportPollError:
        """
        Return the error for a response after which a later request may succeed.

        :param message: What happened.
        :param rate_limited: Whether the vendor refused the request because it receives too many.
        """
        return ImportPollError(
            message, transient=True, rate_limited=rate_limited, retry_after=self.retry_after, status=self.status
        )

    def unexpected(self, expected: str, vendor: str, *, returned: str | None = None) -> ImportProtocolError:
        """
        Return the error for a response that is not what the vendor's API promises.

        :param expected: What the API promises, such as ``'an object with the key "progress"'``.
        :param vendor: The vendor's name.
        :param returned: A description of the response. Default None: an excerpt of the body.
        """
        if returned is None:
            returned = repr(self.excerpt() or "an empty body")
        return ImportProtocolError(
            f"{self.request_line} returned {returned} where {vendor}'s API promises {expected}. Whether the import "
            f"succeeded is unknown: check in {vendor}, and report this if it persists."
        )

    @property
    def retry_after(self) -> float | None:
        """The seconds to wait before the next request (``Retry-After``, seconds or date), or None."""
        return parse_retry_after(self.headers.get("retry-after"), now=clock.current.time())

    def with_retry_after(self, seconds: float) -> Response:
        """
        Return the same response with a ``Retry-After``, for vendors that report the time to wait in another way.

        :param seconds: The time to wait, in seconds.
        """
        return replace(self, headers={**self.headers, "retry-after": f"{seconds:.3f}"})

    def with_secret(self, secret: str) -> Response:
        """
        Return the same response with one more text that must not appear in an excerpt.

        :param secret: The text.
        """
        return self._copy(secrets=(*self.secrets, secret))

    def without_texts(self, reason: str) -> Response:
        """
        Return the same response, whose texts are not shown.

        :param reason: The reason.
        """
        return self._copy(hidden_because=reason)

    def _copy(self, **changes: Any) -> Response:
        other = replace(self, **changes)
        # The body is parsed once for both.
        if "_parsed" in vars(self):
            vars(other)["_parsed"] = self._parsed
        return other

    def error_text(self) -> str:
        """Return the vendor's error message, or the beginning of the body if there is none."""
        parsed = self.parsed_or_none()
        if isinstance(parsed, dict):
            for key in ERROR_TEXT_KEYS:
                if isinstance(parsed.get(key), str) and parsed[key].strip():
                    return self.excerpt(parsed[key])
        return "" if parsed in ({}, [], "") else self.excerpt()

    def name(self, text: str, length: int = 200) -> str:
        """
        Return the beginning of a name from the response, such as that of a file, as one printable line.

        Addresses in it lose their query, user and password, as in :meth:`excerpt`. A name that contains a secret is
        not redacted, because it would become another name.

        :param text: The name.
        :param length: Maximum length of the result, in characters.
        """
        return excerpt(ADDRESS.sub(r"\1\2", text[:MAX_EXCERPT_SOURCE]), length)

    def redacted(self, text: str) -> str:
        """
        Return a text without secrets.

        :param text: The text.
        """
        return redacted(text, self.secrets) if self.hidden_because is None else self._instead_of_text

    def excerpt(self, text: str | None = None, length: int = 300) -> str:
        """
        Return the beginning of a text from the response, as one printable line without secrets.

        Addresses in it lose their query, user and password, which may give access to a file.

        :param text: The text. Default None: the body.
        :param length: Maximum length of the result, in characters.
        """
        if self.hidden_because is not None:
            return self._instead_of_text
        if text is None:
            text = self.body[: MAX_EXCERPT_SOURCE * 4].decode("utf-8", "replace")
        # Redact before the text is cut: half a secret would not be recognized.
        return excerpt(ADDRESS.sub(r"\1\2", redacted(text[:MAX_EXCERPT_SOURCE], self.secrets)), length)

    @property
    def _instead_of_text(self) -> str:
        return f"(a text that is not shown, because {self.hidden_because})"


#: A conversation with a vendor that ends in a T.
Conversation = Generator[Request, Response, T]


def parse_retry_after(value: str | None, *, now: float) -> float | None:
    """
    Return the seconds of a ``Retry-After`` header, or None if it cannot be read.

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

    :param text: Any text.
    :param length: Maximum length of the result, in characters.
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text[:MAX_EXCERPT_SOURCE]).split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def redacted(text: str, secrets: Iterable[str]) -> str:
    """
    Return a text without secrets.

    :param text: Any text.
    :param secrets: The texts that must not appear in it.
    """
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        # With Python's rule, that the last value counts, "failed" and then "completed" would be a success.
        raise ValueError("an object has the same key twice")
    return result


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
