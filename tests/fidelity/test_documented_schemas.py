# SPDX-License-Identifier: Apache-2.0
"""The sandbox's answers have the shapes that the vendors publish, no more and no less."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator

from airflow_import_progress.sandbox import Sandbox

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
LUCCA_KEY = {"Authorization": "lucca application=sandbox-lucca-key"}
ZILLIZ_KEY = {"Authorization": "Bearer sandbox-zilliz-key"}
LEADSY_TOKEN = {"Authorization": "Bearer sandbox-leadsy-token"}


def exactly(properties: Mapping[str, Schema]) -> Schema:
    """Return the schema of an object that has these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


ZILLIZ_FILE: Mapping[str, Schema] = {
    "fileName": TEXT,
    "fileSize": COUNT,
    "readyPercentage": {"type": "number", "minimum": 0, "maximum": 1},
    "completeTime": TEXT_OR_NULL,
    "errorMessage": TEXT_OR_NULL,
}
ZILLIZ_JOB: Schema = exactly(
    {
        **ZILLIZ_FILE,
        "collectionName": TEXT,
        "jobId": TEXT,
        "details": {"type": "array", "items": exactly(ZILLIZ_FILE), "minItems": 1},
    }
)
ZILLIZ_PROGRESS = exactly({"code": {"const": 200}, "data": ZILLIZ_JOB})
ZILLIZ_ERROR = exactly({"code": {"type": "integer", "not": {"const": 200}}, "message": TEXT})

LEADSY_PERSON = exactly({"id": {"type": "integer"}, "full_name": TEXT, "email": TEXT})
LEADSY_FILE = exactly(
    {
        "id": {"type": "integer"},
        "import_code": TEXT,
        "status": {"type": "integer"},
        "total_records": COUNT,
        "processed_records": COUNT,
        "failed_records": COUNT,
        "status_name": TEXT,
        "started_at": TEXT_OR_NULL,
        "finished_at": TEXT_OR_NULL,
        "error_file": TEXT_OR_NULL,
        "original_file": TEXT_OR_NULL,
        "imported_by": LEADSY_PERSON,
        "success_rate": {"type": "number", "minimum": 0},
        "company": {"type": "object"},
    }
)
LEADSY_STATUS = exactly({"import_file": LEADSY_FILE})

LUCCA_LEAVES_PROGRESS: Schema = {"type": "integer", "minimum": -1, "maximum": 100}
LUCCA_USER_LOCATIONS_PROGRESS = exactly({"progress": {"type": "integer", "minimum": 0, "maximum": 100}})
LUCCA_PROBLEM = exactly({"Status": {"type": "integer"}, "Message": TEXT})

COURSES = [
    pytest.param({"points": [[0, 0]]}, id="new"),
    pytest.param({"points": [[0, 57.9]], "failed_records": 7}, id="running"),
    pytest.param({"duration": 0}, id="done"),
    pytest.param({"duration": 0, "failed_records": 7}, id="done with failed records"),
    pytest.param({"duration": 0, "fail_at": 40, "failed_records": 7}, id="failed"),
]
COURSES_WITHOUT_FAILURE = COURSES[:-1]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


def mistakes(answer: requests.Response, schema: Schema) -> list[str]:
    return [error.message for error in Draft202012Validator(schema).iter_errors(answer.json())]


def get(sandbox: Sandbox, path: str, headers: Mapping[str, str], **query: str) -> requests.Response:
    return requests.get(sandbox.url + path, query, headers=headers, timeout=5)


def zilliz_progress(sandbox: Sandbox, **query: str) -> requests.Response:
    return get(sandbox, "/v1/vector/collections/import/get", ZILLIZ_KEY, clusterId="in01-sandbox", **query)


def user_locations_progress(sandbox: Sandbox, **query: str) -> requests.Response:
    return get(sandbox, "/work-locations/public/api/imports/user-locations/progress", LUCCA_KEY, **query)


@pytest.mark.parametrize("script", COURSES)
def test_zilliz_v1_progress(sandbox: Sandbox, script: Any) -> None:
    answer = zilliz_progress(sandbox, jobId=sandbox.create_import("zilliz", "cloud", script))
    assert mistakes(answer, ZILLIZ_PROGRESS) == []


@pytest.mark.parametrize("query", [{}, {"jobId": "job-nothing"}])
def test_zilliz_v1_error(sandbox: Sandbox, query: Any) -> None:
    assert mistakes(zilliz_progress(sandbox, **query), ZILLIZ_ERROR) == []


def test_zilliz_v1_error_about_the_key(sandbox: Sandbox) -> None:
    answer = get(sandbox, "/v1/vector/collections/import/get", {"Authorization": "Bearer wrong"})
    assert mistakes(answer, ZILLIZ_ERROR) == []


@pytest.mark.parametrize("script", COURSES)
def test_leadsy_status(sandbox: Sandbox, script: Any) -> None:
    code = sandbox.create_import("leadsy", "lead", script)
    assert mistakes(get(sandbox, f"/api/v1/import/{code}", LEADSY_TOKEN), LEADSY_STATUS) == []


@pytest.mark.parametrize("script", COURSES)
def test_lucca_leaves_progress(sandbox: Sandbox, script: Any) -> None:
    summary_id = sandbox.create_import("lucca", "leave", script)
    answer = get(sandbox, f"/timmi-absences/api/imports/v1.0/leavePeriods/{summary_id}/progress", LUCCA_KEY)
    assert mistakes(answer, LUCCA_LEAVES_PROGRESS) == []


@pytest.mark.parametrize("script", COURSES_WITHOUT_FAILURE)
def test_lucca_user_locations_progress(sandbox: Sandbox, script: Any) -> None:
    answer = user_locations_progress(sandbox, summaryId=sandbox.create_import("lucca", "user_location", script))
    assert mistakes(answer, LUCCA_USER_LOCATIONS_PROGRESS) == []


def test_lucca_bad_request(sandbox: Sandbox) -> None:
    answer = user_locations_progress(sandbox)
    assert answer.status_code == 400
    assert mistakes(answer, LUCCA_PROBLEM) == []
