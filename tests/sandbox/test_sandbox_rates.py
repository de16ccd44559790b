# SPDX-License-Identifier: Apache-2.0
"""The vendors' rate limits: counting of requests, switching, and the vendors' answers."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from airflow_import_progress.sandbox import InvalidInputError, Sandbox
from airflow_import_progress.sandbox.__main__ import main
from airflow_import_progress.sandbox.rates import RateLimiter
from tests.support.sandbox_client import API_KEY, LuccaClient, RocketChatClient


def statuses(client: RocketChatClient, path: str, requests_made: int) -> list[int]:
    return [client.get(path).status_code for _ in range(requests_made)]


def limits(sandbox: Sandbox, body: Any) -> requests.Response:
    return requests.put(f"{sandbox.url}/_sandbox/rate_limits", json=body, timeout=5)


# Counting


def test_a_limit_allows_that_many_requests_in_a_window() -> None:
    limiter = RateLimiter()
    taken = [limiter.take("acme", "", 2, now) for now in (100.0, 130.0, 159.9)]
    assert [(one.remaining, one.exceeded) for one in taken] == [(1, False), (0, False), (0, True)]


def test_a_window_lasts_a_minute_from_its_first_request() -> None:
    limiter = RateLimiter()
    for now in (100.0, 159.9):
        limiter.take("acme", "", 1, now)
    assert not limiter.take("acme", "", 1, 160.0).exceeded


def test_the_time_left_is_that_to_the_next_window() -> None:
    limiter = RateLimiter()
    limiter.take("acme", "", 1, 100.0)
    assert limiter.take("acme", "", 1, 118.0).seconds_left == 42


def test_groups_and_vendors_are_counted_apart() -> None:
    limiter = RateLimiter()
    groups = [("acme", "GET /a"), ("acme", "GET /b"), ("other", "GET /a")]
    assert [limiter.take(vendor, group, 1, 100.0).exceeded for vendor, group in groups] == [False] * 3


# Switching


def test_there_is_no_limit_by_default(rocketchat: RocketChatClient) -> None:
    assert statuses(rocketchat, "importers.list", 12) == [200] * 12


def test_the_published_limits_can_be_enforced() -> None:
    with Sandbox(rate_limits=True) as sandbox:
        assert statuses(RocketChatClient(sandbox), "importers.list", 11) == [200] * 10 + [429]


def test_a_test_can_choose_the_limit_of_one_vendor() -> None:
    with Sandbox(rate_limits={"lucca": 2}, lucca_api_key=API_KEY) as sandbox:
        lucca = LuccaClient(sandbox.url)
        assert [lucca.leave_progress("any").status_code for _ in range(3)] == [404, 404, 429]
        assert statuses(RocketChatClient(sandbox), "importers.list", 11) == [200] * 11


def test_limits_can_be_switched_while_it_runs(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    assert limits(sandbox, {"rocketchat": 1}).status_code == 204
    assert statuses(rocketchat, "importers.list", 2) == [200, 429]
    sandbox.set_rate_limits(False)
    assert statuses(rocketchat, "importers.list", 1) == [200]


def test_reset_goes_back_to_the_limits_of_the_start_and_counts_anew() -> None:
    with Sandbox(rate_limits={"rocketchat": 1}) as sandbox:
        rocketchat = RocketChatClient(sandbox)
        rocketchat.get("importers.list")
        sandbox.set_rate_limits({"rocketchat": 5})
        sandbox.reset()
        assert statuses(rocketchat, "importers.list", 2) == [200, 429]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"rocketchat": 0}, "rate_limits.rocketchat"),
        ({"rocketchat": True}, "rate_limits.rocketchat"),
        ({"nobody": 5}, "rate_limits.nobody"),
        (5, "rate_limits"),
    ],
)
def test_wrong_limits_are_refused_with_the_field(sandbox: Sandbox, body: Any, field: str) -> None:
    answer = limits(sandbox, body)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_wrong_limits_are_refused_at_the_start() -> None:
    with pytest.raises(InvalidInputError, match=r"rate_limits\.nobody: unknown"):
        Sandbox(rate_limits={"nobody": 5})


def test_the_command_can_enforce_the_published_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    rate_limits: list[Any] = []

    class SandboxMade(Exception):  # noqa: N818
        """Raised to stop the command when it has made its sandbox."""

    def made(**options: Any) -> Sandbox:
        rate_limits.append(options["rate_limits"])
        raise SandboxMade

    monkeypatch.setattr("airflow_import_progress.sandbox.__main__.Sandbox", made)
    for arguments in ([], ["--rate-limits"]):
        with pytest.raises(SandboxMade):
            main(arguments)
    assert rate_limits == [False, True]


# Answers


def test_a_vendor_without_its_own_answer_sends_retry_after() -> None:
    with Sandbox(rate_limits={"leadsy": 1}) as sandbox:
        headers = {"Authorization": "Bearer sandbox-leadsy-token"}
        answers = [requests.get(f"{sandbox.url}/api/v1/import", headers=headers, timeout=5) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].headers["Retry-After"] == "60"


def test_lucca_answers_fifty_requests_a_minute_and_sends_retry_after() -> None:
    with Sandbox(rate_limits=True, lucca_api_key=API_KEY, clock=lambda: 1_760_000_000.0) as sandbox:
        lucca = LuccaClient(sandbox.url)
        answers = [lucca.leave_progress("any") for _ in range(51)]
    assert [answer.status_code for answer in answers] == [*[404] * 50, 429]
    assert answers[-1].headers["Retry-After"] == "60"
    assert answers[-1].json() == {"Status": 429, "Message": "Too Many Requests"}


def test_rocketchat_reports_the_limit_in_every_answer_to_a_user() -> None:
    with Sandbox(rate_limits={"rocketchat": 2}) as sandbox:
        rocketchat = RocketChatClient(sandbox)
        answers = [rocketchat.get("getImportProgress") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [400, 400, 429]
    assert {answer.headers["X-RateLimit-Limit"] for answer in answers} == {"2"}
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]


def test_rocketchat_reports_the_end_of_the_limit_in_milliseconds() -> None:
    with Sandbox(rate_limits=True, clock=lambda: 1_760_000_000.0) as sandbox:
        reset = RocketChatClient(sandbox).get("importers.list").headers["X-RateLimit-Reset"]
    assert reset == "1760000060000"


def test_rocketchat_reports_the_seconds_to_wait_only_in_its_text() -> None:
    with Sandbox(rate_limits={"rocketchat": 1}) as sandbox:
        rocketchat = RocketChatClient(sandbox)
        rocketchat.get("importers.list")
        refused = rocketchat.get("importers.list")
    assert "Retry-After" not in refused.headers
    assert refused.json() == {
        "success": False,
        "error": "Error, too many requests. Please slow down. You must wait 60 seconds before trying this endpoint"
        " again. [error-too-many-requests]",
    }


def test_rocketchat_counts_each_path_and_method_apart() -> None:
    with Sandbox(rate_limits={"rocketchat": 1}) as sandbox:
        rocketchat = RocketChatClient(sandbox)
        assert statuses(rocketchat, "importers.list", 2) == [200, 429]
        assert rocketchat.get("import.status").status_code == 200


def test_rocketchat_does_not_count_requests_without_a_login() -> None:
    with Sandbox(rate_limits={"rocketchat": 1}) as sandbox:
        rocketchat = RocketChatClient(sandbox)
        refused = rocketchat.get("importers.list", headers={})
        assert refused.status_code == 401
        assert "X-RateLimit-Limit" not in refused.headers
        assert rocketchat.get("importers.list").status_code == 200
