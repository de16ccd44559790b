# SPDX-License-Identifier: Apache-2.0
"""One attempt for all who want the same."""

from __future__ import annotations

import asyncio

import pytest

from airflow_import_progress.http.single_flight import SingleFlight


class Attempts:
    def __init__(self):
        self.begun = self.cancelled = 0
        self.go_on = asyncio.Event()
        self.error = None

    async def __call__(self):
        self.begun += 1
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error:
            raise self.error
        return self.begun


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.fixture(params=[True, False], ids=["alone", "expected"])
def alone(request):
    return request.param


def both(sharing, attempts, alone):
    return [asyncio.create_task(sharing.do("it", attempts, alone=alone)) for _ in range(2)]


async def test_calls_with_the_same_key_share_one_attempt(alone):
    sharing, attempts = SingleFlight(), Attempts()
    tasks = both(sharing, attempts, alone)
    await turns()
    attempts.go_on.set()
    assert await asyncio.gather(*tasks) == [1, 1]


async def test_calls_with_different_keys_do_not_share_an_attempt(alone):
    sharing, attempts = SingleFlight(), Attempts()
    attempts.go_on.set()
    await asyncio.gather(*(sharing.do(wanted, attempts, alone=alone) for wanted in "ab"))
    assert attempts.begun == 2


async def test_an_attempt_that_is_over_is_not_shared(alone):
    sharing, attempts = SingleFlight(), Attempts()
    attempts.go_on.set()
    assert [await sharing.do("it", attempts, alone=alone) for _ in range(2)] == [1, 2]


async def call_at_its_end(sharing, call_later, **kwargs):
    """Call again when the attempt ends, or a turn of the event loop later; return the results of both calls."""
    calls = []
    begun = 0

    def call():
        calls.append(asyncio.create_task(sharing.do("it", attempt, **kwargs)))

    async def attempt():
        nonlocal begun
        begun += 1
        if begun == 1:
            asyncio.get_running_loop().call_soon(call) if call_later else call()
        return begun

    first = await sharing.do("it", attempt, **kwargs)
    await turns()
    return first, await calls[0]


@pytest.mark.parametrize("call_later", [False, True])
async def test_an_attempt_that_is_over_is_not_shared_even_before_its_result_is_read(alone, call_later):
    assert await call_at_its_end(SingleFlight(), call_later, alone=alone) == (1, 2)


@pytest.mark.parametrize("call_later", [False, True])
async def test_an_attempt_can_be_shared_until_its_result_is_read(call_later):
    sharing = SingleFlight()
    assert [await call_at_its_end(sharing, call_later, until_read=True) for _ in range(2)] == [(1, 1)] * 2


async def test_an_error_is_shared(alone):
    sharing, attempts = SingleFlight(), Attempts()
    attempts.error = ValueError("no")
    tasks = both(sharing, attempts, alone)
    await turns()
    attempts.go_on.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ValueError, ValueError]


@pytest.mark.parametrize("cancelled", [0, 1])
async def test_a_cancelled_call_does_not_cancel_the_other(alone, cancelled):
    sharing, attempts = SingleFlight(), Attempts()
    tasks = both(sharing, attempts, alone)
    await turns()
    tasks[cancelled].cancel()
    await turns()
    attempts.go_on.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[cancelled], asyncio.CancelledError)
    assert outcomes[1 - cancelled] in (1, 2)


async def test_an_attempt_without_callers_is_cancelled(alone):
    sharing, attempts = SingleFlight(), Attempts()
    tasks = both(sharing, attempts, alone)
    await turns()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await turns()
    assert attempts.cancelled == attempts.begun


async def test_nobody_joins_an_attempt_that_is_being_cancelled(alone):
    sharing, attempts = SingleFlight(), Attempts()
    first = asyncio.create_task(sharing.do("it", attempts, alone=alone))
    await turns()
    first.cancel()
    second = asyncio.create_task(sharing.do("it", attempts, alone=alone))
    await turns()
    attempts.go_on.set()
    assert await second == 2


async def test_wait_until_idle_returns_whether_an_attempt_was_running(alone):
    sharing, attempts = SingleFlight(), Attempts()
    assert not await sharing.wait_until_idle("it")
    task = asyncio.create_task(sharing.do("it", attempts, alone=alone))
    await turns()
    over = asyncio.create_task(sharing.wait_until_idle("it"))
    await turns()
    assert not over.done()
    attempts.go_on.set()
    assert await over
    assert await task == 1
