# SPDX-License-Identifier: Apache-2.0
"""
All ways in which the tries of one task can end, against a vendor in memory: an import is never started twice by itself,
and what is published of its start is true.

Each try of an operator is run once for each combination of the points at which its worker may die and of the answers
that the vendor may give. The next tries begin in all worlds that were reached, after a retry and after a clear, until
no try leads to a new one. So this covers any number of tries.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import product
from types import SimpleNamespace
from typing import ClassVar

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_import_progress import clock as clock_module
from airflow_import_progress.compat import AirflowFailException, AirflowRescheduleException, AirflowSensorTimeout
from airflow_import_progress.exceptions import (
    ImportFailedError,
    ImportFileError,
    ImportPollError,
    ImportStartRefusedError,
    ImportStartUnknownError,
)
from airflow_import_progress.hooks.base import ImportProgressHook
from airflow_import_progress.imports import Import
from airflow_import_progress.operators import base as operators_base
from airflow_import_progress.operators.base import BaseImportOperator
from airflow_import_progress.progress import ImportProgress, ImportState
from airflow_import_progress.sensors.arguments import NOT_GIVEN
from airflow_import_progress.starting.prepared import ImportNotFoundError, PreparedStart
from airflow_import_progress.starting.record import NextStep, next_step
from airflow_import_progress.starting.store import StartStore
from airflow_import_progress.waiting import publishing
from airflow_import_progress.waiting.event import error_event, success_event
from tests.support.behaviors import MODES, OPERATOR_MODES
from tests.support.sensors import a_dag

NOW = 1_800_000_000.0
HOURS = 3600.0


#: What becomes of a request that starts an import.
ANSWERS = (
    "answers",
    "refuses",
    "loses it",
    "starts and loses it",
    "is out of reach",
    "starts a failure",
    "gets half a file",
    "the worker dies before",
    "the worker dies after",
)
#: The same for a request that is repeated because the vendor was out of reach.
FEWER_ANSWERS = ("answers", "is out of reach", "starts and loses it", "the worker dies after")


class Died(BaseException):
    """The end of a worker's process. Nothing catches it."""


class Choices:
    """Make choices, so that all combinations of them can be made one after another."""

    def __init__(self):
        self.plan: list[tuple[int, int]] = []
        self.made = 0
        self.log: list[str] = []

    def restart(self):
        self.made, self.log = 0, []

    def __call__(self, what, *options):
        if self.made == len(self.plan):
            self.plan.append((0, len(options)))
        option = options[self.plan[self.made][0]]
        self.made += 1
        self.log.append(f"{what}: {option}")
        return option

    def advance(self):
        """Turn to the next combination, and return whether there is one."""
        del self.plan[self.made :]
        while self.plan:
            taken, count = self.plan.pop()
            if taken + 1 < count:
                self.plan.append((taken + 1, count))
                return True
        return False

    def may_die(self, where):
        if self(where, "goes on", "dies") == "dies":
            raise Died


@dataclass(frozen=True)
class World:
    """All that outlives a try: at the vendor, in Airflow, and in the memory of whoever judges."""

    #: The states of the imports at the vendor.
    imports: tuple[str, ...] = ()
    record: str | None = None
    max_tries: int = 0
    #: How many imports may have been started by now.
    allowed: int = 1
    #: Whether Airflow retries the task by itself.
    is_retried: bool = True
    #: Whether a person may start another import, because the last one has ended or its fate was reported.
    is_settled: bool = False

    def forgotten(self):
        """Return the same world, without what makes no difference to the tries that follow."""
        record = json.loads(self.record) if self.record else None
        if record is None:
            first = len(self.imports)
        else:
            first = record["notes"]["imports before"]
            record["notes"] = {"imports before": 0}
            if record["import_fields"]:
                record["import_fields"]["number"] -= first
            # Only whether it has changed makes a difference.
            record["max_tries"] = 0 if record["max_tries"] == self.max_tries else -1
        return replace(
            self,
            imports=self.imports[first:],
            allowed=self.allowed - first,
            record=json.dumps(record, sort_keys=True) if record else None,
            max_tries=0,
        )


class FakeImport(Import):
    label = "fake import"

    def __init__(self, number):
        object.__setattr__(self, "number", number)

    @property
    def import_id(self):
        return str(self.number)

    def to_dict(self):
        return {"number": self.number}

    def poll(self, connection):
        raise AssertionError


class FakeHook(ImportProgressHook):
    conn_name_attr, default_conn_name, conn_type, hook_name = "fake_conn_id", "fake", "fake", "Fake"

    def __init__(self, fake_conn_id, run=None):
        super().__init__(fake_conn_id)
        self.run = run

    def send_authenticated(self, request, connection):
        raise AssertionError

    def probe(self, connection):
        raise AssertionError

    def import_url(self, import_):
        return None

    def get_progress(self, import_):
        return self.run.poll(import_)


class Store(StartStore):
    place = "in memory"

    def __init__(self, run):
        self.run = run

    def _load(self):
        record = self.run.record
        return None if record is None else json.loads(record)

    def _save(self, values, *, keep):
        self.run.choose.may_die("before the record is stored")
        self.run.record = json.dumps(values, sort_keys=True)
        self.run.choose.may_die(f"after the record is stored as {values['state']}")

    def remove(self):
        self.run.choose.may_die("before the record is removed")
        self.run.record = None
        self.run.choose.may_die("after the record is removed")


class Run:
    """One try in one world."""

    def __init__(self, world, choose, *, is_searchable):
        self.imports, self.record = list(world.imports), world.record
        self.choose, self.is_searchable = choose, is_searchable
        self.clock = SimpleNamespace(now=NOW)
        self.has_run = self.is_repeated = False
        #: What was published last, and whether that was ahead of the record.
        self.published, self.is_ahead = None, False

    def publish(self, value):
        state = value["start"]["state"]
        if state == "starting":
            if self.is_repeated:
                # So that what the first request has left is shown during the second one.
                raise OSError("Airflow's API did not answer")
            self.is_ahead |= state_of(self) != "starting"
        self.published = value

    def send(self):
        answer = self.choose("the vendor", *(FEWER_ANSWERS if self.is_repeated else ANSWERS))
        self.is_repeated = True
        if answer == "the worker dies before":
            raise Died
        if answer in ("answers", "starts and loses it", "starts a failure", "the worker dies after"):
            self.imports.append("failed" if answer == "starts a failure" else "running")
        if answer == "the worker dies after":
            raise Died
        if answer == "refuses":
            raise ImportStartRefusedError("HTTP 400")
        if answer in ("loses it", "starts and loses it"):
            raise ImportStartUnknownError("no answer")
        if answer == "is out of reach":
            raise ImportPollError("refused", transient=True, not_sent=True)
        if answer == "gets half a file":
            raise ImportFileError("the file changed")
        if answer == "starts a failure":
            raise ImportFailedError("it has failed already")
        return FakeImport(len(self.imports) - 1)

    def find(self, record):
        if not self.is_searchable:
            return None
        if self.choose("the search", "gets through", "does not") == "does not":
            # The search was not sent, which is nothing about the start.
            raise ImportPollError("refused", transient=True, not_sent=True)
        later = range(record.notes["imports before"], len(self.imports))
        if not later:
            raise ImportNotFoundError
        return FakeImport(later[-1]) if len(later) == 1 else None

    def poll(self, import_):
        if self.imports[import_.number] == "running":
            options = ["succeeds", "fails"] if self.has_run else ["succeeds", "fails", "runs", "runs for long"]
            fate = self.choose(f"import {import_.number}", *options, "the worker dies")
            if fate == "the worker dies":
                raise Died
            if fate.startswith("runs"):
                self.has_run = True
                if fate == "runs for long":
                    self.clock.now += 10 * HOURS
                return ImportProgress(import_id=import_.import_id, state=ImportState.RUNNING)
            self.imports[import_.number] = "succeeded" if fate == "succeeds" else "failed"
        return ImportProgress(import_id=import_.import_id, state=ImportState(self.imports[import_.number]))

    def event(self, import_):
        """Return the event of the trigger."""
        progress = self.poll(import_)
        if progress.state is ImportState.SUCCEEDED:
            return success_event(progress)
        if progress.state is ImportState.FAILED:
            return error_event(ImportFailedError("it failed"))
        return error_event(AirflowSensorTimeout("too long"))


class Silence:
    """A log that is not written, because writing it would take most of the time."""

    def debug(self, *_):
        pass

    info = warning = error = debug


class FakeOperator(BaseImportOperator):
    log = Silence()
    template_fields = ("fake_conn_id",)
    import_class, hook_class = FakeImport, FakeHook
    start_advice: ClassVar[str] = "Look at the vendor."
    current: Run

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.fake_conn_id, self.number = "fake", NOT_GIVEN

    def _complete(self):
        self._is_complete = True

    def get_import(self):
        return FakeImport(self.number)

    def get_hook(self):
        return FakeHook("fake", self.current)

    def prepare(self, hook):
        self.current.choose.may_die("before anything")
        return PreparedStart(
            description="a file",
            digest="",
            send=self.current.send,
            notes={"imports before": len(self.current.imports)},
        )

    def find_import(self, hook, record):
        return self.current.find(record)


@pytest.fixture
def run_try(monkeypatch):
    """Return a function that runs one try of an operator, and returns its result."""
    clock = SimpleNamespace(now=NOW)
    monkeypatch.setattr(clock_module.current, "time", lambda: clock.now)
    monkeypatch.setattr(clock_module.current, "sleep", lambda seconds: None)
    monkeypatch.setattr(publishing, "publishes_progress", lambda: True)
    operators = {}

    def operator_with(**arguments):
        key = tuple(arguments.items())
        if key not in operators:
            with a_dag():
                operators[key] = FakeOperator(
                    task_id="import", timeout=HOURS, poke_interval=60, max_consecutive_failures=2, **arguments
                )
        return operators[key]

    def run_try(run, max_tries, **arguments):
        operator = operator_with(**arguments)
        clock.now, run.clock = NOW, clock
        first = datetime.fromtimestamp(NOW, UTC)
        ti = SimpleNamespace(max_tries=max_tries, map_index=-1, try_number=1, first=None)
        ti.get_first_reschedule_date = lambda context: ti.first
        monkeypatch.setattr(operators_base, "start_store", lambda context: Store(run))
        monkeypatch.setattr(publishing, "push_xcom", lambda ti, key, value: run.publish(value))
        while True:
            # As in a process of its own.
            operator.current, operator.number, operator._deferred_import = run, NOT_GIVEN, None
            operator._record = None
            try:
                return operator.execute({"ti": ti})
            except AirflowRescheduleException:
                run.choose.may_die("before the next poke")
                ti.first = first
            except TaskDeferred as deferred:
                event = run.event(FakeImport(**deferred.kwargs["import_fields"]))
                run.choose.may_die("before it resumes")
                operator.number, operator._deferred_import, operator._record = NOT_GIVEN, None, None
                kwargs = {**deferred.kwargs, "event": event}
                return operator.resume_execution(deferred.method_name, kwargs, {"ti": ti})

    return run_try


def next_worlds(world, run_try, choose, *, is_searchable, **arguments):
    """Run a try in all ways, and yield the worlds that it leads to."""
    while True:
        choose.restart()
        yield judged(world, *one_try(world, run_try, choose, is_searchable=is_searchable, **arguments))
        if not choose.advance():
            return


def one_try(world, run_try, choose, *, is_searchable, **arguments):
    """Run a try, and return what it has left, its error and its result."""
    run = Run(world, choose, is_searchable=is_searchable)
    try:
        result = run_try(run, world.max_tries, **arguments)
        choose.may_die("before Airflow stores the outcome")
    except (Died, Exception) as error:
        return run, error, None
    return run, None, result


def judged(world, run, error, result):
    """
    Return the world after a try.

    :raises AssertionError: if the try broke the promise.
    """
    assert len(run.imports) <= world.allowed, "more imports than a person allowed"
    state = json.loads(run.record)["state"] if run.record else None
    if error is None:
        number = int(result["import_id"] if isinstance(result, dict) else result)
        assert number == len(run.imports) - 1, "the result is not that of the last import"
        if isinstance(result, dict):
            assert run.imports[number] == "succeeded", "success without an import that succeeded"
        is_retried, is_settled = False, True
    elif isinstance(error, Died):
        # It may have died after it had recorded what it was about to report.
        is_retried, is_settled = True, state in ("ended", "unknown")
    else:
        assert isinstance(error, ImportPollError | ImportFileError | AirflowFailException | AirflowSensorTimeout), error
        is_retried = not isinstance(error, AirflowFailException | AirflowSensorTimeout)
        is_settled = isinstance(error, ImportFailedError | ImportStartUnknownError)
        if isinstance(error, ImportFailedError):
            assert run.imports[-1] == "failed", "a failure without an import that failed"
        if isinstance(error, ImportStartRefusedError | ImportFileError):
            assert len(run.imports) == len(world.imports), "an import was started, and it was reported that none was"
            assert run.record is None, "a record is left although no import was started"
    check_published(world, run, error)
    return World(
        imports=tuple(run.imports),
        record=run.record,
        max_tries=world.max_tries,
        allowed=world.allowed,
        is_retried=is_retried,
        is_settled=is_settled,
    )


def check_published(world, run, error):
    """
    Check what the page shows of a start after a try.

    :raises AssertionError: if it is not true, or if it hides a start that may have been made.
    """
    state = state_of(run)
    assert not run.is_ahead, "a start is shown of which the next try does not know"
    shown = run.published and run.published["start"]["state"]
    if shown == "not_started":
        assert (len(run.imports), state in (None, "ended")) == (len(world.imports), True), "shown as not started"
    if shown in ("started", "not_awaited") and run.published["import_id"] is not None:
        assert int(run.published["import_id"]) == len(run.imports) - 1, "another import is shown"
    if isinstance(error, ImportStartUnknownError):
        assert shown == "unknown", "an unknown start is not shown"
    if isinstance(error, ImportStartRefusedError | ImportFileError):
        assert shown in ("not_started", "unknown"), "a start that failed is not shown"
    if isinstance(error, ImportFailedError):
        was_polled = run.published["progress"] is not None
        assert shown == ("started" if was_polled else "failed"), "a failure is not shown as that of a started import"
    if len(run.imports) > len(world.imports):
        assert shown is not None, "a start left no trace"


def cleared(world):
    """Return a world after a person has cleared the task, which allows one more import if the last one is settled."""
    allowed = len(world.imports) + 1 if world.is_settled else world.allowed
    return replace(world, max_tries=world.max_tries + 1, allowed=allowed)


def explored(run_try, **arguments):
    """
    Return all worlds in which a try may begin, with whether a person has cleared the task, and the way there.

    :raises AssertionError: if the promise is broken on a way; the message has the way.
    """
    begin = (World(), False)
    ways, left = {begin: ()}, [begin]
    while left:
        world, is_cleared = left.pop(0)
        choose = Choices()
        try:
            for end in next_worlds(world, run_try, choose, **arguments):
                following = [(cleared(end).forgotten(), True)]
                if end.is_retried:
                    following.append((end.forgotten(), False))
                for found in following:
                    if found not in ways:
                        ways[found] = (*ways[world, is_cleared], *choose.log, "cleared" if found[1] else "retried")
                        left.append(found)
        except AssertionError as error:
            way = "\n".join((*ways[world, is_cleared], *choose.log))
            raise AssertionError(f"{error} in {world} after:\n{way}") from error
    return ways


#: Whether the vendor can be searched for an import, the mode, and whether the operator waits.
CASES = [*product([True, False], OPERATOR_MODES, [True]), *product([True, False], ["poke"], [False])]


@pytest.fixture(scope="module")
def known():
    """The worlds of each case, because it takes a second to explore them."""
    return {}


@pytest.fixture(params=CASES, ids=str)
def arguments(request):
    is_searchable, mode, waits = request.param
    return {"is_searchable": is_searchable, "wait_for_completion": waits, **MODES[mode]}


@pytest.fixture
def ways(request, known, run_try, arguments):
    """All worlds in which a try may begin, with the way there. Exploring them fails if the promise is broken."""
    key = str(arguments)
    if key not in known:
        known[key] = explored(run_try, **arguments)
    return known[key]


def state_of(world):
    return json.loads(world.record)["state"] if world.record else None


def test_nothing_leads_to_a_second_import_by_itself_or_to_a_false_success(ways, arguments):
    # The worlds that must be among them, lest the test proves nothing.
    states = {None, "starting", "started", "ended"} | (set() if arguments["is_searchable"] else {"unknown"})
    assert {state_of(world) for world, _ in ways} >= states
    assert {is_cleared for _, is_cleared in ways} == {True, False}


def test_without_further_trouble_the_next_try_does_what_is_promised(ways, run_try, arguments):
    for (world, _), way in ways.items():
        run, error, _ = one_try(world, run_try, Choices(), **arguments)
        record, starts = json.loads(world.record or "{}"), len(run.imports) - len(world.imports)
        state, was_cleared = record.get("state"), record.get("max_tries") != world.max_tries
        if state is None or (state in ("ended", "unknown") and was_cleared):
            assert (starts, error) == (1, None), (world, way)
        elif state == "unknown" or (state == "starting" and not arguments["is_searchable"]):
            assert (starts, type(error)) == (0, ImportStartUnknownError), (world, way)
        elif state == "starting" and not world.imports:
            assert (starts, error) == (1, None), (world, way)
        elif state == "ended" and record["import_fields"] is None:
            # An import that had failed when it was started.
            assert (starts, isinstance(error, AirflowFailException)) == (0, True), (world, way)
        elif arguments["wait_for_completion"] and "failed" in world.imports:
            assert (starts, type(error)) == (0, ImportFailedError), (world, way)
        else:
            assert (starts, error) == (0, None), (world, way)


def test_a_clear_after_the_outcome_was_reported_starts_exactly_one_more(ways, run_try, arguments):
    for (world, is_cleared), way in ways.items():
        if is_cleared and world.is_settled:
            run, error, _ = one_try(world, run_try, Choices(), **arguments)
            assert (len(run.imports) - len(world.imports), error) == (1, None), (world, way)


#: Rules that break the promise: for which state and after what they begin a try with another step.
BROKEN_RULES = {
    "starts although a start was begun": ("starting", False, NextStep.START),
    "starts although an import was started": ("started", False, NextStep.START),
    "starts although one was started, after a clear": ("started", True, NextStep.START),
    "starts again after a crash at the end": ("ended", False, NextStep.START),
    "starts again after a crash at the report": ("unknown", False, NextStep.START),
}


@pytest.mark.parametrize("rule", BROKEN_RULES.values(), ids=BROKEN_RULES)
def test_a_broken_rule_is_found(run_try, monkeypatch, rule):
    state, is_cleared, step = rule

    def broken(record, max_tries):
        if record is not None and record.state == state and (max_tries != record.max_tries) is is_cleared:
            return step
        return next_step(record, max_tries)

    monkeypatch.setattr(operators_base, "next_step", broken)
    with pytest.raises(AssertionError, match="more imports than a person allowed"):
        explored(run_try, is_searchable=False, wait_for_completion=True, **MODES["poke"])
