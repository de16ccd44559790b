# SPDX-License-Identifier: Apache-2.0
"""
What waits on one connection share, on an event loop whose time passes only while everybody sleeps.

The vendor is a function here: who asks what, and when, is what these tests are about.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from types import SimpleNamespace
from typing import ClassVar

import pytest

from airflow_import_progress import clock as clock_module
from airflow_import_progress.exceptions import ImportPollError, ImportRequestError
from airflow_import_progress.hooks import rocketchat_login
from airflow_import_progress.hooks.lucca import LuccaHook, LuccaLeaveImport
from airflow_import_progress.hooks.rocketchat import RocketChatHook, RocketChatImport
from airflow_import_progress.http.adaptive_rate import DECREASE, STRONG_DECREASE
from airflow_import_progress.http.connection import VendorConnection
from airflow_import_progress.http.connection_cache import CONNECTION_LIFETIME
from airflow_import_progress.http.exchange import Request, Response
from airflow_import_progress.http.rate_limit import RateLimit
from airflow_import_progress.http.transport import authenticated_key
from airflow_import_progress.imports import Import
from airflow_import_progress.progress import ImportProgress, ImportState
from airflow_import_progress.triggers import import_progress as trigger_module
from airflow_import_progress.triggers.import_progress import ImportProgressTrigger
from airflow_import_progress.waiting.poller import PolledImport, Poller
from airflow_import_progress.waiting.schedule import INITIAL_FAILURE_GAP
from tests.support.triggers import trigger_arguments
from tools.skipping_loop import SkippingLoop


class Session:
    """A session that sends nothing."""

    opened = 0
    closed = 0

    def __init__(self):
        Session.opened += 1

    async def close(self):
        Session.closed += 1

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()


class Vendor:
    """Answer each question after a second, and remember who asked what and when."""

    def __init__(self):
        self.received = []
        self.sessions = set()
        self.answers = {}
        self.seconds = Counter()
        self.looked_up = 0
        #: When the first key is refused and the second one is accepted.
        self.key_replaced_at = float("inf")

    async def asend(self, session, connection, request):
        loop = asyncio.get_running_loop()
        asked_at = loop.time() - 1000.0
        self.received.append((asked_at, request.path))
        self.sessions.add(session)
        await asyncio.sleep(self.seconds[request.path] or 1)
        if asked_at > self.key_replaced_at and connection.password == "key-1":
            return Response(status=401, headers={}, body=b"{}", request_line=f"GET {request.path}")
        scripted = self.answers.get(request.path)
        answer = scripted.pop(0) if scripted else 57
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, tuple):
            status, headers, *body = answer
            return Response(
                status=status,
                headers=headers,
                body=json.dumps(*body or [{}]).encode(),
                request_line=f"GET {request.path}",
            )
        return Response(status=200, headers={}, body=json.dumps(answer).encode(), request_line=f"GET {request.path}")

    @property
    def times(self):
        return [at for at, _ in self.received]

    @property
    def paths(self):
        return [path for _, path in self.received]


@pytest.fixture
def vendor(monkeypatch):
    vendor = Vendor()
    Session.opened = Session.closed = 0

    async def new_session(connection):
        return Session()

    async def look_up(cache):
        vendor.looked_up += 1
        await asyncio.sleep(0.1)
        cache._connection = VendorConnection(
            conn_id=cache._conn_id, base_url="https://vendor.example", login="u", password=f"key-{vendor.looked_up}"
        )
        cache._looked_up_at = float("inf")

    monkeypatch.setattr("airflow_import_progress.http.sessions.asend", vendor.asend)
    monkeypatch.setattr("airflow_import_progress.http.sessions.new_async_session", new_session)
    monkeypatch.setattr("airflow_import_progress.http.connection_cache.ConnectionCache._alook_up", look_up)
    monkeypatch.setattr(LuccaHook, "requests_per_minute", None)
    return vendor


def run(main):
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        return runner.run(main)


def path_of(summary_id):
    return f"/timmi-absences/api/imports/v1.0/leavePeriods/{summary_id}/progress"


async def wait_through_refusals(summary_id, *sleeps):
    async with PolledImport(LuccaHook, "c", LuccaLeaveImport(summary_id)) as watch:
        for seconds in sleeps:
            await watch.sleep(seconds)
            with contextlib.suppress(ImportPollError):
                await watch.get_progress()


async def wait(summary_id, *sleeps, hook_class=LuccaHook, import_=None, conn_id="c"):
    """Poll after each of these sleeps, and return what was heard each time."""
    async with PolledImport(hook_class, conn_id, import_ or LuccaLeaveImport(summary_id)) as watch:
        heard = []
        for seconds in sleeps:
            await watch.sleep(seconds)
            heard.append((await watch.get_progress()).percent)
        return heard


def test_all_waits_share_one_look_up_and_one_session(vendor):
    async def main():
        await asyncio.gather(*(wait(f"i-{number}", 5, 30) for number in range(50)))

    run(main())
    assert (vendor.looked_up, Session.opened, Session.closed) == (1, 1, 1)
    assert len(vendor.received) == 100


def test_the_last_to_leave_closes_it(vendor):
    async def main():
        early, late = asyncio.create_task(wait("i-1", 5)), asyncio.create_task(wait("i-2", 5, 60))
        await early
        assert Session.closed == 0
        await late
        assert Session.closed == 1
        await wait("i-3", 5)

    run(main())
    assert (Session.opened, Session.closed) == (2, 2)


def test_a_cancelled_wait_leaves_nothing_behind(vendor):
    async def main():
        task = asyncio.create_task(wait("i-1", 5, 60))
        await asyncio.sleep(20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())
    assert (Session.opened, Session.closed) == (1, 1)


def test_a_wait_cancelled_while_it_asks_leaves_nothing_behind(vendor):
    async def main():
        task = asyncio.create_task(wait("i-1", 5))
        await asyncio.sleep(5.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())
    assert (len(vendor.received), Session.closed) == (1, 1)


def test_waits_cancelled_twice_leave_nothing_behind(vendor):
    async def main():
        tasks = [asyncio.create_task(wait("i-1", 5, 60)) for _ in range(2)]
        await asyncio.sleep(66.7)
        for _ in range(2):
            for task in tasks:
                task.cancel()
            await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main())
    assert (len(vendor.received), Session.opened, Session.closed) == (2, 1, 1)


def test_a_wait_that_begins_while_the_last_one_closes_gets_a_session_of_its_own(vendor, monkeypatch):
    async def close(self):
        await asyncio.sleep(10)
        Session.closed += 1

    monkeypatch.setattr(Session, "close", close)

    async def main():
        first = asyncio.create_task(wait("i-1", 5))
        await asyncio.sleep(8)
        return await wait("i-2", 5), await first

    assert run(main()) == ([57], [57])
    assert (Session.opened, Session.closed) == (2, 2)


def test_first_polls_at_the_same_time_keep_one_session(vendor, monkeypatch):
    async def slowly(connection):
        await asyncio.sleep(1)
        return Session()

    monkeypatch.setattr("airflow_import_progress.http.sessions.new_async_session", slowly)

    async def main():
        await asyncio.gather(*(wait(f"i-{number}", 5, 30) for number in range(3)))

    run(main())
    assert len(vendor.sessions) == 1
    assert Session.opened == Session.closed


def test_a_session_is_replaced_when_its_settings_change_and_serves_who_holds_it_until_the_end(vendor, monkeypatch):
    sessions = []

    class SettingsSession(Session):
        def __init__(self, connection):
            super().__init__()
            self.verify = connection.verify
            self.is_closed = False

        async def close(self):
            self.is_closed = True

    async def new_session(connection):
        sessions.append(SettingsSession(connection))
        return sessions[-1]

    verify = iter([True, False])

    async def look_up(cache):
        await vendor_look_up(verify=next(verify))(cache)
        cache._looked_up_at = time.monotonic()

    monkeypatch.setattr("airflow_import_progress.http.sessions.new_async_session", new_session)
    monkeypatch.setattr("airflow_import_progress.http.connection_cache.ConnectionCache._alook_up", look_up)
    monkeypatch.setattr(LuccaHook, "requests_per_minute", 6)
    used = []

    async def asend(session, connection, request):
        used.append((connection.verify, session.verify, session.is_closed))
        return await vendor.asend(session, connection, request)

    monkeypatch.setattr("airflow_import_progress.http.sessions.asend", asend)

    async def main():
        async with PolledImport(LuccaHook, "c", LuccaLeaveImport("i-0")) as watch:
            queued = [asyncio.create_task(wait(f"i-{number}", 0)) for number in range(1, 4)]
            await asyncio.sleep(1)
            watch._poller.hook.connection_cache._looked_up_at -= CONNECTION_LIFETIME + 1
            await watch.get_progress()
            await asyncio.gather(*queued)

    run(main())
    assert used == [(True, True, False)] * 3 + [(False, False, False)]
    assert [session.is_closed for session in sessions] == [True, True]


def test_a_start_that_fails_leaves_nothing_behind(vendor, monkeypatch):
    async def failing(cache):
        raise ImportPollError("no database", transient=True)

    monkeypatch.setattr("airflow_import_progress.http.connection_cache.ConnectionCache._alook_up", failing)

    async def main():
        with pytest.raises(ImportPollError):
            await wait("i-1", 5)

    run(main())
    assert (vendor.received, Session.opened) == ([], 0)


def test_each_event_loop_has_its_own(vendor):
    for _ in range(2):
        run(wait("i-1", 5))
    assert (vendor.looked_up, Session.opened, Session.closed) == (2, 2, 2)


def test_each_connection_has_its_own(vendor):
    async def main():
        await asyncio.gather(*(wait("i-1", 5, conn_id=conn_id) for conn_id in ("a", "b", "a")))

    run(main())
    assert (vendor.looked_up, Session.opened, len(vendor.received)) == (2, 2, 2)


def test_waits_that_are_due_at_about_the_same_time_wake_up_together(vendor):
    async def main():
        await asyncio.gather(*(wait(f"i-{number}", 5 + number / 1000) for number in range(1, 45)))

    run(main())
    assert {round(at, 3) for at in vendor.times} == {5.15}


# The same question


def test_waits_that_ask_the_same_at_the_same_time_share_one_request(vendor):
    async def main():
        return await asyncio.gather(*(wait("i-1", 5) for _ in range(20)))

    assert run(main()) == [[57]] * 20
    assert len(vendor.received) == 1


def test_waits_on_the_same_import_cause_the_requests_of_one(vendor):
    async def main():
        # Each at its own pace: the fastest asks for all.
        return await asyncio.gather(*(wait("i-1", *[30 + number / 100] * 10) for number in range(200)))

    run(main())
    assert len(vendor.received) <= 12


def test_any_number_of_waits_on_a_rocket_chat_workspace_cause_the_requests_of_one(vendor):
    answer = {"key": "csv", "step": "importer_importing_users", "count": {"completed": 1, "total": 2}, "success": True}
    vendor.answers["/api/v1/getImportProgress"] = [answer] * 100
    imports = [RocketChatImport(), RocketChatImport(importer_key="csv"), RocketChatImport(importer_key="slack")]

    async def main():
        await asyncio.gather(
            *(
                wait("", *[60 + number / 100] * 5, hook_class=RocketChatHook, import_=imports[number % 3])
                for number in range(200)
            )
        )

    run(main())
    assert len(vendor.received) <= 7


def test_what_was_heard_before_a_wait_began_is_no_news_to_it(vendor):
    vendor.answers[path_of("i-1")] = [10, 20, 30, 40]

    async def main():
        first, second = asyncio.create_task(wait("i-1", 5, 60)), asyncio.create_task(wait("i-1", 5, 60))
        await asyncio.sleep(20)
        third = await wait("i-1", 0)
        return await first, await second, third

    first, second, third = run(main())
    assert third == [20]
    assert first == second
    assert first[0] == 10


def test_one_waits_cancellation_does_not_harm_the_others(vendor):
    async def main():
        tasks = [asyncio.create_task(wait("i-1", 5, 60)) for _ in range(3)]
        await asyncio.sleep(66.7)
        tasks[0].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    cancelled, *others = run(main())
    assert isinstance(cancelled, asyncio.CancelledError)
    assert others == [[57, 57], [57, 57]]
    assert len(vendor.received) == 2


def test_a_cancelled_wait_that_seemed_to_be_alone_does_not_harm_who_joined_it(vendor):
    async def main():
        tasks = [asyncio.create_task(wait("i-1", seconds)) for seconds in (5, 5.2, 5.4)]
        await asyncio.sleep(5.8)
        tasks[0].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    cancelled, *others = run(main())
    assert isinstance(cancelled, asyncio.CancelledError)
    assert others == [[57], [57]]
    assert len(vendor.received) == 2


def test_who_joins_a_wait_that_seemed_to_be_alone_can_be_cancelled_alone(vendor):
    async def main():
        tasks = [asyncio.create_task(wait("i-1", seconds)) for seconds in (5, 5.2, 5.4)]
        await asyncio.sleep(5.8)
        tasks[1].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, cancelled, third = run(main())
    assert isinstance(cancelled, asyncio.CancelledError)
    assert (first, third) == ([57], [57])
    assert len(vendor.received) == 1


def test_who_joined_a_wait_that_queues_keeps_its_place_when_that_one_is_cancelled(vendor, monkeypatch):
    monkeypatch.setattr(LuccaHook, "requests_per_minute", 6)

    async def main():
        tasks = [
            asyncio.create_task(wait(summary_id, seconds))
            for summary_id, seconds in (("i-1", 1), ("i-1", 2), ("i-0", 0), ("i-2", 3))
        ]
        await asyncio.sleep(5)
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main())
    assert vendor.paths == [path_of("i-0"), path_of("i-1"), path_of("i-2")]


def test_what_nobody_waits_for_any_more_is_not_asked(vendor, monkeypatch):
    monkeypatch.setattr(LuccaHook, "requests_per_minute", 6)

    async def main():
        tasks = [asyncio.create_task(wait(f"i-{number}", 0)) for number in range(100)]
        await asyncio.sleep(5)
        for task in tasks:
            task.cancel()
        await wait("last", 0)
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main())
    assert vendor.paths == [path_of("i-0"), path_of("last")]


def test_an_answer_to_a_question_from_before_a_wait_began_is_not_for_it(vendor):
    vendor.answers[path_of("i-1")] = [100, 5]
    vendor.seconds[path_of("i-1")] = 8

    async def main():
        earlier = asyncio.create_task(wait("i-1", 5))
        await asyncio.sleep(11)
        return await wait("i-1", 0), await earlier

    assert run(main()) == ([5], [100])


def test_who_sleeps_is_woken_by_a_failure_too(vendor):
    vendor.answers[path_of("i-1")] = [10, ImportPollError("gone", transient=True)]

    async def main():
        tasks = [asyncio.create_task(wait("i-1", 5, seconds)) for seconds in (3, 30, 300)]
        await asyncio.sleep(60)
        assert all(task.done() for task in tasks)
        return await asyncio.gather(*tasks, return_exceptions=True)

    assert all(isinstance(outcome, ImportPollError) for outcome in run(main()))
    assert len(vendor.received) == 2


@dataclass(frozen=True)
class FormImport(Import):
    """An import that is polled by a form, or with a header of its own."""

    label: ClassVar[str] = "form import"

    job_id: str
    by: str = "form"

    @property
    def import_id(self):
        return self.job_id

    def poll(self, connection):
        if self.by == "form":
            request = Request(method="POST", path="/progress", data={"job": self.job_id})
        else:
            request = Request(method="GET", path="/progress", headers={"X-Job": self.job_id})
        response = yield request
        return ImportProgress(import_id=self.job_id, state=ImportState(response.json()))


@pytest.mark.parametrize("by", ["form", "header"])
def test_imports_that_are_polled_by_a_form_or_a_header_do_not_share_an_answer(vendor, monkeypatch, by):
    states = {"1": "succeeded", "2": "running"}

    async def asend(session, connection, request):
        vendor.received.append((0.0, request.path))
        await asyncio.sleep(1)
        job = request.data["job"] if request.data else request.headers["X-Job"]
        return Response(status=200, headers={}, body=json.dumps(states[job]).encode(), request_line="POST /progress")

    monkeypatch.setattr("airflow_import_progress.http.sessions.asend", asend)

    async def poll(job_id):
        async with PolledImport(LuccaHook, "lucca_default", FormImport(job_id, by)) as watch:
            seen = []
            for _ in range(3):
                seen.append((await watch.get_progress()).state)
                await watch.sleep(10)
            return seen

    async def main():
        return await asyncio.gather(poll("1"), poll("2"), poll("2"))

    assert run(main()) == [["succeeded"] * 3, ["running"] * 3, ["running"] * 3]
    # Three polls of each job: the two waits on the second job share theirs, and nobody is woken by another job.
    assert len(vendor.received) == 6


@pytest.mark.parametrize("through_poller", [True, False])
@pytest.mark.parametrize("by", ["data", "params", "headers", "json"])
def test_users_that_log_in_at_the_same_time_get_their_own_tokens(vendor, monkeypatch, by, through_poller):
    class TokenHook(LuccaHook):
        """A hook that logs in, as many do with OAuth."""

        def send_authenticated(self, request, connection):
            credentials = {by: {"user": connection.conn_id}}
            log_in = yield Request(method="POST", path="/token", shared=True, **credentials)
            return (yield request.with_headers({"Authorization": log_in.json()}))

    async def asend(session, connection, request):
        await asyncio.sleep(1)
        if request.path == "/token":
            user = {"data": request.data, "params": request.params, "headers": request.headers, "json": request.json}[
                by
            ]
            return Response(status=200, headers={}, body=json.dumps(user["user"]).encode(), request_line="POST /token")
        body = 100 if request.headers["Authorization"] == "user-1" else 57
        return Response(status=200, headers={}, body=json.dumps(body).encode(), request_line="GET /")

    monkeypatch.setattr("airflow_import_progress.http.sessions.asend", asend)

    async def poll(conn_id):
        if not through_poller:
            return (await TokenHook(conn_id).aget_progress(LuccaLeaveImport("i-1"))).percent
        async with PolledImport(TokenHook, conn_id, LuccaLeaveImport("i-1")) as watch:
            return (await watch.get_progress()).percent

    async def main():
        return await asyncio.gather(poll("user-1"), poll("user-2"))

    assert run(main()) == [100, 57]


@pytest.mark.parametrize("through_poller", [True, False])
@pytest.mark.parametrize(
    "changed", [{"verify": False}, {"proxy": "http://proxy:3128"}, {"timeout": 5.0}, {"password": "p"}, {"login": "u"}]
)
def test_a_log_in_is_not_shared_by_connections_with_other_settings(vendor, monkeypatch, changed, through_poller):
    class TokenHook(LuccaHook):
        def send_authenticated(self, request, connection):
            log_in = yield Request(method="POST", path="/token", shared=True)
            return (yield request.with_headers({"Authorization": str(log_in.json())}))

    monkeypatch.setattr("airflow_import_progress.http.sessions.asend", vendor.asend)
    connection = VendorConnection(conn_id="c", base_url="https://vendor.example", password="k")

    async def look_up(cache):
        cache._connection, cache._looked_up_at = connection, float("inf")

    monkeypatch.setattr("airflow_import_progress.http.connection_cache.ConnectionCache._alook_up", look_up)

    async def main():
        hook = TokenHook("c")
        async with PolledImport(TokenHook, "c", LuccaLeaveImport("i-1")) as watch, hook:
            if through_poller:
                hook = watch.hook
            ask = watch.get_progress if through_poller else lambda: hook.aget_progress(LuccaLeaveImport("i-1"))
            before = asyncio.create_task(ask())
            await asyncio.sleep(0.5)
            hook.connection_cache._connection = replace(connection, **changed)
            await asyncio.gather(before, ask())

    run(main())
    assert vendor.paths.count("/token") == 2


def test_a_failure_is_shared_too(vendor):
    vendor.answers[path_of("i-1")] = [ImportPollError("gone", transient=True)]

    async def main():
        return await asyncio.gather(*(wait("i-1", 5) for _ in range(3)), return_exceptions=True)

    assert all(isinstance(error, ImportPollError) for error in run(main()))
    assert len(vendor.received) == 1


def test_a_replaced_key_is_looked_up_once_for_all_waits(vendor):
    for number in range(20):
        vendor.answers[path_of(f"i-{number}")] = [10, (401, {}), 20]

    async def main():
        return await asyncio.gather(*(wait(f"i-{number}", 5, 30) for number in range(20)))

    assert run(main()) == [[10, 20]] * 20
    assert vendor.looked_up == 2


def test_a_key_that_was_replaced_before_any_poll_got_through_is_looked_up_once_for_all_waits(vendor):
    vendor.key_replaced_at = 0

    async def main():
        return await asyncio.gather(*(wait(f"i-{number}", 5) for number in range(20)))

    assert run(main()) == [[57]] * 20
    assert vendor.looked_up == 2


@pytest.mark.parametrize("waits", [1, 2, 5])
def test_a_replaced_key_harms_no_wait_on_the_same_import(vendor, waits):
    vendor.key_replaced_at = 20

    async def main():
        return await asyncio.gather(*(wait("i-1", 5, 30 + number / 2, 60) for number in range(waits)))

    assert run(main()) == [[57, 57, 57]] * waits
    assert (vendor.looked_up, len(vendor.received)) == (2, 4)


def test_a_wait_with_the_new_key_does_not_take_the_refusal_of_the_old_one(vendor):
    vendor.key_replaced_at = 20

    async def main():
        vendor.seconds[path_of("i-1")] = 8
        return await asyncio.gather(wait("i-1", 5, 30), wait("i-2", 5, 30), wait("i-1", 38))

    assert run(main()) == [[57, 57], [57, 57], [57]]
    assert vendor.looked_up == 2


def test_a_log_in_goes_on_when_the_wait_that_began_it_is_cancelled(vendor, monkeypatch):
    monkeypatch.setattr(rocketchat_login, "_log_ins", {})
    look_up = vendor_look_up(login="u", extra={"auth_method": "password"})
    monkeypatch.setattr("airflow_import_progress.http.connection_cache.ConnectionCache._alook_up", look_up)
    answer = {"key": "csv", "step": "importer_importing_users", "count": {}, "success": True}
    vendor.answers["/api/v1/login"] = [{"data": {"userId": "u", "authToken": "t"}}]
    vendor.answers["/api/v1/getImportProgress"] = [answer] * 9

    async def main():
        tasks = [
            asyncio.create_task(wait("", 1, hook_class=RocketChatHook, import_=RocketChatImport())) for _ in range(3)
        ]
        await asyncio.sleep(1.6)
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main())
    assert vendor.paths == ["/api/v1/login", "/api/v1/getImportProgress"]


def test_a_key_that_stays_refused_fails_every_wait(vendor):
    for number in range(3):
        vendor.answers[path_of(f"i-{number}")] = [10, (401, {}), (401, {})]

    async def main():
        return await asyncio.gather(*(wait(f"i-{number}", 5, 30) for number in range(3)), return_exceptions=True)

    assert all(isinstance(error, ImportRequestError) and error.status == 401 for error in run(main()))


# The vendor's limit


@pytest.mark.parametrize("limit", [6, 50, 1200])
def test_requests_keep_the_vendors_limit_whatever_the_waits_want(vendor, monkeypatch, limit):
    monkeypatch.setattr(LuccaHook, "requests_per_minute", limit)

    async def main():
        await asyncio.gather(*(wait(f"i-{number}", 5, 5, 5) for number in range(limit)))

    run(main())
    assert len(vendor.received) == 3 * limit
    times = sorted(vendor.times)
    most = max(bisect_left(times, start + 60) - number for number, start in enumerate(times))
    assert limit * 0.9 <= most <= limit


def test_waits_are_asked_for_in_turn_and_none_starves(vendor, monkeypatch):
    monkeypatch.setattr(LuccaHook, "requests_per_minute", 50)

    async def main():
        tasks = [asyncio.create_task(wait(f"i-{number}", *[5] * 1000)) for number in range(100)]
        await asyncio.sleep(3600)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main())
    polls = Counter(vendor.paths)
    assert len(polls) == 100
    assert max(polls.values()) - min(polls.values()) <= 1


def test_newcomers_do_not_push_in(vendor, monkeypatch):
    monkeypatch.setattr(LuccaHook, "requests_per_minute", 600)

    async def main():
        await asyncio.gather(*(wait(f"i-{number}", number * 0.1) for number in range(500)))
        assert vendor.paths == [path_of(f"i-{number}") for number in range(500)]
        vendor.received.clear()
        await asyncio.gather(*(wait(f"i-{number}", number * 0.037) for number in range(500)))

    run(main())
    turns = [int(path.split("/")[-2].removeprefix("i-")) for path in vendor.paths]
    # Those that wake up at the same tick have no order.
    assert all(abs(turn - number) <= 4 for number, turn in enumerate(turns))


def test_the_limit_holds_for_waits_that_follow_one_another(vendor, monkeypatch):
    monkeypatch.setattr(LuccaHook, "requests_per_minute", 6)

    async def main():
        for number in range(3):
            await wait(f"i-{number}", 0)

    run(main())
    assert vendor.times == pytest.approx([0.2, 10.7, 21.2], abs=0.1)


def test_rocket_chat_limits_each_endpoint_by_itself(vendor):
    answer = {"key": "csv", "step": "importer_importing_users", "count": {}, "success": True}
    operation = {"_id": "1", "ts": "2026-01-01", "status": "importer_new", "valid": True}
    vendor.answers["/api/v1/getImportProgress"] = [answer] * 9
    vendor.answers["/api/v1/import.status"] = [{"state": "new", "operation": operation, "success": True}] * 9

    async def main():
        await asyncio.gather(
            wait("", 0, 0, 0, hook_class=RocketChatHook, import_=RocketChatImport()),
            wait("", 0, 0, 0, hook_class=RocketChatHook, import_=RocketChatImport(operation_id="1")),
        )

    run(main())
    assert sorted(vendor.times) == pytest.approx([0.15, 0.15, 6.45, 6.45, 12.75, 12.75], abs=0.01)


def test_the_connection_may_set_another_limit(vendor, monkeypatch):
    monkeypatch.setattr(LuccaHook, "requests_per_minute", 50)
    look_up = vendor_look_up(requests_per_minute=10)
    monkeypatch.setattr("airflow_import_progress.http.connection_cache.ConnectionCache._alook_up", look_up)

    async def main():
        await asyncio.gather(*(wait(f"i-{number}", 0) for number in range(3)))

    run(main())
    assert vendor.times == pytest.approx([0.05, 6.35, 12.65], abs=0.01)


def test_another_limit_in_the_connection_counts_while_waits_go_on(vendor, monkeypatch):
    limits = iter([600, 6])

    async def look_up(cache):
        await vendor_look_up(requests_per_minute=next(limits))(cache)
        cache._looked_up_at = time.monotonic()

    monkeypatch.setattr("airflow_import_progress.http.connection_cache.ConnectionCache._alook_up", look_up)

    async def main():
        async with PolledImport(LuccaHook, "c", LuccaLeaveImport("i-1")) as watch:
            for _ in range(3):
                await watch.get_progress()
            watch._poller.hook.connection_cache._looked_up_at -= CONNECTION_LIFETIME + 1
            for _ in range(3):
                await watch.get_progress()

    run(main())
    gaps = [later - earlier for earlier, later in pairwise(vendor.times)]
    assert gaps == pytest.approx([1, 1, 1, 10.5, 10.5], abs=0.05)


def test_a_refusal_makes_requests_rarer(vendor, monkeypatch):
    monkeypatch.setattr(LuccaHook, "requests_per_minute", 60)
    vendor.answers[path_of("i-0")] = [57, (429, {"retry-after": "60"})]

    async def main():
        waits = [wait("i-0", 5, 60), *(wait(f"i-{number}", 200) for number in range(1, 10))]
        await asyncio.gather(*waits, return_exceptions=True)

    run(main())
    gaps = [later - earlier for earlier, later in pairwise(sorted(vendor.times)[2:])]
    assert gaps == pytest.approx([1.05 / (1 - DECREASE)] * 8, rel=0.01)


def test_requests_become_more_frequent_again_while_none_is_refused(vendor, monkeypatch):
    monkeypatch.setattr(LuccaHook, "requests_per_minute", 60)
    vendor.answers[path_of("i-0")] = [57, (429, {"retry-after": "60"})]

    async def main():
        await asyncio.gather(wait("i-0", 5, 60), return_exceptions=True)
        await asyncio.gather(*(wait(f"i-{number}", 60, *[0] * 200) for number in range(1, 4)))

    run(main())
    gaps = [later - earlier for earlier, later in pairwise(sorted(vendor.times)[2:])]
    assert gaps[:1] == pytest.approx([1.05 / (1 - DECREASE)], rel=0.01)
    assert gaps[-1:] == pytest.approx([1.05], rel=0.01)


def test_a_refusal_right_after_a_pause_makes_requests_much_rarer(vendor, monkeypatch):
    monkeypatch.setattr(LuccaHook, "requests_per_minute", 60)
    refusal = (429, {"retry-after": "600"})
    vendor.answers[path_of("i-0")] = [57, refusal, 57, refusal]

    async def main():
        waits = [wait_through_refusals("i-0", 5, 60, 0, 0), *(wait(f"i-{n}", 1000) for n in range(1, 5))]
        await asyncio.gather(*waits)

    run(main())
    gaps = [later - earlier for earlier, later in pairwise(sorted(vendor.times)[4:])]
    assert gaps == pytest.approx([1.05 / (1 - DECREASE) / (1 - STRONG_DECREASE)] * 3, rel=0.01)


def test_a_refusal_of_a_request_that_was_under_way_at_another_counts_once(vendor, monkeypatch):
    monkeypatch.setattr(LuccaHook, "requests_per_minute", 600)
    refusal = (429, {"retry-after": "60"})
    for number in range(3):
        vendor.answers[path_of(f"i-{number}")] = [57, refusal]

    async def main():
        waits = [*(wait(f"i-{n}", 5, 60) for n in range(3)), *(wait(f"i-{n}", 200) for n in range(3, 20))]
        await asyncio.gather(*waits, return_exceptions=True)

    run(main())
    gaps = [later - earlier for earlier, later in pairwise(sorted(vendor.times)[6:])]
    assert gaps[-3:] == pytest.approx([0.105 / (1 - DECREASE)] * 3, rel=0.05)


def test_what_was_learned_of_the_limit_outlives_the_last_wait(vendor, monkeypatch):
    monkeypatch.setattr(LuccaHook, "requests_per_minute", 60)
    vendor.answers[path_of("i-0")] = [57, (429, {"retry-after": "60"})]

    async def main():
        await asyncio.gather(wait("i-0", 5, 60), return_exceptions=True)
        await asyncio.sleep(600)
        await asyncio.gather(*(wait(f"i-{number}", 5) for number in range(1, 5)))

    run(main())
    gaps = [later - earlier for earlier, later in pairwise(vendor.times[2:])]
    assert gaps == pytest.approx([1.05 / (1 - DECREASE)] * 3, rel=0.01)


def test_a_pause_for_another_reason_does_not_make_requests_rarer(vendor, monkeypatch):
    monkeypatch.setattr(LuccaHook, "requests_per_minute", 60)
    vendor.answers[path_of("i-0")] = [57, (503, {"retry-after": "60"})]

    async def main():
        waits = [wait("i-0", 5, 60), *(wait(f"i-{number}", 200) for number in range(1, 5))]
        await asyncio.gather(*waits, return_exceptions=True)

    run(main())
    gaps = [later - earlier for earlier, later in pairwise(sorted(vendor.times)[2:])]
    assert gaps == pytest.approx([1.05] * 3, rel=0.01)


def test_a_refusal_at_one_endpoint_of_rocket_chat_does_not_count_for_another(vendor):
    answer = {"key": "csv", "step": "importer_importing_users", "count": {}, "success": True}
    operation = {"_id": "1", "ts": "2026-01-01", "status": "importer_new", "valid": True}
    vendor.answers["/api/v1/getImportProgress"] = [answer] * 3
    vendor.answers["/api/v1/import.status"] = [(429, {"retry-after": "60"}, {})]
    vendor.answers["/api/v1/import.status"] += [{"state": "new", "operation": operation, "success": True}] * 3

    async def main():
        await asyncio.gather(
            wait("", 300, 0, 0, hook_class=RocketChatHook, import_=RocketChatImport()),
            wait("", 100, hook_class=RocketChatHook, import_=RocketChatImport(operation_id="1")),
            return_exceptions=True,
        )

    run(main())
    at = [at for at, path in vendor.received if path == "/api/v1/getImportProgress"]
    assert [later - earlier for earlier, later in pairwise(at)] == pytest.approx([6.3] * 2, rel=0.01)


def vendor_look_up(**fields):
    async def look_up(cache):
        cache._connection = VendorConnection(conn_id="c", base_url="https://vendor.example", password="k", **fields)
        cache._looked_up_at = float("inf")

    return look_up


# The vendor's pause


@pytest.mark.parametrize("limit", [None, 600])
def test_the_whole_connection_pauses_when_the_vendor_asks_for_it(vendor, monkeypatch, limit):
    monkeypatch.setattr(LuccaHook, "requests_per_minute", limit)
    vendor.answers[path_of("i-0")] = [(429, {"retry-after": "30"})]

    async def main():
        return await asyncio.gather(*(wait(f"i-{number}", 5 * number) for number in range(6)), return_exceptions=True)

    refused, *others = run(main())
    assert isinstance(refused, ImportPollError)
    assert others == [[57]] * 5
    assert all(at >= 31 for at in vendor.times[1:])


def test_after_a_pause_not_all_ask_at_once(vendor):
    vendor.answers[path_of("i-0")] = [(503, {"retry-after": "30"})]

    async def main():
        await asyncio.gather(*(wait(f"i-{number}", 5 * (number > 0)) for number in range(50)), return_exceptions=True)

    run(main())
    assert max(vendor.times) - vendor.times[1] > 5


@pytest.mark.parametrize("limit", [6, 10, 50, 1200])
def test_the_limit_holds_right_after_a_pause(vendor, monkeypatch, limit):
    monkeypatch.setattr(LuccaHook, "requests_per_minute", limit)
    vendor.answers[path_of("i-0")] = [(429, {"retry-after": "60"})]

    async def main():
        waits = (wait(f"i-{number}", number > 0) for number in range(2 * limit))
        await asyncio.gather(*waits, return_exceptions=True)

    run(main())
    times = sorted(vendor.times)
    assert max(bisect_left(times, start + 60) - number for number, start in enumerate(times)) <= limit


@pytest.mark.parametrize("limit", [None, 600])
def test_a_pause_that_begins_in_a_pause_or_right_after_it_counts_too(vendor, monkeypatch, limit):
    monkeypatch.setattr(LuccaHook, "requests_per_minute", limit)
    # Two are under way when the first pause begins, and the one that asks first after it is told to wait again.
    vendor.seconds[path_of("i-1")] = 20
    vendor.answers[path_of("i-0")] = [(429, {"retry-after": "30"})]
    vendor.answers[path_of("i-1")] = [(503, {"retry-after": "60"})]

    async def main():
        waits = [wait("i-0", 5), wait("i-1", 5), *(wait(f"i-{number}", 10) for number in range(2, 20))]
        await asyncio.gather(*waits, return_exceptions=True)

    run(main())
    assert len(vendor.received) == 20
    assert min(sorted(vendor.times)[2:]) >= 85


def test_a_shorter_pause_does_not_shorten_a_longer_one(vendor):
    vendor.seconds[path_of("i-1")] = 5
    vendor.answers[path_of("i-0")] = [(429, {"retry-after": "60"})]
    vendor.answers[path_of("i-1")] = [(429, {"retry-after": "1"})]

    async def main():
        await asyncio.gather(wait("i-0", 5), wait("i-1", 5), wait("i-2", 15), return_exceptions=True)

    run(main())
    assert vendor.times[2] >= 66


def test_a_pause_is_at_most_an_hour_long(vendor):
    vendor.answers[path_of("i-0")] = [(429, {"retry-after": "86400"})]

    async def main():
        await asyncio.gather(wait("i-0", 5), wait("i-1", 15), return_exceptions=True)

    run(main())
    assert 3600 <= vendor.times[1] <= 3700


def test_a_pause_outlives_the_waits(vendor):
    vendor.answers[path_of("i-0")] = [(429, {"retry-after": "60"})]

    async def main():
        with pytest.raises(ImportPollError):
            await wait("i-0", 0)
        await wait("i-1", 0)

    run(main())
    assert vendor.times[1] >= 61


def test_a_code_of_a_limiter_under_http_200_is_a_pause_too(vendor, monkeypatch):
    monkeypatch.setattr(LuccaHook, "is_rate_limited", lambda self, response: response.body == b'"limited"')
    vendor.answers[path_of("i-0")] = ["limited"]

    async def main():
        await asyncio.gather(wait("i-0", 0), wait("i-1", 2), return_exceptions=True)

    run(main())
    # The second one would have been sent after two seconds.
    assert vendor.times[1] - vendor.times[0] >= INITIAL_FAILURE_GAP


def test_a_429_that_does_not_say_for_how_long_is_a_pause_too(vendor):
    vendor.answers[path_of("i-0")] = [(429, {})]

    async def main():
        await asyncio.gather(wait("i-0", 5), wait("i-1", 7), return_exceptions=True)

    run(main())
    assert vendor.times[1] >= 11


def test_an_answer_that_is_no_refusal_is_no_pause(vendor):
    vendor.answers[path_of("i-0")] = [(200, {"retry-after": "600"}, 57)]

    async def main():
        await asyncio.gather(wait("i-0", 5), wait("i-1", 7), return_exceptions=True)

    run(main())
    assert vendor.times[1] <= 8


def test_a_pause_that_rocket_chat_asks_for_in_its_own_words_counts(vendor):
    words = "Error, too many requests. Please slow down. You must wait 42 seconds before trying this endpoint again."
    vendor.answers["/api/v1/getImportProgress"] = [(429, {}, {"success": False, "error": words})]

    async def main():
        waits = (
            wait("", seconds, hook_class=RocketChatHook, import_=RocketChatImport(importer_key=key))
            for seconds, key in ((0, "csv"), (20, "slack"))
        )
        await asyncio.gather(*waits, return_exceptions=True)

    run(main())
    assert vendor.times[1] >= 42


# The deadline, which is the wall clock's


@pytest.fixture
def wall_clock(monkeypatch):
    """A clock that goes with the event loop's, until it is set."""
    clock = SimpleNamespace(set_by=0.0)
    clock.time = lambda: asyncio.get_running_loop().time() + clock.set_by
    monkeypatch.setattr(clock_module.current, "time", clock.time)
    return clock


async def event_of(clock, summary_id="i-1", part="error", **arguments):
    now = clock.time()
    values = {
        "import_class": "airflow_import_progress.hooks.lucca.LuccaLeaveImport",
        "import_fields": {"summary_id": summary_id},
        "hook_class": "airflow_import_progress.hooks.lucca.LuccaHook",
        "conn_id": "c",
        "started_at": now,
        "polled_at": now,
        "next_poll_at": now + 5,
        "deadline": now + 600,
        "poke_interval": 60,
    }
    trigger = ImportProgressTrigger(**trigger_arguments(**values | arguments))
    async for event in trigger.run():
        return event.payload[part], clock.time() - now


def test_a_clock_that_is_set_back_gives_a_wait_more_time_and_costs_it_no_failure(vendor, wall_clock):
    async def main():
        task = asyncio.create_task(event_of(wall_clock, max_consecutive_failures=1))
        await asyncio.sleep(200)
        wall_clock.set_by = -120
        return await task

    error, lasted = run(main())
    assert error == "AirflowSensorTimeout"
    assert 600 <= lasted <= 602


def test_a_clock_that_is_set_forward_ends_a_wait_that_queues(vendor, wall_clock):
    vendor.answers[path_of("other")] = [(429, {"retry-after": "3000"})]

    async def main():
        now = wall_clock.time()
        task = asyncio.create_task(event_of(wall_clock, deadline=now + 7200))
        other = asyncio.create_task(event_of(wall_clock, "other", deadline=now + 7200, next_poll_at=now + 70))
        await asyncio.sleep(90)
        wall_clock.set_by = 7200
        began = asyncio.get_running_loop().time()
        error, _ = await task
        other.cancel()
        return error, asyncio.get_running_loop().time() - began

    error, lasted = run(main())
    assert error == "AirflowSensorTimeout"
    # As long as the gap that had begun before, and the last poll's grace.
    assert lasted <= 60 + trigger_module.LAST_POLL_GRACE + 1


@pytest.mark.parametrize(("status", "is_advised"), [(429, True), (503, False)])
def test_a_poll_that_the_vendors_pause_holds_back_until_the_deadline_is_reported_so(
    vendor, wall_clock, status, is_advised
):
    vendor.answers[path_of("other")] = [(status, {"retry-after": "3000"})]

    async def main():
        other = asyncio.create_task(event_of(wall_clock, "other", deadline=wall_clock.time() + 7200))
        message, _ = await event_of(wall_clock, part="message", next_poll_at=wall_clock.time() + 10)
        other.cancel()
        return message

    message = run(main())
    assert "The poll was not sent by the deadline, because the vendor asks to wait." in message
    assert ("The vendor asks for fewer requests: raise the poke_interval" in message) == is_advised


def test_a_poll_that_waits_for_its_turn_until_the_deadline_is_reported_so(vendor, wall_clock, monkeypatch):
    monkeypatch.setattr(LuccaHook, "requests_per_minute", 1)

    async def main():
        others = [asyncio.create_task(event_of(wall_clock, f"other-{n}", deadline=10**10)) for n in range(3)]
        await asyncio.sleep(5)
        deadline = wall_clock.time() + 60
        message, _ = await event_of(wall_clock, part="message", next_poll_at=wall_clock.time(), deadline=deadline)
        for other in others:
            other.cancel()
        return message

    message = run(main())
    assert "The deadline was over before the poll's turn within the vendor's rate limit." in message
    assert "The vendor asks for fewer requests: raise the poke_interval" in message


def test_a_log_in_is_shared_until_a_wait_has_kept_it(vendor):
    async def main():
        hook = RocketChatHook("c")
        poller = Poller(hook, RateLimit(None))
        connection = VendorConnection(conn_id="c", base_url="https://vendor.example", password="k")
        request = Request(method="POST", path="/api/v1/login", shared=True)
        later, sent = [], []

        def log_in():
            return poller.send(send, connection, request, authenticated_key(connection, request), None, 0.0)

        async def send(_):
            sent.append(request)
            later.append(asyncio.create_task(log_in()))
            return Response(status=200, headers={}, body=b"{}", request_line="POST /api/v1/login")

        await log_in()
        await later[0]
        return len(sent)

    assert run(main()) == 1


def test_waits_that_a_restarted_triggerer_takes_over_do_not_poll_all_at_once(vendor, wall_clock):
    async def main():
        overdue = wall_clock.time() - 3600
        waits = [asyncio.create_task(event_of(wall_clock, f"i-{n}", next_poll_at=overdue)) for n in range(600)]
        await asyncio.sleep(61)
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    run(main())
    first_polls = dict(reversed([(path, at) for at, path in vendor.received]))
    assert len(first_polls) == 600
    in_a_second = Counter(int(at) for at in first_polls.values())
    assert max(in_a_second.values()) < 40


def test_waits_on_the_same_import_that_a_restarted_triggerer_takes_over_cause_the_requests_of_one(vendor, wall_clock):
    async def main():
        overdue = wall_clock.time() - 3600
        waits = [asyncio.create_task(event_of(wall_clock, next_poll_at=overdue)) for _ in range(200)]
        await asyncio.sleep(61)
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    run(main())
    assert len(vendor.received) <= 5


def test_a_wait_that_queues_past_its_deadline_ends(vendor, wall_clock):
    vendor.answers[path_of("other")] = [(429, {"retry-after": "3000"})]

    async def main():
        other = asyncio.create_task(event_of(wall_clock, "other", deadline=wall_clock.time() + 7200))
        outcome = await event_of(wall_clock, next_poll_at=wall_clock.time() + 10)
        other.cancel()
        return outcome

    error, lasted = run(main())
    assert error == "AirflowSensorTimeout"
    assert 600 <= lasted <= 600 + trigger_module.LAST_POLL_GRACE + 1
