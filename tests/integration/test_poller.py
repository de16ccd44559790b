# SPDX-License-Identifier: Apache-2.0
"""
What waits on one connection share, on an event loop whose time passes only while everybody sleeps.

The vendor is a function here: who asks what, and when, is what these tests are about.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import time
from bisect import bisect_left
from collections import Counter
from itertools import pairwise

import pytest

from airflow_import_progress.exceptions import ImportPollError, ImportRequestError
from airflow_import_progress.exchange import Response
from airflow_import_progress.hooks.base import CONNECTION_LIFETIME
from airflow_import_progress.hooks.connection import VendorConnection
from airflow_import_progress.hooks.lucca import LuccaHook, LuccaLeaveImport
from airflow_import_progress.hooks.rocketchat import RocketChatHook, RocketChatImport
from airflow_import_progress.triggers import poller as poller_module
from airflow_import_progress.triggers.poller import Watch


class SkippingSelector(selectors.DefaultSelector):
    """Let the time that nobody uses pass at once."""

    loop = None

    def select(self, timeout=None):
        if timeout:
            self.loop.now += timeout
        return super().select(0)


class SkippingLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self.now = 1000.0
        selector = SkippingSelector()
        super().__init__(selector)
        selector.loop = self

    def time(self):
        # Never quite the same: what waits for a moment by rounded numbers would wait for ever.
        self.now += 1e-7
        return self.now


class Session:
    """A session that sends nothing."""

    opened = 0
    closed = 0

    def __init__(self):
        Session.opened += 1

    async def close(self):
        Session.closed += 1


class Vendor:
    """Answer each question after a second, and remember who asked what and when."""

    def __init__(self):
        self.asked = []
        self.answers = {}
        self.looked_up = 0

    async def asend(self, session, connection, request):
        loop = asyncio.get_running_loop()
        self.asked.append((loop.time() - 1000.0, request.path))
        await asyncio.sleep(1)
        scripted = self.answers.get(request.path)
        answer = scripted.pop(0) if scripted else 57
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, tuple):
            status, headers = answer
            return Response(status=status, headers=headers, body=b"{}", asked=f"GET {request.path}")
        return Response(status=200, headers={}, body=json.dumps(answer).encode(), asked=f"GET {request.path}")

    @property
    def times(self):
        return [at for at, _ in self.asked]

    @property
    def paths(self):
        return [path for _, path in self.asked]


@pytest.fixture
def vendor(monkeypatch):
    vendor = Vendor()
    Session.opened = Session.closed = 0

    async def new_session(connection):
        return Session()

    async def look_up(hook):
        vendor.looked_up += 1
        await asyncio.sleep(0.1)
        hook._connection = VendorConnection(
            conn_id=hook.conn_id, base_url="https://vendor.example", login="u", password=f"key-{vendor.looked_up}"
        )
        hook._looked_up_at = float("inf")

    monkeypatch.setattr(poller_module, "asend", vendor.asend)
    monkeypatch.setattr("airflow_import_progress.hooks.base.new_async_session", new_session)
    monkeypatch.setattr("airflow_import_progress.hooks.base.ImportProgressHook._alook_up", look_up)
    monkeypatch.setattr(LuccaHook, "requests_per_minute", None)
    return vendor


def run(main):
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        return runner.run(main)


def path_of(summary_id):
    return f"/timmi-absences/api/imports/v1.0/leavePeriods/{summary_id}/progress"


async def wait(summary_id, *sleeps, hook_class=LuccaHook, import_=None, conn_id="c"):
    """Poll after each of these sleeps, and return what was heard each time."""
    async with Watch(hook_class, conn_id, import_ or LuccaLeaveImport(summary_id)) as watch:
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
    assert len(vendor.asked) == 100


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
    assert (len(vendor.asked), Session.closed) == (1, 1)


def test_a_start_that_fails_leaves_nothing_behind(vendor, monkeypatch):
    async def failing(hook):
        raise ImportPollError("no database", transient=True)

    monkeypatch.setattr("airflow_import_progress.hooks.base.ImportProgressHook._alook_up", failing)

    async def main():
        with pytest.raises(ImportPollError):
            await wait("i-1", 5)

    run(main())
    assert (vendor.asked, Session.opened) == ([], 0)


def test_each_event_loop_has_its_own(vendor):
    for _ in range(2):
        run(wait("i-1", 5))
    assert (vendor.looked_up, Session.opened, Session.closed) == (2, 2, 2)


def test_each_connection_has_its_own(vendor):
    async def main():
        await asyncio.gather(*(wait("i-1", 5, conn_id=conn_id) for conn_id in ("a", "b", "a")))

    run(main())
    assert (vendor.looked_up, Session.opened, len(vendor.asked)) == (2, 2, 2)


def test_waits_that_are_due_at_about_the_same_time_wake_up_together(vendor):
    async def main():
        await asyncio.gather(*(wait(f"i-{number}", 5 + number / 1000) for number in range(1, 90)))

    run(main())
    assert {round(at, 3) for at in vendor.times} == {5.2}


# The same question


def test_waits_that_ask_the_same_at_the_same_time_share_one_request(vendor):
    async def main():
        return await asyncio.gather(*(wait("i-1", 5) for _ in range(20)))

    assert run(main()) == [[57]] * 20
    assert len(vendor.asked) == 1


def test_waits_on_the_same_import_cause_the_requests_of_one(vendor):
    async def main():
        # Each at its own pace: the fastest asks for all.
        return await asyncio.gather(*(wait("i-1", *[30 + number / 100] * 10) for number in range(200)))

    run(main())
    assert len(vendor.asked) <= 12


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
    assert len(vendor.asked) <= 7


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
    assert len(vendor.asked) == 2


def test_a_cancelled_wait_that_seemed_to_be_alone_does_not_harm_who_joined_it(vendor):
    async def main():
        tasks = [asyncio.create_task(wait("i-1", seconds)) for seconds in (5, 5.2, 5.4)]
        await asyncio.sleep(5.8)
        tasks[0].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    cancelled, *others = run(main())
    assert isinstance(cancelled, asyncio.CancelledError)
    assert others == [[57], [57]]
    assert len(vendor.asked) == 2


def test_who_joins_a_wait_that_seemed_to_be_alone_can_be_cancelled_alone(vendor):
    async def main():
        tasks = [asyncio.create_task(wait("i-1", seconds)) for seconds in (5, 5.2, 5.4)]
        await asyncio.sleep(5.8)
        tasks[1].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, cancelled, third = run(main())
    assert isinstance(cancelled, asyncio.CancelledError)
    assert (first, third) == ([57], [57])
    assert len(vendor.asked) == 1


def test_a_failure_is_shared_too(vendor):
    vendor.answers[path_of("i-1")] = [ImportPollError("gone", transient=True)]

    async def main():
        return await asyncio.gather(*(wait("i-1", 5) for _ in range(3)), return_exceptions=True)

    assert all(isinstance(error, ImportPollError) for error in run(main()))
    assert len(vendor.asked) == 1


def test_a_replaced_key_is_looked_up_once_for_all_waits(vendor):
    for number in range(20):
        vendor.answers[path_of(f"i-{number}")] = [10, (401, {}), 20]

    async def main():
        return await asyncio.gather(*(wait(f"i-{number}", 5, 30) for number in range(20)))

    assert run(main()) == [[10, 20]] * 20
    assert vendor.looked_up == 2


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
    assert len(vendor.asked) == 3 * limit
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
    assert sorted(vendor.times) == pytest.approx([0.2, 0.2, 6.5, 6.5, 12.8, 12.8], abs=0.01)


def test_the_connection_may_set_another_limit(vendor, monkeypatch):
    monkeypatch.setattr(LuccaHook, "requests_per_minute", 50)
    look_up = vendor_look_up(requests_per_minute=10)
    monkeypatch.setattr("airflow_import_progress.hooks.base.ImportProgressHook._alook_up", look_up)

    async def main():
        await asyncio.gather(*(wait(f"i-{number}", 0) for number in range(3)))

    run(main())
    assert vendor.times == pytest.approx([0.1, 6.4, 12.7], abs=0.01)


def test_another_limit_in_the_connection_counts_while_waits_go_on(vendor, monkeypatch):
    limits = iter([600, 6])

    async def look_up(hook):
        await vendor_look_up(requests_per_minute=next(limits))(hook)
        hook._looked_up_at = time.monotonic()

    monkeypatch.setattr("airflow_import_progress.hooks.base.ImportProgressHook._alook_up", look_up)

    async def main():
        async with Watch(LuccaHook, "c", LuccaLeaveImport("i-1")) as watch:
            for _ in range(3):
                await watch.get_progress()
            watch._poller.hook._looked_up_at -= CONNECTION_LIFETIME + 1
            for _ in range(3):
                await watch.get_progress()

    run(main())
    gaps = [later - earlier for earlier, later in pairwise(vendor.times)]
    assert gaps == pytest.approx([1, 1, 1, 10.5, 10.5], abs=0.05)


def vendor_look_up(**fields):
    async def look_up(hook):
        hook._connection = VendorConnection(conn_id="c", base_url="https://vendor.example", password="k", **fields)
        hook._looked_up_at = float("inf")

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
