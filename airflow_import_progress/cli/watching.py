# SPDX-License-Identifier: Apache-2.0
"""Watch one import: the loop of a sensor, with a display in place of the log."""

from __future__ import annotations

import time
from typing import Any

from airflow_import_progress.cli.display import Display, clock_time
from airflow_import_progress.cli.state import LogLine, Outcome
from airflow_import_progress.compat import AirflowNotFoundException, AirflowSensorTimeout
from airflow_import_progress.exceptions import ImportFailedError, ImportProgressError, ImportRequestError
from airflow_import_progress.hooks.base import ImportProgressHook
from airflow_import_progress.progress import ImportProgress
from airflow_import_progress.sensors.base import BaseImportSensor
from airflow_import_progress.waiting.schedule import Schedule
from airflow_import_progress.waiting.wait import Wait


class _LogBuffer:
    """The logger of a wait, which keeps the lines until they are displayed."""

    def __init__(self) -> None:
        self._lines: list[LogLine] = []

    def info(self, message: str, *arguments: Any) -> None:
        self._lines.append(LogLine(message % arguments, is_warning=False))

    def warning(self, message: str, *arguments: Any) -> None:
        self._lines.append(LogLine(message % arguments, is_warning=True))

    def take(self) -> list[LogLine]:
        lines, self._lines = self._lines, []
        return lines


def watch(sensor: BaseImportSensor, display: Display) -> Outcome:
    """
    Poll an import until its outcome is known, and return the outcome.

    :param sensor: The sensor that would wait for the import.
    :param display: Displays the state of the watch, which this function updates.
    """
    hook = sensor.get_hook()
    display.state.start(
        vendor=hook.hook_name,
        import_id=sensor.get_import().import_id,
        subject=sensor.get_import().describe(hook.conn_id),
        now=time.time(),
        timeout=float(sensor.timeout),
    )
    try:
        progress = _wait(sensor, hook, display)
    except ImportFailedError as error:
        return Outcome.failed(error)
    except ImportRequestError as error:
        return Outcome.unknown(error, f"{error} {_advice(hook)}".rstrip())
    except (ImportProgressError, AirflowSensorTimeout) as error:
        return Outcome.unknown(error, str(error))
    return Outcome.done(f"{display.state.subject}: {progress.in_words()}")


def _wait(sensor: BaseImportSensor, hook: ImportProgressHook, display: Display) -> ImportProgress:
    import_, notes, view = sensor.get_import(), _LogBuffer(), display.state
    wait = Wait(
        import_=import_,
        conn_id=hook.conn_id,
        gate=sensor.gate,
        schedule=Schedule(poke_interval=float(sensor.poke_interval), min_poke_interval=float(sensor.min_poke_interval)),
        started_at=view.started_at,
        deadline=view.deadline,
        max_consecutive_failures=sensor.max_consecutive_failures,
        silent_fail=False,
        log=notes,
    )
    view.seconds_left = wait.seconds_left
    notes.info("%s: watching until %s at the latest.", view.subject, clock_time(view.deadline))
    wait.begin()
    display.on_log(notes.take())
    gap: float | None
    with hook:
        while True:
            view.next_poll_at = None
            try:
                progress = hook.get_progress(import_)
            except ImportProgressError as error:
                view.on_error(str(error), time.time(), is_rate_limited=error.rate_limited)
                gap = wait.on_error(error)
                view.next_poll_at = time.time() + gap
                display.on_error(notes.take())
            else:
                view.on_progress(progress, time.time())
                try:
                    gap = wait.on_progress(progress)
                finally:
                    display.on_progress(notes.take())
                if gap is None:
                    return progress
                view.next_poll_at = time.time() + gap
            time.sleep(gap)


def _advice(hook: ImportProgressHook) -> str:
    """Return advice on how to define the connection, or an empty text if it exists."""
    if hook.connection_is_known:
        return ""
    try:
        hook.get_connection(hook.conn_id)
    except AirflowNotFoundException:
        example = f'{{"conn_type": "{hook.conn_type}", "host": "…", "password": "…"}}'
        return (
            f"Choose another connection with --conn-id, add this one with: airflow connections add {hook.conn_id} "
            f"--conn-json '{example}' or set the environment variable AIRFLOW_CONN_{hook.conn_id.upper()}='{example}'"
        )
    except Exception:
        # The error itself is already part of the outcome's message.
        return ""
    return ""
