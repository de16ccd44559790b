# SPDX-License-Identifier: Apache-2.0
"""The imitated Rocket.Chat against what its documents say of ``getImportProgress``."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from airflow_import_progress.sandbox import Sandbox
from tests.support.sandbox_client import RocketChatClient

ANSWER = {
    "type": "object",
    "required": ["key", "name", "step", "count", "success"],
    "properties": {
        **{name: {"type": "string"} for name in ("key", "name", "step")},
        "count": {
            "type": "object",
            "required": ["completed", "total"],
            "properties": {name: {"type": "integer"} for name in ("completed", "total")},
        },
        "success": {"type": "boolean"},
    },
}
NOT_LOGGED_IN = {
    "type": "object",
    "required": ["status", "message"],
    "properties": {name: {"type": "string"} for name in ("status", "message")},
}
FORBIDDEN = {
    "type": "object",
    "required": ["success", "error"],
    "properties": {"success": {"type": "boolean"}, "error": {"type": "string"}},
}
GOOD = {"key": "csv", "name": "CSV", "step": "importer_done", "count": {"completed": 1, "total": 1}, "success": True}


@pytest.mark.parametrize("percent", [0, 20, 50, 97, 100])
def test_progress_is_told_as_documented(sandbox: Sandbox, rocketchat: RocketChatClient, percent: float) -> None:
    sandbox.create_import("rocketchat", "csv", {"points": [[0, percent]]})
    jsonschema.validate(rocketchat.progress(), ANSWER)


def test_those_who_are_not_logged_in_are_answered_as_documented(rocketchat: RocketChatClient) -> None:
    answer = rocketchat.get("getImportProgress", headers={})
    jsonschema.validate(answer.json(), NOT_LOGGED_IN)
    assert answer.status_code == 401


def test_those_without_the_permission_are_answered_as_documented(
    sandbox: Sandbox, rocketchat: RocketChatClient
) -> None:
    sandbox.change("rocketchat", permissions=[])
    answer = rocketchat.get("getImportProgress")
    sandbox.reset()
    jsonschema.validate(answer.json(), FORBIDDEN)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "change",
    [{"key": None}, {"step": 5}, {"success": "true"}, {"count": {"completed": "0", "total": 0}}, {"count": {}}],
)
def test_a_wrong_answer_would_be_noticed(change: dict[str, Any]) -> None:
    jsonschema.validate(GOOD, ANSWER)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**GOOD, **change}, ANSWER)
