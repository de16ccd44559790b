# SPDX-License-Identifier: Apache-2.0
"""
The two transports: requests on a worker, aiohttp on an event loop.

Neither follows redirects, reads the environment's proxies or ``.netrc`` (whose entries would replace the Authorization
header), or keeps cookies. Both bound the time and the size of an answer, and word what went wrong alike.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

from airflow_import_progress import __version__
from airflow_import_progress.exceptions import (
    ImportPollError,
    ImportProgressError,
    ImportProtocolError,
    ImportRequestError,
)
from airflow_import_progress.exchange import Request, RequestKey, Response, redacted, request_key
from airflow_import_progress.hooks.connection import VendorConnection
from airflow_import_progress.hooks.sharing import Sharing

# Both are imported where they are used: a DAG file that only names a sensor loads neither.
if TYPE_CHECKING:
    import aiohttp
    import requests
    import yarl

HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": f"airflow-provider-import-progress/{__version__}",
}
READ_CHUNK_BYTES = 64 * 1024
#: Longest header that is read, in bytes: as much as http.client, and so requests, reads.
MAX_HEADER_BYTES = 64 * 1024

#: The key of a request with its authentication, and of the connection that it is sent over.
AuthenticatedKey = tuple[RequestKey, tuple[str | float | None, ...]]

#: Requests whose answer is shared.
_sharing: Sharing[tuple[asyncio.AbstractEventLoop, AuthenticatedKey], Response] = Sharing()


def authenticated_key(connection: VendorConnection, request: Request) -> AuthenticatedKey:
    """
    Return the key of a request as it is sent. Only requests with the same key may share an answer.

    :param connection: The connection that it is sent over.
    :param request: The request, with its authentication.
    """
    return request_key(request), connection.key


def session_settings(connection: VendorConnection) -> tuple[Any, ...]:
    """Return what a session is made with: one that was made with something else cannot be used any longer."""
    return connection.verify, connection.proxy, connection.timeout, connection.base_url.partition(":")[0]


def new_session(connection: VendorConnection) -> requests.Session:
    """Return a session of requests with the connection's TLS and proxy settings, and without credentials."""
    import requests

    session = requests.Session()
    session.trust_env = False
    # Even where it is told not to follow redirects, requests looks at where they lead, and stumbles over nonsense.
    session.get_redirect_target = lambda resp: None  # type: ignore[method-assign]
    session.verify = connection.verify
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    if connection.proxy:
        session.proxies = {"http": connection.proxy, "https": connection.proxy}
    return session


def send(session: requests.Session, connection: VendorConnection, request: Request) -> Response:
    """Send a request with requests, and return the answer whole."""
    import requests
    import urllib3

    handled_before = sys.exc_info()[1]
    give_up_at = time.monotonic() + connection.timeout
    body = bytearray()
    try:
        with session.request(
            request.method,
            f"{connection.base_url}{request.path}",
            params=request.params,
            headers={**HEADERS, **request.headers},
            json=request.json,
            data=request.data,
            files=request.files,
            allow_redirects=False,
            stream=True,
            timeout=connection.timeout,
        ) as answer:
            # The timeout of requests counts from byte to byte. No read asks for more than has come so far, so
            # none lasts longer than all before it, and an answer that drips for ever is noticed.
            while len(body) <= request.max_answer_bytes and (
                chunk := _read(answer, min(len(body) or 1, READ_CHUNK_BYTES))
            ):
                body += chunk
                if time.monotonic() > give_up_at:
                    raise TimeoutError
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise _not_through(request, connection, error, handled_before) from error
    return _response(request, connection, answer.status_code, answer.headers, bytes(body))


def _read(answer: requests.Response, size: int) -> bytes:
    try:
        chunk: bytes = answer.raw.read(size, decode_content=False)
    except ValueError as error:  # such as a chunk's length that is no number
        raise ConnectionError("unreadable") from error
    return chunk


async def new_async_session(connection: VendorConnection) -> aiohttp.ClientSession:
    """Return a session of aiohttp with the connection's TLS and time limit, and without credentials."""
    # Loading the library and reading certificates take time that the event loop cannot spare.
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
    # The certificates that requests trusts, so that the modes of a sensor agree.
    bundle = DEFAULT_CA_BUNDLE_PATH if connection.verify is True else connection.verify
    return ssl.create_default_context(cafile=bundle)


async def asend_or_share(session: aiohttp.ClientSession, connection: VendorConnection, request: Request) -> Response:
    """Send a request with aiohttp; one that is marked as shared goes out once for all who send it at the same time."""
    if not request.shared:
        return await asend(session, connection, request)
    key = asyncio.get_running_loop(), authenticated_key(connection, request)
    return await _sharing.share(key, lambda: _asend_alone(connection, request))


async def _asend_alone(connection: VendorConnection, request: Request) -> Response:
    # In a session of its own, since nobody's may be closed under the others.
    async with await new_async_session(connection) as session:
        return await asend(session, connection, request)


async def asend(session: aiohttp.ClientSession, connection: VendorConnection, request: Request) -> Response:
    """Send a request with aiohttp, and return the answer whole."""
    import aiohttp

    handled_before = sys.exc_info()[1]
    body = bytearray()
    try:
        async with session.request(
            request.method,
            _url(connection, request),
            headers={**HEADERS, **request.headers},
            json=request.json,
            data=_form(request),
            allow_redirects=False,
            proxy=connection.proxy,
        ) as answer:
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > request.max_answer_bytes:
                    break
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise _not_through(request, connection, error, handled_before) from error
    return _response(request, connection, answer.status, answer.headers, bytes(body))


def _url(connection: VendorConnection, request: Request) -> yarl.URL:
    import yarl

    # Already encoded: decoding and encoding again might turn a quoted identifier into a path.
    url = yarl.URL(f"{connection.base_url}{request.path}", encoded=True)
    return url.extend_query(request.params) if request.params else url


def _form(request: Request) -> Any:
    import aiohttp

    if not request.files:
        return request.data
    form = aiohttp.FormData()
    for name, value in request.data.items() if isinstance(request.data, Mapping) else ():
        form.add_field(name, value)
    for name, (file_name, content, content_type) in request.files.items():
        form.add_field(name, content, filename=file_name, content_type=content_type)
    return form


def _response(
    request: Request, connection: VendorConnection, status: int, headers: Mapping[str, str], body: bytes
) -> Response:
    asked = _asked(request, connection)
    lower_headers = {name.lower(): value for name, value in headers.items()}
    limit = request.max_answer_bytes
    try:
        body = _decoded(asked, body, lower_headers.get("content-encoding", ""), limit)
    except ImportProtocolError:
        # An error is told by its status; its page may be as long and as odd as it likes.
        if 200 <= status < 300:
            raise
        body = body[:limit]
    return Response(status=status, headers=lower_headers, body=body, asked=asked, secrets=connection.secrets)


def _decoded(asked: str, body: bytes, encoding: str, limit: int) -> bytes:
    if encoding.strip().lower() in ("gzip", "x-gzip", "deflate"):
        # Although none was accepted. Decoded here, so that a small body cannot become an endless one.
        decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        decoded = b""
        with suppress(zlib.error):
            decoded = decoder.decompress(body, limit + 1)
        if not decoder.eof and len(decoded) <= limit:
            raise ImportProtocolError(f"{asked} answered with a body that cannot be unpacked.", transient=True)
        body = decoded
    elif encoding.strip().lower() not in ("", "identity"):
        raise ImportProtocolError(
            f"{asked} answered in the encoding {encoding[:40]!r}, which was not accepted.", transient=True
        )
    if len(body) > limit:
        raise ImportProtocolError(f"{asked} answered with more than {limit:,} bytes, which is more than is read.")
    return body


def _asked(request: Request, connection: VendorConnection) -> str:
    return f"{request.method} {connection.base_url}{request.path}"


def _not_through(
    request: Request, connection: VendorConnection, error: Exception, handled_before: BaseException | None
) -> ImportProgressError:
    """Return what a library's exception means, in the same words for both libraries."""
    import urllib3

    asked = _asked(request, connection)
    chain = list(_causes(error, handled_before))

    def caused_by(*types: type[BaseException]) -> bool:
        return any(isinstance(cause, types) for cause in chain)

    if caused_by(ssl.SSLCertVerificationError):
        return ImportRequestError(
            f"{asked} was not sent, because the host's TLS certificate could not be verified. "
            f"If it is signed by your own authority, set the connection's 'verify' to the file with its certificate."
        )
    # What is wrong with the request itself is a ValueError, whatever else the library makes of it.
    if isinstance(error, ValueError):
        words = redacted(f"{type(error).__name__}: {error}", connection.secrets)
        return ImportRequestError(f"{asked} could not be sent ({words}).")
    if any(" 407 " in f" {cause} " or getattr(cause, "status", None) == 407 for cause in chain):
        return ImportRequestError(
            f"{asked} was not sent, because the proxy demands other credentials (HTTP 407). Correct the connection's "
            f"'proxy': http://user:password@host:port."
        )
    if caused_by(socket.gaierror):
        why = "the host name could not be resolved"
    elif caused_by(ConnectionRefusedError):
        why = "the connection was refused"
    elif caused_by(TimeoutError, urllib3.exceptions.TimeoutError):
        why = f"it took longer than {connection.timeout:g} s"
    else:
        why = "the connection broke before the answer was complete"
    if connection.proxy:
        why = f"{why} (by way of the connection's proxy)"
    advice = "If this lasts, check the connection's host, port and schema."
    return ImportPollError(f"{asked} got no answer: {why}. {advice}", transient=True)


def _causes(error: BaseException | None, handled_before: BaseException | None) -> Iterator[BaseException]:
    # An exception that the caller was handling already is the context of this one, but no cause of it.
    while error is not None and error is not handled_before:
        yield error
        error = error.__cause__ or error.__context__
