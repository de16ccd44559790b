# SPDX-License-Identifier: Apache-2.0
"""
The errors of starts and waits, by the action that they require.

The errors of a wait have two families. :class:`ImportFailedError` is an outcome: the import is over and did not pass.
Polling again would return the same, so it is an ``AirflowFailException`` and spends no retries. Every
:class:`ImportProgressError` means that the state of the import is *unknown*: the import may have succeeded. These are
plain runtime errors on purpose. With ``soft_fail`` Airflow turns an ``AirflowException`` of a resumed sensor into a
skip, but not one that is raised while poking, and a wrong API key must never become a skip.
"""

from __future__ import annotations

from typing import Self

from airflow_import_progress.compat import AirflowFailException


class ImportFailedError(AirflowFailException):
    """Raised when the import failed or was cancelled, or when the gate refuses its result."""


class ImportActionRequiredError(ImportFailedError):
    """Raised when the import waits for a person or a client and ``on_action_required`` is ``"fail"``."""


class ImportProgressError(RuntimeError):
    """
    Base of the errors that leave the state of the import unknown.

    :param message: What happened and what to do about it.
    :param transient: True if polling again later may work. A wait then continues; see ``max_consecutive_failures`` of
        the sensors.
    :param rate_limited: True if the vendor refused the request because it gets too many. The vendor is available then,
        and a wait continues until its timeout.
    :param retry_after: Seconds that the vendor asked to wait before the next request, or None.
    :param status: The HTTP status of the answer. None: there was no answer.
    :param not_sent: True if the request has certainly not reached the vendor.
    """

    def __init__(
        self,
        message: str,
        *,
        transient: bool = False,
        rate_limited: bool = False,
        retry_after: float | None = None,
        status: int | None = None,
        not_sent: bool = False,
    ) -> None:
        super().__init__(message)
        self.transient = transient
        self.rate_limited = rate_limited
        self.retry_after = retry_after
        self.status = status
        self.not_sent = not_sent
        #: Whether an earlier request of the same conversation may have changed something at the vendor.
        self.is_after_change = False

    def reworded(self, message: str) -> Self:
        """
        Return the same error with another message, without calling the constructor of its class.

        :param message: The message.
        """
        other = type(self).__new__(type(self), message)
        other.__dict__.update(self.__dict__)
        return other


class ImportPollError(ImportProgressError):
    """Raised when a poll failed, or when the wait gave up after too many failed polls in a row."""


class ImportRequestError(ImportProgressError):
    """Raised when the vendor refuses the request, or when the connection cannot be used."""


class ImportProtocolError(ImportProgressError):
    """Raised when an answer is not what the vendor's API promises. It never counts as success."""


class ImportFileError(RuntimeError):
    """Raised when the file of an import is missing, empty, too large or cannot be read. No import was started."""


class ImportStartRefusedError(AirflowFailException):
    """Raised when the vendor refused to start an import. No import was started, and no retries are spent."""


class ImportStartUnknownError(AirflowFailException):
    """
    Raised when it is unknown whether an import was started. No retries are spent.

    Starting it again might import everything twice, so a person has to check at the vendor first.
    """
