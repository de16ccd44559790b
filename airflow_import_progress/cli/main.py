# SPDX-License-Identifier: Apache-2.0
"""The command ``airflow-import-progress``."""

from __future__ import annotations

import argparse
import os
import pkgutil
import re
import signal
import sys
import warnings
from typing import TYPE_CHECKING, Any, TextIO

from airflow_import_progress.cli.arguments import DEFAULT_POKE_INTERVAL, DEFAULT_TIMEOUT, parser

if TYPE_CHECKING:
    from airflow_import_progress.cli.display import Display
    from airflow_import_progress.cli.state import Outcome, WatchState
    from airflow_import_progress.sensors.base import BaseImportSensor

INTERRUPTED_EXIT_CODE = 128 + signal.SIGINT
BROKEN_PIPE_EXIT_CODE = 128 + signal.SIGPIPE
#: Credentials in an address from Airflow's configuration, such as that of its database.
CREDENTIALS = re.compile(r"//\S*@")


def main() -> int:
    """Run the command in its own process, and return the exit status."""
    # Handle SIGINT explicitly, because a shell ignores it for background jobs. Handle SIGTERM, so that the terminal's
    # cursor is restored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _handle_signal)
    try:
        options = parser().parse_args()
        _silence_airflow()
        with _reserve_stdout() as out:
            return run(options, out)
    except KeyboardInterrupt:
        return INTERRUPTED_EXIT_CODE
    except BrokenPipeError:
        return BROKEN_PIPE_EXIT_CODE
    except Exception as error:
        # Python's own exit status would be 1, which means here that the import failed.
        print(f"airflow-import-progress: {_error_message(error)}", file=sys.stderr)
        return 2


def run(options: argparse.Namespace, out: TextIO) -> int:
    """
    Run the command, and return the exit status.

    :param options: The parsed arguments.
    :param out: The stream to write to.
    """
    # Imported late, because these are slow to import and --help does not need them.
    from airflow_import_progress.cli.display import printable
    from airflow_import_progress.cli.state import WatchState

    state = WatchState(getattr(options, "conn_id", None))
    try:
        with _make_display(options, state, out) as display:
            outcome = _watch(options, display)
    except _ArgumentError as error:
        options.parser.error(printable(str(error)))
    display.on_outcome(outcome)
    return outcome.exit_code


class _ArgumentError(Exception):
    """Raised when a sensor rejects the arguments. The message is that of the sensor."""


def _watch(options: argparse.Namespace, display: Display) -> Outcome:
    from airflow_import_progress.cli.state import NO_PROGRESS, Outcome

    state = display.state
    try:
        sensor = _make_sensor(options)
        state.conn_id = sensor.get_hook().conn_id
        from airflow_import_progress.cli.watching import watch

        return watch(sensor, display)
    except KeyboardInterrupt:
        progress = state.progress.in_words() if state.progress else NO_PROGRESS
        return Outcome.interrupted(
            f"{state.subject or 'the import'}: {progress}. Only the watch has ended; the import is not affected."
        )
    except (_ArgumentError, BrokenPipeError):
        raise
    except Exception as error:
        return Outcome.unknown(error, _error_message(error))


def _make_display(options: argparse.Namespace, state: WatchState, out: TextIO) -> Display:
    from airflow_import_progress.cli.display import JsonDisplay, TextDisplay

    if getattr(options, "json", False):
        return JsonDisplay(state, out)
    # Check for a terminal here: rich would also draw the bar into a file if FORCE_COLOR is set.
    if out.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown"):
        from airflow_import_progress.cli.bar import BarDisplay

        return BarDisplay(state, out)
    return TextDisplay(state, out)


def _make_sensor(options: argparse.Namespace) -> BaseImportSensor:
    """Return the sensor that would wait for the import; it validates the arguments."""
    kind = options.watched
    sensor_class = pkgutil.resolve_name(kind.sensor)

    from airflow_import_progress.compat import look_up_connections_as_on_the_command_line

    look_up_connections_as_on_the_command_line()
    given = vars(options)
    arguments: dict[str, Any] = {
        argument.name: given[argument.name]
        for argument in (kind.identifier, *kind.options)
        if given.get(argument.name) is not None
    }
    if "conn_id" in given:
        arguments[sensor_class.hook_class.conn_name_attr] = given["conn_id"]
    try:
        sensor: BaseImportSensor = sensor_class(
            task_id="watch",
            deferrable=False,
            poke_interval=given.get("poke_interval", DEFAULT_POKE_INTERVAL),
            timeout=given.get("timeout", DEFAULT_TIMEOUT),
            **arguments,
        )
        # Unrendered templates are rejected only here.
        sensor.get_import()
    except Exception as error:
        # Airflow raises various exceptions for its own arguments.
        raise _ArgumentError(str(error)) from None
    return sensor


def _error_message(error: Exception) -> str:
    """Return the message for an unexpected error."""
    return CREDENTIALS.sub("//***@", f"{type(error).__name__}: {error}")


def _silence_airflow() -> None:
    """Suppress Airflow's logs and warnings. Errors are still raised, and reported as the outcome."""
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "CRITICAL"
    if not sys.warnoptions:
        # Airflow enables its own warnings unless an option is set.
        sys.warnoptions.append("ignore")
        warnings.simplefilter("ignore")


def _reserve_stdout() -> TextIO:
    """Return the standard output, and redirect everything else that is written to it to the standard error."""
    sys.stdout.flush()
    own = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Escape characters from a vendor that the encoding of the terminal does not support.
    return open(own, "w", encoding=sys.stdout.encoding, errors="backslashreplace")


def _handle_signal(number: int, _: Any) -> None:
    if number == signal.SIGTERM:
        sys.exit(128 + number)
    raise KeyboardInterrupt
