# SPDX-License-Identifier: Apache-2.0
"""Faults, as a client of the vendor receives them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import requests

from airflow_import_progress.sandbox import InvalidInputError, Sandbox
from tests.support.sandbox_client import LEAVES, LuccaClient


@pytest.fixture
def summary_id(sandbox: Sandbox) -> str:
    return sandbox.create_import("lucca", "leave", {"answers": [57]})


def control(sandbox: Sandbox, method: str, body: Any = None) -> requests.Response:
    return requests.request(method, f"{sandbox.url}/_sandbox/faults", json=body, timeout=5)


# Faults


def test_any_status_headers_and_body(sandbox: Sandbox, lucca: LuccaClient, summary_id: str) -> None:
    fault = {"status": 429, "headers": {"Retry-After": "7"}, "body": "slow down"}
    assert control(sandbox, "POST", {"fault": fault}).status_code == 204
    answer = lucca.leave_progress(summary_id)
    assert (answer.status_code, answer.headers["Retry-After"], answer.text) == (429, "7", "slow down")


def test_the_content_type_of_a_status_can_be_chosen(sandbox: Sandbox, lucca: LuccaClient, summary_id: str) -> None:
    sandbox.add_fault({"status": 400, "headers": {"content-type": "application/json"}, "body": "{}"})
    assert lucca.leave_progress(summary_id).headers["Content-Type"] == "application/json"


def test_a_delay_comes_before_the_normal_answer(sandbox: Sandbox, lucca: LuccaClient, summary_id: str) -> None:
    sandbox.add_fault({"delay": 0.1})
    start = time.monotonic()
    assert lucca.leave_progress(summary_id).json() == 57
    assert time.monotonic() - start >= 0.1


def test_a_delayed_request_is_recorded_before_it_is_answered(
    sandbox: Sandbox, lucca: LuccaClient, summary_id: str
) -> None:
    sandbox.add_fault({"delay": 60})
    with pytest.raises(requests.ReadTimeout):
        requests.get(lucca.url + f"/timmi-absences/api/imports/v1.0/leavePeriods/{summary_id}/progress", timeout=0.1)
    assert [request["status"] for request in sandbox.requests(summary_id)] == [None]


def test_a_reset_connection(sandbox: Sandbox, lucca: LuccaClient, summary_id: str) -> None:
    sandbox.add_fault({"reset": True})
    with pytest.raises(requests.ConnectionError, match="Connection reset by peer"):
        lucca.leave_progress(summary_id)
    assert sandbox.requests()[0]["status"] is None


def test_garbage(sandbox: Sandbox, lucca: LuccaClient, summary_id: str) -> None:
    sandbox.add_fault({"body": "<html>maintenance"})
    answer = lucca.leave_progress(summary_id)
    assert (answer.status_code, answer.text) == (200, "<html>maintenance")
    assert answer.headers["Content-Type"] == "text/html"


def test_garbage_of_any_content_type(sandbox: Sandbox, lucca: LuccaClient, summary_id: str) -> None:
    sandbox.add_fault({"body": "{", "content_type": "application/json"})
    assert lucca.leave_progress(summary_id).headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("size", [2, 3, 65536, 5_000_000])
def test_a_large_answer(sandbox: Sandbox, lucca: LuccaClient, summary_id: str, size: int) -> None:
    sandbox.add_fault({"bytes": size})
    answer = lucca.leave_progress(summary_id)
    assert len(answer.content) == size
    assert isinstance(answer.json(), str)
    assert "Content-Length" not in answer.headers


def test_an_endless_answer(sandbox: Sandbox, lucca: LuccaClient, summary_id: str) -> None:
    sandbox.add_fault({"endless": True})
    with lucca.leave_progress(summary_id, stream=True) as answer:
        assert answer.status_code == 200
        drip = answer.iter_content(1)
        assert [next(drip) for _ in range(3)] == [b" ", b" ", b" "]


def test_a_deep_answer(sandbox: Sandbox, lucca: LuccaClient, summary_id: str) -> None:
    sandbox.add_fault({"deep": 100_000})
    body = lucca.leave_progress(summary_id).content
    assert body == b"[" * 100_000 + b"]" * 100_000
    sandbox.add_fault({"deep": 3})
    assert json.loads(lucca.leave_progress(summary_id).content) == [[[]]]


def test_a_redirect(sandbox: Sandbox, lucca: LuccaClient, summary_id: str) -> None:
    sandbox.add_fault({"redirect": "http://elsewhere.example/"})
    answer = lucca.leave_progress(summary_id)
    assert (answer.status_code, answer.headers["Location"]) == (302, "http://elsewhere.example/")


# Affected requests


def test_a_fault_hits_one_request_by_default(sandbox: Sandbox, lucca: LuccaClient, summary_id: str) -> None:
    sandbox.add_fault({"status": 503})
    assert [lucca.leave_progress(summary_id).status_code for _ in range(3)] == [503, 200, 200]


def test_faults_are_used_in_the_order_added(sandbox: Sandbox, lucca: LuccaClient, summary_id: str) -> None:
    sandbox.add_fault({"status": 503}, times=2)
    sandbox.add_fault({"status": 500})
    assert [lucca.leave_progress(summary_id).status_code for _ in range(4)] == [503, 503, 500, 200]


def test_a_fault_can_last_until_it_is_cleared(sandbox: Sandbox, lucca: LuccaClient, summary_id: str) -> None:
    control(sandbox, "POST", {"fault": {"status": 503}, "times": None})
    assert [lucca.leave_progress(summary_id).status_code for _ in range(3)] == [503, 503, 503]
    assert control(sandbox, "DELETE").status_code == 204
    assert lucca.leave_progress(summary_id).status_code == 200


def test_a_fault_can_be_for_one_import(sandbox: Sandbox, lucca: LuccaClient, summary_id: str) -> None:
    sandbox.add_fault({"status": 503}, import_id="another", vendor="lucca")
    assert lucca.leave_progress(summary_id).status_code == 200
    assert lucca.leave_progress("another").status_code == 503


def test_a_fault_can_be_for_some_paths(sandbox: Sandbox, lucca: LuccaClient, summary_id: str) -> None:
    sandbox.add_fault({"status": 503}, path_contains="user-locations/results")
    assert lucca.leave_progress(summary_id).status_code == 200
    assert lucca.user_locations("results", "any").status_code == 503


def test_a_fault_comes_before_the_check_of_credentials(sandbox: Sandbox, lucca: LuccaClient, summary_id: str) -> None:
    sandbox.add_fault({"status": 503})
    assert lucca.leave_progress(summary_id, headers={}).status_code == 503


def test_a_fault_does_not_use_up_a_scripted_answer(sandbox: Sandbox, lucca: LuccaClient) -> None:
    summary_id = sandbox.create_import("lucca", "leave", {"answers": [0, 100]})
    sandbox.add_fault({"status": 503})
    assert lucca.leave_progress(summary_id).status_code == 503
    assert lucca.leave_progress(summary_id).json() == 0


def test_a_fault_never_hits_the_control_api(sandbox: Sandbox) -> None:
    sandbox.add_fault({"status": 503}, times=None)
    assert requests.get(f"{sandbox.url}/_sandbox/imports", timeout=5).status_code == 200


# Refusals


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "fault"),
        ({"fault": {}}, "fault"),
        ({"fault": {"status": 99}}, "fault.status"),
        ({"fault": {"status": 600}}, "fault.status"),
        ({"fault": {"status": 503, "delay": 1}}, "fault.delay"),
        ({"fault": {"status": 503, "headers": ["A"]}}, "fault.headers"),
        ({"fault": {"status": 503, "headers": {"A": 1}}}, "fault.headers.A"),
        ({"fault": {"status": 503, "headers": {"A": "1\r\nB: 2"}}}, "fault.headers.A"),
        ({"fault": {"status": 503, "headers": {"Content-Length": "1"}}}, "fault.headers.Content-Length"),
        ({"fault": {"status": 503, "headers": {"A B": "1"}}}, "fault.headers.A B"),
        ({"fault": {"status": 503, "headers": {"é": "1"}}}, "fault.headers.é"),
        ({"fault": {"delay": 10**400}}, "fault.delay"),
        ({"fault": {"delay": -1}}, "fault.delay"),
        ({"fault": {"reset": False}}, "fault.reset"),
        ({"fault": {"endless": 1}}, "fault.endless"),
        ({"fault": {"body": 5}}, "fault.body"),
        ({"fault": {"bytes": 1}}, "fault.bytes"),
        ({"fault": {"deep": 0}}, "fault.deep"),
        ({"fault": {"redirect": ""}}, "fault.redirect"),
        ({"fault": {"explode": True}}, "fault.explode"),
        ({"fault": {"reset": True}, "times": 0}, "times"),
        ({"fault": {"reset": True}, "vendor": "nobody"}, "vendor"),
        ({"fault": {"reset": True}, "path": "/x"}, "path"),
    ],
)
def test_a_wrong_fault_is_refused_with_the_field(sandbox: Sandbox, body: Any, field: str) -> None:
    answer = control(sandbox, "POST", body)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_a_processed_request_has_its_effect_although_its_answer_is_lost(sandbox: Sandbox, lucca: LuccaClient) -> None:
    sandbox.add_fault({"status": 500}, processed=True)
    response = lucca.upload(LEAVES, "legalEntity;accountId")
    assert (response.status_code, len(sandbox.imports())) == (500, 1)


def test_the_flag_of_processed_requests_must_be_one(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidInputError, match="processed"):
        sandbox.add_fault({"status": 500}, processed="yes")  # type: ignore[arg-type]
