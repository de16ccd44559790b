# SPDX-License-Identifier: Apache-2.0
"""Wait for imports into Lucca."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_import_progress.hooks.lucca import LuccaHook, LuccaLeaveImport, LuccaUserLocationImport, results_gate
from airflow_import_progress.vendor import BaseImportSensor, Gate

if TYPE_CHECKING:
    from airflow_import_progress.vendor import XComArg


class LuccaLeaveImportSensor(BaseImportSensor):
    """
    Wait until an import of leaves into Lucca Absences has succeeded, and fail if it has not.

    Use it after a task that started the import with ``async=true`` and before the tasks that need the leaves.
    For a leave import Lucca reports only the progress, not the lines that it refused.

    See :class:`~airflow_import_progress.sensors.base.BaseImportSensor` for the modes, the errors and the
    arguments that all sensors share.

    :param summary_id: The ``summaryId`` that Lucca returned when the import was started (templated).
    :param lucca_conn_id: The Airflow connection of type ``lucca`` (templated).
    :param kwargs: The arguments that all sensors share.
    :raises ValueError: if an argument is not valid; the message names it.
    """

    template_fields: Sequence[str] = ("summary_id", "lucca_conn_id")
    import_class = LuccaLeaveImport
    hook_class = LuccaHook

    def __init__(
        self, *, summary_id: str | XComArg, lucca_conn_id: str = LuccaHook.default_conn_name, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.summary_id = summary_id
        self.lucca_conn_id = lucca_conn_id


class LuccaUserLocationImportSensor(BaseImportSensor):
    """
    Wait until an import of user locations into Lucca Office has succeeded, and fail if it has not.

    Lucca reports an import as done once every line is processed, including refused ones. With ``check_results`` the
    refused lines count as failed records, which ``max_failed_records`` and ``min_success_rate`` limit.

    See :class:`~airflow_import_progress.sensors.base.BaseImportSensor` for the modes, the errors and the
    arguments that all sensors share.

    :param summary_id: The ``summaryId`` that Lucca returned when the import was started (templated).
    :param lucca_conn_id: The Airflow connection of type ``lucca`` (templated).
    :param check_results: Whether to read the import's results once it is processed. Default False.
    :param max_failed_records: How many lines Lucca may have refused, from 0; needs ``check_results``. Default
        None: any number.
    :param min_success_rate: The share of the lines that Lucca must have accepted, in percent: 0, or above 1 up to 100;
        needs ``check_results``. Default None: any share.
    :param min_records: How many locations must have been created or deleted, from 1; needs ``check_results``. Without
        it an import without lines passes. Default None: any number.
    :param kwargs: The arguments that all sensors share.
    :raises ValueError: if an argument is not valid; the message names it.
    """

    template_fields: Sequence[str] = ("summary_id", "lucca_conn_id")
    import_class = LuccaUserLocationImport
    hook_class = LuccaHook

    def __init__(
        self,
        *,
        summary_id: str | XComArg,
        lucca_conn_id: str = LuccaHook.default_conn_name,
        check_results: bool = False,
        max_failed_records: int | None = None,
        min_success_rate: float | None = None,
        min_records: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.gate = results_gate(
            Gate(max_failed_records=max_failed_records, min_success_rate=min_success_rate, min_records=min_records),
            check_results=check_results,
        )
        self.summary_id = summary_id
        self.lucca_conn_id = lucca_conn_id
        self.check_results = check_results
