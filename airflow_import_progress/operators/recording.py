# SPDX-License-Identifier: Apache-2.0
"""The record of a start as an operator keeps it: also if it cannot be stored, or if another try has changed it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_import_progress.exceptions import ImportActionRequiredError, ImportFailedError
from airflow_import_progress.operators.publishing import PublishingSensor
from airflow_import_progress.starting.record import StartRecord, StartState
from airflow_import_progress.starting.store import RecordChangedError, StartStore

if TYPE_CHECKING:
    from airflow_import_progress.compat import Context


class RecordingSensor(PublishingSensor):
    """Base of a sensor that has started its import, and keeps a record of that."""

    def note(self, **notes: Any) -> None:
        """
        Add notes to the record of the start, before the request that they announce is sent.

        :param notes: Plain JSON values without any secret.
        :raises RuntimeError: if they cannot be stored. Nothing may be sent then.
        """
        record = self._start_store.still(self._record)
        self._record = replace(record, notes={**record.notes, **notes})
        self._start_store.save(self._record)

    @contextmanager
    def _ending(self, store: StartStore, context: Context) -> Iterator[None]:
        """Record the end of the import, so that a cleared task starts another one."""
        try:
            yield
        except ImportActionRequiredError:
            raise
        except ImportFailedError:
            self._set_ended(store, context)
            raise
        self._set_ended(store, context)

    def _set_ended(self, store: StartStore, context: Context) -> None:
        try:
            record = store.load()
        except Exception as error:
            # The outcome is certain, and must not be replaced by this error.
            self.log.warning(
                "%s: the record of the start, %s, could not be read (%s: %s). If this task is cleared, it waits for "
                "the same import again.",
                self._subject,
                store.place,
                type(error).__name__,
                error,
            )
            return
        if record is not None:
            if record.import_fields is None and self._deferred_import is not None:
                record = record.started(self._deferred_import.to_dict())
            self._save(store, record.reported(StartState.ENDED, context["ti"].max_tries))

    def _save_intent(self, store: StartStore, record: StartRecord) -> None:
        """Store that a start is being made, and read it again: another try may store its own at the same time."""
        try:
            store.save(record)
            self._record = record
            # After the record, so that the page never shows a start of which the next try does not know, and before it
            # is read again, so that a slow write does not delay the request after that last check.
            self._publish_starting(record)
            store.still(record)
        except RecordChangedError:
            raise
        except Exception as error:
            # What may have been stored would be taken for a start whose answer was lost.
            with suppress(Exception):
                self._forget(store, record)
            raise RuntimeError(
                f"{self._subject}: no import was started, because the record of the start, {store.place}, could not be "
                f"stored ({type(error).__name__}: {error}). Once Airflow can store it, retry or clear this task."
            ) from error

    def _forget(self, store: StartStore, record: StartRecord) -> None:
        """Remove the record of this try, but not that of a later one."""
        store.still(record)
        store.remove()
        self._record = None

    def _latest(self, store: StartStore, record: StartRecord) -> StartRecord:
        """Return the record of this try with the notes that were added, but not that of a later try."""
        latest = store.load_or(record)
        return latest if latest.sent_at == record.sent_at else record

    def _save(self, store: StartStore, record: StartRecord) -> None:
        """Store the record of this try, but not over that of a later one."""
        try:
            stored = store.load()
            if stored is not None and stored.sent_at != record.sent_at:
                self.log.warning(
                    "%s: a later try of this task has begun meanwhile. Its record of the start, %s, stays as it is.",
                    self._subject,
                    store.place,
                )
                return
            store.save(record)
        except Exception as error:
            # The import has been started, or its outcome is certain: that must not be lost by an error here. The older
            # record stays, with which nothing is started twice.
            self.log.warning(
                "%s: the record of the start, %s, could not be stored (%s: %s). The older one stays, with which "
                "nothing is started twice.",
                self._subject,
                store.place,
                type(error).__name__,
                error,
            )
