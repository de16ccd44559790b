# SPDX-License-Identifier: Apache-2.0
"""What the imitated Rocket.Chat accepts and refuses, against the validators that the vendor publishes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fidelity.published import INSTALLED, problems_with
from tests.support.rocketchat_requests import START_REQUESTS
from tests.support.sandbox_client import RocketChatClient

pytestmark = pytest.mark.skipif(
    not INSTALLED.exists(), reason="needs the vendor's npm packages: run npm ci in tests/fidelity"
)

UPLOAD = {"binaryContent": "", "contentType": "text/csv", "fileName": "a.csv", "importerKey": "csv"}
DOWNLOAD = {"fileUrl": "https://files.example/a.zip", "importerKey": "csv"}
USER = {"emails": ["jdoe@x.example"], "importIds": ["1"]}

ENDPOINTS = {
    "getImportProgress": "isGetImportProgressParamsGET",
    "getCurrentImportOperation": "isGetCurrentImportOperationParamsGET",
    "getLatestImportOperations": "isGetLatestImportOperationsParamsGET",
    "getImportFileData": "isGetImportFileDataParamsGET",
    "importers.list": "isImportersListParamsGET",
    "uploadImportFile": "isUploadImportFileParamsPOST",
    "downloadPublicImportFile": "isDownloadPublicImportFileParamsPOST",
    "startImport": "isStartImportParamsPOST",
    "import.addUsers": "isImportAddUsersParamsPOST",
    "downloadPendingFiles": "isDownloadPendingFilesParamsPOST",
    "downloadPendingAvatars": "isDownloadPendingAvatarsParamsPOST",
}
QUERIES = tuple(ENDPOINTS)[:5]

ACCEPTED: tuple[tuple[str, Any], ...] = (
    *((path, {}) for path in QUERIES),
    ("uploadImportFile", UPLOAD),
    ("downloadPublicImportFile", DOWNLOAD),
    ("startImport", {"input": {}}),
    ("startImport", {"input": {"users": {"all": True}, "channels": {"list": ["general"]}, "contacts": {}}}),
    ("import.addUsers", {"users": []}),
    ("import.addUsers", {"users": [USER, {**USER, "username": "jdoe", "roles": ["user"], "deleted": False}]}),
    ("import.addUsers", {"users": [{**USER, "username": None, "more": 1}]}),
    ("uploadImportFile", {**UPLOAD, "fileName": 5}),
    ("import.addUsers", {"users": [{**USER, "emails": [5], "deleted": "true", "utcOffset": "2", "roles": None}]}),
    ("import.addUsers", {"users": [{**USER, "deleted": 1, "utcOffset": None, "bio": False}]}),
    ("import.addUsers", {"users": [{**USER, "utcOffset": "", "deleted": "", "roles": 0}]}),
    ("startImport", {"input": {"users": {"all": None, "list": [True]}}}),
    *START_REQUESTS.values(),
)
REFUSED: tuple[tuple[str, Any], ...] = (
    *((path, {"any": "test"}) for path in QUERIES),
    *(("uploadImportFile", {name: value for name, value in UPLOAD.items() if name != left_out}) for left_out in UPLOAD),
    ("uploadImportFile", {**UPLOAD, "fileName": ["a.csv"]}),
    ("uploadImportFile", {**UPLOAD, "more": 1}),
    ("downloadPublicImportFile", {"importerKey": "csv"}),
    ("downloadPublicImportFile", {**DOWNLOAD, "more": 1}),
    ("startImport", {}),
    ("startImport", {"input": []}),
    ("startImport", {"input": {"users": [{"user_id": "1", "do_import": True}]}}),
    ("startImport", {"input": {}, "more": 1}),
    ("import.addUsers", {}),
    ("import.addUsers", {"users": USER}),
    ("import.addUsers", {"users": ["jdoe"]}),
    ("import.addUsers", {"users": [{"importIds": ["1"]}]}),
    ("import.addUsers", {"users": [{"emails": ["jdoe@x.example"]}]}),
    ("import.addUsers", {"users": [{**USER, "emails": "jdoe@x.example"}]}),
    ("import.addUsers", {"users": [], "more": 1}),
    ("import.addUsers", {"users": [{**USER, "emails": [["jdoe@x.example"]]}]}),
    ("import.addUsers", {"users": [{**USER, "username": ["jdoe"]}]}),
    ("import.addUsers", {"users": [{**USER, "deleted": "perhaps"}]}),
    ("import.addUsers", {"users": [{**USER, "roles": {"user": True}}]}),
    ("import.addUsers", {"users": [{**USER, "utcOffset": "Paris"}]}),
    ("import.addUsers", {"users": [{**USER, "deleted": 2}]}),
    ("startImport", {"input": {"users": {"all": "perhaps"}}}),
    ("startImport", {"input": {"users": {"all": ""}}}),
    ("startImport", {"input": {"channels": {"list": "general"}}}),
    ("startImport", {"input": {"contacts": {"list": [["c1"]]}}}),
    ("downloadPendingFiles", {"more": 1}),
    ("downloadPendingAvatars", {"more": 1}),
)


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """Return what the vendor has against each payload: Node takes a while to start."""
    payloads = [(ENDPOINTS[path], payload) for path, payload in (*ACCEPTED, *REFUSED)]
    return problems_with(payloads, tmp_path_factory.mktemp("requests"))


@pytest.mark.parametrize("number", range(len(ACCEPTED)), ids=[f"{path} {payload}" for path, payload in ACCEPTED])
def test_what_the_vendor_accepts_is_accepted(
    rocketchat: RocketChatClient, problems: list[list[str]], number: int
) -> None:
    assert problems[number] == []
    assert told_against(rocketchat, *ACCEPTED[number]) is None


@pytest.mark.parametrize("number", range(len(REFUSED)), ids=[f"{path} {payload}" for path, payload in REFUSED])
def test_what_the_vendor_refuses_is_refused_in_the_same_words(
    rocketchat: RocketChatClient, problems: list[list[str]], number: int
) -> None:
    (problem,) = problems[len(ACCEPTED) + number]
    assert told_against(rocketchat, *REFUSED[number]) == f"{problem} [invalid-params]"


def told_against(client: RocketChatClient, path: str, payload: Any) -> str | None:
    answer = client.get(path, params=payload) if path in QUERIES else client.post(path, payload)
    body = answer.json()
    if isinstance(body, dict) and body.get("errorType") == "invalid-params":
        assert answer.status_code == 400
        return str(body["error"])
    return None
