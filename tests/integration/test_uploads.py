# SPDX-License-Identifier: Apache-2.0
"""Uploads by both transports: what a server gets, and whether an upload that failed was certainly not begun."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import json
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import warnings

import pytest

from airflow_import_progress.exceptions import ImportFileError, ImportPollError, ImportRequestError
from airflow_import_progress.files import ImportFile
from airflow_import_progress.hooks import rocketchat_login
from airflow_import_progress.hooks.lucca import LuccaHook
from airflow_import_progress.hooks.rocketchat import RocketChatHook
from airflow_import_progress.http import connection, transport
from airflow_import_progress.http.body import Base64JsonBody, JsonBody, MultipartBody
from tests.support.http_server import handling, serving

MIB = 1 << 20
CONTENT = b"a;b\r\n" * 100_000


def by_requests(hook, **arguments):
    return hook.request("POST", "/upload", **arguments)


def by_aiohttp(hook, **arguments):
    return asyncio.run(hook.arequest("POST", "/upload", **arguments))


@pytest.fixture(params=[by_requests, by_aiohttp])
def upload(request):
    """Return a function that sends a request with a hook, by each of the transports."""
    return request.param


@pytest.fixture
def open_connections():
    """Collect the connections that aiohttp had not yet closed when its loop ended, lest another test finds them."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def connect_here(connect):
    """Return a function that points the default connection at a port, with these extras."""

    def connect_here(port, schema="http", **extra):
        connect(host="127.0.0.1", port=port, schema=schema, extra={"timeout": 5, **extra})

    return connect_here


def multipart(source):
    return MultipartBody("file", source, "congés.csv", "text/csv")


def base64_json(source):
    return Base64JsonBody("binaryContent", source, {"fileName": "congés.csv"})


def whole(body):
    with contextlib.closing(body.open()) as stream:
        return b"".join(iter(lambda: stream.read(MIB), b""))


def answer(exchange):
    exchange.read_body()
    exchange.answer()


# What a server gets


@pytest.mark.parametrize("make", [multipart, base64_json, lambda source: JsonBody({"a": "é" * 100_000})])
def test_a_body_is_sent_as_it_is_with_its_length(connect_here, upload, make):
    body = make(ImportFile(CONTENT))
    with handling(answer) as (port, exchanges):
        connect_here(port)
        assert upload(LuccaHook(), data=body).status == 200
    (exchange,) = exchanges
    assert exchange.body == whole(body)
    assert exchange.headers["content-length"] == str(body.size)
    assert exchange.headers["content-type"] == body.content_type
    assert "transfer-encoding" not in exchange.headers
    assert "expect" not in exchange.headers
    assert exchange.headers["authorization"].startswith("lucca application=")


@pytest.mark.parametrize("size", [1, transport.READ_CHUNK_BYTES, 3 * transport.READ_CHUNK_BYTES + 1])
def test_a_file_of_any_size_arrives(connect_here, upload, tmp_path, size):
    file = tmp_path / "a.csv"
    file.write_bytes(bytes(size))
    body = multipart(ImportFile(file))
    with handling(answer) as (port, exchanges):
        connect_here(port)
        upload(LuccaHook(), data=body)
    assert exchanges[0].body == whole(body)


def test_a_retry_after_a_log_in_sends_the_whole_body_again(connect_to, upload, monkeypatch):
    monkeypatch.setattr(rocketchat_login, "_log_ins", {})
    tokens = iter(["old-token", "new-token"])

    def handle(exchange):
        exchange.read_body()
        if exchange.request_line.startswith("POST /api/v1/login "):
            exchange.answer(body=json.dumps({"data": {"userId": "u", "authToken": next(tokens)}}).encode())
        else:
            exchange.answer(200 if exchange.headers["x-auth-token"] == "new-token" else 401)

    body = multipart(ImportFile(CONTENT))
    with handling(handle) as (port, exchanges):
        connect_to("rocketchat", host="127.0.0.1", port=port, login="u", extra={"auth_method": "password"})
        assert upload(RocketChatHook(), data=body).status == 200
    uploads = [exchange for exchange in exchanges if "/upload" in exchange.request_line]
    assert [exchange.body for exchange in uploads] == [whole(body)] * 2


MEMORY_OF_UPLOADS = """
    import asyncio, resource, sys
    from airflow_import_progress.files import ImportFile
    from airflow_import_progress.http.body import MultipartBody
    from airflow_import_progress.http.connection import VendorConnection
    from airflow_import_progress.http.exchange import Request
    from airflow_import_progress.http.sessions import AsyncSessions, Sessions

    port, small, large = sys.argv[1:]
    connection = VendorConnection(conn_id="c", base_url=f"http://127.0.0.1:{port}", timeout=10)

    def request(file):
        return Request(method="POST", path="/", data=MultipartBody("file", ImportFile(file), "a", "b"))

    def upload_by_requests(file):
        with Sessions().session(connection) as send:
            assert send(request(file)).status == 200

    async def upload_by_aiohttp(file):
        async with AsyncSessions().session(connection) as send:
            assert (await send(request(file))).status == 200

    def uploaded(file):
        upload_by_requests(file)
        asyncio.run(upload_by_aiohttp(file))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = uploaded(small)
    print(uploaded(large) - before)
"""


@pytest.mark.skipif(sys.platform == "darwin", reason="ru_maxrss is in other units there")
def test_an_upload_of_100_mb_needs_little_memory_by_both_transports(tmp_path):
    small, large = tmp_path / "small.csv", tmp_path / "large.csv"
    small.write_bytes(bytes(1000))
    with large.open("wb") as file:
        # Sparse, so that it takes no space.
        file.truncate(100_000_000)
    sizes = []

    def handle(exchange):
        sizes.append(exchange.skip_body())
        exchange.answer()

    with handling(handle) as (port, _):
        command = [sys.executable, "-c", textwrap.dedent(MEMORY_OF_UPLOADS), str(port), small, large]
        done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
    assert done.returncode == 0, done.stderr
    assert [size > 100_000_000 for size in sizes] == [False, False, True, True]
    # The last line, because Airflow writes some of its own. In KiB.
    assert int(done.stdout.splitlines()[-1]) < 30 * 1024


# A slow file


class Slow:
    """A file whose content comes when it is let go."""

    size = 3

    def __init__(self):
        self.is_read, self.may_go_on = threading.Event(), threading.Event()
        self.is_closed = False

    def open(self):
        return self

    def read(self, size):
        self.is_read.set()
        assert self.may_go_on.wait(10)
        return self.content.read(size)

    def close(self):
        self.is_closed = True

    @property
    def content(self):
        self.__dict__.setdefault("_content", io.BytesIO(b"a;b"))
        return self._content


async def until(event):
    """Wait for an event of a thread."""
    while not event.is_set():  # noqa: ASYNC110
        await asyncio.sleep(0)


def test_the_event_loop_is_not_blocked_while_a_slow_file_is_read(connect_here):
    slow = Slow()

    async def let_go():
        await until(slow.is_read)
        # A loop that is blocked by the read would not get here.
        slow.may_go_on.set()

    async def both():
        return await asyncio.gather(LuccaHook().arequest("POST", "/upload", data=multipart(slow)), let_go())

    with handling(answer) as (port, exchanges):
        connect_here(port)
        response, _ = asyncio.run(both())
    assert response.status == 200
    assert b"a;b" in exchanges[0].body
    assert slow.is_closed


def test_a_cancelled_upload_does_not_wait_for_a_slow_file(connect_here):
    slow = Slow()

    async def cancel():
        task = asyncio.create_task(LuccaHook().arequest("POST", "/upload", data=multipart(slow)))
        await until(slow.is_read)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert not slow.is_closed
        slow.may_go_on.set()

    with handling(answer) as (port, _):
        connect_here(port)
        asyncio.run(cancel())
    # The thread that read it has ended with the loop.
    assert slow.is_closed


# Answers before the end of the body


@pytest.mark.usefixtures("open_connections")
def test_a_server_that_refuses_early_is_understood(connect_here, upload):
    def refuse(exchange):
        exchange.read_body(1000)
        exchange.answer(413, b'{"message": "too large"}')
        exchange.drain()

    with handling(refuse) as (port, _):
        connect_here(port)
        with pytest.raises(ImportRequestError, match=r"HTTP 413 .*: too large") as caught:
            upload(LuccaHook(), data=multipart(ImportFile(bytes(20 * MIB))))
    assert caught.value.status == 413


@pytest.mark.usefixtures("open_connections")
def test_a_server_that_refuses_early_and_closes_is_understood_or_the_outcome_is_unknown(connect_here, upload):
    def refuse(exchange):
        exchange.read_body(1000)
        exchange.answer(413, b'{"message": "too large"}')

    with handling(refuse) as (port, _):
        connect_here(port)
        with pytest.raises((ImportRequestError, ImportPollError)) as caught:
            upload(LuccaHook(), data=multipart(ImportFile(bytes(20 * MIB))))
    assert not caught.value.not_sent
    assert caught.value.status in (413, None)


# Whether a body was begun


def failed(upload, **arguments):
    """Return the error of a request."""
    with pytest.raises((ImportPollError, ImportRequestError)) as caught:
        upload(LuccaHook(), **arguments)
    return caught.value


def a_body():
    return multipart(ImportFile(bytes(20 * MIB)))


@pytest.mark.usefixtures("open_connections")
def test_a_connection_that_breaks_within_the_body_may_have_been_processed(connect_here, upload):
    def break_off(exchange):
        exchange.read_body(100_000)
        exchange.reset()

    with handling(break_off) as (port, _):
        connect_here(port)
        error = failed(upload, data=a_body())
    assert "the connection broke before the answer was complete" in str(error)
    assert (error.not_sent, error.transient) == (False, True)


def test_a_connection_that_breaks_after_the_body_may_have_been_processed(connect_here, upload):
    def break_off(exchange):
        exchange.read_body()
        exchange.reset()

    with handling(break_off) as (port, exchanges):
        connect_here(port)
        error = failed(upload, data=multipart(ImportFile(CONTENT)))
    assert "the connection broke before the answer was complete" in str(error)
    assert not error.not_sent
    assert len(exchanges) == 1


def test_a_request_without_an_answer_in_time_may_have_been_processed(connect_here, upload):
    def be_silent(exchange):
        exchange.read_body()
        exchange.file.read(1)

    with handling(be_silent) as (port, exchanges):
        connect_here(port, timeout=1)
        # So large that its upload alone may take longer than this server waits.
        error = failed(upload, data=multipart(ImportFile(bytes(5 * MIB))))
    assert "it took longer than 1 s" in str(error)
    assert (error.not_sent, error.transient) == (False, True)
    assert len(exchanges) == 1


@pytest.mark.parametrize("body", [{"data": JsonBody({})}, {"json": {}}], ids=["a body", "json"])
def test_a_refused_connection_was_certainly_not_sent(connect_here, upload, body):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        connect_here(closed.getsockname()[1])
        error = failed(upload, **body)
    assert "the connection was refused" in str(error)
    assert (error.not_sent, error.transient) == (True, True)


@pytest.mark.parametrize("body", [{"data": JsonBody({})}, {"json": {}}], ids=["a body", "json"])
def test_a_request_to_an_unknown_host_was_certainly_not_sent(connect, upload, monkeypatch, body):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    connect(host="nowhere.invalid", port=80)
    error = failed(upload, **body)
    assert "the host name could not be resolved" in str(error)
    assert (error.not_sent, error.transient) == (True, True)


@pytest.mark.parametrize("body", [{"data": JsonBody({})}, {"json": {}}], ids=["a body", "json"])
def test_a_refused_certificate_was_certainly_not_sent_to(connect_here, upload, certificate, body):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(({}, b"{}"), tls=context) as port:
        connect_here(port, "https")
        error = failed(upload, **body)
    assert "not signed by an authority that is trusted" in str(error)
    assert error.not_sent


def test_a_server_without_tls_was_certainly_not_sent_a_body(connect_here, upload):
    with serving(({}, b"{}")) as port:
        connect_here(port, "https")
        error = failed(upload, data=JsonBody({}))
    assert "the TLS handshake failed" in str(error)
    assert error.not_sent


@pytest.mark.parametrize("body", [{"data": JsonBody({})}, {"json": {}}], ids=["a body", "json"])
@pytest.mark.parametrize(("status", "kind"), [(502, ImportPollError), (403, ImportRequestError)])
def test_a_proxy_that_refuses_to_connect_was_certainly_not_sent_through(connect, upload, body, status, kind):
    with handling(lambda exchange: exchange.answer(status)) as (port, exchanges):
        proxy = f"http://127.0.0.1:{port}"
        connect(host="vendor.example", port=443, schema="https", extra={"proxy": proxy, "timeout": 5})
        error = failed(upload, **body)
    assert isinstance(error, kind)
    assert error.not_sent
    assert [exchange.request_line.split()[0] for exchange in exchanges] == ["CONNECT"]


# The file


class Other:
    """A file of another size than it announces."""

    def __init__(self, announced, size):
        self.size, self.content = announced, bytes(size)

    def open(self):
        return io.BytesIO(self.content)


def causes(error):
    """Return what a log shows with an error. It is endless if an error is its own cause."""
    seen = []
    while error is not None:
        assert error not in seen
        seen.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return seen


@pytest.mark.parametrize("make", [multipart, base64_json])
@pytest.mark.parametrize(("announced", "size"), [(5 * MIB, 4 * MIB), (5 * MIB, 6 * MIB), (10, 11), (10, 9)])
def test_a_file_that_changes_while_it_is_sent_leaves_the_request_incomplete(
    connect_here, upload, make, announced, size
):
    def handle(exchange):
        exchange.received = exchange.skip_body()
        exchange.answer()

    with handling(handle) as (port, exchanges):
        connect_here(port)
        with pytest.raises(ImportFileError, match="changed while it was sent") as caught:
            upload(LuccaHook(), data=make(Other(announced, size)))
    assert all(exchange.received < exchange.length for exchange in exchanges)
    causes(caught.value)


def test_a_file_that_cannot_be_opened_is_not_sent(connect_here, upload, tmp_path):
    file = tmp_path / "a.csv"
    file.write_bytes(b"a")
    source = ImportFile(file)
    file.unlink()
    with handling(answer) as (port, exchanges):
        connect_here(port)
        with pytest.raises(ImportFileError, match="does not exist"):
            upload(LuccaHook(), data=multipart(source))
    assert exchanges == []


@pytest.mark.usefixtures("open_connections")
def test_an_upload_that_takes_too_long_is_given_up(connect_here, upload, monkeypatch):
    # The rate of an upload that is not given up: so high that no time is added.
    monkeypatch.setattr(connection, "MIN_UPLOAD_RATE", 1e12)

    is_over = threading.Event()

    def drip(exchange):
        # Slowly, and without an end as long as the client sends.
        while not is_over.wait(0.002) and exchange.file.read1(1000):
            pass

    with handling(drip) as (port, _):
        connect_here(port, timeout=1)
        error = failed(upload, data=multipart(ImportFile(bytes(50 * MIB))))
        is_over.set()
    assert "it took longer than 1 s" in str(error)
    assert not error.not_sent
