# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import heapq
import random
from itertools import pairwise

import pytest

from airflow_import_progress.http.adaptive_rate import (
    DECREASE,
    INCREASE,
    LOWEST,
    QUIET,
    STILL_TOO_FAST,
    STRONG_DECREASE,
    AdaptiveRate,
)
from airflow_import_progress.sandbox.rates import RateLimiter

CEILING = 50.0
LATER = 10 * STILL_TOO_FAST


def refuse(rate, at, pause=0.0):
    """Refuse a request after the rate was tried."""
    rate.on_answer(at, at)
    return rate.on_refusal(at, at, pause)


@pytest.fixture
def rate():
    return AdaptiveRate(CEILING, now=0)


def test_the_rate_begins_at_the_ceiling(rate):
    assert rate.per_minute == CEILING


def test_answers_do_not_raise_the_rate_above_the_ceiling(rate):
    for second in range(1000):
        rate.on_answer(second, second)
    assert rate.per_minute == CEILING


def test_a_refusal_lowers_the_rate(rate):
    refuse(rate, LATER)
    assert rate.per_minute == CEILING * (1 - DECREASE)


def test_a_refusal_right_after_the_start_lowers_the_rate_more(rate):
    refuse(rate, STILL_TOO_FAST - 1)
    assert rate.per_minute == CEILING * (1 - STRONG_DECREASE)


def test_a_refusal_right_after_a_pause_lowers_the_rate_more(rate):
    refuse(rate, LATER, pause=100)
    refuse(rate, LATER + 100 + STILL_TOO_FAST - 1)
    assert rate.per_minute == pytest.approx(CEILING * (1 - DECREASE) * (1 - STRONG_DECREASE), rel=0.01)


def test_requests_that_were_under_way_at_a_refusal_lower_the_rate_no_further(rate):
    refuse(rate, LATER)
    rate.on_answer(LATER + 0.1, LATER + 0.2)
    assert not rate.on_refusal(sent_at=LATER - 1, now=LATER + 1, pause=0)
    assert rate.per_minute == pytest.approx(CEILING * (1 - DECREASE), rel=0.001)


def test_an_answer_to_a_request_that_was_under_way_does_not_show_that_the_rate_was_tried(rate):
    refuse(rate, LATER, pause=5)
    rate.on_answer(sent_at=LATER - 1, now=LATER + 1)
    assert not rate.on_refusal(LATER + 6, LATER + 6, 5)


def test_a_longer_pause_of_a_request_that_was_under_way_counts(rate):
    refuse(rate, LATER, pause=5)
    rate.on_refusal(sent_at=LATER - 1, now=LATER + 1, pause=100)
    refuse(rate, LATER + 101 + STILL_TOO_FAST - 1)
    assert rate.per_minute == pytest.approx(CEILING * (1 - DECREASE) * (1 - STRONG_DECREASE), rel=0.01)


def test_an_answer_in_a_pause_does_not_lower_the_rate(rate):
    refuse(rate, LATER, pause=100)
    rate.on_answer(LATER + 1, LATER + 1)
    assert rate.per_minute >= CEILING * (1 - DECREASE)


def test_an_outage_in_which_all_is_refused_lowers_the_rate_once(rate):
    refuse(rate, LATER, pause=5)
    for number in range(1, 100):
        assert not rate.on_refusal(LATER + 5 * number, LATER + 5 * number, 5)
    assert rate.per_minute == CEILING * (1 - DECREASE)


@pytest.mark.parametrize("refusals", [1, 2, 5])
def test_the_rate_grows_by_the_same_amount_however_low_it_is(rate, refusals):
    for number in range(refusals):
        refuse(rate, LATER * (number + 1))
    low = rate.per_minute
    rate.on_answer(LATER * refusals + 6, LATER * refusals + 6)
    assert rate.per_minute - low == pytest.approx(CEILING * INCREASE * 0.1, rel=0.01)


def test_the_rate_grows_faster_the_longer_nothing_is_refused(rate):
    refuse(rate, LATER)
    rates = [rate.per_minute]
    for minute in range(1, 11):
        rate.on_answer(LATER + 60 * minute, LATER + 60 * minute)
        rates.append(rate.per_minute)
    growth = [later - earlier for earlier, later in pairwise(rates)]
    assert growth == pytest.approx([CEILING * INCREASE * (1 + n * n / QUIET) for n in range(1, 11)])


def test_the_rate_returns_to_the_ceiling_when_nothing_is_refused_any_more(rate):
    at = LATER
    while rate.per_minute > CEILING / 10:
        refuse(rate, at := at + LATER)
    begin = at
    while rate.per_minute < CEILING:
        at += 60 / rate.per_minute
        rate.on_answer(at, at)
    assert at - begin < 30 * 60


def test_a_pause_is_not_silence(rate):
    refuse(rate, LATER, pause=3600)
    rate.on_answer(LATER + 3601, LATER + 3601)
    assert rate.per_minute == pytest.approx(CEILING * (1 - DECREASE), rel=0.001)


def test_nothing_is_learned_while_nothing_is_sent(rate):
    refuse(rate, LATER)
    for second in range(1, 50):
        rate.on_answer(LATER + second, LATER + second)
    before = rate.per_minute
    rate.on_answer(LATER + 24 * 3600, LATER + 24 * 3600)
    rate.on_answer(LATER + 24 * 3600 + 1, LATER + 24 * 3600 + 1)
    assert rate.per_minute < before * 1.01


@pytest.mark.parametrize("ceiling", [CEILING, 0.1])
def test_the_rate_does_not_fall_to_nothing(ceiling):
    rate = AdaptiveRate(ceiling, now=0)
    for number in range(1, 100):
        refuse(rate, number)
    assert rate.per_minute == min(ceiling, LOWEST)


@pytest.mark.parametrize("seed", range(3))
def test_processes_that_share_a_limit_settle_at_the_same_share(seed):
    """One of the two begins an hour later, when the other one has the whole limit."""
    chance, limiter = random.Random(seed), RateLimiter()  # noqa: S311
    rates = [AdaptiveRate(CEILING, 0), AdaptiveRate(CEILING, 3600)]
    answered, refused = [0, 0], 0
    turns = [(0.0, 0), (3600.0, 1)]
    while turns[0][0] < 9 * 3600:
        at, process = heapq.heappop(turns)
        status = limiter.take("lucca", "", int(CEILING), at)
        pause = 0.0
        if status.exceeded:
            pause = status.seconds_left
            rates[process].on_refusal(at, at, pause)
        else:
            rates[process].on_answer(at, at)
        if at > 2 * 3600:
            answered[process] += not status.exceeded
            refused += status.exceeded
        heapq.heappush(turns, (at + pause + 63 / rates[process].per_minute + chance.random() / 10, process))
    assert max(answered) < 1.5 * min(answered)
    assert refused < 0.03 * sum(answered)
    assert sum(answered) > 0.85 * CEILING * 7 * 60
