# SPDX-License-Identifier: Apache-2.0
"""The start of an import as an operator publishes it: no more than is certain, and for display only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_import_progress.exceptions import (
    ImportFailedError,
    ImportFileError,
    ImportProgressError,
    ImportStartRefusedError,
    ImportStartUnknownError,
)
from airflow_import_progress.hooks.base import ImportProgressHook
from airflow_import_progress.http.exchange import ADDRESS
from airflow_import_progress.imports import Import
from airflow_import_progress.progress import ImportProgress
from airflow_import_progress.sensors.base import BaseImportSensor
from airflow_import_progress.starting.record import StartRecord, StartState
from airflow_import_progress.starting.store import RecordChangedError, StartStore
from airflow_import_progress.waiting.published import PublishedStart, PublishedStartState
from airflow_import_progress.waiting.publishing import StartPublisher, WorkerPublisher
from airflow_import_progress.waiting.wait import Wait

if TYPE_CHECKING:
    from airflow_import_progress.compat import Context

#: The errors whose messages are written for people and contain no secret.
_WORDED_ERRORS = (
    ImportFailedError,
    ImportFileError,
    ImportProgressError,
    ImportStartRefusedError,
    ImportStartUnknownError,
)


class PublishingSensor(BaseImportSensor):
    """Base of a sensor that starts its import, and publishes the start."""

    start_advice: ClassVar[str]
    wait_for_completion: bool
    _start_store: StartStore
    _start_publisher: StartPublisher
    #: When the wait of this try began, in seconds since the epoch; None: it has not.
    _waiting_since: float | None = None
    #: The record that this try has stored or read last.
    _record: StartRecord | None = None

    def _make_start_publisher(self, context: Context) -> StartPublisher:
        return StartPublisher(
            context["ti"],
            vendor=self.hook_class.hook_name,
            conn_id=self._conn_id,
            label=self.import_class.label,
            begun_at=self._waiting_since,
            log=self.log,
        )

    def _publish_starting(self, record: StartRecord) -> None:
        self._start_publisher.publish(_as_published(PublishedStartState.STARTING, record))

    def _publish_started(self, hook: ImportProgressHook, import_: Import, record: StartRecord) -> None:
        state = PublishedStartState.STARTED if self.wait_for_completion else PublishedStartState.NOT_AWAITED
        import_url = None
        if not self._start_publisher.is_silent:
            # A broken link hides no start.
            with suppress(Exception):
                import_url = hook.import_url(import_)
        self._start_publisher.publish(_as_published(state, record), import_id=import_.import_id, import_url=import_url)

    @contextmanager
    def _publishing_errors(self, publish: Callable[[Exception], None]) -> Iterator[None]:
        """
        Publish the error that ends the start or a step of it.

        :param publish: Publishes the error, and may fail.
        """
        try:
            yield
        except RecordChangedError:
            # A later try of the task publishes its own start.
            raise
        except Exception as error:
            if not self._start_publisher.is_silent:
                with suppress(Exception):
                    publish(error)
            raise

    def _publish_failed_step(self, error: Exception) -> None:
        """Publish the error of a step, in place of the advice to take it that the wait has published."""
        record = self._record or self._start_store.load()
        if record is None:
            return
        state = PublishedStartState.STARTED
        if isinstance(error, ImportStartUnknownError):
            state = PublishedStartState.UNKNOWN
        elif isinstance(error, ImportFailedError):
            state = PublishedStartState.FAILED
        import_id = self.get_import().import_id
        self._start_publisher.publish(_as_published(state, record), import_id=import_id, error=self._text_of(error))

    def _publish_failure(self, error: Exception) -> None:
        """Publish the error with which a start fails, and what is certain about the start then."""
        own, text = self._record, self._text_of(error)
        try:
            # Read again, because what is shown must not contradict the record with which the next try begins.
            stored = self._start_store.load()
        except Exception:
            # It may be the record of an import that was started.
            self._start_publisher.publish(PublishedStart(state=PublishedStartState.UNKNOWN), error=text)
            return
        if own is not None and stored is not None and own.sent_at != stored.sent_at:
            # It is the record of a later try, which publishes its own start.
            return
        state, record = _state_after(error, own, stored), stored or own
        if state is PublishedStartState.NOT_STARTED or record is None:
            before = self._start_publisher.start
            start = PublishedStart(state=state, content=None if before is None else before.content)
        else:
            start = _as_published(state, record)
            if state is PublishedStartState.UNKNOWN and not isinstance(error, ImportStartUnknownError):
                text = f"{text} An import may have been started at {record.sent_at_in_words}. {self.start_advice}"
        self._start_publisher.publish(start, error=text)

    def _text_of(self, error: Exception) -> str:
        text = str(error).removeprefix(f"{self._subject}: ")
        if isinstance(error, _WORDED_ERRORS):
            return text
        if type(error) in (RuntimeError, ValueError):
            # Those of the record and of arguments, and perhaps of a library, which may name an address.
            return ADDRESS.sub(r"\1\2", text)
        # The text is a library's and may contain a secret, which Airflow masks in logs but not in XComs.
        return f"{type(error).__name__}: the log of this task has the details."

    def _wait_on_worker(
        self, wait: Wait, publisher: WorkerPublisher, context: Context, **arguments: Any
    ) -> ImportProgress:
        record = self._record
        if record is None and not publisher.is_silent:
            # The wait resumes on this worker. Without the record, only the display lacks the start.
            with suppress(Exception):
                record = self._start_store.load()
        if record is not None:
            publisher.start = _as_published(PublishedStartState.STARTED, record)
        return super()._wait_on_worker(wait, publisher, context, **arguments)


def _as_published(state: PublishedStartState, record: StartRecord) -> PublishedStart:
    return PublishedStart(state=state, sent_at=record.sent_at, content=record.content)


def _state_after(error: Exception, *records: StartRecord | None) -> PublishedStartState:
    """
    Return the state of a start that has failed.

    :param error: The error.
    :param records: The record as this try has stored or read it last, and as it is stored now.
    """
    if isinstance(error, ImportFailedError) and any(record is not None for record in records):
        return PublishedStartState.FAILED
    if isinstance(error, ImportStartUnknownError):
        return PublishedStartState.UNKNOWN
    if all(record is None or record.state is StartState.ENDED for record in records):
        return PublishedStartState.NOT_STARTED
    return PublishedStartState.UNKNOWN
