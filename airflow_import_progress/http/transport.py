# SPDX-License-Identifier: Apache-2.0
"""
The two transports: requests on a worker, aiohttp on an event loop.

Neither follows redirects, keeps cookies, or reads proxies or ``.netrc`` from the environment (whose entries would
replace the Authorization header). Both limit the time and the size of an answer, and report errors in the same words.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_import_progress import __version__
from airflow_import_progress.exceptions import ImportProtocolError
from airflow_import_progress.http.body import Body, BodyReader
from airflow_import_progress.http.connection import VendorConnection
from airflow_import_progress.http.encoding import decoded
from airflow_import_progress.http.exchange import Request, RequestKey, Response, request_key
from airflow_import_progress.http.transport_errors import UnreadableError, check_headers, translated

# Both are imported where they are used, because a DAG file that only contains a sensor should load neither.
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
#: Longest header that is read, in bytes: the limit of http.client, and so of requests.
MAX_HEADER_BYTES = 64 * 1024

#: Maximum number of headers: the limit of http.client, and so of requests.
MAX_HEADERS = 100
#: The key of a request with its authentication, and of the connection that it is sent over.
AuthenticatedKey = tuple[RequestKey, tuple[str | float | None, ...]]

#: Sends a request through an open session, and returns the answer.
Send = Callable[[Request], Response]
AsyncSend = Callable[[Request], Awaitable[Response]]
#: Sends a request, with its authentication, in its own way: through the function that it is given, or not at all.
AsyncSender = Callable[[AsyncSend, VendorConnection, Request], Awaitable[Response]]


class Counter:
    """Count what this process has done. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: How often.
        self.number = 0

    def add(self) -> None:
        """Count one more."""
        with self._lock:
            self.number += 1


#: All requests of this process, over any connection: it shows that a start has certainly sent nothing.
requests_begun = Counter()


def authenticated_key(connection: VendorConnection, request: Request) -> AuthenticatedKey:
    """
    Return the key of a request as it is sent. Only requests with the same key may share an answer.

    :param connection: The connection that it is sent over.
    :param request: The request, with its authentication.
    """
    return request_key(request), connection.key


def send(session: requests.Session, connection: VendorConnection, request: Request) -> Response:
    """Send a request with requests, and return the answer whole."""
    import requests
    import urllib3

    requests_begun.add()
    handled_before = sys.exc_info()[1]
    give_up_at = time.monotonic() + _time_limit(connection, request)
    upload: BodyReader | None = None
    data: Any = request.data
    body = bytearray()
    try:
        if isinstance(request.data, Body):
            data = upload = BodyReader(request.data, give_up_at)
        with session.request(
            request.method,
            f"{connection.base_url}{request.path}",
            params=request.params,
            headers=_headers(request),
            json=request.json,
            data=data,
            files=request.files,
            allow_redirects=False,
            stream=True,
            timeout=connection.timeout,
        ) as answer:
            check_headers(answer.raw.headers.items())
            # The timeout of requests starts again with each byte. No read requests more bytes than all reads before it,
            # so that none lasts much longer, and the time is checked even if an answer arrives byte by byte.
            while len(body) <= request.max_answer_bytes and (
                chunk := _read(answer, min(len(body) or 1, READ_CHUNK_BYTES))
            ):
                body += chunk
                if time.monotonic() > give_up_at:
                    raise TimeoutError
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError, UnreadableError) as error:
        if upload is not None and upload.error is not None:
            raise upload.error from None
        raise _send_error(error, request, connection, handled_before, upload) from error
    finally:
        if upload is not None:
            upload.close()
    return _response(request, connection, answer.status_code, answer.headers, bytes(body))


def _headers(request: Request) -> dict[str, str]:
    headers = {**HEADERS, **request.headers}
    if isinstance(request.data, Body):
        headers |= {"Content-Type": request.data.content_type, "Content-Length": str(request.data.size)}
    return headers


def _time_limit(connection: VendorConnection, request: Request) -> float:
    """Return the maximum duration of a request, in seconds."""
    return connection.max_request_seconds(request.data.size if isinstance(request.data, Body) else 0)


def _send_error(
    error: Exception,
    request: Request,
    connection: VendorConnection,
    handled_before: BaseException | None,
    upload: BodyReader | None,
) -> Exception:
    # Other bodies are sent together with the headers.
    is_begun = (upload is not None and upload.is_begun) if isinstance(request.data, Body) else None
    return translated(error, _request_line(request, connection), connection, handled_before, is_begun=is_begun)


def _read(answer: requests.Response, size: int) -> bytes:
    try:
        chunk: bytes = answer.raw.read(size, decode_content=False)
    except ValueError as error:  # such as a chunk's length that is not a number
        raise UnreadableError from error
    return chunk


async def asend(session: aiohttp.ClientSession, connection: VendorConnection, request: Request) -> Response:
    """Send a request with aiohttp, and return the answer whole."""
    import aiohttp

    requests_begun.add()
    handled_before = sys.exc_info()[1]
    upload: BodyReader | None = None
    body = bytearray()
    try:
        if isinstance(request.data, Body):
            upload = await asyncio.to_thread(BodyReader, request.data)
        async with session.request(
            request.method,
            _url(connection, request),
            headers=_headers(request),
            json=request.json,
            data=_chunks(upload) if upload is not None else _form(request),
            allow_redirects=False,
            proxy=connection.proxy,
            **_upload_timeout(connection, request),
        ) as answer:
            _check_head(answer)
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > request.max_answer_bytes:
                    break
    except (aiohttp.ClientError, OSError, ValueError, UnreadableError) as error:
        if upload is not None and upload.error is not None:
            # Not from the other error, of which it may be the cause.
            raise upload.error from None
        raise _send_error(error, request, connection, handled_before, upload) from error
    finally:
        if upload is not None:
            # In a thread, because it waits for a read that has begun. Not awaited, because that read may hang.
            asyncio.get_running_loop().run_in_executor(None, upload.close)
    return _response(request, connection, answer.status, answer.headers, bytes(body))


async def _chunks(upload: BodyReader) -> AsyncIterator[bytes]:
    # In a thread, because reading a file would block the event loop.
    while chunk := await asyncio.to_thread(upload.read, READ_CHUNK_BYTES):
        yield chunk


def _upload_timeout(connection: VendorConnection, request: Request) -> dict[str, Any]:
    """Return the arguments with the time limit of an upload. Other requests have that of the session."""
    if not isinstance(request.data, Body):
        return {}
    import aiohttp

    # As with requests, the time of the upload is added only to the upload.
    limit = aiohttp.ClientTimeout(
        total=_time_limit(connection, request), sock_connect=connection.timeout, sock_read=connection.timeout
    )
    return {"timeout": limit}


def _check_head(answer: aiohttp.ClientResponse) -> None:
    """Refuse an answer that http.client refuses."""
    if answer.version is None or answer.version.major != 1 or len(answer.raw_headers) > MAX_HEADERS:
        raise UnreadableError
    # Checked here too, because older versions of aiohttp do not refuse them.
    check_headers(answer.headers.items())


def _url(connection: VendorConnection, request: Request) -> yarl.URL:
    import yarl

    # Already encoded: to decode and encode it again might turn a quoted identifier into a path.
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
        body = decoded(request_line, body, lower_headers.get("content-encoding", ""), limit)
    except ImportProtocolError as error:
        # The body of an error is not required: its status is sufficient.
        body, unreadable = (b"", error) if 200 <= status < 300 else (body[:limit], None)
    return Response(
        status=status,
        headers=lower_headers,
        body=body,
        request_line=request_line,
        secrets=connection.secrets,
        unreadable=unreadable,
    )


def _request_line(request: Request, connection: VendorConnection) -> str:
    return f"{request.method} {connection.base_url}{request.path}"
