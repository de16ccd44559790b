# SPDX-License-Identifier: Apache-2.0
"""The course of a simulated import. Pure: the time is always passed in."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace

from airflow_import_progress.sandbox.checks import (
    InvalidInputError,
    Json,
    path_of,
    require_fields,
    require_integer,
    require_json,
    require_number,
    require_text,
)

FAILED = -1.0
DONE = 100.0

_DEFAULT_RECORDS = 1000
_FIELDS = ("duration", "fail_at", "points", "answers", "results", "records", "failed_records", "reason")


@dataclass(frozen=True)
class Script:
    """
    The course of one import.

    :param points: Pairs of seconds since creation, not decreasing, and progress. Progress is interpolated between two
        points. Of points at the same second the last one counts.
    :param answers: Literal bodies for consecutive progress requests, the last one repeated for ever. Empty: progress
        follows ``points``.
    :param results: Literal body of the results. None: the vendor's answer for an import without effect.
    :param records: Number of records to import, 0 or more.
    :param failed_records: Number of records that cannot be imported.
    :param reason: The vendor's message for a failure. None: its default message.
    """

    points: tuple[tuple[float, float], ...]
    answers: tuple[Json, ...] = ()
    results: Json | None = None
    records: int = _DEFAULT_RECORDS
    failed_records: int = 0
    reason: str | None = None

    @classmethod
    def steady(cls, duration: float, fail_at: float | None = None) -> Script:
        """
        Make a script with linear progress.

        :param duration: Seconds from creation to 100 percent, 0 or more.
        :param fail_at: Percent, 0 to 100, at which the import fails for ever. None: it succeeds.
        """
        if fail_at is None:
            return cls(((0.0, 0.0), (duration, DONE)))
        failed_after = duration * fail_at / DONE
        return cls(((0.0, 0.0), (failed_after, fail_at), (failed_after, FAILED)))

    @classmethod
    def from_json(cls, value: Json, default_duration: float, where: str = "script") -> Script:
        """
        Make a script from a user's input.

        :param value: An object with any of ``duration``, ``fail_at``, ``points``, ``answers``, ``results``,
            ``records``, ``failed_records``, ``reason``.
        :param default_duration: Seconds to the end if the input has no duration.
        :param where: Path of the object in the input, for error messages.
        """
        fields = require_fields(value, where, _FIELDS)
        _check_single_course(fields.keys(), where)
        records, failed_records = _records(fields, where)
        return replace(
            cls._course(fields, default_duration, where),
            results=require_json(fields.get("results"), path_of(where, "results")),
            records=records,
            failed_records=failed_records,
            reason=None if fields.get("reason") is None else require_text(fields["reason"], path_of(where, "reason")),
        )

    @classmethod
    def _course(cls, fields: Mapping[str, Json], default_duration: float, where: str) -> Script:
        if "points" in fields:
            return cls(_points(fields["points"], path_of(where, "points")))
        duration, fail_at = default_duration, None
        if "duration" in fields:
            duration = require_number(fields["duration"], path_of(where, "duration"), minimum=0)
        if fields.get("fail_at") is not None:
            fail_at = require_number(fields["fail_at"], path_of(where, "fail_at"), minimum=0, maximum=DONE)
        script = cls.steady(duration, fail_at)
        if "answers" in fields:
            return replace(script, answers=_answers(fields["answers"], path_of(where, "answers")))
        return script

    def progress_at(self, elapsed: float) -> float:
        """
        Return the progress at a time.

        :param elapsed: Seconds since the creation of the import.
        """
        following = bisect_right(self.points, elapsed, key=lambda point: point[0])
        if following == 0:
            return self.points[0][1]
        start_time, start = self.points[following - 1]
        if following == len(self.points):
            return start
        end_time, end = self.points[following]
        progress = start + (end - start) * (elapsed - start_time) / (end_time - start_time)
        # Stay below the end: rounding must not finish the import early.
        return math.nextafter(end, start) if progress == end else progress

    def reached_at(self, elapsed: float) -> float:
        """
        Return the highest progress at a time, which a failure does not reset.

        :param elapsed: Seconds since the creation of the import.
        """
        progress = self.progress_at(elapsed)
        if progress >= 0:
            return progress
        before = [point for seconds, point in self.points if seconds <= elapsed and point >= 0]
        return before[-1] if before else 0.0

    def answer_at(self, requests_before: int) -> Json:
        """
        Return the literal body for a progress request. Only for a script with ``answers``.

        :param requests_before: Number of progress requests that were answered before.
        """
        return self.answers[min(requests_before, len(self.answers) - 1)]


def _check_single_course(given: Set[str], where: str) -> None:
    for course in ("points", "answers"):
        others = sorted(given & ({"duration", "fail_at", "points", "answers"} - {course}))
        if course in given and others:
            raise InvalidInputError(path_of(where, course), f"cannot be combined with {', '.join(others)}")


def _records(fields: Mapping[str, Json], where: str) -> tuple[int, int]:
    records = require_integer(fields.get("records", _DEFAULT_RECORDS), path_of(where, "records"), minimum=0)
    field = path_of(where, "failed_records")
    failed_records = require_integer(fields.get("failed_records", 0), field, minimum=0)
    if failed_records > records:
        raise InvalidInputError(field, f"must not be more than records, which is {records}")
    return records, failed_records


def _points(value: Json, field: str) -> tuple[tuple[float, float], ...]:
    if not isinstance(value, (list, tuple)) or not value:
        raise InvalidInputError(field, "must be a list of [seconds, progress] that is not empty")
    points: list[tuple[float, float]] = []
    for index, point in enumerate(value):
        name = f"{field}[{index}]"
        if not isinstance(point, (list, tuple)) or len(point) != 2:
            raise InvalidInputError(name, "must be [seconds, progress]")
        seconds = require_number(point[0], f"{name}[0]", minimum=0)
        if points and seconds < points[-1][0]:
            raise InvalidInputError(f"{name}[0]", "must not be before the point in front of it")
        points.append((seconds, require_number(point[1], f"{name}[1]")))
    return tuple(points)


def _answers(value: Json, field: str) -> tuple[Json, ...]:
    if not isinstance(value, (list, tuple)) or not value:
        raise InvalidInputError(field, "must be a list of JSON values that is not empty")
    return tuple(require_json(answer, f"{field}[{index}]") for index, answer in enumerate(value))
