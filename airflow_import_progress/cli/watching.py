# SPDX-License-Identifier: Apache-2.0
"""Watch one import: the sensors' loop, told to a display in place of a log."""

from __future__ import annotations

import time
from typing import Any

from airflow_import_progress.cli.display import Display, Note, Outcome, View, in_clock_time
from airflow_import_progress.compat import AirflowNotFoundException, AirflowSensorTimeout
from airflow_import_progress.exceptions import ImportFailedError, ImportProgressError, ImportRequestError
from airflow_import_progress.hooks.base import ImportProgressHook
from airflow_import_progress.progress import ImportProgress
from airflow_import_progress.sensors.base import BaseImportSensor
from airflow_import_progress.waiting.rules import WaitRules
from airflow_import_progress.waiting.state import WaitState
from airflow_import_progress.waiting.wait import Wait


class _Notes:
    """What a wait logs, kept until it is shown."""

    def __init__(self) -> None:
        self._notes: list[Note] = []

    def info(self, words: str, *arguments: Any) -> None:
        self._notes.append(Note(words % arguments, is_warning=False))

    def warning(self, words: str, *arguments: Any) -> None:
        self._notes.append(Note(words % arguments, is_warning=True))

    def take(self) -> list[Note]:
        notes, self._notes = self._notes, []
        return notes


def watch(sensor: BaseImportSensor, display: Display, view: View) -> Outcome:
    """
    Ask for an import until it is known what became of it, and return that.

    :param sensor: The sensor that would wait for it.
    :param display: Where to show what is known meanwhile.
    :param view: What it shows.
    """
    hook = sensor.get_hook()
    view.begin(
        vendor=hook.hook_name,
        import_id=sensor.get_import().import_id,
        subject=sensor.get_import().describe(hook.conn_id),
        now=time.time(),
        timeout=float(sensor.timeout),
    )
    try:
        progress = _wait(sensor, hook, display, view)
    except ImportFailedError as error:
        return Outcome.failed(error)
    except ImportRequestError as error:
        return Outcome.unknown(error, f"{error} {_advice(hook)}".rstrip())
    except (ImportProgressError, AirflowSensorTimeout) as error:
        return Outcome.unknown(error, str(error))
    return Outcome.done(f"{view.subject}: {progress.in_words()}")


def _wait(sensor: BaseImportSensor, hook: ImportProgressHook, display: Display, view: View) -> ImportProgress:
    import_, notes = sensor.get_import(), _Notes()
    wait = Wait(
        import_=import_,
        conn_id=hook.conn_id,
        rules=WaitRules(
            poke_interval=float(sensor.poke_interval),
            min_poke_interval=float(sensor.min_poke_interval),
            max_consecutive_failures=sensor.max_consecutive_failures,
            gate=sensor.gate,
        ),
        state=WaitState(started_at=view.started_at, deadline=view.deadline),
        log=notes,
        clock=time.time,
    )
    view.seconds_left = wait.seconds_left
    notes.info("%s: until %s at the latest.", view.subject, in_clock_time(view.deadline))
    wait.begin()
    display.noted(notes.take())
    with hook:
        while True:
            view.next_poll_at = None
            try:
                progress = hook.get_progress(import_)
            except ImportProgressError as error:
                view.on_error(str(error), time.time(), is_failure=not error.rate_limited)
                gap = wait.on_error(error)
                view.next_poll_at = time.time() + gap
                display.on_error(notes.take())
            else:
                view.on_progress(progress, time.time())
                try:
                    next_gap = wait.on_progress(progress)
                finally:
                    display.on_progress(notes.take())
                if next_gap is None:
                    return progress
                gap = next_gap
                view.next_poll_at = time.time() + gap
            time.sleep(gap)


def _advice(hook: ImportProgressHook) -> str:
    """Return how to give a connection, if there is none."""
    if hook.connection_cache.is_known:
        return ""
    try:
        hook.get_connection(hook.conn_id)
    except AirflowNotFoundException:
        written = f'{{"conn_type": "{hook.conn_type}", "host": "…", "password": "…"}}'
        return (
            f"Name another one with --conn-id, add this one with: airflow connections add {hook.conn_id} --conn-json "
            f"'{written}' or set the environment variable AIRFLOW_CONN_{hook.conn_id.upper()}='{written}'"
        )
    except Exception:
        # What is wrong has been told.
        return ""
    return ""
