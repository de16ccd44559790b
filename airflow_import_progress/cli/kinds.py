# SPDX-License-Identifier: Apache-2.0
"""
The kinds of imports that can be watched, with the arguments of their sensors by the same names.

Imports no Airflow, so that the help appears at once. A test compares this table with the sensors and their imports.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Argument:
    """
    Describe an argument of a sensor that the command takes as well.

    :param name: Its name, as the sensor has it.
    :param help: Its description in the help.
    :param read: Reads its value from the text on the command line. None: it is a flag.
    :param choices: The values that are allowed. None: any.
    """

    name: str
    help: str
    read: Callable[[str], Any] | None = str
    choices: tuple[str, ...] | None = None

    @property
    def option(self) -> str:
        """The option's name, such as ``--job-id``."""
        return f"--{self.name.replace('_', '-')}"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """
    Describe a kind of import that can be watched.

    :param name: Its name on the command line.
    :param description: Its description in the help.
    :param sensor: The sensor of such imports, as ``module:class``.
    :param identifier: The argument that names the one import.
    :param options: The other arguments: for the import and for the gate.
    :param needs_identifier: Whether the import cannot be polled without the identifier.
    """

    name: str
    description: str
    sensor: str
    identifier: Argument
    options: tuple[Argument, ...] = ()
    needs_identifier: bool = True


def parse_json(text: str) -> Any:
    """
    Return the value of a JSON text.

    :param text: The text.
    :raises argparse.ArgumentTypeError: if it is not JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON") from None


MAX_FAILED_RECORDS = Argument(
    name="max_failed_records", read=int, help="fail if more records than this could not be imported, from 0"
)
MIN_SUCCESS_RATE = Argument(
    name="min_success_rate",
    read=float,
    help="fail if a smaller share of the processed records than this was imported, in percent: 0, or above 1 up to 100",
)
MIN_RECORDS = Argument(name="min_records", read=int, help="fail if fewer records than this were imported, from 1")
#: The options for vendors that report how many records were processed and failed.
LIMITS = (MAX_FAILED_RECORDS, MIN_SUCCESS_RATE, MIN_RECORDS)
ON_ACTION_REQUIRED = Argument(
    name="on_action_required",
    choices=("wait", "fail"),
    help="what to do while the vendor waits for somebody to act (default: wait)",
)
SUMMARY_ID = Argument(name="summary_id", help="the summaryId that Lucca returned when the import was started")

KINDS: tuple[Kind, ...] = (
    Kind(
        name="lucca-leave",
        description="an import of leaves into Lucca Absences",
        sensor="airflow_import_progress.sensors.lucca:LuccaLeaveImportSensor",
        identifier=SUMMARY_ID,
    ),
    Kind(
        name="lucca-user-location",
        description="an import of user locations into Lucca Office",
        sensor="airflow_import_progress.sensors.lucca:LuccaUserLocationImportSensor",
        identifier=SUMMARY_ID,
        options=(
            Argument(
                name="check_results",
                read=None,
                help="read the results once the import is processed, which contain the lines that Lucca refused",
            ),
            *LIMITS,
        ),
    ),
    Kind(
        name="rocketchat",
        description="an import into a Rocket.Chat workspace",
        sensor="airflow_import_progress.sensors.rocketchat:RocketChatImportSensor",
        identifier=Argument(
            name="operation_id", help="the _id of the import operation; without it, the last import of the workspace"
        ),
        needs_identifier=False,
        options=(
            Argument(name="importer_key", help="the importer that the import uses, such as csv or slack"),
            Argument(
                name="started_after",
                help="a time before the import was created and after any earlier one, ISO 8601, UTC by default",
            ),
            ON_ACTION_REQUIRED,
            *LIMITS,
        ),
    ),
    Kind(
        name="zilliz",
        description="an import job in Zilliz Cloud or in Milvus",
        sensor="airflow_import_progress.sensors.zilliz:ZillizImportSensor",
        identifier=Argument(name="job_id", help="the jobId that was returned when the import was started"),
        options=(
            Argument(
                name="cluster_id",
                help="the cluster that it imports into (default: the connection's extra cluster_id; a Milvus needs "
                "none)",
            ),
            Argument(name="project_id", help="the project of an on-demand database, with --region-id"),
            Argument(name="region_id", help="the region of an on-demand database"),
            Argument(name="db_name", help="the database of the collection"),
            ON_ACTION_REQUIRED,
            MIN_RECORDS,
        ),
    ),
    Kind(
        name="leadsy",
        description="an import of leads into Leadsy",
        sensor="airflow_import_progress.sensors.leadsy:LeadsyImportSensor",
        identifier=Argument(
            name="import_code", help="the import_code that Leadsy returned when the import was started"
        ),
        options=(
            Argument(
                name="status_map",
                read=parse_json,
                help='the meaning of Leadsy\'s statuses, as JSON such as \'{"partially_completed": "succeeded"}\'',
            ),
            *LIMITS,
        ),
    ),
)
