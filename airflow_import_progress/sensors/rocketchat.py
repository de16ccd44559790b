# SPDX-License-Identifier: Apache-2.0
"""Wait for imports into Rocket.Chat."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_import_progress.hooks.rocketchat import RocketChatHook, RocketChatImport
from airflow_import_progress.vendor import NOT_GIVEN, BaseImportSensor, Gate, NotGiven, OnActionRequired

if TYPE_CHECKING:
    from airflow_import_progress.vendor import XComArg


class RocketChatImportSensor(BaseImportSensor):
    """
    Wait until an import into a Rocket.Chat workspace is done, and fail if it has failed or was cancelled.

    A workspace has one import, and reports the last one for ever. Without an argument that identifies the import, the
    sensor passes with the result of last week's import. Give ``operation_id`` if possible: the sensor then also fails
    if the import died in a restart of the server, or if another one has superseded it. It also fails if the import is
    not of ``importer_key``, or if it was created before ``started_after``.

    See :class:`~airflow_import_progress.sensors.base.BaseImportSensor` for the modes, the errors and the
    arguments that all sensors share. Rocket.Chat allows ten requests a minute for each endpoint and address
    unless its administrator changed that, so keep ``poke_interval`` well above 6 seconds.

    :param rocketchat_conn_id: The Airflow connection of type ``rocketchat`` (templated).
    :param operation_id: The ``_id`` of the import operation (templated). Not given: any operation.
    :param importer_key: The importer that the import uses, such as ``"csv"`` or ``"slack"`` (templated). Not
        given: any importer.
    :param started_after: A time before the import was created, such as the time at which the task that starts it
        began; ISO 8601 or a datetime, UTC unless it has another time zone (templated). Not given: at any time.
    :param on_action_required: What to do while the file is loaded but not prepared, or prepared but not started:
        ``"wait"`` (the default) logs it and keeps waiting, ``"fail"`` fails.
    :param max_failed_records: How many records may have failed, from 0. With servers that do not count errors, the
        sensor fails. Default None: any number.
    :param min_success_rate: The share of the processed records that must not have failed, in percent: 0, or above 1
        up to 100. Default None: any share.
    :param min_records: How many records must have been imported, from 1. Without it an import without records
        passes. With servers that do not count errors, the sensor fails. Default None: any number.
    :param kwargs: The arguments that all sensors share.
    :raises ValueError: if an argument is not valid; the message names it.
    """

    template_fields: Sequence[str] = ("operation_id", "importer_key", "started_after", "rocketchat_conn_id")
    import_class = RocketChatImport
    hook_class = RocketChatHook

    def __init__(
        self,
        *,
        rocketchat_conn_id: str = RocketChatHook.default_conn_name,
        operation_id: str | XComArg | NotGiven = NOT_GIVEN,
        importer_key: str | XComArg | NotGiven = NOT_GIVEN,
        started_after: str | datetime | XComArg | NotGiven = NOT_GIVEN,
        on_action_required: OnActionRequired = "wait",
        max_failed_records: int | None = None,
        min_success_rate: float | None = None,
        min_records: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.gate = Gate(
            max_failed_records=max_failed_records,
            min_success_rate=min_success_rate,
            min_records=min_records,
            on_action_required=on_action_required,
        )
        self.rocketchat_conn_id = rocketchat_conn_id
        self.operation_id = operation_id
        self.importer_key = importer_key
        self.started_after = started_after
