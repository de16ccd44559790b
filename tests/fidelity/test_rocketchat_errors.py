# SPDX-License-Identifier: Apache-2.0
"""The errors of the imitated Rocket.Chat, against the validators that the vendor publishes for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import requests

from airflow_import_progress.sandbox import Sandbox
from tests.fidelity.published import INSTALLED, problems_with
from tests.support.sandbox_client import RocketChatClient

pytestmark = pytest.mark.skipif(
    not INSTALLED.exists(), reason="needs the vendor's npm packages: run npm ci in tests/fidelity"
)

Scenario = Callable[[Sandbox, RocketChatClient], requests.Response]


def forbidden(sandbox: Sandbox, client: RocketChatClient) -> requests.Response:
    sandbox.change("rocketchat", permissions=[])
    answer = client.get("getImportProgress")
    sandbox.reset()
    return answer


SCENARIOS: Mapping[str, tuple[int, str, Scenario]] = {
    "no operation": (400, "BadRequest", lambda sandbox, client: client.get("getImportProgress")),
    "a parameter": (400, "BadRequest", lambda sandbox, client: client.get("getImportProgress?any=test")),
    "an error without a code": (400, "BadRequest", lambda sandbox, client: client.post("import.run")),
    "an importer that is none": (400, "BadRequest", lambda sandbox, client: client.upload(b"", "hipchat")),
    "not logged in": (401, "Unauthorized", lambda sandbox, client: client.get("getImportProgress", headers={})),
    "without the permission": (403, "Forbidden", forbidden),
}


@pytest.fixture(scope="module")
def problems(
    sandbox: Sandbox, rocketchat: RocketChatClient, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, list[str]]:
    """Return what the vendor has against each answer, and against one that is wrong: Node takes a while to start."""
    answers: dict[str, tuple[str, Any]] = {"wrong": ("validateBadRequestErrorResponse", {"success": True})}
    for name, (status, kind, scenario) in SCENARIOS.items():
        answer = scenario(sandbox, rocketchat)
        assert answer.status_code == status
        answers[name] = (f"validate{kind}ErrorResponse", answer.json())
    found = problems_with(list(answers.values()), tmp_path_factory.mktemp("errors"))
    return dict(zip(answers, found, strict=True))


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_error_is_as_published(problems: Mapping[str, list[str]], name: str) -> None:
    assert problems[name] == []


def test_a_wrong_error_would_be_noticed(problems: Mapping[str, list[str]]) -> None:
    assert problems["wrong"] != []
