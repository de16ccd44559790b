# SPDX-License-Identifier: Apache-2.0
"""The exceptions of simulated vendors, which their clients see only as HTTP 500."""

from __future__ import annotations

import socket
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator

import pytest
import requests
from aiohttp import web

from airflow_import_progress.sandbox import Sandbox
from airflow_import_progress.sandbox.lucca import Lucca

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def defect(request: web.Request) -> web.Response:
    raise KeyError("file")


async def other_defect(request: web.Request) -> web.Response:
    raise ValueError("row")


async def nothing(request: web.Request) -> None:
    """Return no response."""


async def refusal(request: web.Request) -> web.Response:
    raise web.HTTPConflict


async def read(request: web.Request) -> web.Response:
    await request.read()
    raise KeyError("never reached")


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Serve a vendor with defects."""

    async def import_id(vendor: Lucca, request: web.Request) -> None:
        return None

    handlers = (defect, other_defect, nothing, refusal, read)
    routes = [web.route("*", f"/{handler.__name__}/{{rest:.*}}", handler) for handler in handlers]
    monkeypatch.setattr(Lucca, "routes", lambda vendor: routes)
    monkeypatch.setattr(Lucca, "import_id", import_id)
    monkeypatch.setattr(Lucca, "is_authorized", lambda vendor, request, credentials: True)
    with Sandbox() as running:
        yield running


def status_of(sandbox: Sandbox, path: str) -> int:
    return requests.get(f"{sandbox.url}{path}", timeout=5).status_code


def test_an_exception_is_kept_with_its_traceback_and_its_request(sandbox: Sandbox) -> None:
    assert status_of(sandbox, "/defect/1") == 500
    (error,) = sandbox.handler_errors()
    assert isinstance(error, KeyError)
    assert traceback.extract_tb(error.__traceback__)[-1].name == "defect"
    (note,) = error.__notes__
    assert "'lucca' raised this in answer to GET /defect/1." in note


def test_the_note_of_an_exception_has_no_secret(sandbox: Sandbox) -> None:
    sandbox.set_credentials("lucca", api_key="the-secret-key")
    status_of(sandbox, "/defect/the-secret-key")
    (error,) = sandbox.handler_errors()
    assert "GET /defect/***." in error.__notes__[0]


def test_of_the_exceptions_from_one_place_the_first_is_kept(sandbox: Sandbox) -> None:
    for path in ("/defect/1", "/other_defect/2", "/defect/3"):
        status_of(sandbox, path)
    assert [type(error) for error in sandbox.handler_errors()] == [KeyError, ValueError]
    assert [len(error.__notes__) for error in sandbox.handler_errors()] == [1, 1]


def test_a_handler_that_returns_no_response_is_named(sandbox: Sandbox) -> None:
    assert status_of(sandbox, "/nothing/1") == 500
    (error,) = sandbox.handler_errors()
    assert str(error) == "nothing() returned None in place of a response"


def test_an_http_status_that_a_handler_raises_is_an_answer(sandbox: Sandbox) -> None:
    assert status_of(sandbox, "/refusal/1") == 409
    assert sandbox.handler_errors() == []


def test_a_client_that_disconnects_is_not_an_exception_of_the_vendor(sandbox: Sandbox) -> None:
    with socket.create_connection((sandbox.host, sandbox.port), timeout=5) as connection:
        connection.sendall(b"POST /read/1 HTTP/1.1\r\nHost: lucca\r\nContent-Length: 100\r\n\r\nhalf")
        deadline = time.monotonic() + 5
        while not sandbox.requests():
            assert time.monotonic() < deadline
            time.sleep(0.001)
    # Handled after the disconnection.
    assert status_of(sandbox, "/refusal/1") == 409
    assert sandbox.handler_errors() == []


def test_a_reset_forgets_exceptions(sandbox: Sandbox) -> None:
    status_of(sandbox, "/defect/1")
    sandbox.reset()
    assert sandbox.handler_errors() == []
