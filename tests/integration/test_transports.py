# SPDX-License-Identifier: Apache-2.0
"""Odd servers, certificates and proxies: both transports come to the same end, and report what is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import socket
import ssl
import threading

import pytest

from airflow_import_progress.exceptions import ImportPollError, ImportProgressError, ImportRequestError
from airflow_import_progress.hooks.lucca import LuccaHook, LuccaLeaveImport
from tests.support.http_server import certificate_file, serving

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n57"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def with_headers(*headers, body=b"57"):
    return b"\r\n".join([b"HTTP/1.1 200 OK", *headers, b"", body])


#: What a server sends, and what comes of it: the percentage, or the words of a failed poll.
READ, NOT_HTTP, BROKE = "57", "an answer that is not valid HTTP", "the connection broke before the answer was complete"
ANSWERS = {
    "continue": (b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD, READ),
    "processing": (b"HTTP/1.1 102 Processing\r\n\r\n" + GOOD, READ),
    "early hints": (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + GOOD, READ),
    "several interim answers": (b"HTTP/1.1 102 Processing\r\n\r\n" * 3 + GOOD, READ),
    "an unknown interim answer": (b"HTTP/1.1 199 Odd\r\n\r\n" + GOOD, READ),
    "an interim answer alone": (b"HTTP/1.1 102 Processing\r\n\r\n", BROKE),
    "nothing": (b"", BROKE),
    "garbage": (b"garbage garbage\r\n\r\n", NOT_HTTP),
    "http/0.9": (b"57", NOT_HTTP),
    "http/1.0": (b"HTTP/1.0 200 OK\r\n\r\n57", READ),
    "http/2": (b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\n57", NOT_HTTP),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n57", READ),
    "a status of two digits": (b"HTTP/1.1 99 X\r\nContent-Length: 2\r\n\r\n57", NOT_HTTP),
    "a status of four digits": (b"HTTP/1.1 1000 X\r\nContent-Length: 2\r\n\r\n57", NOT_HTTP),
    "bare line feeds": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\n57", READ),
    "the same length twice": (with_headers(b"Content-Length: 2", b"Content-Length: 2"), NOT_HTTP),
    "two lengths": (with_headers(b"Content-Length: 2", b"Content-Length: 3"), NOT_HTTP),
    "a length with a plus": (with_headers(b"Content-Length: +2"), NOT_HTTP),
    "a negative length": (with_headers(b"Content-Length: -2"), NOT_HTTP),
    "a length that is not a number": (with_headers(b"Content-Length: x"), NOT_HTTP),
    "a length and chunks": (
        with_headers(b"Content-Length: 9", b"Transfer-Encoding: chunked", body=b"2\r\n57\r\n0\r\n\r\n"),
        NOT_HTTP,
    ),
    "chunks": (CHUNKED + b"2\r\n57\r\n0\r\n\r\n", READ),
    "a chunk with an extension and a trailer": (CHUNKED + b"2;a=b\r\n57\r\n0\r\nX: y\r\n\r\n", READ),
    # http.client does not tell this from a connection that breaks.
    "a chunk without a length": (CHUNKED + b"zz\r\n57\r\n0\r\n\r\n", f"{NOT_HTTP}|{BROKE}"),
    "a chunk that is cut": (CHUNKED + b"5\r\n57", BROKE),
    "a body that is cut": (with_headers(b"Content-Length: 20"), BROKE),
    "a header in another encoding": (with_headers(b"X: \xe9\xff", b"Content-Length: 2"), READ),
    "a header with a zero byte": (with_headers(b"X: a\0b", b"Content-Length: 2"), NOT_HTTP),
    "a header with an odd name": (with_headers(b"X@[]: a", b"Content-Length: 2"), NOT_HTTP),
    "a folded header": (with_headers(b"X: a", b" b", b"Content-Length: 2"), READ),
    "a long header": (with_headers(b"X: " + b"a" * 30_000, b"Content-Length: 2"), READ),
    "a header that is too long": (with_headers(b"X: " + b"a" * 70_000, b"Content-Length: 2"), NOT_HTTP),
    "too many headers": (with_headers(*(b"X-%d: a" % n for n in range(120)), b"Content-Length: 2"), NOT_HTTP),
}


@contextlib.contextmanager
def sending(answer):
    """Send these bytes to every client, and give the port and the requests that came."""
    listener, requests = socket.create_server(("127.0.0.1", 0)), []

    def serve():
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client, contextlib.suppress(OSError):
                    client.settimeout(5)
                    requests.append(client.recv(65536))
                    client.sendall(answer)
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(65536):
                        pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], requests
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.mark.parametrize(("answer", "outcome"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_read_or_refused_by_both_transports_alike(connect, get_by, answer, outcome):
    with sending(answer) as (port, _):
        connect(host="127.0.0.1", port=port, extra={"timeout": 5})
        if outcome == READ:
            assert get_by(LuccaHook(), LuccaLeaveImport("1")).percent == 57
            return
        with pytest.raises(ImportPollError, match=outcome) as caught:
            get_by(LuccaHook(), LuccaLeaveImport("1"))
        assert caught.value.transient


def test_interim_answers_without_end_are_given_up(connect, get_by):
    with sending(b"HTTP/1.1 102 Processing\r\n\r\n" * 1000) as (port, _):
        connect(host="127.0.0.1", port=port, extra={"timeout": 1})
        with pytest.raises(ImportPollError) as caught:
            get_by(LuccaHook(), LuccaLeaveImport("1"))
        assert caught.value.transient


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Le"])
def test_a_request_that_may_change_something_is_never_sent_twice(connect, answer):
    with sending(answer) as (port, requests):
        connect(host="127.0.0.1", port=port, extra={"timeout": 5})
        with contextlib.suppress(ImportProgressError):
            LuccaHook().request("POST", "/start", json={})
        assert len(requests) == 1
        with contextlib.suppress(ImportProgressError):
            asyncio.run(LuccaHook().arequest("POST", "/start", json={}))
        assert len(requests) == 2


# Certificates


@pytest.mark.parametrize(
    ("certificate", "is_trusted", "words", "other_advice"),
    [
        ({}, False, "is not signed by an authority that is trusted", "Check the connection's host"),
        ({"days": (-9, -1)}, True, "has expired", "'verify'"),
        ({"days": (1, 9)}, True, "is not valid yet", "'verify'"),
        ({"address": "127.0.0.2"}, True, "is for another address", "'verify'"),
    ],
)
def test_a_refused_certificate_says_why_and_what_fits(
    connect, get_by, tmp_path, certificate, is_trusted, words, other_advice
):
    file = certificate_file(tmp_path, **certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with serving(({}, b"57"), tls=context) as port:
        connect(port=port, schema="https", extra={"verify": file} if is_trusted else {})
        with pytest.raises(ImportRequestError) as caught:
            get_by(LuccaHook(), LuccaLeaveImport("1"))
    assert words in str(caught.value)
    assert other_advice not in str(caught.value)


def test_a_server_without_tls_is_named_as_the_likely_reason(connect, get_by):
    with serving(({}, b"57")) as port:
        connect(port=port, schema="https")
        with pytest.raises(ImportPollError, match=r"the TLS handshake failed.*schema"):
            get_by(LuccaHook(), LuccaLeaveImport("1"))


# Proxies


@contextlib.contextmanager
def refusing_proxy(status):
    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self):
            self.send_error(status)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "is_transient", "words"),
    [
        (403, False, "Have it allowed there"),
        (407, False, "demands other credentials"),
        (429, True, "check the proxy"),
        (502, True, "check the proxy"),
        (503, True, "check the proxy"),
    ],
)
def test_a_proxy_that_refuses_to_connect_is_named_with_its_status(connect, get_by, status, is_transient, words):
    with refusing_proxy(status) as proxy:
        connect(host="vendor.example", port=443, schema="https", extra={"proxy": proxy})
        with pytest.raises(ImportProgressError, match=rf"the proxy refused .*HTTP {status}\)\..*{words}") as caught:
            get_by(LuccaHook(), LuccaLeaveImport("1"))
    assert caught.value.transient is is_transient
    assert caught.value.rate_limited is (status == 429)
