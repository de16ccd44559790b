# SPDX-License-Identifier: Apache-2.0
"""The answers of the imitated Rocket.Chat against the types that the vendor publishes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from airflow_import_progress.sandbox import Sandbox
from tests.fidelity.published import INSTALLED, type_errors
from tests.support.sandbox_client import RocketChatClient

pytestmark = pytest.mark.skipif(
    not INSTALLED.exists(), reason="needs the vendor's npm packages: run npm ci in tests/fidelity"
)

USERS = {"users": [{"username": "jdoe", "emails": ["jdoe@x.example"], "importIds": ["1"]}]}
PEOPLE = b"id,emails,phones,name\nc1,carla@x.example,+33 1,Carla\n"
PROGRESS = {
    "key": "csv",
    "name": "CSV",
    "step": "importer_done",
    "count": {"completed": 1, "total": 1},
    "success": True,
}

Client = RocketChatClient
Scenario = Callable[[Sandbox, Client], Any]


def at(percent: float, question: str, kind: str = "csv", changes: Mapping[str, Any] | None = None) -> Scenario:
    """Return what asks about an import that stands still."""

    def ask(sandbox: Sandbox, client: Client) -> Any:
        sandbox.create_import("rocketchat", kind, {"points": [[0, percent]], "failed_records": 5})
        sandbox.change("rocketchat", **(changes or {}))
        return client.get(question).json()

    return ask


def failed(sandbox: Sandbox, client: Client) -> Any:
    sandbox.create_import("rocketchat", "csv", {"fail_at": 0})
    return client.progress()


def after(path: str, body: Any, question: str) -> Scenario:
    def ask(sandbox: Sandbox, client: Client) -> Any:
        client.post("import.new")
        client.post(path, body)
        return client.get(question).json()

    return ask


def uploaded(question: str) -> Scenario:
    def ask(sandbox: Sandbox, client: Client) -> Any:
        client.upload(PEOPLE, "omnichannel_contact")
        return client.get(question).json()

    return ask


def downloading(sandbox: Sandbox, client: Client) -> Any:
    client.post("downloadPublicImportFile", {"fileUrl": "https://files.example/a.zip", "importerKey": "csv"})
    return client.get("getImportFileData").json()


def posted(path: str, body: Any = None) -> Scenario:
    return lambda sandbox, client: client.post(path, body).json()


SCENARIOS: Mapping[str, tuple[str, Scenario]] = {
    "no operation yet": ("ImportStatus", lambda sandbox, client: client.status()),
    **{
        f"progress at {percent} percent": ("ImportProgress", at(percent, "getImportProgress"))
        for percent in (0, 20, 45, 55, 80, 97, 100)
    },
    "progress of a failed import": ("ImportProgress", failed),
    "progress of files": ("ImportProgress", at(50, "getImportProgress", "pending-files")),
    "progress at an old server": ("ImportProgress", at(50, "getImportProgress", changes={"before_6_3": True})),
    "status of a server that is new again": ("ImportStatus", at(50, "import.status", changes={"before_6_3": False})),
    "progress of a cancelled import": ("ImportProgress", at(50, "getImportProgress", changes={"cancel": True})),
    "status of a running import": ("ImportStatus", at(50, "import.status")),
    "status after a restart": ("ImportStatus", at(50, "import.status", changes={"restart": True})),
    "status of a cancelled import": ("ImportStatus", at(50, "import.status", changes={"cancel": True})),
    "status of users to be imported": ("ImportStatus", after("import.addUsers", USERS, "import.status")),
    "status after clearing": ("ImportStatus", after("import.clear", None, "import.status")),
    "current operation": ("CurrentOperation", at(80, "getCurrentImportOperation")),
    "current operation with a file": ("CurrentOperation", uploaded("getCurrentImportOperation")),
    "latest operations": ("LatestOperations", at(20, "getLatestImportOperations")),
    "data of a file": ("FileData", uploaded("getImportFileData")),
    "data of an import of all types": ("FileData", at(100, "getImportFileData")),
    "data of a download": ("FileData", downloading),
    "importers": ("Importers", lambda sandbox, client: client.get("importers.list").json()),
    "new operation": ("NewOperation", posted("import.new")),
    "pending files": ("PendingFiles", posted("downloadPendingFiles", {})),
    "pending avatars": ("PendingAvatars", posted("downloadPendingAvatars", {})),
    "user": ("Me", lambda sandbox, client: client.get("me").json()),
}

WRONG: Mapping[str, tuple[str, Any]] = {
    "a step that is none": ("ImportProgress", {**PROGRESS, "step": "importer_dine"}),
    "a number as a string": ("ImportProgress", {**PROGRESS, "count": {"completed": "1", "total": 1}}),
    "a field too many": ("ImportProgress", {**PROGRESS, "percent": 50}),
    "a field too few": ("ImportProgress", {name: value for name, value in PROGRESS.items() if name != "key"}),
    "a state that is none": ("ImportStatus", {"state": "finished", "success": True}),
    "an operation that is none": ("CurrentOperation", {"operation": {}, "success": True}),
    "an object instead of a list": ("LatestOperations", {"success": True}),
}


@pytest.fixture(scope="module")
def errors(
    sandbox: Sandbox, rocketchat: RocketChatClient, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, list[str]]:
    """Return what the compiler has against all of them: it takes seconds to start."""
    captured = {name: (kind, scenario(sandbox, rocketchat)) for name, (kind, scenario) in SCENARIOS.items()}
    return type_errors({**captured, **WRONG}, tmp_path_factory.mktemp("types"))


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_answer_has_its_published_type(errors: Mapping[str, list[str]], name: str) -> None:
    assert errors.get(name, []) == []


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_would_be_noticed(errors: Mapping[str, list[str]], name: str) -> None:
    assert errors.get(name, []) != []
