# SPDX-License-Identifier: Apache-2.0
"""Real HTTP against the sandbox, on a clock that does not wait."""

from __future__ import annotations

import asyncio
import json
import time
from types import SimpleNamespace

import pytest

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


@pytest.fixture
def now():
    return time.time()
