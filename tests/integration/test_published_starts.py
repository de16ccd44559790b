# SPDX-License-Identifier: Apache-2.0
"""What the task of an operator publishes of its start, in each mode: the truth, and nothing that disturbs the start."""

from __future__ import annotations

import json
import zipfile
from functools import partial

import pytest

from airflow_import_progress.exceptions import (
    ImportFailedError,
    ImportFileError,
    ImportPollError,
    ImportRequestError,
    ImportStartRefusedError,
    ImportStartUnknownError,
)
from airflow_import_progress.hooks import rocketchat_login
from airflow_import_progress.hooks.lucca import LuccaHook, LuccaLeaveImport
from airflow_import_progress.hooks.zilliz import ZillizHook
from airflow_import_progress.operators.lucca import LuccaLeaveImportOperator
from airflow_import_progress.operators.rocketchat import (
    RocketChatFileImportOperator,
    RocketChatPendingFilesImportOperator,
    RocketChatUserImportOperator,
)
from airflow_import_progress.operators.zilliz import ZillizImportOperator
from airflow_import_progress.sandbox import Sandbox
from airflow_import_progress.starting.prepared import ImportNotFoundError
from airflow_import_progress.starting.store import RecordChangedError, StartStore
from airflow_import_progress.waiting import publishing
from airflow_import_progress.waiting.published import PublishedProgress
from tests.support.operators import UNREACHABLE, Killed, die
from tests.support.sandbox_client import API_KEY

FAULT = {"vendor": "lucca", "path_contains": "leavePeriods", "processed": True, "times": 1}


class Page:
    """The XCom that the page shows, in memory."""

    def __init__(self):
        self.written = []
        self.error = None

    def push(self, ti, key, value):
        assert key == "import_progress"
        if self.error is not None:
            raise self.error
        self.written.append(PublishedProgress.from_dict(json.loads(json.dumps(value))))

    async def apush(self, ti, key, value):
        self.push(ti, key, value)

    async def apull(self, ti, key):
        return self.written[-1].to_dict() if self.written else None

    def begin_try(self):
        """Remove the XCom, as Airflow does when a try begins."""
        self.written.clear()

    @property
    def shown(self):
        """What is shown at last."""
        return self.written[-1]

    @property
    def state(self):
        return self.shown.start.state

    @property
    def states(self):
        """The states of the start that were shown one after the other."""
        states = [value.start.state.value for value in self.written]
        return [state for before, state in zip([None, *states], states, strict=False) if state != before]


@pytest.fixture
def page(monkeypatch):
    page = Page()
    monkeypatch.setattr(publishing, "publishes_progress", lambda: True)
    monkeypatch.setattr(publishing, "push_xcom", page.push)
    monkeypatch.setattr(publishing, "apush_xcom", page.apush)
    monkeypatch.setattr(publishing, "apull_xcom", page.apull)
    return page


@pytest.fixture(scope="module")
def running_sandbox():
    """A sandbox in which an import takes a few polls."""
    with Sandbox(lucca_api_key=API_KEY, import_duration=0.05) as sandbox:
        yield sandbox


@pytest.fixture
def make_task(operator_task):
    """Return a function that creates the task of an operator whose triggerer publishes, too."""

    def make_task(operator_class, **arguments):
        task = operator_task(operator_class, **arguments)
        task.is_published = True
        return task

    return make_task


@pytest.fixture
def task(make_task, sandbox, leaves):
    """Return a function that creates a task that imports the file of leaves."""
    return partial(make_task, LuccaLeaveImportOperator, file=leaves)


@pytest.fixture
def run(page):
    """Return a function that runs a try, and returns its error or None."""

    def run(task, error=None):
        page.begin_try()
        if error is None:
            task.run()
            return None
        with pytest.raises(error) as raised:
            task.run()
        return str(raised.value)

    return run


def content(leaves):
    return f"the file '{leaves}'"


# A start that was answered


def test_a_start_is_shown_before_it_is_sent_and_once_it_is_answered(page, run, task, leaves, clock):
    began_at = clock.now
    run(task())
    starting, started = page.written[:2]
    assert (starting.start.state, starting.start.sent_at, starting.start.content) == (
        "starting",
        began_at,
        content(leaves),
    )
    assert (starting.import_id, starting.deadline, starting.polled_at) == (None, None, None)
    assert (started.start.state, started.import_id, started.progress) == ("started", page.shown.import_id, None)
    assert (started.vendor, started.conn_id, started.label) == ("Lucca", "lucca_default", "Lucca leave import")


def test_the_progress_of_the_wait_keeps_the_start(page, run, task, sandbox, leaves, clock):
    sandbox.script_next_import("lucca", "leave", {"answers": [10, 100]})
    began_at = clock.now
    run(task())
    polled = [value for value in page.written if value.progress is not None]
    assert [value.progress["percent"] for value in polled] == [10, 100]
    assert {(value.start.state, value.start.sent_at, value.start.content) for value in polled} == {
        ("started", began_at, content(leaves))
    }


def test_an_import_that_is_not_waited_for_is_shown_as_such(page, run, task, sandbox):
    run(task(wait_for_completion=False))
    assert page.states == ["starting", "not_awaited"]
    assert page.shown.import_id == sandbox.imports()[0]["import_id"]


def test_a_later_try_that_waits_shows_the_start_of_the_earlier_one(page, run, task, leaves, monkeypatch, clock):
    began_at, task = clock.now, task()
    with monkeypatch.context() as patch:
        patch.setattr(LuccaHook, "get_progress", die)
        with pytest.raises(Killed):
            task.run()
    clock.now += 600
    leaves.unlink()
    run(task)
    assert page.states == ["started"]
    first = page.written[0]
    assert (first.try_number, first.start.sent_at, first.start.content) == (2, began_at, content(leaves))
    assert (first.progress, first.import_id) == (None, page.shown.import_id)


def test_a_record_without_the_content_is_continued(page, run, task, monkeypatch):
    task = task()
    with monkeypatch.context() as patch:
        patch.setattr(LuccaHook, "get_progress", die)
        with pytest.raises(Killed):
            task.run()
    load = StartStore.load

    def load_old(store):
        record = load(store)
        values = {name: value for name, value in record.to_dict().items() if name != "content"}
        return type(record).from_dict(values)

    monkeypatch.setattr(StartStore, "load", load_old)
    run(task)
    assert (page.shown.start.state, page.shown.start.content) == ("started", None)


def test_an_import_that_was_found_is_shown_as_started(page, run, task, monkeypatch, sandbox):
    task = task()
    with monkeypatch.context() as patch:
        patch.setattr(LuccaHook, "start_leave_import", die)
        with pytest.raises(Killed):
            task.run()
    found = LuccaLeaveImport(sandbox.create_import("lucca", "leave"))
    monkeypatch.setattr(LuccaLeaveImportOperator, "find_import", lambda *_: found)
    run(task)
    assert page.states == ["starting", "started"]
    assert page.shown.import_id == found.import_id


def test_an_import_that_fails_at_its_start_is_shown_as_failed_with_its_error(page, run, task, monkeypatch):
    def fail(*args, **kwargs):
        raise ImportFailedError("Lucca began with an error")

    monkeypatch.setattr(LuccaHook, "start_leave_import", fail)
    task = task()
    run(task, ImportFailedError)
    assert (page.state, page.shown.error) == ("failed", "Lucca began with an error")
    # The next try reports it again.
    run(task, ImportFailedError)
    assert page.state == "failed"
    assert page.shown.start.content is not None
    assert "an earlier try of this task reported" in page.shown.error


# A start of which it is unknown whether it was made


def test_a_worker_that_dies_during_the_request_leaves_a_trace(page, task, leaves, monkeypatch):
    monkeypatch.setattr(LuccaHook, "start_leave_import", die)
    task = task()
    with pytest.raises(Killed):
        task.run()
    assert (page.state, page.shown.start.content) == ("starting", content(leaves))
    assert task.record["sent_at"] == page.shown.start.sent_at


def test_an_unknown_start_is_shown_with_what_to_do(page, run, task, sandbox, leaves, clock):
    sandbox.add_fault({"reset": True}, **FAULT)
    began_at, task = clock.now, task()
    message = run(task, ImportStartUnknownError)
    assert page.states == ["starting", "unknown"]
    assert message.endswith(page.shown.error)
    assert "clear this task" in page.shown.error
    clock.now += 600
    run(task, ImportStartUnknownError)
    assert (page.states, page.shown.start.sent_at, page.shown.start.content) == (
        ["unknown"],
        began_at,
        content(leaves),
    )


def test_a_start_that_could_not_be_searched_for_is_shown_as_unknown(page, run, task, sandbox, monkeypatch):
    def find_import(*args):
        raise ImportPollError("HTTP 503", transient=True)

    monkeypatch.setattr(LuccaLeaveImportOperator, "find_import", find_import)
    sandbox.add_fault({"reset": True}, **FAULT)
    task = task()
    for states in (["starting", "unknown"], ["starting", "unknown"]):
        run(task, ImportPollError)
        assert page.states == states
        assert "HTTP 503 It is unknown whether" in page.shown.error
        assert "import history of Absences" in page.shown.error


def test_a_defect_of_a_vendors_package_during_the_start_is_shown_as_unknown(page, run, task, monkeypatch):
    def fail(*args, **kwargs):
        raise TypeError("https://user:secret@host")

    monkeypatch.setattr(LuccaHook, "start_leave_import", fail)
    run(task(), TypeError)
    assert page.state == "unknown"
    assert page.shown.error.startswith("TypeError: the log of this task has the details. An import may have been")


def test_a_record_that_cannot_be_read_is_shown_as_unknown(page, run, task, monkeypatch):
    monkeypatch.setattr(StartStore, "load", unreadable)
    run(task(), RuntimeError)
    assert (page.state, page.shown.error) == ("unknown", "It cannot be read. Check at the vendor.")


def unreadable(store):
    raise RuntimeError("It cannot be read. Check at the vendor.")


@pytest.mark.parametrize("record", ["unknown", "starting"])
def test_a_file_that_is_gone_does_not_hide_that_an_earlier_import_may_have_been_started(
    page, run, task, leaves, monkeypatch, clock, record
):
    def not_found(*args):
        raise ImportNotFoundError

    began_at, task = clock.now, task()
    with monkeypatch.context() as patch:
        patch.setattr(LuccaHook, "start_leave_import", die)
        with pytest.raises(Killed):
            task.run()
    if record == "unknown":
        run(task, ImportStartUnknownError)
        task.clear()
    else:
        monkeypatch.setattr(LuccaLeaveImportOperator, "find_import", not_found)
    clock.now += 600
    leaves.unlink()
    run(task, ImportFileError)
    assert (page.state, page.shown.start.sent_at, page.shown.start.content) == ("unknown", began_at, content(leaves))
    assert "does not exist" in page.shown.error
    assert "An import may have been started at 2027-01-15 08:00:00 UTC. Check the import history" in page.shown.error


# A start that was certainly not made


def test_a_missing_file_is_shown(page, run, task, leaves):
    leaves.unlink()
    message = run(task(), ImportFileError)
    assert (page.states, page.shown.start.sent_at, page.shown.error) == (["not_started"], None, message)


def test_a_refusal_is_shown_with_the_vendors_words(page, run, task, leaves, connect):
    connect(password="wrong")
    message = run(task(), ImportStartRefusedError)
    assert (page.states, page.shown.start.content) == (["starting", "not_started"], content(leaves))
    assert message.endswith(page.shown.error)
    assert "No import was started" in page.shown.error


def test_a_connection_that_stays_refused_is_shown_once_the_try_gives_up(page, run, task, connect):
    connect(**UNREACHABLE)
    run(task(max_consecutive_failures=3), ImportPollError)
    assert page.states == ["starting", "not_started"]
    assert "the connection was refused" in page.shown.error


def test_a_record_that_cannot_be_stored_is_shown(page, run, task, monkeypatch):
    def save(store, record):
        raise OSError("Airflow's API did not answer")

    monkeypatch.setattr(StartStore, "save", save)
    run(task(), RuntimeError)
    assert page.states == ["not_started"]
    assert "no import was started, because the record of the start" in page.shown.error


def test_the_text_of_an_unexpected_error_is_not_shown(page, run, task, monkeypatch):
    def fail(*args):
        raise LookupError("secret")

    monkeypatch.setattr(LuccaLeaveImportOperator, "prepare", fail)
    run(task(), LookupError)
    assert (page.state, page.shown.error) == ("not_started", "LookupError: the log of this task has the details.")


def test_a_wrong_argument_is_shown_without_the_secrets_of_an_address(page, run, task, monkeypatch):
    def fail(*args):
        raise ValueError("file_url is 'https://user:secret@host/1.zip?signature=secret'")

    monkeypatch.setattr(LuccaLeaveImportOperator, "prepare", fail)
    run(task(), ValueError)
    assert (page.state, page.shown.error) == ("not_started", "file_url is 'https://host/1.zip'")


# Publishing is for display only


@pytest.mark.parametrize("where", ["an older Airflow", "Airflow does not answer", "the link is broken"])
def test_a_start_that_cannot_be_published_is_made_all_the_same(page, run, task, sandbox, monkeypatch, where):
    if where == "an older Airflow":
        monkeypatch.setattr(publishing, "publishes_progress", lambda: False)
    elif where == "Airflow does not answer":
        page.error = OSError("no database")
    else:
        monkeypatch.setattr(LuccaHook, "import_url", die_of_a_defect)
    task = task()
    run(task)
    assert (len(sandbox.imports()), task.record["state"]) == (1, "ended")
    assert page.states == (["starting", "started"] if where == "the link is broken" else [])


def die_of_a_defect(*args):
    raise TypeError("a defect")


def test_a_failed_write_is_logged_once(page, run, task, sandbox, times_logged):
    page.error = OSError("no database")
    sandbox.add_fault({"reset": True}, **FAULT)
    run(task(), ImportStartUnknownError)
    assert times_logged("The start could not be published (OSError: no database)") == 1


def test_the_start_is_shown_after_the_record_is_stored_and_before_it_is_checked_for_the_last_time(
    page, run, task, monkeypatch
):
    events, save, still, push = [], StartStore.save, StartStore.still, page.push
    monkeypatch.setattr(StartStore, "save", lambda *args: (events.append("save"), save(*args))[1])
    monkeypatch.setattr(StartStore, "still", lambda *args: (events.append("check"), still(*args))[1])
    monkeypatch.setattr(publishing, "push_xcom", lambda *args: (events.append("publish"), push(*args))[1])
    monkeypatch.setattr(LuccaHook, "start_leave_import", lambda *args, **kwargs: (events.append("send"), die())[1])
    with pytest.raises(Killed):
        task().run()
    assert events == ["save", "publish", "check", "send"]


def test_a_lost_try_does_not_hide_the_start_of_a_later_one(page, task, monkeypatch):
    task, start, later = task(), LuccaHook.start_leave_import, []

    def start_slowly(*args, **kwargs):
        if not later:
            later.append("begun")
            task.clock.now += 600
            with pytest.raises(ImportStartUnknownError):
                task.run()
            task.clear()
            task.run()
            later.append(page.shown)
        return start(*args, **kwargs)

    monkeypatch.setattr(LuccaHook, "start_leave_import", start_slowly)
    with pytest.raises(ImportStartUnknownError, match="may be imported twice"):
        task.run()
    assert page.shown is later[1]


# Other vendors


@pytest.fixture
def rocketchat(running_sandbox, connect_to, monkeypatch):
    monkeypatch.setattr(rocketchat_login, "_log_ins", {})
    connect_to("rocketchat")
    yield running_sandbox
    running_sandbox.reset()


@pytest.fixture
def archive(tmp_path):
    archive = tmp_path / "people.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("users.csv", "jdoe,jdoe@x.example,John Doe\n")
    return archive


def test_the_steps_of_an_import_keep_its_start(page, run, make_task, rocketchat, archive):
    task = make_task(RocketChatFileImportOperator, file=archive, importer_key="csv")
    run(task)
    assert page.states == ["starting", "started"]
    assert {value.start.content for value in page.written} == {f"the file '{archive}'"}
    assert page.shown.progress["state"] == "succeeded"


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ImportStartUnknownError("The answer was lost. Look at the import."), "unknown"),
        (ImportFailedError("No user was selected."), "failed"),
        (ImportRequestError("Rocket.Chat refused the step."), "started"),
    ],
    ids=["unknown", "failed", "refused"],
)
def test_the_error_of_a_step_replaces_the_advice_to_take_it(
    page, run, make_task, rocketchat, archive, monkeypatch, error, state
):
    def fail(*_):
        raise error

    monkeypatch.setattr(RocketChatFileImportOperator, "continue_import", fail)
    run(make_task(RocketChatFileImportOperator, file=archive, importer_key="csv"), type(error))
    assert (page.state, page.shown.error, page.shown.progress) == (state, str(error), None)
    assert page.shown.import_id is not None


def test_a_try_that_another_one_has_replaced_during_a_step_shows_nothing_more(
    page, run, make_task, rocketchat, archive, monkeypatch
):
    def fail(*_):
        raise RecordChangedError("A later try has begun.")

    monkeypatch.setattr(RocketChatFileImportOperator, "continue_import", fail)
    run(make_task(RocketChatFileImportOperator, file=archive, importer_key="csv"), RecordChangedError)
    assert page.state == "started"
    assert page.shown.progress["state"] == "action_required"


@pytest.mark.parametrize(
    ("operator_class", "arguments", "shown"),
    [
        (
            RocketChatFileImportOperator,
            {"file_url": "https://user:secret@files.example/export.zip?signature=secret", "importer_key": "csv"},
            "the file at https://files.example/export.zip",
        ),
        (
            RocketChatUserImportOperator,
            {"users": [{"importIds": ["1"], "emails": ["secret@example.com"]}]},
            "1 users",
        ),
        (RocketChatPendingFilesImportOperator, {"kind": "avatars"}, "the pending avatars"),
    ],
)
def test_the_content_names_what_is_imported_and_no_secret(
    page, make_task, rocketchat, monkeypatch, operator_class, arguments, shown
):
    monkeypatch.setattr(operator_class, "_begin", die)
    task = make_task(operator_class, **arguments)
    with pytest.raises(Killed):
        task.run()
    assert page.shown.start.content == shown
    assert "secret" not in f"{page.shown} {task.record}"


def test_the_content_of_a_job_names_its_files_and_no_secret(page, make_task, running_sandbox, connect_to, monkeypatch):
    connect_to("zilliz", extra=json.dumps({"cluster_id": "in01-sandbox", "api_version": "v2"}))
    files = ["https://user:secret@bucket.example/1.parquet?signature=secret", "s3://bucket/2.parquet"]
    monkeypatch.setattr(ZillizHook, "start_import_job", die)
    task = make_task(ZillizImportOperator, collection_name="articles", object_urls=files)
    with pytest.raises(Killed):
        task.run()
    assert page.shown.start.content == "the file 'https://bucket.example/1.parquet' and 1 more"
    assert "secret" not in f"{page.written} {task.record}"
