# SPDX-License-Identifier: Apache-2.0
"""Real HTTP against the sandbox, on a clock that does not wait."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import http.server
import ipaddress
import json
import logging
import ssl
import threading
import warnings
import zlib
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import aiohttp
import pytest
from airflow.providers.common.compat.module_loading import import_string
from airflow.providers.common.compat.sdk import DAG, TaskDeferred
from airflow.triggers.base import TaskSuccessEvent
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from airflow_import_progress.compat import AirflowRescheduleException, waits_without_workers
from airflow_import_progress.sandbox import Sandbox
from airflow_import_progress.sensors import base as sensors_base
from airflow_import_progress.triggers import import_progress as trigger_module
from airflow_import_progress.waiting import poller as poller_module
from airflow_import_progress.waiting import wait as wait_module
from tests.support.behaviors import MODES

API_KEY = "sandbox-key-never-to-be-seen"

#: Whether a session of aiohttp is closed before its TLS connections are, so that the end of a loop leaves one open:
#: aiohttp waits for them since 3.12.4.
AIOHTTP_LEAVES_TLS_OPEN = tuple(map(int, aiohttp.__version__.split(".")[:3])) < (3, 12, 4)


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
    monkeypatch.setattr(poller_module.PolledImport, "sleep", lambda self, seconds: clock.asleep(seconds))
    # The vendors' limits count real time.
    monkeypatch.setattr(poller_module.RateLimit, "acquire", lambda *_: asyncio.sleep(0))

    class Datetime(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(clock.now, tz)

    monkeypatch.setattr(sensors_base, "datetime", Datetime)
    return clock


class TaskInstance:
    """As much of a task instance as a sensor reads."""

    map_index = -1

    def __init__(self, clock):
        self.first = datetime.fromtimestamp(clock.now, UTC)
        self.rescheduled = False

    def get_first_reschedule_date(self, context):
        return self.first if self.rescheduled else None

    def xcom_push(self, key, value):
        """Store where the task's button leads to, as a sensor of Airflow 2 asks for."""


def a_dag():
    """Return a DAG to put sensors into."""
    return DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC))


def inflated(path, kwargs):
    """Return a trigger that went through Airflow's database."""
    return import_string(path)(**json.loads(json.dumps(kwargs)))


def fired(trigger):
    """Return the one event of a trigger, as a worker gets it."""

    async def events():
        return [event async for event in trigger.run()]

    (event,) = asyncio.run(events())
    return event if isinstance(event, TaskSuccessEvent) else json.loads(json.dumps(event.payload))


def a_task_instance():
    """Return a task instance as the triggerer gives it to a trigger."""
    return SimpleNamespace(dag_id="d", task_id="wait", run_id="r", map_index=-1, try_number=1)


def wait_without_a_worker(sensor, clock, ti):
    """Run a sensor as the scheduler and the triggerer do: a worker has a part in it only if it is resumed."""
    start, pushed = sensor.start_trigger_args, []

    async def push_result(task_instance, result):
        pushed.append(result)

    trigger = inflated(start.trigger_cls, start.trigger_kwargs)
    trigger.timeout_after = datetime.fromtimestamp(clock.now, UTC) + start.timeout
    trigger.task_instance = a_task_instance()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trigger_module, "push_result", push_result)
        event = fired(trigger)
    if isinstance(event, TaskSuccessEvent):
        (result,) = pushed
        return result
    return sensor.resume_execution(start.next_method, {"event": event}, {"ti": ti})


def wait_to_the_end(sensor, mode, clock, ti):
    """Run one try of a sensor as Airflow does, and return its result."""
    if mode == "worker-free" and sensor.start_from_trigger:
        return wait_without_a_worker(sensor, clock, ti)
    while True:
        try:
            return sensor.execute({"ti": ti})
        except AirflowRescheduleException as rescheduled:
            clock.now = max(clock.now, rescheduled.reschedule_date.timestamp())
            ti.rescheduled = True
        except TaskDeferred as deferred:
            event = fired(inflated(*deferred.trigger.serialize()))
            kwargs = {**(deferred.kwargs or {}), "event": event}
            return sensor.resume_execution(deferred.method_name, kwargs, {"ti": ti})


@pytest.fixture(params=MODES)
def run_sensor(request, clock):
    """Return a function that runs a sensor to its end as Airflow would, in one of the modes."""
    mode = request.param
    if mode == "worker-free" and not waits_without_workers():
        pytest.skip("from Airflow 3.3 on")

    def run_sensor(sensor_class, **arguments):
        with a_dag():
            sensor = sensor_class(task_id="wait", **{"poke_interval": 30, "timeout": 3600, **MODES[mode], **arguments})
        return wait_to_the_end(sensor, mode, clock, TaskInstance(clock))

    run_sensor.mode = mode
    return run_sensor


@pytest.fixture
def logged(caplog, capsys):
    """Return a function that returns all that was logged: Airflow 2 logs to logging, Airflow 3 to the output."""
    caplog.set_level(logging.DEBUG)
    printed = []

    def text():
        printed.append(capsys.readouterr().out)
        return caplog.text + "".join(printed)

    return text


@pytest.fixture
def times_logged(caplog, logged):
    """Return a function that counts the messages with these words: Airflow 2 both logs and prints them."""

    def count(words):
        printed = logged()
        return sum(words in record.getMessage() for record in caplog.records) or printed.count(words)

    return count


def get_by_requests(hook, import_):
    return hook.get_progress(import_)


def get_by_aiohttp(hook, import_):
    return asyncio.run(hook.aget_progress(import_))


@pytest.fixture(params=[get_by_requests, get_by_aiohttp])
def get_by(request):
    """Return a function that asks a hook for the progress of an import, by each of the transports."""
    return request.param


@pytest.fixture(scope="session")
def running_sandbox():
    with Sandbox(lucca_api_key=API_KEY) as sandbox:
        yield sandbox


@pytest.fixture
def connect_to(monkeypatch, running_sandbox):
    """Return a function that points a vendor's connection at the sandbox, with these fields changed."""

    def connect_to(vendor, conn_id=None, **fields):
        values = {**running_sandbox.airflow_connection(vendor), **fields}
        conn_id = conn_id or f"{vendor}_default"
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(values))

    return connect_to


@pytest.fixture
def connect(connect_to):
    """Return a function that points the default Lucca connection at the sandbox, with these fields changed."""

    def connect(**fields):
        connect_to("lucca", **fields)

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


def certificate_file(folder, *, address="127.0.0.1", days=(-1, 1)):
    """Return the file of a self-signed certificate for an address, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "certificate.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    return str(file)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """Return the file of a self-signed certificate for 127.0.0.1, with its key."""
    return certificate_file(tmp_path_factory.mktemp("tls"))


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
    if AIOHTTP_LEAVES_TLS_OPEN:
        # What it left is collected here, lest it be found under another test.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
