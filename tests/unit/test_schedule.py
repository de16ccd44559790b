# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from airflow_import_progress.progress import ImportProgress, ImportState
from airflow_import_progress.triggers.schedule import LAST_FAILURE_GAP, Pace, Schedule


def no_chance():
    return 0.0


def full_chance():
    return 1.0


def test_the_gap_is_the_poke_interval_at_the_most():
    assert Schedule(poke_interval=30, chance=no_chance).gap_after_progress(0) == 30
    assert Schedule(poke_interval=30, chance=full_chance).gap_after_progress(1000) == 24


def test_waits_that_began_together_spread_out():
    schedule = Schedule(poke_interval=30)
    assert len({schedule.gap_after_progress(0) for _ in range(20)}) > 1


def test_exponential_backoff_doubles_from_poll_to_poll():
    schedule = Schedule(poke_interval=10, exponential_backoff=True, chance=no_chance)
    elapsed, gaps = 0.0, []
    for _ in range(5):
        gaps.append(schedule.gap_after_progress(elapsed))
        elapsed += gaps[-1]
    assert gaps == [10, 20, 40, 80, 160]


def test_max_wait_ends_the_doubling():
    schedule = Schedule(poke_interval=10, exponential_backoff=True, max_wait=60, chance=no_chance)
    assert schedule.gap_after_progress(5000) == 60


def test_max_wait_alone_changes_nothing():
    assert Schedule(poke_interval=10, max_wait=3, chance=no_chance).gap_after_progress(0) == 10


@pytest.mark.parametrize("chance", [no_chance, full_chance])
def test_no_poll_follows_another_at_once(chance):
    schedule = Schedule(poke_interval=0, chance=chance)
    assert schedule.gap_after_progress(0) >= 1
    assert schedule.gap_after_failure(1) >= 1
    assert schedule.gap_after_failure(1, retry_after=0) >= 1


def test_failures_back_off_to_five_minutes():
    schedule = Schedule(poke_interval=30, chance=no_chance)
    assert [schedule.gap_after_failure(n) for n in range(1, 9)] == [5, 10, 20, 40, 80, 160, 300, 300]


def test_the_default_patience_outlives_a_quarter_of_an_hour():
    schedule = Schedule(poke_interval=30, chance=full_chance)
    assert sum(schedule.gap_after_failure(n) for n in range(1, 10)) > 15 * 60


def test_a_thousand_failures_do_not_overflow():
    assert Schedule(poke_interval=30, chance=no_chance).gap_after_failure(1000) == LAST_FAILURE_GAP


@pytest.mark.parametrize("chance", [no_chance, full_chance])
def test_retry_after_wins_and_chance_only_adds_to_it(chance):
    gap = Schedule(poke_interval=30, chance=chance).gap_after_failure(8, retry_after=120)
    assert 120 <= gap <= 121


def test_a_vendor_that_says_at_once_again_and_again_is_no_reason_to_hurry():
    schedule = Schedule(poke_interval=30, chance=no_chance)
    assert schedule.gap_after_failure(6, retry_after=0) == schedule.gap_after_failure(6) > 100


def running(percent):
    return ImportProgress(import_id="i-1", state=ImportState.RUNNING, percent=percent)


def test_a_steady_pace_tells_the_time_left():
    pace = Pace()
    assert pace.seconds_left(running(10), now=0) is None
    assert pace.seconds_left(running(20), now=60) == pytest.approx(480)
    assert pace.seconds_left(running(50), now=240) == pytest.approx(300)


@pytest.mark.parametrize("percents", [[50, 50, 50], [50, 20], [None, None], [10, None]])
def test_without_a_pace_nothing_is_estimated(percents):
    pace = Pace()
    estimates = [pace.seconds_left(running(percent), now=60.0 * n) for n, percent in enumerate(percents)]
    assert estimates[-1] is None
