# SPDX-License-Identifier: Apache-2.0
"""Watch for import jobs in Zilliz Cloud and Milvus."""

from __future__ import annotations

from typing import Any

from airflow_import_progress.hooks.zilliz import ZillizHook, ZillizImportJobs
from airflow_import_progress.vendor import BaseImportEndTrigger


class ZillizImportEndTrigger(BaseImportEndTrigger):
    """
    Fire for each import job in Zilliz Cloud or in Milvus that ends, whoever started it.

    Each poll lists all jobs, ten with each request; a Milvus lists them with one. A job that has ended is polled once
    for its progress. The connection determines whether Zilliz's API v1 or v2 is used.

    See :class:`~airflow_import_progress.triggers.import_end.BaseImportEndTrigger` for what all such triggers share.

    :param zilliz_conn_id: The Airflow connection of type ``zilliz``.
    :param cluster_id: The cluster. Default None: the connection's extra ``cluster_id``; a Milvus needs none.
    :param project_id: The project of an on-demand database, together with ``region_id`` instead of a cluster.
    :param region_id: The region of an on-demand database.
    :param db_name: The database. Default None: the vendor's own default; v1 has none.
    :param kwargs: ``states`` and ``poke_interval``.
    :raises ValueError: if an argument is not valid; the message names it.
    """

    hook_class = ZillizHook

    def __init__(
        self,
        *,
        zilliz_conn_id: str = ZillizHook.default_conn_name,
        cluster_id: str | None = None,
        project_id: str | None = None,
        region_id: str | None = None,
        db_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        import_list = ZillizImportJobs(
            cluster_id=cluster_id, project_id=project_id, region_id=region_id, db_name=db_name
        )
        super().__init__(conn_id=zilliz_conn_id, import_list=import_list, **kwargs)
