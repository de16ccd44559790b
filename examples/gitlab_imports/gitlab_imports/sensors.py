# SPDX-License-Identifier: Apache-2.0
"""Wait for imports of projects into GitLab."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_import_progress.vendor import BaseImportSensor, Gate
from gitlab_imports.hooks import GitLabHook, GitLabProjectImport

if TYPE_CHECKING:
    from airflow_import_progress.vendor import XComArg


class GitLabProjectImportSensor(BaseImportSensor):
    """
    Wait until an import of a project into GitLab has succeeded, and fail if it has not.

    An import that is finished may lack relations that could not be imported: limit them with ``max_failed_records``.

    See :class:`~airflow_import_progress.sensors.base.BaseImportSensor` for the modes, the errors and the
    arguments that all sensors share.

    :param project_id: The id of the project, or its full path (templated).
    :param gitlab_conn_id: The Airflow connection of type ``gitlab`` (templated).
    :param max_failed_records: The number of relations that may have failed, from 0 to 99, because GitLab lists no more
        than 100. Default None: any number.
    :param kwargs: The arguments that all sensors share.
    :raises ValueError: If an argument is invalid; the message names it.
    """

    template_fields: Sequence[str] = ("project_id", "gitlab_conn_id")
    import_class = GitLabProjectImport
    hook_class = GitLabHook

    def __init__(
        self,
        *,
        project_id: str | XComArg,
        gitlab_conn_id: str = GitLabHook.default_conn_name,
        max_failed_records: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.gate = Gate(max_failed_records=max_failed_records)
        self.project_id = project_id
        self.gitlab_conn_id = gitlab_conn_id
