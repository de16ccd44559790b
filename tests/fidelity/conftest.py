# SPDX-License-Identifier: Apache-2.0
"""What the fidelity tests share: sandboxes whose imports stand still, or are over at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_import_progress.sandbox import Sandbox
from tests.support.sandbox_client import FOR_EVER, RocketChatClient


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(import_duration=FOR_EVER) as running:
        yield running


@pytest.fixture(scope="module")
def rocketchat(sandbox: Sandbox) -> RocketChatClient:
    return RocketChatClient(sandbox)
