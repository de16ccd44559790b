# SPDX-License-Identifier: Apache-2.0
"""Wait for imports into Leadsy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_import_progress.hooks.leadsy import LeadsyHook, LeadsyImport
from airflow_import_progress.hooks.leadsy_status import checked_status_map
from airflow_import_progress.vendor import BaseImportSensor, Gate, ImportState

if TYPE_CHECKING:
    from airflow_import_progress.vendor import XComArg


class LeadsyImportSensor(BaseImportSensor):
    """
    Wait until an import of leads into Leadsy has succeeded, and fail if it has not.

    Leadsy reports an import as completed even if records of it failed, which ``max_failed_records`` and
    ``min_success_rate`` limit. It does not publish the names of its statuses. With an unknown status the wait continues
    and logs one warning, or fails if the import is over. Define the meaning of such a status with ``status_map``.

    See :class:`~airflow_import_progress.sensors.base.BaseImportSensor` for the modes, the errors and the
    arguments that all sensors share.

    :param import_code: The ``import_code`` that Leadsy returned when the import was started (templated).
    :param leadsy_conn_id: The Airflow connection of type ``leadsy`` (templated).
    :param status_map: The meaning of Leadsy's statuses: names or integers of statuses to states (``"pending"``,
        ``"running"``, ``"action_required"``, ``"succeeded"``, ``"failed"``, ``"cancelled"``), such as
        ``{"partially_completed": "succeeded"}``. It has precedence over the extra ``status_map`` of the connection,
        which has precedence over the usual meanings. Default None: an empty map.
    :param max_failed_records: How many records may have failed, from 0. Default None: any number.
    :param min_success_rate: The share of the processed records that must not have failed, in percent: 0, or above 1 up
        to 100. Default None: any share.
    :param min_records: How many records must have been imported (processed less failed), from 1. Without it an import
        without records passes. Default None: any number.
    :param kwargs: The arguments that all sensors share.
    :raises ValueError: if an argument is not valid; the message names it.
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
        # Checked while the DAG is parsed, even if the import is a template.
        self.status_map = checked_status_map(status_map)
