# SPDX-License-Identifier: Apache-2.0
"""The record of a start, and the next step that follows from it. Pure: nothing is sent or stored here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Any


class StartState(StrEnum):
    """The state of a start, as far as it is certain."""

    #: The request may have been sent. Stored before it is.
    STARTING = "starting"
    #: The vendor has returned the import.
    STARTED = "started"
    #: It is unknown whether an import was started, and that was reported.
    UNKNOWN = "unknown"
    #: The import has ended, well or badly, and that was reported.
    ENDED = "ended"


class NextStep(Enum):
    """The step that a try of the task begins with."""

    #: Start an import.
    START = "start"
    #: Wait for the import of the record.
    WAIT = "wait"
    #: Find out at the vendor whether an import was started.
    FIND = "find"
    #: Report that it is unknown whether an import was started.
    REPORT = "report"


@dataclass(frozen=True, kw_only=True)
class StartRecord:
    """
    Hold what is certain about the start of an import by one task instance.

    It contains no secret. Airflow stores it, so later versions may add fields with defaults but neither remove nor
    rename any.

    :param state: The state of the start.
    :param sent_at: The time right before the request was sent, in seconds since the epoch.
    :param digest: A digest of the content to import. It reveals that the content has changed.
    :param max_tries: Airflow's ``max_tries`` of the task instance. Clearing a task changes it, an automatic retry does
        not.
    :param notes: What the vendor's module noted before the request, to recognize the import afterwards.
    :param import_fields: The arguments of the import that was started; None: it is unknown.
    :param content: The content to import, such as ``"the file '/data/leaves.csv'"``, for display only. None: unknown.
    """

    state: StartState
    sent_at: float
    digest: str
    max_tries: int
    notes: Mapping[str, Any] = field(default_factory=dict)
    import_fields: Mapping[str, Any] | None = None
    content: str | None = None

    @property
    def sent_at_in_words(self) -> str:
        """The time right before the request was sent, for messages."""
        return datetime.fromtimestamp(self.sent_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

    def started(self, import_fields: Mapping[str, Any]) -> StartRecord:
        """
        Return the record of an import that the vendor has returned.

        :param import_fields: The arguments of the import.
        """
        return replace(self, state=StartState.STARTED, import_fields=dict(import_fields))

    def reported(self, state: StartState, max_tries: int) -> StartRecord:
        """
        Return the record after an outcome was reported.

        :param state: :attr:`StartState.UNKNOWN` or :attr:`StartState.ENDED`.
        :param max_tries: Airflow's ``max_tries`` at that time.
        """
        return replace(self, state=state, max_tries=max_tries)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StartRecord:
        """
        Return the record that :meth:`to_dict` returned as plain JSON values.

        :param values: The values.
        :raises KeyError: if the state is missing.
        :raises TypeError: if another value is missing, or one is unknown to this version.
        :raises ValueError: if the state is unknown to this version.
        """
        return cls(**{**values, "state": StartState(values["state"])})


def next_step(record: StartRecord | None, max_tries: int) -> NextStep:
    """
    Return the step that a try of the task begins with.

    Only after a person has cleared the task, and only if an earlier outcome was reported, a second import is started.

    :param record: The record of the task instance; None: there is none.
    :param max_tries: Airflow's ``max_tries`` of the task instance.
    """
    if record is None:
        return NextStep.START
    # It becomes lower if the DAG has fewer retries now.
    was_cleared = max_tries != record.max_tries
    if record.state is StartState.STARTED:
        return NextStep.WAIT
    if record.state is StartState.STARTING:
        return NextStep.FIND
    if was_cleared:
        return NextStep.START
    # An automatic retry, such as after a crash right before the outcome reached Airflow: report the same again.
    return NextStep.WAIT if record.state is StartState.ENDED else NextStep.REPORT
