# SPDX-License-Identifier: Apache-2.0
"""Run a conversation: send the requests that it yields, and pass the answers to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import closing
from http import HTTPStatus
from typing import Any, TypeVar

from airflow_import_progress.exceptions import ImportProgressError
from airflow_import_progress.http.exchange import MAX_ANSWER_BYTES, Conversation, Request, Response
from airflow_import_progress.http.transport import Counter

T = TypeVar("T")

#: The requests of this process that may have changed something at a vendor, over any connection. An operator sees by it
#: whether its start has certainly changed nothing.
changes = Counter()


def run(conversation: Conversation[T], send: Callable[[Request], Response]) -> T:
    """
    Run a conversation on a worker, and return its result.

    :param conversation: The conversation.
    :param send: Sends a request and returns the answer.
    """
    # Whether a request may have changed something at the vendor, and whether one before the current one may have.
    has_changed = is_after_change = False
    unanswered: Request | None = None
    try:
        request = next(conversation)
        while True:
            unanswered = request
            response = send(request)
            unanswered = None
            if _may_have_changed_something(request, response):
                has_changed = True
                changes.add()
            request = conversation.send(response)
            is_after_change = has_changed
    except StopIteration as end:
        result: T = end.value
        return result
    except ImportProgressError as error:
        if unanswered is not None and _changes_something(unanswered) and not error.not_sent:
            changes.add()
        error.not_sent = error.not_sent and not has_changed
        error.is_after_change = error.is_after_change or is_after_change
        raise
    finally:
        conversation.close()


async def arun(conversation: Conversation[T], send: Callable[[Request], Awaitable[Response]]) -> T:
    """
    Run a conversation on an event loop, and return its result.

    :param conversation: The conversation.
    :param send: Sends a request and returns the answer.
    """
    # Whether a request may have changed something at the vendor, and whether one before the current one may have.
    has_changed = is_after_change = False
    unanswered: Request | None = None
    try:
        request = next(conversation)
        while True:
            unanswered = request
            response = await send(request)
            unanswered = None
            if _may_have_changed_something(request, response):
                has_changed = True
                changes.add()
            if len(response.body) > MAX_ANSWER_BYTES:
                # Parsed in a thread, because a long body would block the event loop. It is parsed only once.
                await asyncio.to_thread(response.parsed_or_none)
            request = conversation.send(response)
            is_after_change = has_changed
    except StopIteration as end:
        result: T = end.value
        return result
    except ImportProgressError as error:
        if unanswered is not None and _changes_something(unanswered) and not error.not_sent:
            changes.add()
        error.not_sent = error.not_sent and not has_changed
        error.is_after_change = error.is_after_change or is_after_change
        raise
    finally:
        conversation.close()


def through(
    conversation: Conversation[T], send_authenticated: Callable[[Request], Conversation[Response]]
) -> Conversation[T]:
    """
    Return a conversation whose requests are each sent by another conversation, such as one that adds credentials.

    :param conversation: The conversation.
    :param send_authenticated: Returns the conversation that sends one request and ends in its answer.
    :raises TypeError: if one of them is not a conversation.
    """
    conversation = _checked(conversation, "poll()")
    try:
        request = next(conversation)
        while True:
            response = yield from _checked(send_authenticated(request), "send_authenticated()")
            request = conversation.send(response)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        conversation.close()


def first_request(conversation: Conversation[Any]) -> Request:
    """
    Return the request with which a conversation begins, and end it.

    :param conversation: The conversation.
    :raises TypeError: if it is not one.
    """
    with closing(_checked(conversation, "poll()")):
        return next(conversation)


def _checked(conversation: Conversation[T], method: str) -> Conversation[T]:
    # Of a vendor's module, where a method without "yield" is easily written.
    if isinstance(conversation, Generator):
        return conversation
    raise TypeError(
        f"a conversation was expected, which a method such as {method} returns if it yields its requests, as in "
        f"'response = yield Request(...)', but it returned {type(conversation).__name__}"
    )


def _may_have_changed_something(request: Request, response: Response) -> bool:
    is_refused = 400 <= response.status < 500 and response.status != HTTPStatus.REQUEST_TIMEOUT
    return _changes_something(request) and not is_refused


def _changes_something(request: Request) -> bool:
    # A log-in is shared.
    return request.method != "GET" and not request.shared
