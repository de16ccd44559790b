# SPDX-License-Identifier: Apache-2.0
"""A conversation of several requests: whether an error means that the vendor was sent nothing."""

from __future__ import annotations

import asyncio

import pytest

from airflow_import_progress.exceptions import ImportPollError
from airflow_import_progress.http.conversation import arun, run
from airflow_import_progress.http.exchange import Request, Response

LAST = Request(method="GET", path="/last")


def conversation(*requests):
    # Not from the tuple, to which no answer can be sent.
    for request in (*requests, LAST):  # noqa: UP028
        yield request


def by_run(conversation, send):
    return run(conversation, send)


def by_arun(conversation, send):
    async def asend(request):
        return send(request)

    return asyncio.run(arun(conversation, asend))


@pytest.fixture(params=[by_run, by_arun])
def converse(request):
    return request.param


def answering(status):
    """Return a function that answers with a status, but does not reach the vendor with the last request."""

    def send(request):
        if request is LAST:
            raise ImportPollError("refused", transient=True, not_sent=True)
        return Response(status=status, headers={}, body=b"", request_line="")

    return send


@pytest.mark.parametrize(
    ("request_before", "status", "not_sent"),
    [
        ({"method": "GET"}, 200, True),
        ({"method": "POST", "shared": True}, 200, True),
        ({"method": "POST"}, 401, True),
        ({"method": "POST"}, 429, True),
        ({"method": "POST"}, 200, False),
        ({"method": "PUT"}, 204, False),
        ({"method": "POST"}, 303, False),
        ({"method": "POST"}, 500, False),
    ],
)
def test_nothing_was_sent_only_if_no_earlier_request_may_have_changed_something(
    converse, request_before, status, not_sent
):
    with pytest.raises(ImportPollError) as caught:
        converse(conversation(Request(path="/first", **request_before)), answering(status))
    assert caught.value.not_sent is not_sent


def test_a_single_request_that_was_not_sent_stays_so(converse):
    with pytest.raises(ImportPollError) as caught:
        converse(conversation(), answering(200))
    assert caught.value.not_sent
