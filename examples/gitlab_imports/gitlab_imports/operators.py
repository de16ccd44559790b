# SPDX-License-Identifier: Apache-2.0
"""Import projects into GitLab."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from airflow_import_progress.vendor import (
    NOT_GIVEN,
    BaseImportOperator,
    Gate,
    Import,
    ImportProgressHook,
    NotGiven,
    PreparedStart,
    checked_id,
)
from gitlab_imports.hooks import GitLabHook, GitLabProjectImport, export_file

if TYPE_CHECKING:
    from airflow_import_progress.vendor import ImportFileSource, StartRecord, XComArg


class GitLabProjectImportOperator(BaseImportOperator):
    """
    Import a project from its export file into GitLab once, and wait until the import has really succeeded.

    GitLab refuses the import if the project exists.

    See :class:`~airflow_import_progress.operators.base.BaseImportOperator` for the promise to start an import only
    once, and for the arguments that all operators share.

    :param file: The export file: a path, an address such as ``"s3://aws_default@bucket/key"``, or bytes (templated).
    :param path: The path of the new project in its namespace (templated).
    :param namespace: The full path of the group or user that gets the project (templated).
    :param gitlab_conn_id: The Airflow connection of type ``gitlab`` (templated).
    :param max_failed_records: The number of relations that may have failed, from 0 to 99. Default None: any number.
    :param kwargs: The arguments that all operators share.
    :raises ValueError: If an argument is invalid; the message names it.
    """

    template_fields: Sequence[str] = ("file", "path", "namespace", "gitlab_conn_id")
    text_arguments: ClassVar[Sequence[str]] = ("path", "namespace")
    import_class = GitLabProjectImport
    hook_class = GitLabHook
    start_advice: ClassVar[str] = "Check whether the project exists in GitLab."
    project_id: str | NotGiven = NOT_GIVEN

    def __init__(
        self,
        *,
        file: ImportFileSource | XComArg,
        path: str | XComArg,
        namespace: str | XComArg,
        gitlab_conn_id: str = GitLabHook.default_conn_name,
        max_failed_records: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.gate = Gate(max_failed_records=max_failed_records)
        self.file = file
        self.path = path
        self.namespace = namespace
        self.gitlab_conn_id = gitlab_conn_id

    def prepare(self, hook: ImportProgressHook) -> PreparedStart:
        """Check the file, and whether the project exists already."""
        gitlab = cast("GitLabHook", hook)
        source = cast("ImportFileSource", self.file)
        file = export_file(source)
        path, namespace = checked_id("path", self.path), checked_id("namespace", self.namespace)
        full_path = f"{namespace}/{path}"
        existed = gitlab.find_project_import(full_path) is not None
        return PreparedStart(
            description=str(file),
            digest=file.digest(),
            send=lambda: gitlab.start_project_import(source, path=path, namespace=namespace),
            notes={"full_path": full_path, "existed": existed},
        )

    def find_import(self, hook: ImportProgressHook, record: StartRecord) -> Import | None:
        """Return the import of the project, unless it existed before the start."""
        if record.notes["existed"]:
            return None
        return cast("GitLabHook", hook).find_project_import(record.notes["full_path"])
