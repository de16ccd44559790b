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

T = TypeVar("T")


def run(conversation: Conversation[T], send: Callable[[Request], Response]) -> T:
    """
    Run a conversation on a worker, and return its result.

    :param conversation: The conversation.
    :param send: Sends a request and returns the answer.
    """
    # Whether a request before the current one may have changed something at the vendor.
    is_after_change = False
    try:
        request = next(conversation)
        while True:
            response = send(request)
            may_have_changed = _may_have_changed_something(request, response)
            request = conversation.send(response)
            is_after_change = is_after_change or may_have_changed
    except StopIteration as end:
        result: T = end.value
        return result
    except ImportProgressError as error:
        if is_after_change:
            error.not_sent, error.is_after_change = False, True
        raise
    finally:
        conversation.close()


async def arun(conversation: Conversation[T], send: Callable[[Request], Awaitable[Response]]) -> T:
    """
    Run a conversation on an event loop, and return its result.

    :param conversation: The conversation.
    :param send: Sends a request and returns the answer.
    """
    # Whether a request before the current one may have changed something at the vendor.
    is_after_change = False
    try:
        request = next(conversation)
        while True:
            response = await send(request)
            may_have_changed = _may_have_changed_something(request, response)
            if len(response.body) > MAX_ANSWER_BYTES:
                # Parsed in a thread, because a long body would block the event loop. It is parsed only once.
                await asyncio.to_thread(response.parsed_or_none)
            request = conversation.send(response)
            is_after_change = is_after_change or may_have_changed
    except StopIteration as end:
        result: T = end.value
        return result
    except ImportProgressError as error:
        if is_after_change:
            error.not_sent, error.is_after_change = False, True
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
    # A log-in is shared.
    return request.method != "GET" and not request.shared and not is_refused
