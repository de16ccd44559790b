# SPDX-License-Identifier: Apache-2.0
"""The decision whether an import passes. All modes of a sensor use it, so they cannot differ."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal, assert_never, final, get_args

from airflow_import_progress.progress import ImportProgress, ImportState, require_whole_number

OnActionRequired = Literal["wait", "fail"]


class Decision(Enum):
    """The consequence of one progress."""

    WAIT = auto()
    PASS = auto()
    FAIL = auto()
    #: Fails because somebody has to act first.
    FAIL_FOR_ACTION = auto()


@dataclass(frozen=True)
class Verdict:
    """
    Hold a decision and the reason for a failure.

    :param decision: The decision.
    :param reason: The reason, for the error message. Empty unless the decision is a failure.
    """

    decision: Decision
    reason: str = ""


@final
@dataclass(frozen=True, kw_only=True)
class Gate:
    """
    Decide whether an import passes.

    Only :attr:`.ImportState.SUCCEEDED` ever passes, and only if the vendor reports the counts that the limits need and
    they are within the limits.

    :param max_failed_records: How many records may have failed in an import that succeeded, from 0. None: any number.
    :param min_success_rate: The share of the processed records that must not have failed, in percent: 0, or above 1
        up to 100. None: any share. From above 0 to 1 it is refused, because it looks like a fraction. It
        passes an import without any record.
    :param min_records: How many records must have been imported, from 1. None: any number.
    :param on_action_required: ``"wait"`` keeps waiting while the vendor waits for somebody, ``"fail"`` does
        not.
    :raises ValueError: if a value is outside its range; the message names the argument.
    """

    max_failed_records: int | None = None
    min_success_rate: float | None = None
    min_records: int | None = None
    on_action_required: OnActionRequired = "wait"

    def __init_subclass__(cls) -> None:
        # A trigger makes the gate again from its arguments, and would lose the rules of a subclass.
        raise TypeError("Gate cannot be subclassed: the triggerer would judge by Gate itself")

    def __post_init__(self) -> None:
        if self.max_failed_records is not None:
            require_whole_number("max_failed_records", self.max_failed_records, 0)
        rate = self.min_success_rate
        if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 100):
            raise ValueError(f"min_success_rate must be a percentage from 0 to 100, not {rate!r}")
        if rate is not None and 0 < rate <= 1:
            raise ValueError(
                f"min_success_rate is a percentage, and {rate!r} would demand at most 1 %: for that share of the "
                f"records write {100 * rate:g}"
            )
        if self.min_records is not None:
            require_whole_number("min_records", self.min_records, 1)
        if self.on_action_required not in get_args(OnActionRequired):
            raise ValueError(
                f"on_action_required must be one of {get_args(OnActionRequired)}, not {self.on_action_required!r}"
            )

    def judge(self, progress: ImportProgress) -> Verdict:
        """
        Return the verdict on a progress.

        :param progress: The last progress that the vendor reported.
        """
        match progress.state:
            case ImportState.PENDING | ImportState.RUNNING:
                return Verdict(Decision.WAIT)
            case ImportState.ACTION_REQUIRED:
                if self.on_action_required == "wait":
                    return Verdict(Decision.WAIT)
                return Verdict(
                    Decision.FAIL_FOR_ACTION,
                    f"waits for somebody to act at the vendor ({_reported(progress)}) and does not go on by itself",
                )
            case ImportState.FAILED if progress.vendor_status is None and progress.message:
                # Not a status of the vendor, such as for an import that was replaced by another one.
                return Verdict(Decision.FAIL, f"cannot pass: {progress.message}")
            case ImportState.FAILED:
                return Verdict(Decision.FAIL, f"failed at the vendor ({_reported(progress)})")
            case ImportState.CANCELLED:
                return Verdict(Decision.FAIL, f"was cancelled at the vendor ({_reported(progress)})")
            case ImportState.SUCCEEDED:
                return self._judge_records(progress)
        assert_never(progress.state)

    def _judge_records(self, progress: ImportProgress) -> Verdict:
        failed, processed = progress.failed, progress.processed
        if self.max_failed_records is not None:
            if failed is None:
                return _not_reported("no count of failed records, which max_failed_records needs", progress)
            if failed > self.max_failed_records:
                return Verdict(
                    Decision.FAIL,
                    f"ended with {failed:,} failed record{'s' if failed > 1 else ''} where max_failed_records allows "
                    f"{self.max_failed_records:,} ({_reported(progress)})",
                )
        if self.min_success_rate is not None:
            if failed is None or processed is None:
                counts = "no counts of processed and failed records, which min_success_rate needs"
                return _not_reported(counts, progress)
            rate = 100.0 * max(processed - failed, 0) / processed if processed else 100.0 if not failed else 0.0
            if rate < self.min_success_rate:
                return Verdict(
                    Decision.FAIL,
                    f"imported {_rounded_down(rate)} % of {processed:,} processed records, {failed:,} of which failed, "
                    f"where min_success_rate demands {self.min_success_rate:g} % ({_reported(progress)})",
                )
        if self.min_records is not None:
            if progress.imported is None:
                return _not_reported("no count of imported records, which min_records needs", progress)
            if progress.imported < self.min_records:
                return Verdict(
                    Decision.FAIL,
                    f"imported {progress.imported:,} record{'' if progress.imported == 1 else 's'} where min_records "
                    f"demands {self.min_records:,} ({_reported(progress)})",
                )
        return Verdict(Decision.PASS)


def _not_reported(counts: str, progress: ImportProgress) -> Verdict:
    words = f"succeeded, but the vendor reports {counts}: leave it out, or check the import at the vendor"
    return Verdict(Decision.FAIL, "; ".join(filter(None, [words, progress.message])))


def _rounded_down(rate: float) -> str:
    # Rounded down, because 99.99 % printed as 100 % would contradict the refusal.
    return f"{math.floor(rate * 100) / 100:g}"


def _reported(progress: ImportProgress) -> str:
    status = None if progress.vendor_status is None else f"status {progress.vendor_status!r}"
    words = ": ".join(filter(None, [status, progress.message])) or "it gave no reason"
    error_file = progress.details.get("error_file")
    return f"{words}; error file: {error_file}" if error_file else words
