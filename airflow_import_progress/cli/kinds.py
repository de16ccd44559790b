# SPDX-License-Identifier: Apache-2.0
"""
The kinds of imports that can be watched. Their arguments have the same names as those of the sensors.

This module does not import Airflow, so that ``--help`` is fast. A test compares the table with the sensors.
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
    An argument of a sensor that the command accepts as well.

    :param name: The sensor's name for it.
    :param help: The help text.
    :param parse: Converts the text of the command line to the value; None: the argument is a flag.
    :param choices: The allowed texts; None: any.
    """

    name: str
    help: str
    parse: Callable[[str], Any] | None = str
    choices: tuple[str, ...] | None = None

    @property
    def option(self) -> str:
        """The option's name, such as ``--job-id``."""
        return f"--{self.name.replace('_', '-')}"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """
    A kind of import that can be watched.

    :param name: The name on the command line.
    :param description: A noun phrase for the help text.
    :param sensor: The sensor for such imports, as ``module:class``.
    :param identifier: The argument that identifies the import.
    :param options: The other arguments, which complete the identifier or configure the gate.
    :param needs_identifier: Whether the identifier is required.
    """

    name: str
    description: str
    sensor: str
    identifier: Argument
    options: tuple[Argument, ...] = ()
    needs_identifier: bool = True


def parse_json(text: str) -> Any:
    """
    Parse a JSON text.

    :param text: The text.
    :raises argparse.ArgumentTypeError: If the text is not JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON") from None


MAX_FAILED_RECORDS = Argument(name="max_failed_records", parse=int, help="maximum number of failed records, 0 or more")
MIN_SUCCESS_RATE = Argument(
    name="min_success_rate",
    parse=float,
    help="minimum percentage of the processed records that must be imported: 0, or above 1 and up to 100",
)
MIN_RECORDS = Argument(name="min_records", parse=int, help="minimum number of imported records, 1 or more")
ON_ACTION_REQUIRED = Argument(
    name="on_action_required",
    choices=("wait", "fail"),
    help="reaction when the import waits for an action at the vendor (default: wait)",
)

KINDS: tuple[Kind, ...] = (
    Kind(
        name="lucca-leave",
        description="an import of leaves into Lucca Absences",
        sensor="airflow_import_progress.sensors.lucca:LuccaLeaveImportSensor",
        identifier=Argument(name="summary_id", help="the summaryId that Lucca returned when the import was started"),
    ),
    Kind(
        name="lucca-user-location",
        description="an import of user locations into Lucca Office",
        sensor="airflow_import_progress.sensors.lucca:LuccaUserLocationImportSensor",
        identifier=Argument(name="summary_id", help="the summaryId that Lucca returned when the import was started"),
        options=(
            Argument(
                name="check_results",
                parse=None,
                help="read the results of the processed import, which include the lines that Lucca rejected",
            ),
            MAX_FAILED_RECORDS,
            MIN_SUCCESS_RATE,
            MIN_RECORDS,
        ),
    ),
    Kind(
        name="rocketchat",
        description="an import into a Rocket.Chat workspace",
        sensor="airflow_import_progress.sensors.rocketchat:RocketChatImportSensor",
        identifier=Argument(
            name="operation_id", help="the _id of the import operation (default: the last import of the workspace)"
        ),
        needs_identifier=False,
        options=(
            Argument(name="importer_key", help="the importer that the import uses, such as csv or slack"),
            Argument(
                name="started_after",
                help="a time before the import was created and after any earlier one, in ISO 8601 (UTC unless it has "
                "an offset)",
            ),
            ON_ACTION_REQUIRED,
            MAX_FAILED_RECORDS,
            MIN_SUCCESS_RATE,
            MIN_RECORDS,
        ),
    ),
    Kind(
        name="zilliz",
        description="an import job in Zilliz Cloud or in Milvus",
        sensor="airflow_import_progress.sensors.zilliz:ZillizImportSensor",
        identifier=Argument(name="job_id", help="the jobId that Zilliz or Milvus returned when the import was started"),
        options=(
            Argument(
                name="cluster_id",
                help="the cluster of the import (default: the connection's extra cluster_id; not needed for Milvus)",
            ),
            Argument(name="project_id", help="the project of an on-demand database; requires --region-id"),
            Argument(name="region_id", help="the region of an on-demand database; requires --project-id"),
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
                parse=parse_json,
                help='the meaning of Leadsy\'s statuses as JSON, such as \'{"partially_completed": "succeeded"}\'',
            ),
            MAX_FAILED_RECORDS,
            MIN_SUCCESS_RATE,
            MIN_RECORDS,
        ),
    ),
)
