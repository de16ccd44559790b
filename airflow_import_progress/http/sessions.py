# SPDX-License-Identifier: Apache-2.0
"""The sessions of requests and aiohttp: how they are made, and how long each is kept."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

from airflow_import_progress.http.adapter import adapter_class
from airflow_import_progress.http.connection import VendorConnection
from airflow_import_progress.http.exchange import Request, Response
from airflow_import_progress.http.single_flight import SingleFlight
from airflow_import_progress.http.transport import (
    MAX_HEADER_BYTES,
    AsyncSend,
    AuthenticatedKey,
    Send,
    asend,
    authenticated_key,
    send,
)

# Both are imported where they are used, because a DAG file that only contains a sensor should load neither.
if TYPE_CHECKING:
    import aiohttp
    import requests

#: Requests whose answer is shared.
_single_flight: SingleFlight[tuple[asyncio.AbstractEventLoop, AuthenticatedKey], Response] = SingleFlight()


class Sessions:
    """Open sessions of requests: one for each conversation or, once it is open, one for all."""

    def __init__(self) -> None:
        self._is_open = False
        # A connection that was changed needs another session, while the old one may still be in use.
        self._kept: dict[tuple[Any, ...], requests.Session] = {}

    def open(self) -> None:
        """Keep sessions from now on."""
        self._is_open = True

    def close(self) -> None:
        """Close the sessions that were kept."""
        self._is_open = False
        while self._kept:
            self._kept.popitem()[1].close()

    @contextmanager
    def session(self, connection: VendorConnection) -> Iterator[Send]:
        """
        Return the function that sends through a session.

        :param connection: The connection.
        """
        if not self._is_open:
            with new_session(connection) as session:
                yield partial(send, session, connection)
            return
        settings = _session_settings(connection)
        if settings not in self._kept:
            self._kept[settings] = new_session(connection)
        yield partial(send, self._kept[settings], connection)


class AsyncSessions:
    """Open sessions of aiohttp: one for each conversation or, once it is open, one for all."""

    def __init__(self) -> None:
        self._is_open = False
        # A connection that was changed needs another session, while the old one may still be in use.
        self._kept: dict[tuple[Any, ...], aiohttp.ClientSession] = {}

    def open(self) -> None:
        """Keep sessions from now on."""
        self._is_open = True

    async def close(self) -> None:
        """Close the sessions that were kept."""
        self._is_open = False
        while self._kept:
            await self._kept.popitem()[1].close()

    def session(self, connection: VendorConnection) -> AbstractAsyncContextManager[AsyncSend]:
        """
        Return the function that sends through a session, in a context.

        :param connection: The connection.
        """
        kept = self._kept.get(_session_settings(connection)) if self._is_open else None
        # A poll costs less without an asynchronous generator.
        return self._new_session(connection) if kept is None else nullcontext(partial(asend, kept, connection))

    @asynccontextmanager
    async def _new_session(self, connection: VendorConnection) -> AsyncIterator[AsyncSend]:
        session = await new_async_session(connection)
        if not self._is_open:
            async with session:
                yield partial(asend, session, connection)
            return
        kept = self._kept.setdefault(_session_settings(connection), session)
        if kept is not session:
            # Another conversation was faster.
            await session.close()
        yield partial(asend, kept, connection)


def _session_settings(connection: VendorConnection) -> tuple[Any, ...]:
    """Return the settings of a connection with which its sessions are made."""
    return connection.verify, connection.proxy, connection.timeout, connection.base_url.partition(":")[0]


async def send_or_share(send: AsyncSend, connection: VendorConnection, request: Request) -> Response:
    """
    Send a request, or once for all that send the same at the same time if the request is marked as shared.

    :param send: Sends through the session of the caller.
    :param connection: The connection.
    :param request: The request, with its authentication.
    """
    if not request.shared:
        return await send(request)
    key = asyncio.get_running_loop(), authenticated_key(connection, request)
    return await _single_flight.do(key, lambda: _send_alone(connection, request), until_read=True)


async def _send_alone(connection: VendorConnection, request: Request) -> Response:
    # In a session of its own, because the session of any caller may be closed before the others have their answer.
    async with await new_async_session(connection) as session:
        return await asend(session, connection, request)


def new_session(connection: VendorConnection) -> requests.Session:
    """Return a session of requests with the connection's TLS and proxy settings, and without credentials."""
    import requests

    session = requests.Session()
    session.trust_env = False
    # requests parses the target of a redirect even if it does not follow it, and raises if the target is malformed.
    session.get_redirect_target = lambda resp: None  # type: ignore[method-assign]
    for prefix in ("https://", "http://"):
        session.mount(prefix, adapter_class()())
    session.verify = connection.verify
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    if connection.proxy:
        session.proxies = {"http": connection.proxy, "https": connection.proxy}
    return session


async def new_async_session(connection: VendorConnection) -> aiohttp.ClientSession:
    """Return a session of aiohttp with the connection's TLS and time limit, and without credentials."""
    # In a thread, because loading the library and reading certificates would block the event loop.
    tls = await asyncio.to_thread(_tls, connection)
    import aiohttp

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls),
        timeout=aiohttp.ClientTimeout(total=connection.timeout),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
    )


def _tls(connection: VendorConnection) -> ssl.SSLContext | bool:
    import aiohttp  # noqa: F401
    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    if connection.verify is False or connection.base_url.startswith("http://"):
        return False
    # The certificates that requests trusts, so that all modes of a sensor trust the same hosts.
    bundle = DEFAULT_CA_BUNDLE_PATH if connection.verify is True else connection.verify
    return ssl.create_default_context(cafile=bundle)
