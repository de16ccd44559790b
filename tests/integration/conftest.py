# SPDX-License-Identifier: Apache-2.0
"""Real HTTP against the sandbox, on a clock that does not wait."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import http.server
import ipaddress
import json
import ssl
import threading
import zlib
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from airflow_import_progress.sandbox import Sandbox
from airflow_import_progress.sensors import base as sensors_base
from airflow_import_progress.triggers import import_progress as trigger_module
from airflow_import_progress.triggers import wait as wait_module

API_KEY = "sandbox-key-never-to-be-seen"


class Clock:
    """A time that passes only where the code under test sleeps."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.slept: list[float] = []

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)
        await asyncio.sleep(0)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    faked = SimpleNamespace(time=clock.time, sleep=clock.sleep)
    monkeypatch.setattr(sensors_base, "time", faked)
    monkeypatch.setattr(wait_module, "time", faked)
    monkeypatch.setattr(trigger_module, "time", faked)
    monkeypatch.setattr(trigger_module, "asyncio", SimpleNamespace(sleep=clock.asleep, timeout=asyncio.timeout))
    return clock


@pytest.fixture(scope="session")
def running_sandbox():
    with Sandbox(lucca_api_key=API_KEY) as sandbox:
        yield sandbox


@pytest.fixture
def connect(monkeypatch, running_sandbox):
    """Return a function that points the default Lucca connection at the sandbox, with these fields changed."""

    def connect(**fields):
        values = {
            "conn_type": "lucca",
            "host": running_sandbox.host,
            "port": running_sandbox.port,
            "schema": "http",
            "password": API_KEY,
            **fields,
        }
        monkeypatch.setenv("AIRFLOW_CONN_LUCCA_DEFAULT", json.dumps(values))

    return connect


@pytest.fixture
def sandbox(running_sandbox, connect):
    connect()
    yield running_sandbox
    running_sandbox.reset()


@pytest.fixture
def leave_import(sandbox):
    """Return a function that creates a leave import whose polls are answered with these bodies in turn."""

    def create(*answers):
        return sandbox.create_import("lucca", "leave", {"answers": list(answers)})

    return create


@contextlib.contextmanager
def serving(answer, tls=None):
    """Serve one answer, for what the sandbox does not do, and give the port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            headers, body = answer
            self.send_response(200)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_CONNECT(self):
            self.send_error(407)

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):
            """A client that refuses the certificate is no error of these tests."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def packed(connect):
    """Return a context that serves a body in an encoding, and gives a function that connects to it."""

    @contextlib.contextmanager
    def packed(encoding, content):
        body = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding, bytes)(content)
        with serving(({"Content-Encoding": encoding}, body)) as port:
            yield lambda: connect(port=port)

    return packed


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """Return the file of a self-signed certificate for 127.0.0.1, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    return str(file)


@pytest.fixture
def tls_server(certificate, connect):
    """Return a function that connects, with these extras, to a server whose certificate nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(({}, b"57"), tls=context) as port:

        def use(**extra):
            connect(port=port, schema="https", extra=extra)

        use.certificate = certificate
        yield use
