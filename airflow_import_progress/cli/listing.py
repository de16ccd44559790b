# SPDX-License-Identifier: Apache-2.0
"""List the imports that tasks wait for, and those whose waits ended recently."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from airflow_import_progress.cli.airflow_api import AirflowApi, AirflowApiError, Waits
from airflow_import_progress.cli.display import in_iso
from airflow_import_progress.cli.wait_table import FAILED, print_table

#: The keys of the JSON lines: those of the page's API that are part of the command's interface.
KEYS = (
    "vendor",
    "conn_id",
    "import_id",
    "import_url",
    "dag_id",
    "run_id",
    "task_id",
    "map_index",
    "try_number",
    "state",
    "percent",
    "total",
    "processed",
    "failed",
    "message",
    "error",
    "took",
)
TIME_KEYS = ("waiting_since", "polled_at", "ends_at", "ended_at")
#: The key of the start by an operator, which is an object.
START_KEY = "start"
#: Maximum number of imports in each of the two lists: the largest page of the API.
MAX_LISTED = 200
#: The end of the times that Python can show in any time zone: the day before the year 10000.
MAX_TIME = 253402214400


def list_imports(options: argparse.Namespace, out: TextIO) -> int:
    """
    Write the list, and return the exit status.

    :param options: The options of the command.
    :param out: Where to write the list.
    """
    try:
        with AirflowApi(options.api_url) as api:
            listed, failed = _read(api, options)
    except AirflowApiError as error:
        _warn(str(error))
        return 2
    waits = _merged(listed.waits, failed.waits)
    if options.json:
        _print_json(waits, out)
    else:
        print_table(waits, out, since=options.since, only_failed=options.failed)
    if not waits and options.vendor and not options.failed:
        _warn(f"Nothing at a vendor {options.vendor!r}. Vendors are named as on the page, such as 'Rocket.Chat'.")
    if listed.is_cut or failed.is_cut:
        _warn("There are more imports than are listed. List fewer with --since, --failed or --vendor.")
    if any(wait["state"] in FAILED for wait in waits):
        return 1
    # None of the failed imports that were read could be shown, but others may be.
    return 2 if failed.is_cut else 0


def _read(api: AirflowApi, options: argparse.Namespace) -> tuple[Waits, Waits]:
    """Return all waits, and those that failed, which the limit of the first list may have left out."""
    parameters = {"vendor": options.vendor, "ended_within": options.since, "limit": MAX_LISTED}
    listed = Waits([], is_cut=False) if options.failed else api.list_waits(**parameters)
    return listed, api.list_waits(**parameters, state=list(FAILED))


def _merged(*lists: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    # A wait that ended between the requests is in both lists. The later one counts.
    found = {
        (wait["dag_id"], wait["run_id"], wait["task_id"], wait["map_index"]): wait for waits in lists for wait in waits
    }
    return [{**wait, **{key: _time(wait[key]) for key in TIME_KEYS}} for wait in found.values()]


def _time(moment: float | None) -> float | None:
    """Return a time, or None for a number that is none: any task can write the XCom that the page reads."""
    return moment if moment is not None and 0 <= moment <= MAX_TIME else None


def _print_json(waits: Iterable[Mapping[str, Any]], out: TextIO) -> None:
    for wait in waits:
        times = {key: in_iso(wait[key]) for key in TIME_KEYS}
        print(json.dumps({**{key: wait[key] for key in KEYS}, **times, START_KEY: _start(wait[START_KEY])}), file=out)
    out.flush()


def _warn(words: str) -> None:
    print(f"airflow-import-progress: {words}", file=sys.stderr)


def _start(start: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if start is None else {**start, "sent_at": in_iso(_time(start["sent_at"]))}
