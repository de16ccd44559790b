# SPDX-License-Identifier: Apache-2.0
"""Wait for imports into Leadsy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_import_progress.hooks.leadsy import LeadsyHook, LeadsyImport
from airflow_import_progress.hooks.leadsy_status import checked_status_map
from airflow_import_progress.progress import ImportState
from airflow_import_progress.sensors.base import BaseImportSensor
from airflow_import_progress.waiting.gate import Gate

if TYPE_CHECKING:
    from airflow_import_progress.compat import XComArg


class LeadsyImportSensor(BaseImportSensor):
    """
    Wait until an import of leads into Leadsy has succeeded, and fail if it has not.

    Leadsy calls an import completed even if records of it failed; ``max_failed_records`` and ``min_success_rate``
    look at those. It does not publish the names of its statuses: one that is unknown keeps the wait going and is
    warned of once, or fails it if the import is over. ``status_map`` says what such a status means.

    See :class:`~airflow_import_progress.sensors.base.BaseImportSensor` for the modes, the errors and the
    arguments that all sensors share.

    :param import_code: The ``import_code`` that Leadsy answered when the import was started (templated).
    :param leadsy_conn_id: The Airflow connection of type ``leadsy`` (templated).
    :param status_map: What Leadsy's statuses mean: names or integers of statuses to states (``"pending"``,
        ``"running"``, ``"action_required"``, ``"succeeded"``, ``"failed"``, ``"cancelled"``), such as
        ``{"partially_completed": "succeeded"}``. It counts before the extra ``status_map`` of the connection, and that
        before what this package takes for likely. Default None: nothing.
    :param max_failed_records: How many records may have failed, from 0. Default None: any number.
    :param min_success_rate: The share of the processed records that must not have failed, in percent: 0, or above 1 up
        to 100. Default None: any share.
    :param min_records: How many records must have been imported (processed less failed), from 1. Without it an import
        without any record passes. Default None: any number.
    :param kwargs: The arguments that all sensors share.
    :raises ValueError: if an argument cannot be right; the message names it.
    """

    template_fields: Sequence[str] = ("import_code", "leadsy_conn_id")
    import_class = LeadsyImport
    hook_class = LeadsyHook

    def __init__(
        self,
        *,
        import_code: str | XComArg,
        leadsy_conn_id: str = LeadsyHook.default_conn_name,
        status_map: Mapping[str | int, ImportState | str] | None = None,
        max_failed_records: int | None = None,
        min_success_rate: float | None = None,
        min_records: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.gate = Gate(
            max_failed_records=max_failed_records, min_success_rate=min_success_rate, min_records=min_records
        )
        self.import_code = import_code
        self.leadsy_conn_id = leadsy_conn_id
        # Checked while the DAG is parsed even if the import is known only later.
        self.status_map = checked_status_map(status_map)
