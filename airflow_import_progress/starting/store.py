# SPDX-License-Identifier: Apache-2.0
"""The store of start records: it survives retries, crashes of the worker and clears."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow_import_progress.compat.stored import (
    delete_variable,
    get_variable,
    never_expire,
    set_variable,
    task_state_store,
)
from airflow_import_progress.starting.record import StartRecord, StartState

if TYPE_CHECKING:
    from airflow_import_progress.compat import Context

#: The key of the record in the task state store of Airflow 3.3.
STATE_KEY = "airflow_import_progress.start"
#: The beginning of the names of Airflow Variables that hold records before Airflow 3.3.
VARIABLE_PREFIX = "import_progress_start_"


class RecordChangedError(RuntimeError):
    """Raised if the record of a start is not the one that this try of the task has stored or read."""


class StartStore(ABC):
    """Read and write the record of one task instance."""

    def load(self) -> StartRecord | None:
        """
        Return the record, or None if there is none.

        :raises RuntimeError: if there is a record that cannot be read. It may be that of an import that was started.
        """
        try:
            values = self._load()
            return None if values is None else StartRecord.from_dict(values)
        except (KeyError, TypeError, ValueError) as error:
            raise RuntimeError(
                f"The record of an earlier start of this task, {self.place}, cannot be read ({type(error).__name__}: "
                f"{error}), so it is unknown whether an import was started. Nothing was sent. Check at the vendor; "
                f"delete the record to start the import anew."
            ) from None

    def load_or(self, record: StartRecord) -> StartRecord:
        """
        Return the stored record, or the given one if it cannot be read, for an outcome that must not be lost by that.

        :param record: The record as it was stored last, perhaps without later notes.
        """
        try:
            return self.load() or record
        except Exception:
            # The outcome is stored all the same, or the log reports that it could not be.
            return record

    def still(self, record: StartRecord | None) -> StartRecord:
        """
        Return the record of a start as it is stored now, perhaps with other notes.

        :param record: The record as this try of the task knows it.
        :raises RecordChangedError: if it is missing, or another try of the task has replaced it.
        """
        stored = self.load()
        if record is None or stored is None or (stored.sent_at, stored.state) != (record.sent_at, record.state):
            raise self._changed()
        return stored

    def require_unchanged(self, record: StartRecord | None) -> None:
        """
        Raise if another try of the task has stored or removed a record.

        :param record: The record as this try of the task knows it; None: there was none.
        :raises RecordChangedError: if it is another one.
        """
        if self.load() != record:
            raise self._changed()

    def _changed(self) -> RecordChangedError:
        return RecordChangedError(
            f"The record of the start, {self.place}, was changed or removed while this try of the task ran, probably "
            f"by a later try that Airflow began because it had lost this one. So this try sends nothing any more. If "
            f"no other try runs, clear this task."
        )

    def save(self, record: StartRecord) -> None:
        """
        Store the record.

        :param record: The record.
        :raises RuntimeError: if it cannot be stored.
        """
        self._save(record.to_dict(), keep=record.state is not StartState.ENDED)

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the record is, for messages."""

    @abstractmethod
    def remove(self) -> None:
        """Remove the record, if there is one."""

    @abstractmethod
    def _load(self) -> Any: ...

    @abstractmethod
    def _save(self, values: dict[str, Any], *, keep: bool) -> None: ...


class TaskStateStartStore(StartStore):
    """
    Keep the record in the task state store of Airflow 3.3, which belongs to the DAG run.

    :param store: ``context["task_state_store"]``.
    """

    def __init__(self, store: Any) -> None:
        self._store = store

    @property
    def place(self) -> str:
        """Where the record is, for messages."""
        return f"{STATE_KEY!r} in the task's state store"

    def remove(self) -> None:
        """Remove the record, if there is one."""
        self._store.delete(STATE_KEY)

    def _load(self) -> Any:
        return self._store.get(STATE_KEY)

    def _save(self, values: dict[str, Any], *, keep: bool) -> None:
        # A record that is still needed must not expire. Airflow removes the others after some days.
        self._store.set(STATE_KEY, values, retention=never_expire() if keep else None)


class VariableStartStore(StartStore):
    """
    Keep the record in an Airflow Variable, before Airflow 3.3.

    :param ti: The task instance.
    """

    def __init__(self, ti: Any) -> None:
        self._task_instance = {
            "dag_id": ti.dag_id,
            "run_id": ti.run_id,
            "task_id": ti.task_id,
            "map_index": getattr(ti, "map_index", -1),
        }
        # A digest, because the name of a Variable may have 250 characters only.
        digest = sha256(json.dumps(self._task_instance, sort_keys=True).encode()).hexdigest()[:32]
        self.name = f"{VARIABLE_PREFIX}{digest}"

    @property
    def place(self) -> str:
        """Where the record is, for messages."""
        return f"the Airflow Variable {self.name!r}"

    def remove(self) -> None:
        """Remove the record, if there is one."""
        delete_variable(self.name)

    def _load(self) -> Any:
        whole = get_variable(self.name)
        # As a dict, because no record in the Variable is not the same as no Variable.
        return None if whole is None else dict(whole["start"])

    def _save(self, values: dict[str, Any], *, keep: bool) -> None:
        # As it is read, such as with lists for tuples.
        whole = json.loads(json.dumps({"start": values, "task_instance": self._task_instance}))
        set_variable(self.name, whole, "The start of an import, by airflow-provider-import-progress.")
        # A secrets backend may have a Variable of this name, which hides the one in the database.
        if get_variable(self.name) != whole:
            raise RuntimeError(
                f"{self.place} was stored but cannot be read again. Check the secrets backends, one of which may have "
                f"a Variable of this name."
            )


def start_store(context: Context) -> StartStore:
    """
    Return the store for the task instance of a context.

    :param context: The context of the execution.
    """
    store = task_state_store(context)
    return VariableStartStore(context["ti"]) if store is None else TaskStateStartStore(store)


def with_forgetting(callbacks: Any) -> list[Any]:
    """
    Return the callbacks of a task with one more, which removes the record of an import that has ended.

    :param callbacks: None, a callback or several.
    """
    given = [] if callbacks is None else list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
    return [*given, forget_ended_start] if forget_ended_start not in given else given


def forget_ended_start(context: Context) -> None:
    """
    Remove the Variable with the record of an import that has ended.

    :param context: The context of the execution.
    """
    store = start_store(context)
    if (record := store.load()) is not None and record.state is StartState.ENDED:
        store.remove()
