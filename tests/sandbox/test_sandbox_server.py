# SPDX-License-Identifier: Apache-2.0
"""Starting and stopping the sandbox, in a test and as a command."""

from __future__ import annotations

import io
import json
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest
import requests

from airflow_import_progress.sandbox import InvalidInputError, Sandbox
from airflow_import_progress.sandbox.__main__ import main
from airflow_import_progress.sandbox.registry import vendors
from tests.support.sandbox_client import API_KEY, LEAVES, LuccaClient


def send_request(sandbox: Sandbox) -> socket.socket:
    connection = socket.create_connection((sandbox.host, sandbox.port), timeout=5)
    connection.sendall(f"GET {LEAVES}/any/progress HTTP/1.1\r\nHost: lucca\r\n\r\n".encode())
    return connection


def wait_for_requests(sandbox: Sandbox, count: int) -> None:
    deadline = time.monotonic() + 5
    while sandbox.request_count() < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


# In a test


def test_it_serves_on_a_free_port_of_loopback() -> None:
    with Sandbox() as one, Sandbox() as other:
        assert one.host == "127.0.0.1"
        assert one.url == f"http://127.0.0.1:{one.port}"
        assert one.port != other.port
        assert requests.get(f"{one.url}/_sandbox/imports", timeout=5).json() == []


@pytest.mark.parametrize(
    "fault",
    [{"delay": 3600}, {"endless": True}, {"bytes": 1_000_000_000}],
    ids=["hanging", "endless", "large"],
)
def test_it_stops_at_once_during_any_answer(fault: Mapping[str, Any]) -> None:
    with Sandbox() as sandbox:
        sandbox.add_fault(fault)
        with send_request(sandbox):
            wait_for_requests(sandbox, 1)
            start = time.monotonic()
            sandbox.__exit__(None, None, None)
            assert time.monotonic() - start < 1


def test_it_leaves_no_thread_and_no_listener() -> None:
    before = threading.enumerate()
    with Sandbox() as sandbox:
        address = (sandbox.host, sandbox.port)
        send_request(sandbox).close()
    assert threading.enumerate() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)


def test_its_port_can_be_used_again_at_once() -> None:
    with Sandbox() as first:
        port = first.port
        kept_open = requests.Session()
        kept_open.get(f"{first.url}/_sandbox/imports", timeout=5)
    with Sandbox(port=port) as second:
        assert kept_open.get(f"{second.url}/_sandbox/imports", timeout=5).status_code == 200
    kept_open.close()


def test_it_can_go_and_come_back_with_its_imports() -> None:
    sandbox = Sandbox(lucca_api_key=API_KEY)
    with sandbox:
        sandbox.create_import("lucca", "leave", {"answers": [57]}, "mine")
    with sandbox:
        assert LuccaClient(sandbox.url).leave_progress("mine").json() == 57


def test_a_taken_port_is_an_error() -> None:
    with Sandbox() as sandbox, pytest.raises(OSError, match="in use"), Sandbox(port=sandbox.port):
        pass


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "example.com", "::", ""])  # noqa: S104
def test_it_refuses_to_serve_elsewhere_than_on_loopback(host: str) -> None:
    with pytest.raises(InvalidInputError, match="host: must be a loopback IPv4 address"):
        Sandbox(host=host)


def test_it_has_no_address_when_it_is_not_running() -> None:
    with pytest.raises(RuntimeError, match="not running"):
        _ = Sandbox().url


def test_an_unknown_option_is_an_error() -> None:
    with pytest.raises(TypeError, match="unknown option lucca_password; known credentials are lucca_api_key"):
        Sandbox(lucca_password="x")


@pytest.mark.parametrize("credential", ["", 5])
def test_a_credential_that_is_none_is_refused(credential: Any) -> None:
    with pytest.raises(InvalidInputError, match="rocketchat_auth_token: must be a string that is not empty"):
        Sandbox(rocketchat_auth_token=credential)


def test_it_returns_the_airflow_connection() -> None:
    with Sandbox(lucca_api_key=API_KEY) as sandbox:
        assert sandbox.airflow_connection("lucca") == {
            "conn_type": "lucca",
            "host": "127.0.0.1",
            "port": sandbox.port,
            "schema": "http",
            "password": API_KEY,
        }


def test_the_access_log_has_a_line_for_each_request_without_secrets() -> None:
    log = io.StringIO()
    with Sandbox(access_log=log, lucca_api_key=API_KEY) as sandbox:
        LuccaClient(sandbox.url).get(f"/nowhere?key={API_KEY}")
        requests.get(f"{sandbox.url}/_sandbox/imports", timeout=5)
    written = [line.rsplit(" ", 2)[0] for line in log.getvalue().splitlines()]
    assert written == ["GET /nowhere?key=*** 404", "GET /_sandbox/imports 200"]


def test_many_threads_can_use_it(sandbox: Sandbox) -> None:
    threads = [
        threading.Thread(target=lambda: [sandbox.create_import("lucca", "leave") for _ in range(50)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        sandbox.imports()
    assert len(sandbox.imports()) == 400


# As a command


@pytest.mark.parametrize("stop_signal", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_stopped(stop_signal: signal.Signals) -> None:
    command = [
        sys.executable,
        "-m",
        "airflow_import_progress.sandbox",
        "--port",
        "0",
        "--lucca-api-key",
        "it's",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        url = process.stdout.readline().partition(" on ")[2].split()[0]
        assignments = dict(shlex.split(process.stdout.readline())[0].split("=", 1) for _ in vendors())
        try:
            assert requests.get(f"{url}/_sandbox/imports", timeout=5).json() == []
        finally:
            process.send_signal(stop_signal)
        assert process.communicate(timeout=5) == ("", "")
        assert process.returncode == 0
    assert assignments.keys() == {f"AIRFLOW_CONN_{vendor.name.upper()}_DEFAULT" for vendor in vendors()}
    assert json.loads(assignments["AIRFLOW_CONN_LUCCA_DEFAULT"])["password"] == "it's"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--host", "0.0.0.0"], "host: must be a loopback IPv4 address such as 127.0.0.1, not 0.0.0.0"),  # noqa: S104
        (["--port", "65536"], "'65536' is not a port from 0 to 65535"),
        (["--import-duration", "-1"], "'-1' is not a number of seconds from 0 on"),
        (["--lucca-api-key", ""], "argument --lucca-api-key: must be a string that is not empty"),
        (["--import-duration", "nan"], "'nan' is not a number of seconds from 0 on"),
    ],
)
def test_the_command_refuses_wrong_options(
    arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert error in capsys.readouterr().err


def test_the_command_reports_a_taken_port(capsys: pytest.CaptureFixture[str]) -> None:
    with Sandbox() as sandbox:
        with pytest.raises(SystemExit):
            main(["--port", str(sandbox.port)])
        assert f"port {sandbox.port} of 127.0.0.1 is taken" in capsys.readouterr().err
