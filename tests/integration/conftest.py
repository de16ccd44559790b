# SPDX-License-Identifier: Apache-2.0
"""Real HTTP against the sandbox, on a clock that does not wait."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import json
import logging
import ssl
import warnings
import zlib
from functools import partial

import aiohttp
import pytest

from airflow_import_progress import clock as clock_module
from airflow_import_progress.compat import waits_without_workers
from airflow_import_progress.sandbox import Sandbox
from airflow_import_progress.starting import store as start_store_module
from airflow_import_progress.waiting.metrics import recorder
from tests.support.behaviors import MODES, OPERATOR_MODES
from tests.support.http_server import certificate_file, serving
from tests.support.operators import LEAVES, OperatorTask
from tests.support.sandbox_client import API_KEY
from tests.support.sensors import FakeClock, TaskInstance, a_dag, wait_to_the_end

#: Whether a session of aiohttp is closed before its TLS connections are, so that the end of a loop leaves one open:
#: aiohttp waits for them since 3.12.4.
AIOHTTP_LEAVES_TLS_OPEN = tuple(map(int, aiohttp.__version__.split(".")[:3])) < (3, 12, 4)


@pytest.fixture(scope="session", autouse=True)
def loaded_metrics():
    """Load Airflow's Stats before the tests whose clock does not wait for a thread."""
    recorder.load()


@pytest.fixture
def clock(monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr(clock_module, "current", clock)
    return clock


@pytest.fixture(params=MODES)
def run_sensor(request, clock):
    """Return a function that runs a sensor to its end as Airflow would, in one of the modes."""
    mode = request.param
    if mode == "without_workers" and not waits_without_workers():
        pytest.skip("from Airflow 3.3 on")

    def run_sensor(sensor_class, **arguments):
        with a_dag():
            sensor = sensor_class(task_id="wait", **{"poke_interval": 30, "timeout": 3600, **MODES[mode], **arguments})
        return wait_to_the_end(sensor, mode, clock, TaskInstance(clock))

    run_sensor.mode = mode
    return run_sensor


@pytest.fixture
def variables(monkeypatch):
    """Airflow's Variables, in memory."""
    variables = {}

    def get_variable(name):
        return json.loads(variables[name]) if name in variables else None

    monkeypatch.setattr(start_store_module, "get_variable", get_variable)
    monkeypatch.setattr(
        start_store_module, "set_variable", lambda name, value, _: variables.update({name: json.dumps(value)})
    )
    monkeypatch.setattr(start_store_module, "delete_variable", lambda name: variables.pop(name, None))
    return variables


@pytest.fixture(params=OPERATOR_MODES)
def operator_task(request, clock, variables):
    """Return a function that creates the task of an operator, in one of the modes."""
    return partial(OperatorTask, clock, variables, request.param)


@pytest.fixture
def leaves(tmp_path):
    file = tmp_path / "leaves é.csv"
    file.write_text(LEAVES)
    return file


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


@pytest.fixture(scope="module")
def airflows_app(tmp_path_factory):
    """Airflow's app with the plugin, a database of its own and users of limited permissions."""
    # Airflow 2 has no such app.
    from tests.support.imports_page import airflows_app

    with airflows_app(tmp_path_factory.mktemp("airflow")) as app:
        yield app


@pytest.fixture
def database(airflows_app):
    """Return a function that stores waits in an empty database."""
    from tests.support.imports_page import empty_database, store_waits

    empty_database()
    return store_waits
