# SPDX-License-Identifier: Apache-2.0
"""Wait for imports into Zilliz Cloud and Milvus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_import_progress.hooks.zilliz import ZillizHook, ZillizImportJob
from airflow_import_progress.vendor import NOT_GIVEN, BaseImportSensor, Gate, NotGiven, OnActionRequired

if TYPE_CHECKING:
    from airflow_import_progress.vendor import XComArg


class ZillizImportSensor(BaseImportSensor):
    """
    Wait until an import job in Zilliz Cloud or in Milvus has succeeded, and fail if it has not.

    Use it after a task that started the import and before the tasks that search the collection. The connection
    determines whether it uses Zilliz's API v1 or v2.

    See :class:`~airflow_import_progress.sensors.base.BaseImportSensor` for the modes, the errors and the
    arguments that all sensors share.

    :param job_id: The ``jobId`` that was returned when the import was started (templated).
    :param cluster_id: The cluster of the collection (templated). Not given: the connection's extra
        ``cluster_id``; a Milvus needs none.
    :param project_id: The project of an on-demand database, together with ``region_id`` instead of a cluster
        (templated).
    :param region_id: The region of an on-demand database (templated).
    :param db_name: The database of the collection, if the rights of the key depend on the database (templated).
        Not given: the vendor's own default.
    :param zilliz_conn_id: The Airflow connection of type ``zilliz`` (templated).
    :param on_action_required: ``"wait"`` keeps waiting while a loaded job waits to be committed, ``"fail"`` does
        not. Default ``"wait"``.
    :param min_records: How many rows must have been imported, from 1. Without it a job without rows passes. The sensor
        fails where the rows are not reported: always with the API v1, and with v2 of Zilliz Cloud if it does not
        report ``importedRows``. A Milvus reports them. Default None: any number.
    :param kwargs: The arguments that all sensors share.
    :raises ValueError: if an argument is not valid; the message names it.
    """

    template_fields: Sequence[str] = ("job_id", "cluster_id", "project_id", "region_id", "db_name", "zilliz_conn_id")
    import_class = ZillizImportJob
    hook_class = ZillizHook

    def __init__(
        self,
        *,
        job_id: str | XComArg,
        cluster_id: str | XComArg | NotGiven = NOT_GIVEN,
        project_id: str | XComArg | NotGiven = NOT_GIVEN,
        region_id: str | XComArg | NotGiven = NOT_GIVEN,
        db_name: str | XComArg | NotGiven = NOT_GIVEN,
        zilliz_conn_id: str = ZillizHook.default_conn_name,
        on_action_required: OnActionRequired = "wait",
        min_records: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.gate = Gate(on_action_required=on_action_required, min_records=min_records)
        self.job_id = job_id
        self.cluster_id = cluster_id
        self.project_id = project_id
        self.region_id = region_id
        self.db_name = db_name
        self.zilliz_conn_id = zilliz_conn_id
