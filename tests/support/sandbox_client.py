# SPDX-License-Identifier: Apache-2.0
"""Clients of the simulated vendors, for the tests of the sandbox."""

from __future__ import annotations

import base64
from typing import Any

import requests

from airflow_import_progress.sandbox import Sandbox

API_KEY = "the-key-of-this-test"
LEAVES = "/timmi-absences/api/imports/v1.0/leavePeriods"
USER_LOCATIONS = "/work-locations/public/api/imports/user-locations"
FOR_EVER = 1_000_000.0


class LuccaClient:
    """A client of the simulated Lucca that follows its documents."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.headers = {"Authorization": f"lucca application={API_KEY}"}

    def get(self, path: str, **options: Any) -> requests.Response:
        headers = options.pop("headers", self.headers)
        return requests.get(self.url + path, headers=headers, timeout=5, allow_redirects=False, **options)

    def leave_progress(self, summary_id: str, **options: Any) -> requests.Response:
        return self.get(f"{LEAVES}/{summary_id}/progress", **options)

    def user_locations(self, what: str, summary_id: str) -> requests.Response:
        return self.get(f"{USER_LOCATIONS}/{what}", params={"summaryId": summary_id})

    def upload(self, path: str, csv: str | bytes, **query: str) -> requests.Response:
        files = {"files": ("people.csv", csv, "text/csv")}
        return requests.post(self.url + path, params=query, files=files, headers=self.headers, timeout=5)


class RocketChatClient:
    """A client of the simulated Rocket.Chat, as its administrator."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.url = f"{sandbox.url}/api/v1"
        connection = sandbox.airflow_connection("rocketchat")
        self.headers = {"X-User-Id": str(connection["login"]), "X-Auth-Token": str(connection["password"])}

    def get(self, path: str, **options: Any) -> requests.Response:
        headers = options.pop("headers", self.headers)
        return requests.get(f"{self.url}/{path}", headers=headers, timeout=5, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> requests.Response:
        headers = options.pop("headers", self.headers)
        return requests.post(f"{self.url}/{path}", json=body, headers=headers, timeout=5, **options)

    def progress(self) -> Any:
        return self.get("getImportProgress").json()

    def step(self) -> str:
        return str(self.progress()["step"])

    def status(self) -> Any:
        return self.get("import.status").json()

    def upload(self, file: bytes, importer: str = "csv") -> requests.Response:
        content = base64.b64encode(file).decode()
        body = {"binaryContent": content, "contentType": "text/csv", "fileName": "people.csv", "importerKey": importer}
        return self.post("uploadImportFile", body)
