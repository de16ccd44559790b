# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the sandbox's tests: a running sandbox and its clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_import_progress.sandbox import Sandbox
from tests.support.sandbox_client import API_KEY, FOR_EVER, LuccaClient, RocketChatClient


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(import_duration=FOR_EVER, lucca_api_key=API_KEY) as running:
        yield running


@pytest.fixture
def lucca(sandbox: Sandbox) -> LuccaClient:
    return LuccaClient(sandbox.url)


@pytest.fixture
def instant_sandbox() -> Iterator[Sandbox]:
    """Serve imports that are over at once."""
    with Sandbox(import_duration=0, lucca_api_key=API_KEY) as running:
        yield running


@pytest.fixture
def instant_lucca(instant_sandbox: Sandbox) -> LuccaClient:
    return LuccaClient(instant_sandbox.url)


@pytest.fixture
def rocketchat(sandbox: Sandbox) -> RocketChatClient:
    return RocketChatClient(sandbox)


@pytest.fixture
def instant_rocketchat(instant_sandbox: Sandbox) -> RocketChatClient:
    return RocketChatClient(instant_sandbox)
