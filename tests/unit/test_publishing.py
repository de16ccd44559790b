# SPDX-License-Identifier: Apache-2.0
"""When a wait publishes what it knows, and that nothing which becomes of it disturbs the wait."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace

import pytest

from airflow_import_progress.exceptions import ImportPollError
from airflow_import_progress.hooks.lucca import LuccaLeaveImport
from airflow_import_progress.progress import ImportProgress, ImportState
from airflow_import_progress.waiting import publishing
from airflow_import_progress.waiting.published import PublishedStart, PublishedStartState
from airflow_import_progress.waiting.publishing import (
    MAX_WRITE_GAP,
    MIN_WRITE_GAP,
    PAUSE_PER_WRITE,
    TriggerPublisher,
    WorkerPublisher,
)
from airflow_import_progress.waiting.rules import WaitRules
from airflow_import_progress.waiting.state import WaitState
from airflow_import_progress.waiting.wait import Wait

START = 1_800_000_000.0
STARTED = PublishedStart(state=PublishedStartState.STARTED, sent_at=START - 90, content="the file 'a.csv'")
TI = SimpleNamespace(dag_id="d", task_id="wait", run_id="r", map_index=-1, try_number=1)


class Airflow:
    """As much of Airflow as stores XComs, on a clock of its own."""

    def __init__(self):
        self.now = START
        self.written = []
        self.stored = None
        self.seconds_per_write = 0.0
        self.writing = self.most_writing = 0
        self.begins_to_write = asyncio.Event()
        self.error = None

    def push(self, ti, key, value):
        assert (ti, key) == (TI, "import_progress")
        if self.error:
            raise self.error
        self.written.append(value)

    async def apush(self, ti, key, value):
        self.writing += 1
        self.most_writing = max(self.writing, self.most_writing)
        self.begins_to_write.set()
        await self.asleep(self.seconds_per_write)
        self.writing -= 1
        self.push(ti, key, value)

    async def apull(self, ti, key):
        return self.stored

    async def asleep(self, seconds):
        """Let the clock go on once nothing else wants to happen before."""
        until = self.now + seconds
        for _ in range(10):
            await asyncio.sleep(0)
        self.now = max(self.now, until)

    @property
    def percents(self):
        return [value["progress"]["percent"] for value in self.written]


@pytest.fixture
def airflow(monkeypatch):
    airflow = Airflow()
    monkeypatch.setattr(publishing, "time", SimpleNamespace(monotonic=lambda: airflow.now))
    monkeypatch.setattr(publishing, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": airflow.asleep}))
    monkeypatch.setattr(publishing, "publishes_progress", lambda: True)
    monkeypatch.setattr(publishing, "push_xcom", airflow.push)
    monkeypatch.setattr(publishing, "apush_xcom", airflow.apush)
    monkeypatch.setattr(publishing, "apull_xcom", airflow.apull)
    return airflow


@pytest.fixture
def wait(airflow):
    return Wait(
        import_=LuccaLeaveImport("3c90"),
        conn_id="lucca_default",
        rules=WaitRules(poke_interval=60),
        state=WaitState(started_at=START, deadline=START + 3600),
        log=logging.getLogger(__name__),
        clock=lambda: airflow.now,
    )


def progress(percent):
    return ImportProgress(import_id="3c90", state=ImportState.RUNNING, percent=percent)


async def all_is_written():
    while others := [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]:
        await asyncio.wait(others)


def on_a_worker(wait, ti=TI):
    publisher = WorkerPublisher(wait, ti, "Lucca")

    def hear(percent):
        wait.on_progress(progress(percent))
        publisher.publish()

    return publisher, hear


def test_the_first_progress_is_written_at_once(airflow, wait):
    _, hear = on_a_worker(wait)
    hear(10)
    (value,) = airflow.written
    assert (value["vendor"], value["import_id"], value["try_number"]) == ("Lucca", "3c90", 1)
    assert (value["progress"]["percent"], value["polled_at"], value["error"]) == (10.0, START, None)


def test_what_has_not_changed_is_not_written_again(airflow, wait):
    _, hear = on_a_worker(wait)
    for _ in range(5):
        hear(10)
        airflow.now += MAX_WRITE_GAP / 5
    assert airflow.percents == [10.0]


def test_what_has_not_changed_for_long_is_written_again_with_the_time_of_the_last_poll(airflow, wait):
    _, hear = on_a_worker(wait)
    hear(10)
    airflow.now += MAX_WRITE_GAP
    hear(10)
    assert [value["polled_at"] for value in airflow.written] == [START, START + MAX_WRITE_GAP]


def test_fast_changes_are_not_all_written(airflow, wait):
    _, hear = on_a_worker(wait)
    for percent in range(12):
        hear(percent)
        airflow.now += 1
    assert airflow.percents == [0, MIN_WRITE_GAP, 2 * MIN_WRITE_GAP]


def test_a_poll_that_did_not_get_through_is_written_and_the_last_progress_kept(airflow, wait):
    publisher, hear = on_a_worker(wait)
    hear(10)
    airflow.now += 60
    wait.on_error(ImportPollError(f"{wait.subject}: HTTP 503", transient=True))
    publisher.publish()
    value = airflow.written[-1]
    assert (value["error"], value["failures"], value["polled_at"]) == ("HTTP 503", 1, START + 60)
    assert (value["progress"]["percent"], value["progress_at"]) == (10.0, START)


def test_the_end_is_written_however_short_ago_the_last_write_was(airflow, wait):
    publisher, hear = on_a_worker(wait)
    hear(10)
    wait.end(ImportPollError(f"{wait.subject}: gave up", transient=True))
    publisher.publish()
    assert airflow.written[-1]["error"] == "gave up"


def test_the_pace_and_the_estimated_end_are_written(airflow, wait):
    _, hear = on_a_worker(wait)
    for percent in (10, 20, 30, 40):
        hear(percent)
        airflow.now += 60
    value = airflow.written[-1]
    assert value["percent_per_minute"] == pytest.approx(10)
    assert value["ends_at"] == pytest.approx(START + 540, abs=60)
    assert value["history"] == [[START, 10], [START + 60, 20], [START + 120, 30], [START + 180, 40]]


def test_a_wait_that_is_over_has_no_estimated_end(airflow, wait):
    publisher, hear = on_a_worker(wait)
    for percent in (10, 20, 30, 40):
        hear(percent)
        airflow.now += 60
    wait.end()
    publisher.publish()
    assert airflow.written[-1]["ends_at"] is None


def test_a_write_that_fails_is_logged_once_and_does_not_disturb(airflow, wait, caplog):
    caplog.set_level(logging.INFO)
    _, hear = on_a_worker(wait)
    airflow.error = OSError("no database")
    for percent in (10, 20, 30):
        hear(percent)
        airflow.now += 60
    assert caplog.text.count("could not be published (OSError: no database)") == 1


@pytest.mark.parametrize("where", ["an older Airflow", "outside a task"])
def test_nothing_is_written_outside_a_task_or_on_an_older_airflow(airflow, wait, monkeypatch, where):
    monkeypatch.setattr(publishing, "publishes_progress", lambda: where != "an older Airflow")
    _, hear = on_a_worker(wait, None if where == "outside a task" else TI)
    hear(10)
    assert airflow.written == []


async def test_a_trigger_writes_beside_the_wait(airflow, wait):
    publisher = TriggerPublisher(wait, TI, "Lucca")
    wait.on_progress(progress(10))
    publisher.publish()
    assert airflow.written == []
    await all_is_written()
    assert airflow.percents == [10.0]


async def test_a_change_soon_after_a_write_is_written_later(airflow, wait):
    publisher = TriggerPublisher(wait, TI, "Lucca")
    for percent in (10, 20):
        wait.on_progress(progress(percent))
        publisher.publish()
        await all_is_written()
    assert airflow.percents == [10.0, 20.0]
    assert airflow.now >= START + MIN_WRITE_GAP


async def test_a_change_during_a_write_is_written_after_it(airflow, wait):
    airflow.seconds_per_write = 1.0
    publisher = TriggerPublisher(wait, TI, "Lucca")
    wait.on_progress(progress(10))
    publisher.publish()
    await airflow.begins_to_write.wait()
    wait.on_progress(progress(20))
    publisher.publish()
    await all_is_written()
    assert airflow.percents == [10.0, 20.0]


async def test_waits_write_one_after_the_other_and_leave_room_for_others(airflow, wait):
    airflow.seconds_per_write = 1.0
    wait.on_progress(progress(10))
    for _ in range(3):
        TriggerPublisher(wait, TI, "Lucca").publish()
    await all_is_written()
    assert len(airflow.written) == 3
    assert airflow.most_writing == 1
    assert airflow.now >= START + 3 * (1 + PAUSE_PER_WRITE)


async def test_the_end_of_a_trigger_waits_for_no_turn(airflow, wait):
    publisher = TriggerPublisher(wait, TI, "Lucca")
    wait.on_progress(progress(10))
    async with publishing._write_locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        wait.end()
        await publisher.end()
    assert airflow.percents == [10.0]


async def test_the_end_of_a_trigger_is_not_held_back_by_a_write_that_hangs(airflow, wait, monkeypatch):
    monkeypatch.setattr(publishing, "LAST_WRITE_TIMEOUT", 0.01)
    hangs = asyncio.Event()

    async def apush(*_):
        await hangs.wait()

    monkeypatch.setattr(publishing, "apush_xcom", apush)
    publisher = TriggerPublisher(wait, TI, "Lucca")
    wait.end()
    await publisher.end()
    hangs.set()
    await all_is_written()


async def test_a_wait_that_was_cancelled_writes_no_more(airflow, wait):
    publisher = TriggerPublisher(wait, TI, "Lucca")
    wait.on_progress(progress(10))
    publisher.publish()
    wait.end()
    await all_is_written()
    assert airflow.written == []


async def test_a_write_under_way_outlives_the_wait(airflow, wait):
    airflow.seconds_per_write = 1.0

    async def run():
        publisher = TriggerPublisher(wait, TI, "Lucca")
        wait.on_progress(progress(10))
        publisher.publish()
        await asyncio.Event().wait()

    waiting = asyncio.create_task(run())
    await airflow.begins_to_write.wait()
    waiting.cancel()
    await all_is_written()
    assert airflow.percents == [10.0]


@pytest.mark.parametrize(
    ("before", "seen"),
    [
        ({}, [5.0, 10.0]),
        ({"try_number": 2}, [10.0]),
        ({"import_id": "another"}, [10.0]),
        ({"history": "broken"}, [10.0]),
    ],
)
async def test_a_trigger_goes_on_from_what_was_published_before_for_the_same_try_and_import(
    airflow, wait, before, seen
):
    published = WorkerPublisher(wait, TI, "Lucca").next_to_write()
    airflow.stored = published | {"history": [[START - 60, 5.0]], "start": STARTED.to_dict()} | before
    publisher = TriggerPublisher(wait, TI, "Lucca")
    wait.on_progress(progress(10))
    publisher.publish()
    await all_is_written()
    assert [percent for _, percent in airflow.written[0]["history"]] == seen
    assert airflow.written[0]["start"] == (STARTED.to_dict() if seen == [5.0, 10.0] else None)


async def test_a_trigger_that_could_not_read_what_was_published_does_not_replace_it(airflow, wait, monkeypatch):
    published = WorkerPublisher(wait, TI, "Lucca").next_to_write()
    airflow.stored = published | {"start": STARTED.to_dict()}
    answers = [OSError("no database"), airflow.stored]

    async def apull(ti, key):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(publishing, "apull_xcom", apull)
    publisher = TriggerPublisher(wait, TI, "Lucca")
    wait.on_progress(progress(10))
    publisher.publish()
    await all_is_written()
    assert [value["start"] for value in airflow.written] == [STARTED.to_dict()]
    assert airflow.now >= START + MIN_WRITE_GAP


async def test_the_last_write_keeps_the_start_while_it_is_still_being_read(airflow, wait, monkeypatch):
    published = WorkerPublisher(wait, TI, "Lucca").next_to_write()
    is_reading, answers = asyncio.Event(), asyncio.Event()

    async def apull(ti, key):
        is_reading.set()
        await answers.wait()
        return published | {"start": STARTED.to_dict()}

    monkeypatch.setattr(publishing, "apull_xcom", apull)
    publisher = TriggerPublisher(wait, TI, "Lucca")
    wait.on_progress(progress(10))
    publisher.publish()
    await is_reading.wait()
    wait.end()
    ending = asyncio.create_task(publisher.end())
    await asyncio.sleep(0)
    answers.set()
    await ending
    await all_is_written()
    assert {value["start"]["state"] for value in airflow.written} == {"started"}


class Hook:
    """As much of a hook as knows a vendor's page."""

    def __init__(self):
        self.times_read = 0

    def import_url(self, import_):
        self.times_read += 1
        return f"https://vendor.example/{import_.import_id}"

    async def aimport_url(self, import_):
        return self.import_url(import_)


def test_the_vendors_page_is_written_once_a_poll_got_through(airflow, wait):
    publisher, hear = on_a_worker(wait)
    publisher.hook = Hook()
    wait.on_error(ImportPollError("HTTP 503", transient=True))
    publisher.publish()
    for percent in (10, 20):
        airflow.now += 60
        hear(percent)
    page = "https://vendor.example/3c90"
    assert [value["import_url"] for value in airflow.written] == [None, page, page]
    assert publisher.hook.times_read == 1


@pytest.mark.parametrize("stores_link", [True, False])
async def test_a_trigger_stores_the_link_that_no_worker_has_stored(airflow, wait, monkeypatch, stores_link):
    stored = {}

    async def apush(ti, key, value):
        stored[key] = value

    monkeypatch.setattr(publishing, "apush_xcom", apush)
    publisher = TriggerPublisher(wait, TI, "Lucca", stores_link=stores_link)
    publisher.hook = Hook()
    wait.on_progress(progress(10))
    publisher.publish()
    await all_is_written()
    assert stored["import_progress"]["import_url"] == "https://vendor.example/3c90"
    assert stored.get("_link_ImportLink") == ("https://vendor.example/3c90" if stores_link else None)
