# SPDX-License-Identifier: Apache-2.0
"""The record of a start: the step that follows from it, and where it is kept."""

from __future__ import annotations

import importlib.util
import json
from types import SimpleNamespace

import pytest

from airflow_import_progress import compat
from airflow_import_progress.compat import stored
from airflow_import_progress.compat.stored import has_task_state_store
from airflow_import_progress.starting.record import NextStep, StartRecord, StartState, next_step
from airflow_import_progress.starting.store import (
    STATE_KEY,
    TaskStateStartStore,
    VariableStartStore,
    start_store,
)

RECORD = StartRecord(
    state=StartState.STARTED,
    sent_at=1_800_000_000.123456,
    digest="ab" * 32,
    max_tries=2,
    notes={"job_ids": ["1", "é"], "none": None},
    import_fields={"summary_id": "1", "create": False},
    content="the file '/data/é.csv'",
)


def a_record(**fields):
    return StartRecord(**{"state": StartState.STARTING, "sent_at": 1.0, "digest": "", "max_tries": 2, **fields})


# The next step


@pytest.mark.parametrize("max_tries", [0, 2, 5])
def test_without_a_record_an_import_is_started(max_tries):
    assert next_step(None, max_tries) is NextStep.START


@pytest.mark.parametrize(
    ("state", "after_a_retry", "after_a_clear"),
    [
        (StartState.STARTING, NextStep.FIND, NextStep.FIND),
        (StartState.STARTED, NextStep.WAIT, NextStep.WAIT),
        (StartState.UNKNOWN, NextStep.REPORT, NextStep.START),
        (StartState.ENDED, NextStep.WAIT, NextStep.START),
    ],
)
def test_the_step_follows_from_the_state_and_from_a_clear(state, after_a_retry, after_a_clear):
    record = a_record(state=state, max_tries=2)
    assert next_step(record, 2) is after_a_retry
    assert next_step(record, 5) is after_a_clear
    # The DAG has fewer retries now.
    assert next_step(record, 1) is after_a_clear


def test_every_state_has_a_step():
    assert all(isinstance(next_step(a_record(state=state), 2), NextStep) for state in StartState)


def test_a_start_that_was_answered_keeps_the_rest_of_the_record():
    assert a_record(notes={"a": 1}).started({"summary_id": "1"}) == a_record(
        state=StartState.STARTED, notes={"a": 1}, import_fields={"summary_id": "1"}
    )


def test_a_report_counts_clears_from_its_own_time():
    reported = RECORD.reported(StartState.ENDED, 5)
    assert (reported.state, reported.max_tries, reported.import_fields) == (StartState.ENDED, 5, RECORD.import_fields)


# Its form


@pytest.mark.parametrize("record", [RECORD, a_record(), *(a_record(state=state) for state in StartState)])
def test_a_record_is_the_same_after_it_was_stored(record):
    assert StartRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_the_names_in_a_stored_record_stay_as_they_are():
    # Those of records that Airflow has stored already.
    assert set(RECORD.to_dict()) == {"state", "sent_at", "digest", "max_tries", "notes", "import_fields", "content"}
    assert [state.value for state in StartState] == ["starting", "started", "unknown", "ended"]


@pytest.mark.parametrize(
    "values",
    [
        {**RECORD.to_dict(), "later": 1},
        {**RECORD.to_dict(), "state": "done"},
        {**RECORD.to_dict(), "state": None},
        {name: value for name, value in RECORD.to_dict().items() if name != "state"},
        {name: value for name, value in RECORD.to_dict().items() if name != "max_tries"},
        {},
    ],
)
def test_a_record_of_another_form_is_refused(values):
    with pytest.raises((KeyError, TypeError, ValueError)):
        StartRecord.from_dict(values)


# In a Variable


class FakeVariable:
    """Airflow's Variables, with a secrets backend that may hide some."""

    def __init__(self):
        self.stored, self.hidden = {}, {}
        self.refuses = False

    def get(self, key, default, *, deserialize_json):
        assert deserialize_json
        values = {**self.stored, **self.hidden}
        return json.loads(values[key]) if key in values else default

    def set(self, key, value, description, *, serialize_json):
        assert serialize_json
        if self.refuses:
            raise RuntimeError("the database is read-only")
        self.stored[key] = json.dumps(value)

    def delete(self, key):
        del self.stored[key]


@pytest.fixture
def variables(monkeypatch):
    variables = FakeVariable()
    airflow = compat._of_airflow
    monkeypatch.setattr(compat, "_of_airflow", lambda name: variables if name == "Variable" else airflow(name))
    # As in Airflow 3.0, whose Variables raise if they cannot be read.
    monkeypatch.setattr(stored, "_supervisor", object)
    return variables


def a_task_instance(**fields):
    return SimpleNamespace(**{"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, **fields})


@pytest.fixture
def store(variables):
    return VariableStartStore(a_task_instance())


def test_a_variable_keeps_the_record_until_it_is_removed(store, variables):
    assert store.load() is None
    store.save(RECORD)
    assert VariableStartStore(a_task_instance()).load() == RECORD
    store.remove()
    assert (store.load(), variables.stored) == (None, {})


def test_removing_a_record_that_is_not_there_is_no_error(store):
    store.remove()


def test_a_later_record_replaces_the_earlier_one(store, variables):
    for state in StartState:
        store.save(a_record(state=state))
    assert store.load() == a_record(state=StartState.ENDED)
    assert len(variables.stored) == 1


def test_a_variable_shows_its_task_instance_to_people(store, variables):
    store.save(RECORD)
    assert json.loads(variables.stored[store.name])["task_instance"] == vars(a_task_instance())


@pytest.mark.parametrize("length", [1, 250, 1000])
def test_the_name_of_a_variable_is_short_enough_for_airflow(length):
    name = VariableStartStore(a_task_instance(dag_id="é" * length, run_id="r" * length, task_id="t" * length)).name
    assert len(name) < 250
    assert name.isascii()
    # Airflow hides the values of Variables with some names.
    assert not {"secret", "token", "password"} & set(name.split("_"))


def test_each_task_instance_has_a_variable_of_its_own():
    others = [{}, {"dag_id": "d2"}, {"run_id": "r2"}, {"task_id": "t2"}, {"map_index": 0}, {"map_index": 1}]
    # Together, these are the same text.
    others += [{"dag_id": "dr", "run_id": ""}, {"dag_id": "", "run_id": "dr"}]
    assert len({VariableStartStore(a_task_instance(**other)).name for other in others}) == len(others)


def test_the_name_of_a_variable_is_the_same_in_each_process():
    assert VariableStartStore(a_task_instance()).name == "import_progress_start_2ddd94c571f3efd04c27f72fbce87c50"


def test_a_record_that_cannot_be_stored_is_an_error(store, variables):
    variables.refuses = True
    with pytest.raises(RuntimeError, match="read-only"):
        store.save(RECORD)


@pytest.mark.parametrize("hidden", ["null", '{"start": 1}', json.dumps({"start": a_record().to_dict()})])
def test_a_variable_that_a_secrets_backend_hides_is_an_error(store, variables, hidden):
    variables.hidden[store.name] = hidden
    with pytest.raises(RuntimeError, match=r"was stored but cannot be read again\. Check the secrets backends"):
        store.save(RECORD)


class Supervisor:
    """The supervisor of a task, which has only one answer."""

    def __init__(self, **answer):
        self.answer = SimpleNamespace(**answer)

    def send(self, request):
        return self.answer


@pytest.mark.skipif(importlib.util.find_spec("airflow.sdk") is None, reason="from Airflow 3 on")
class TestSupervisor:
    """Variables from Airflow 3.1 on."""

    def test_a_variable_is_read(self, monkeypatch):
        monkeypatch.setattr(stored, "_supervisor", lambda: Supervisor(value='{"start": 1}'))
        assert stored.get_variable("name") == {"start": 1}

    def test_a_variable_that_is_missing_is_none(self, monkeypatch):
        error = SimpleNamespace(name="VARIABLE_NOT_FOUND")
        monkeypatch.setattr(stored, "_supervisor", lambda: Supervisor(error=error))
        assert stored.get_variable("name") is None

    def test_a_variable_that_could_not_be_read_is_never_taken_for_a_missing_one(self, monkeypatch):
        error = SimpleNamespace(name="GENERIC_ERROR")
        monkeypatch.setattr(stored, "_supervisor", lambda: Supervisor(error=error))
        with pytest.raises(RuntimeError, match="could not read the Variable 'name'"):
            stored.get_variable("name")


def test_notes_that_json_changes_are_stored(store):
    store.save(a_record(notes={"ids": ("1", "2")}))
    assert store.load().notes == {"ids": ["1", "2"]}


@pytest.mark.parametrize(
    "value",
    [
        "5",
        "[]",
        '"started"',
        "{}",
        '{"start": null}',
        '{"start": {}}',
        "not JSON",
        json.dumps({"start": {**RECORD.to_dict(), "later": 1}}),
    ],
)
def test_a_variable_that_cannot_be_read_is_never_taken_for_no_record(store, variables, value):
    variables.stored[store.name] = value
    with pytest.raises(RuntimeError, match=rf"Variable '{store.name}', cannot be read .*Nothing was sent"):
        store.load()


# In the task state store


class FakeStateStore:
    """The task state store of Airflow 3.3, with the retention of each value."""

    def __init__(self):
        self.values, self.retentions = {}, {}

    def get(self, key, default=None):
        return json.loads(self.values[key]) if key in self.values else default

    def set(self, key, value, *, retention=None):
        self.values[key], self.retentions[key] = json.dumps(value), retention

    def delete(self, key):
        self.values.pop(key, None)


@pytest.fixture
def never(monkeypatch):
    """The retention of a value that Airflow never removes, whatever this version of Airflow has."""
    never = object()
    monkeypatch.setattr("airflow_import_progress.starting.store.never_expire", lambda: never)
    return never


def test_the_state_store_keeps_the_record_until_it_is_removed(never):
    state = FakeStateStore()
    store = TaskStateStartStore(state)
    assert store.load() is None
    store.save(RECORD)
    assert TaskStateStartStore(state).load() == RECORD
    store.remove()
    store.remove()
    assert store.load() is None


@pytest.mark.parametrize("state", [StartState.STARTING, StartState.STARTED, StartState.UNKNOWN])
def test_a_record_that_is_still_needed_never_expires(never, state):
    values = FakeStateStore()
    TaskStateStartStore(values).save(a_record(state=state))
    assert values.retentions == {STATE_KEY: never}


def test_the_record_of_an_import_that_has_ended_expires_as_airflow_is_configured(never):
    values = FakeStateStore()
    store = TaskStateStartStore(values)
    store.save(a_record())
    store.save(a_record(state=StartState.ENDED))
    assert values.retentions == {STATE_KEY: None}


@pytest.mark.parametrize("value", [5, [], "started", {}, {**RECORD.to_dict(), "later": 1}])
def test_a_value_that_cannot_be_read_is_never_taken_for_no_record(never, value):
    values = FakeStateStore()
    values.set(STATE_KEY, value)
    with pytest.raises(RuntimeError, match=r"in the task's state store, cannot be read .*Nothing was sent"):
        TaskStateStartStore(values).load()


def test_the_state_store_is_used_where_there_is_one():
    assert isinstance(start_store({"task_state_store": FakeStateStore()}), TaskStateStartStore)
    assert isinstance(start_store({"ti": a_task_instance()}), VariableStartStore)


def test_airflow_has_a_retention_without_an_end():
    if not has_task_state_store():
        pytest.skip("from Airflow 3.3 on")
    assert stored.never_expire() is not None
