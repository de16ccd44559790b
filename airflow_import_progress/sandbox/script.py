# SPDX-License-Identifier: Apache-2.0
"""What an imitated import does over time. Pure: the time is always passed in."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace

from airflow_import_progress.sandbox.checks import (
    InvalidInputError,
    Json,
    as_count,
    as_fields,
    as_json,
    as_number,
    as_text,
    path_of,
)

FAILED = -1.0
DONE = 100.0

_DEFAULT_RECORDS = 1000
_FIELDS = ("duration", "fail_at", "points", "answers", "results", "records", "failed_records", "reason")


@dataclass(frozen=True)
class Script:
    """
    The course of one import.

    :param points: ``(seconds since creation, progress)``, seconds not decreasing; between two points the
        progress is interpolated, and of points at the same second the last one holds
    :param answers: literal bodies to answer to the progress requests in turn, the last one for ever;
        empty: answer the progress that ``points`` give
    :param results: literal body that says what the import did; None: the vendor's answer for nothing done
    :param records: how many records there are to import, 0 or more
    :param failed_records: how many of them cannot be imported
    :param reason: the vendor's words for a failure; None: those that it has for any
    """

    points: tuple[tuple[float, float], ...]
    answers: tuple[Json, ...] = ()
    results: Json | None = None
    records: int = _DEFAULT_RECORDS
    failed_records: int = 0
    reason: str | None = None

    @classmethod
    def steady(cls, duration: float, fail_at: float | None = None, results: Json | None = None) -> Script:
        """
        Make a script whose progress grows evenly.

        :param duration: seconds from creation to 100 percent, 0 or more
        :param fail_at: percent, 0 to 100, at which the import fails for ever; None: it succeeds
        :param results: literal body that says what the import did
        """
        if fail_at is None:
            return cls(((0.0, 0.0), (duration, DONE)), results=results)
        failed_after = duration * fail_at / DONE
        return cls(((0.0, 0.0), (failed_after, fail_at), (failed_after, FAILED)), results=results)

    @classmethod
    def from_json(cls, value: Json, default_duration: float, where: str = "script") -> Script:
        """
        Make the script that a user describes.

        :param value: an object with any of ``duration``, ``fail_at``, ``points``, ``answers``, ``results``,
            ``records``, ``failed_records``, ``reason``
        :param default_duration: seconds to the end when the user says nothing about it
        :param where: path of the object in what the user sent, for error messages
        """
        fields = as_fields(value, where, _FIELDS)
        _refuse_two_courses(fields.keys(), where)
        records, failed_records = _records(fields, where)
        return replace(
            cls._course(fields, default_duration, where),
            results=as_json(fields.get("results"), path_of(where, "results")),
            records=records,
            failed_records=failed_records,
            reason=None if fields.get("reason") is None else as_text(fields["reason"], path_of(where, "reason")),
        )

    @classmethod
    def _course(cls, fields: Mapping[str, Json], default_duration: float, where: str) -> Script:
        if "points" in fields:
            return cls(_points(fields["points"], path_of(where, "points")))
        duration, fail_at = default_duration, None
        if "duration" in fields:
            duration = as_number(fields["duration"], path_of(where, "duration"), minimum=0)
        if fields.get("fail_at") is not None:
            fail_at = as_number(fields["fail_at"], path_of(where, "fail_at"), minimum=0, maximum=DONE)
        script = cls.steady(duration, fail_at)
        if "answers" in fields:
            return replace(script, answers=_answers(fields["answers"], path_of(where, "answers")))
        return script

    def progress_at(self, elapsed: float) -> float:
        """
        Return the progress at a time.

        :param elapsed: seconds since the creation of the import
        """
        following = bisect_right(self.points, elapsed, key=lambda point: point[0])
        if following == 0:
            return self.points[0][1]
        start_time, start = self.points[following - 1]
        if following == len(self.points):
            return start
        end_time, end = self.points[following]
        progress = start + (end - start) * (elapsed - start_time) / (end_time - start_time)
        # Rounding must not make the import finish before its time.
        return math.nextafter(end, start) if progress == end else progress

    def reached_at(self, elapsed: float) -> float:
        """
        Return how far the import has come at a time, which a failure does not take back.

        :param elapsed: seconds since the creation of the import
        """
        progress = self.progress_at(elapsed)
        if progress >= 0:
            return progress
        before = [point for seconds, point in self.points if seconds <= elapsed and point >= 0]
        return before[-1] if before else 0.0

    def answer_at(self, requests_before: int) -> Json:
        """
        Return the literal body for a progress request; only for a script with ``answers``.

        :param requests_before: how many progress requests were answered before
        """
        return self.answers[min(requests_before, len(self.answers) - 1)]


def _refuse_two_courses(given: Set[str], where: str) -> None:
    for course in ("points", "answers"):
        others = sorted(given & ({"duration", "fail_at", "points", "answers"} - {course}))
        if course in given and others:
            raise InvalidInputError(path_of(where, course), f"cannot be combined with {', '.join(others)}")


def _records(fields: Mapping[str, Json], where: str) -> tuple[int, int]:
    records = as_count(fields.get("records", _DEFAULT_RECORDS), path_of(where, "records"), minimum=0)
    field = path_of(where, "failed_records")
    failed_records = as_count(fields.get("failed_records", 0), field, minimum=0)
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
        seconds = as_number(point[0], f"{name}[0]", minimum=0)
        if points and seconds < points[-1][0]:
            raise InvalidInputError(f"{name}[0]", "must not be before the point in front of it")
        points.append((seconds, as_number(point[1], f"{name}[1]")))
    return tuple(points)


def _answers(value: Json, field: str) -> tuple[Json, ...]:
    if not isinstance(value, (list, tuple)) or not value:
        raise InvalidInputError(field, "must be a list of JSON values that is not empty")
    return tuple(as_json(answer, f"{field}[{index}]") for index, answer in enumerate(value))
