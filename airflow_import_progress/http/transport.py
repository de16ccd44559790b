# SPDX-License-Identifier: Apache-2.0
"""
The two transports: requests on a worker, aiohttp on an event loop.

Neither follows redirects, reads the environment's proxies or ``.netrc`` (whose entries would replace the Authorization
header), or keeps cookies. Both bound the time and the size of an answer, and word what went wrong alike.
"""

from __future__ import annotations

import asyncio
import http.client
import re
import socket
import ssl
import sys
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

from airflow_import_progress import __version__
from airflow_import_progress.exceptions import (
    ImportPollError,
    ImportProgressError,
    ImportProtocolError,
    ImportRequestError,
)
from airflow_import_progress.http.connection import VendorConnection
from airflow_import_progress.http.exchange import (
    Request,
    RequestKey,
    Response,
    is_transient,
    redacted,
    request_key,
)
from airflow_import_progress.http.single_flight import SingleFlight

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

#: More interim answers (1xx) than this before the final one are given up.
MAX_INTERIM_ANSWERS = 10
#: As many headers as http.client, and so requests, reads.
MAX_HEADERS = 100
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
DIGITS = re.compile(r"\d+", re.ASCII)
#: The words of http.client for a proxy that refuses to connect to the host.
PROXYS_REFUSAL = re.compile(r"Tunnel connection failed: (\d{3})\b")

#: The key of a request with its authentication, and of the connection that it is sent over.
AuthenticatedKey = tuple[RequestKey, tuple[str | float | None, ...]]

#: Requests whose answer is shared.
_single_flight: SingleFlight[tuple[asyncio.AbstractEventLoop, AuthenticatedKey], Response] = SingleFlight()


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
    for prefix in ("https://", "http://"):
        session.mount(prefix, _adapter_class()())
    session.verify = connection.verify
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    if connection.proxy:
        session.proxies = {"http": connection.proxy, "https": connection.proxy}
    return session


class _FinalResponse(http.client.HTTPResponse):
    """An answer without the interim ones before it: http.client skips only "100 Continue"."""

    def begin(self) -> None:
        for _ in range(MAX_INTERIM_ANSWERS):
            super().begin()
            if not 100 < self.status < 200 or self.status == HTTPStatus.SWITCHING_PROTOCOLS:
                return
            # So that the next answer is read.
            self.headers = None  # type: ignore[assignment]
        raise http.client.HTTPException(f"more than {MAX_INTERIM_ANSWERS} interim answers")


@cache
def _adapter_class() -> type[requests.adapters.HTTPAdapter]:
    import requests
    import urllib3

    class Connection(urllib3.connection.HTTPConnection):
        response_class = _FinalResponse

    class TlsConnection(urllib3.connection.HTTPSConnection):
        response_class = _FinalResponse

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = Connection

    class TlsPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = TlsConnection

    class Adapter(requests.adapters.HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            self.poolmanager.pool_classes_by_scheme = {"http": Pool, "https": TlsPool}

        def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
            manager = super().proxy_manager_for(*args, **kwargs)
            manager.pool_classes_by_scheme = {"http": Pool, "https": TlsPool}
            return manager

    return Adapter


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
            _check_headers(answer.raw.headers.items())
            # The timeout of requests counts from byte to byte. No read asks for more than has come so far, so
            # none lasts longer than all before it, and an answer that drips for ever is noticed.
            while len(body) <= request.max_answer_bytes and (
                chunk := _read(answer, min(len(body) or 1, READ_CHUNK_BYTES))
            ):
                body += chunk
                if time.monotonic() > give_up_at:
                    raise TimeoutError
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError, _UnreadableError) as error:
        raise _not_through(request, connection, error, handled_before) from error
    return _response(request, connection, answer.status_code, answer.headers, bytes(body))


class _UnreadableError(Exception):
    """Raised for an answer that one of the libraries reads and the other refuses: neither may."""


def _check_headers(headers: Iterable[tuple[str, str]]) -> None:
    """Refuse what aiohttp refuses, such as a body whose length is not clear."""
    lengths, is_chunked = [], False
    for name, value in headers:
        if not HEADER_NAME.fullmatch(name) or "\0" in value:
            raise _UnreadableError
        if name.lower() == "content-length":
            lengths.append(value)
        is_chunked = is_chunked or name.lower() == "transfer-encoding"
    if len(lengths) > 1 or any(not DIGITS.fullmatch(length) for length in lengths) or (lengths and is_chunked):
        raise _UnreadableError


def _read(answer: requests.Response, size: int) -> bytes:
    try:
        chunk: bytes = answer.raw.read(size, decode_content=False)
    except ValueError as error:  # such as a chunk's length that is not a number
        raise _UnreadableError from error
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
    return await _single_flight.do(key, lambda: _asend_alone(connection, request))


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
            _check_head(answer)
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > request.max_answer_bytes:
                    break
    except (aiohttp.ClientError, OSError, ValueError, _UnreadableError) as error:
        raise _not_through(request, connection, error, handled_before) from error
    return _response(request, connection, answer.status, answer.headers, bytes(body))


def _check_head(answer: aiohttp.ClientResponse) -> None:
    """Refuse what http.client refuses."""
    if answer.version is None or answer.version.major != 1 or len(answer.raw_headers) > MAX_HEADERS:
        raise _UnreadableError
    # As older versions do not.
    _check_headers(answer.headers.items())


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
    request_line = _request_line(request, connection)
    lower_headers = {name.lower(): value for name, value in headers.items()}
    limit, unreadable = request.max_answer_bytes, None
    try:
        body = _decoded(request_line, body, lower_headers.get("content-encoding", ""), limit)
    except ImportProtocolError as error:
        # The status of an error says enough; its page may be as long and as odd as it likes.
        body, unreadable = (b"", error) if 200 <= status < 300 else (body[:limit], None)
    return Response(
        status=status,
        headers=lower_headers,
        body=body,
        request_line=request_line,
        secrets=connection.secrets,
        unreadable=unreadable,
    )


def _decoded(request_line: str, body: bytes, encoding: str, limit: int) -> bytes:
    if encoding.strip().lower() in ("gzip", "x-gzip", "deflate"):
        # Although none was accepted. Decoded here, so that a small body cannot become an endless one.
        decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        decoded = b""
        with suppress(zlib.error):
            decoded = decoder.decompress(body, limit + 1)
        if not decoder.eof and len(decoded) <= limit:
            raise ImportProtocolError(f"{request_line} answered with a body that cannot be unpacked.", transient=True)
        body = decoded
    elif encoding.strip().lower() not in ("", "identity"):
        raise ImportProtocolError(
            f"{request_line} answered in the encoding {encoding[:40]!r}, which was not accepted.", transient=True
        )
    if len(body) > limit:
        raise ImportProtocolError(f"{request_line} returned more than the limit of {limit:,} bytes.")
    return body


def _request_line(request: Request, connection: VendorConnection) -> str:
    return f"{request.method} {connection.base_url}{request.path}"


def _not_through(
    request: Request, connection: VendorConnection, error: Exception, handled_before: BaseException | None
) -> ImportProgressError:
    """Return what a library's exception means, in the same words for both libraries."""
    import urllib3

    request_line = _request_line(request, connection)
    chain = list(_causes(error, handled_before))

    def caused_by(*types: type[BaseException]) -> bool:
        return any(isinstance(cause, types) for cause in chain)

    for cause in chain:
        # aiohttp's own error for it does not have the reason.
        if isinstance(cause, ssl.SSLCertVerificationError) and hasattr(cause, "verify_code"):
            return ImportRequestError(f"{request_line} was not sent, because {_refused_certificate(cause)}")
    advice = "If this lasts, check the connection's host, port and schema."
    if _is_unreadable(chain):
        return ImportPollError(f"{request_line} got an answer that is not valid HTTP. {advice}", transient=True)
    # What is wrong with the request itself is a ValueError, whatever else the library makes of it.
    if isinstance(error, ValueError):
        words = redacted(f"{type(error).__name__}: {error}", connection.secrets)
        return ImportRequestError(f"{request_line} could not be sent ({words}).")
    if connection.proxy and (status := _proxys_refusal(chain)) is not None:
        return _refused_by_proxy(request_line, status)
    if caused_by(socket.gaierror):
        why = "the host name could not be resolved"
    elif caused_by(ConnectionRefusedError):
        why = "the connection was refused"
    elif caused_by(ssl.SSLError):
        why = "the TLS handshake failed, as with a server that has no TLS at this port"
    elif caused_by(TimeoutError, urllib3.exceptions.TimeoutError):
        why = f"it took longer than {connection.timeout:g} s"
    else:
        why = "the connection broke before the answer was complete"
    if connection.proxy:
        why = f"{why} (by way of the connection's proxy)"
    return ImportPollError(f"{request_line} got no answer: {why}. {advice}", transient=True)


#: What OpenSSL may find wrong with a certificate, by its code: what it means, and what to do.
_CERTIFICATE_PROBLEMS: Mapping[int, tuple[str, str]] = {
    9: ("is not valid yet", "Check the clock of this machine, and the certificate with whoever runs the host."),
    10: ("has expired", "Whoever runs the host has to renew it."),
    62: ("is for another host name", "Check the connection's host."),
    64: ("is for another address", "Check the connection's host."),
    **dict.fromkeys(
        (18, 19, 20, 21),
        (
            "is not signed by an authority that is trusted",
            "If it is signed by your own authority, set the connection's 'verify' to the file with its certificate.",
        ),
    ),
}


def _refused_certificate(error: ssl.SSLCertVerificationError) -> str:
    problem, advice = _CERTIFICATE_PROBLEMS.get(
        error.verify_code, ("cannot be verified", "Check it with whoever runs the host.")
    )
    return f"the host's TLS certificate {problem} ({error.verify_message}). {advice}"


def _proxys_refusal(chain: Sequence[BaseException]) -> int | None:
    for cause in chain:
        # aiohttp's error has the status, that of http.client has it in its words alone.
        status = getattr(cause, "status", None)
        if isinstance(status, int) and status >= 300:
            return status
        if match := PROXYS_REFUSAL.search(str(cause)):
            return int(match[1])
    return None


def _refused_by_proxy(request_line: str, status: int) -> ImportProgressError:
    words = f"{request_line} was not sent, because the proxy refused to connect to the host (HTTP {status})."
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return ImportRequestError(
            f"{words} It demands other credentials: correct the connection's 'proxy', http://user:password@host:port."
        )
    if is_transient(status):
        return ImportPollError(
            f"{words} If this lasts, check the proxy.",
            transient=True,
            rate_limited=status == HTTPStatus.TOO_MANY_REQUESTS,
        )
    return ImportRequestError(f"{words} Have it allowed there, or correct the connection's 'proxy'.")


def _is_unreadable(chain: Sequence[BaseException]) -> bool:
    import aiohttp
    import urllib3

    unreadable = (
        _UnreadableError,
        aiohttp.http_exceptions.HttpProcessingError,
        http.client.BadStatusLine,
        http.client.LineTooLong,
        http.client.UnknownProtocol,
        urllib3.exceptions.InvalidHeader,
    )
    # A connection that ends before the answer begins is a BadStatusLine, too, and a proxy's refusal an error of HTTP.
    others = (http.client.RemoteDisconnected, aiohttp.ClientHttpProxyError, aiohttp.ClientPayloadError)
    if any(isinstance(cause, others) for cause in chain):
        return False
    # For other reasons, such as too many headers, http.client raises HTTPException itself.
    return any(isinstance(cause, unreadable) or type(cause) is http.client.HTTPException for cause in chain)


def _causes(error: BaseException | None, handled_before: BaseException | None) -> Iterator[BaseException]:
    # An exception that the caller was handling already is the context of this one, but no cause of it.
    while error is not None and error is not handled_before:
        yield error
        error = error.__cause__ or error.__context__
