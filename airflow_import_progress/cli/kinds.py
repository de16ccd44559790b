# SPDX-License-Identifier: Apache-2.0
"""
The kinds of imports of this package that can be watched, with the arguments of their sensors by the same names.

Imports no Airflow, so that the help appears at once. A test compares this table with the sensors and their imports.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from airflow_import_progress.vendor_info import (
    MAX_FAILED_RECORDS,
    MIN_RECORDS,
    MIN_SUCCESS_RATE,
    ON_ACTION_REQUIRED,
    Argument,
    Kind,
)


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


#: The options for vendors that report how many records were processed and failed.
LIMITS = (MAX_FAILED_RECORDS, MIN_SUCCESS_RATE, MIN_RECORDS)
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
