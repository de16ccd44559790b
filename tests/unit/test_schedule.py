# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from airflow_import_progress.progress import ImportProgress, ImportState
from airflow_import_progress.waiting.schedule import MAX_FAILURE_GAP, PACE_WINDOW, Pace, Schedule


def no_chance():
    return 0.0


def full_chance():
    return 1.0


def test_the_gap_is_at_most_the_poke_interval():
    assert Schedule(poke_interval=30, chance=no_chance).gap_after_progress(0) == 30
    assert Schedule(poke_interval=30, chance=full_chance).gap_after_progress(1000) == 24


def test_waits_that_began_together_spread_out():
    schedule = Schedule(poke_interval=30)
    assert len({schedule.gap_after_progress(0) for _ in range(20)}) > 1


def test_a_pace_continues_from_the_last_observation_of_another():
    seen, continued = Pace(), Pace()
    for pace in (seen, continued):
        pace.observe(running(10), 0)
    continued = Pace(continued.last_observation)
    for pace in (seen, continued):
        pace.observe(running(30), 20)
    assert continued.gap(20) == seen.gap(20) is not None


def test_a_new_pace_has_no_last_observation():
    assert Pace().last_observation is None


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


@pytest.mark.parametrize(
    ("due_in", "poke_interval", "gap"),
    [(17, 30, 17), (0, 30, 0), (-1, 30, 1), (-600, 30, 30), (-600, 3600, 60), (-600, 1, 1)],
)
def test_overdue_first_polls_are_spread_over_a_short_time(due_in, poke_interval, gap):
    schedule = Schedule(poke_interval=poke_interval, chance=full_chance)
    assert schedule.gap_after_takeover(due_in) == gap
    if due_in < 0:
        assert Schedule(poke_interval=poke_interval, chance=no_chance).gap_after_takeover(due_in) == 0


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
    assert Schedule(poke_interval=30, chance=no_chance).gap_after_failure(1000) == MAX_FAILURE_GAP


@pytest.mark.parametrize("chance", [no_chance, full_chance])
def test_retry_after_wins_and_chance_only_adds_to_it(chance):
    gap = Schedule(poke_interval=30, chance=chance).gap_after_failure(8, retry_after=120)
    assert 120 <= gap <= 121


def test_a_retry_after_of_zero_does_not_shorten_the_gap():
    schedule = Schedule(poke_interval=30, chance=no_chance)
    assert schedule.gap_after_failure(6, retry_after=0) == schedule.gap_after_failure(6) > 100


def test_refusals_back_off_as_failures_do():
    schedule = Schedule(poke_interval=5, chance=no_chance)
    assert [schedule.gap_after_rate_limit(n, elapsed=0) for n in range(1, 9)] == [5, 10, 20, 40, 80, 160, 300, 300]


def test_a_refusal_is_not_followed_by_a_poll_sooner_than_usual():
    assert Schedule(poke_interval=60, chance=no_chance).gap_after_rate_limit(1, elapsed=0) == 60
    assert Schedule(poke_interval=900, chance=no_chance).gap_after_rate_limit(9, elapsed=0) == 900
    backoff = Schedule(poke_interval=60, exponential_backoff=True, chance=no_chance)
    assert backoff.gap_after_rate_limit(1, elapsed=5000) == 5060


@pytest.mark.parametrize("refusals", [1, 9])
def test_retry_after_wins_over_the_gaps_of_refusals(refusals):
    schedule = Schedule(poke_interval=60, chance=no_chance)
    assert schedule.gap_after_rate_limit(refusals, elapsed=0, retry_after=7) == 7
    assert schedule.gap_after_rate_limit(refusals, elapsed=0, retry_after=0) >= 60


def test_a_predicted_gap_above_the_poke_interval_changes_nothing():
    assert Schedule(poke_interval=60, chance=no_chance).gap_after_progress(0, 1000) == 60


def test_the_next_poll_is_after_the_predicted_gap():
    assert Schedule(poke_interval=60, chance=no_chance).gap_after_progress(0, 40) == 40


@pytest.mark.parametrize("chance", [no_chance, full_chance])
@pytest.mark.parametrize("predicted_gap", [0, -1000])
def test_around_the_expected_end_polls_come_close_but_never_closer_than_allowed(chance, predicted_gap):
    gap = Schedule(poke_interval=60, min_poke_interval=8, chance=chance).gap_after_progress(0, predicted_gap)
    assert 8 <= gap <= 10


def test_a_shortest_gap_above_the_longest_counts_as_that():
    schedule = Schedule(poke_interval=10, min_poke_interval=30, chance=no_chance)
    assert schedule.gap_after_progress(0, 0) == 10


def test_a_near_end_shortens_the_gaps_of_exponential_backoff_too():
    schedule = Schedule(poke_interval=60, exponential_backoff=True, chance=no_chance)
    assert schedule.gap_after_progress(5000, 300) == 300
    assert schedule.gap_after_progress(5000, None) == 5060


def running(percent, state=ImportState.RUNNING):
    return ImportProgress(import_id="i-1", state=state, percent=percent)


def paced(*observations):
    pace = Pace()
    for now, percent in observations:
        pace.observe(running(percent), now)
    return pace


def test_a_steady_pace_predicts_the_time_left():
    pace = paced(*((60.0 * n, 10.0 * n) for n in range(1, 7)))
    assert pace.seconds_left(now=360) == pytest.approx(240, rel=0.15)
    assert 230 <= pace.gap(now=360) <= 290


def test_the_time_left_becomes_less_between_polls():
    pace = paced(*((60.0 * n, 10.0 * n) for n in range(1, 7)))
    assert pace.seconds_left(now=390) == pytest.approx(pace.seconds_left(now=360) - 30, abs=10)


@pytest.mark.parametrize(
    "percents", [[], [50], [50, 50, 50], [10, 20], [50, 20], [None, None], [10, None], [10, 20, None, 5]]
)
def test_too_few_observations_give_no_estimate(percents):
    assert paced(*((60.0 * n, percent) for n, percent in enumerate(percents))).seconds_left(now=600) is None


def test_two_percentages_give_no_estimate():
    assert paced((0, 0), (60, 0), (120, 1)).seconds_left(now=120) is None


def test_an_irregular_pace_gives_no_estimate():
    assert paced((0, 3), (60, 4), (120, 57)).seconds_left(now=120) is None


def test_an_overdue_end_gives_no_estimate():
    pace = paced(*((60.0 * n, 10.0 * n) for n in range(1, 10)), (594, 99))
    assert pace.seconds_left(now=2000) is None


def test_a_whole_number_may_hide_up_to_one_percent_more():
    pace = paced(*((10.0 * n, float(n // 10)) for n in range(981)))
    assert 100 <= pace.gap(now=9800) < 200


def test_an_end_that_is_infinitely_far_gives_no_estimate():
    pace = paced((0, 0), (60, 5e-324), (120, 1e-323))
    assert pace.seconds_left(now=120) is None
    assert Schedule(poke_interval=60, chance=no_chance).gap_after_progress(120, pace.gap(now=120)) == 60


def test_a_wrong_prediction_costs_few_polls():
    pace, schedule, now, polled = Pace(), Schedule(poke_interval=60, chance=no_chance), 0.0, 0
    while now < 36_000:
        # Steady up to a half, where it stays.
        pace.observe(running(min(50.0, now / 72)), now)
        now += schedule.gap_after_progress(now, pace.gap(now))
        polled += 1
    assert polled <= 1.2 * 36_000 / 60


def test_a_percentage_that_falls_starts_a_new_pace():
    steady = [(60.0 * n, 10.0 * n) for n in range(1, 10)]
    assert paced(*steady).gap(now=540) is not None
    assert paced(*steady, (600.0, 5.0)).gap(now=600) is None


def test_an_import_that_waits_for_somebody_has_no_pace():
    pace = paced(*((60.0 * n, 10.0 * n) for n in range(1, 10)))
    pace.observe(running(90, ImportState.ACTION_REQUIRED), now=600)
    assert pace.gap(now=600) is None


def test_a_clock_that_was_set_back_starts_a_new_pace():
    pace = paced(*((60.0 * n, 10.0 * n) for n in range(1, 6)), (10, 60))
    assert pace.gap(now=20) is None


def test_a_response_without_a_percentage_changes_nothing():
    steady = [(60.0 * n, 10.0 * n) for n in range(1, 8)]
    assert paced(*steady, (450, None)).gap(now=460) == paced(*steady).gap(now=460)


def test_a_percentage_that_has_not_changed_for_long_predicts_nothing():
    pace = paced(*((60.0 * n, 10.0 * n) for n in range(1, 6)), (3600, 50))
    assert pace.gap(now=3600) is None
    assert pace.seconds_left(now=3600) is None


def test_a_percentage_that_changes_again_predicts_again():
    pace = paced(*((60.0 * n, 10.0 * n) for n in range(1, 6)), (3600, 50), (3660, 60), (3720, 70), (3780, 80))
    assert 110 <= pace.gap(now=3780) <= 145


def test_a_pace_that_falls_off_is_polled_closely_until_the_end():
    # Smooth at both ends, over after 3600 s.
    curve = [(t, 100 * (3 * (t / 3600) ** 2 - 2 * (t / 3600) ** 3)) for t in range(0, 3301, 60)]
    pace = paced(*curve)
    assert pace.gap(now=3300) < 300
    assert pace.gap(now=3400) <= 60


def test_what_is_kept_of_the_past_is_bounded():
    pace = paced(*((float(n), n / 100) for n in range(5000)))
    assert len(pace._seen) <= PACE_WINDOW <= 10


def whole(percent):
    return float(min(99, int(percent)))


def fine(percent):
    return min(99.995, percent)


def polls(shape, *, poke_interval=60, over_after, until=None):
    """Return the times of all polls of an import that ends after ``over_after`` seconds."""
    schedule, pace, now, times = Schedule(poke_interval=poke_interval, chance=no_chance), Pace(), 0.0, []
    while now < (until or over_after):
        times.append(now)
        pace.observe(running(shape(now / over_after)), now)
        now += schedule.gap_after_progress(now, pace.gap(now))
    return [*times, now]


SHAPES = {
    "linear": lambda x: 100 * x,
    "slow start": lambda x: 100 * x**2,
    "s-curve": lambda x: 100 * (3 * x**2 - 2 * x**3),
}


@pytest.mark.parametrize("told", [whole, fine])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("over_after", [3300, 3600])
def test_an_end_that_can_be_predicted_is_seen_soon_and_with_few_polls(shape, told, over_after):
    times = polls(lambda x: told(shape(x)), over_after=over_after)
    assert times[-1] - over_after <= 15
    assert len(times) <= 1.6 * over_after / 60


@pytest.mark.parametrize(
    "shape",
    [
        lambda x: None,
        lambda x: 0.0,
        lambda x: 5.0,
        lambda x: 99.0,
        lambda x: 100.0,
        lambda x: whole(200 * x),
        lambda x: fine(150 * x),
        lambda x: 20.0 * x if x < 0.7 else 80.0,
    ],
    ids=["unknown", "0", "5", "99", "100", "99 from half", "99.995 from two thirds", "a jump"],
)
def test_an_end_that_cannot_be_predicted_costs_few_polls_more(shape):
    assert len(polls(shape, over_after=7200)) <= 7200 / 60 + 40


def test_99_percent_for_ever_is_polled_at_the_poke_interval():
    times = polls(lambda x: whole(100 * x), over_after=3600, until=36000)
    assert [then - now for now, then in pairwise(times[-500:])] == pytest.approx([60] * 499)


@pytest.mark.parametrize("seed", range(20))
def test_the_gap_stays_within_its_bounds_for_any_progress(seed):
    random = Random(seed)  # noqa: S311
    schedule, pace, now = Schedule(poke_interval=60, chance=random.random), Pace(), 0.0
    for _ in range(300):
        pace.observe(
            running(
                random.choice([None, 0.0, 99.0, 100.0, random.uniform(0, 100), float(random.randint(0, 100))]),
                random.choice([ImportState.PENDING, *[ImportState.RUNNING] * 9]),
            ),
            now,
        )
        assert 5 <= schedule.gap_after_progress(now, pace.gap(now)) <= 60
        now += random.choice([0.0, 1.0, 30.0, 60.0, 5000.0])
