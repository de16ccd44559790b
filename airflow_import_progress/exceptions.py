# SPDX-License-Identifier: Apache-2.0
"""
What can go wrong with a wait, told apart by what the reader has to do about it.

Two families. :class:`ImportFailedError` is an answer: the import is over and did not pass, and asking again
would only hear the same, so it is an ``AirflowFailException`` and spends no retries. Everything under
:class:`ImportProgressError` means that *we could not find out*: the import may well be fine. Those are plain
runtime errors on purpose: Airflow turns an ``AirflowException`` raised by a resumed sensor into a skip under
``soft_fail`` but not one raised while poking, and a wrong API key must never look like a skip.
"""

from __future__ import annotations

from typing import Self

from airflow_import_progress.compat import AirflowFailException


class ImportFailedError(AirflowFailException):
    """Raised when the vendor says failed or cancelled, or when the gate refuses the result."""


class ImportActionRequiredError(ImportFailedError):
    """Raised when the import waits for a person or a client and the sensor was told not to wait for that."""


class ImportProgressError(RuntimeError):
    """
    Base of the errors that say: the state of the import could not be found out.

    :param message: What happened and what to do about it.
    :param transient: True if asking again later may well work. A wait then goes on; see
        ``max_consecutive_failures`` of the sensors.
    :param rate_limited: True if the vendor answered that it gets too many requests. It is well then, and a wait goes on
        for as long as it may last.
    :param retry_after: Seconds that the vendor asked to wait before the next request, if it did.
    :param status: The HTTP status that led here, if there was an answer.
    """

    def __init__(
        self,
        message: str,
        *,
        transient: bool = False,
        rate_limited: bool = False,
        retry_after: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.transient = transient
        self.rate_limited = rate_limited
        self.retry_after = retry_after
        self.status = status

    def reworded(self, message: str) -> Self:
        """
        Return the same error with another message, whatever the constructor of its class takes.

        :param message: The message.
        """
        other = type(self).__new__(type(self), message)
        other.__dict__.update(self.__dict__)
        return other


class ImportPollError(ImportProgressError):
    """Raised when a poll did not get through, or when so many in a row did not that the wait gave up."""


class ImportRequestError(ImportProgressError):
    """Raised when the vendor refuses the request, or when the connection is not fit to make it."""


class ImportProtocolError(ImportProgressError):
    """Raised when an answer is not what the vendor's API promises; it is never taken for success."""
