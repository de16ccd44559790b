# SPDX-License-Identifier: Apache-2.0
"""
GitLab: imports of projects from export files.

Source: https://docs.gitlab.com/api/project_import_export/. The README separates facts from inferences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from airflow_import_progress.vendor import (
    Conversation,
    Import,
    ImportFile,
    ImportFileSource,
    ImportProgress,
    ImportProgressHook,
    ImportRequestError,
    ImportState,
    MultipartBody,
    Request,
    Response,
    VendorConnection,
    as_text,
    checked_id,
    quoted,
    require_credential,
)

API = "/api/v4"
STATES = {
    "scheduled": ImportState.PENDING,
    "started": ImportState.RUNNING,
    "finished": ImportState.SUCCEEDED,
    "failed": ImportState.FAILED,
    "canceled": ImportState.CANCELLED,
}
#: GitLab lists no more failed relations than this.
MAX_FAILED_RELATIONS = 100
MAX_SHOWN_RELATIONS = 5
#: The name of a file that is given as bytes.
FILE_NAME = "project_export.tar.gz"


@dataclass(frozen=True)
class GitLabProjectImport(Import):
    """
    Identify an import of a project into GitLab.

    :param project_id: The id of the project, or its full path, such as ``"group/project"``.
    :raises ValueError: If it is not an identifier.
    """

    label: ClassVar[str] = "GitLab project import"
    failure_advice: ClassVar[str] = "Check the import's error on the project's page in GitLab."

    project_id: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "project_id", checked_id("project_id", self.project_id))

    @property
    def import_id(self) -> str:
        """The ``project_id``."""
        return self.project_id

    def poll(self, connection: VendorConnection) -> Conversation[ImportProgress]:
        """Request the status of the import."""
        response = yield import_status(self.project_id)
        answer = response.json()
        status = answer.get("import_status") if isinstance(answer, dict) else None
        if status == "none":
            raise ImportRequestError(
                f"{response.request_line}: this project was not imported. Check the project_id, and whether the task "
                f"before this one started the import."
            )
        if status not in STATES:
            raise response.unexpected("a known import_status", "GitLab")
        relations = failed_relations(answer, response)
        return ImportProgress(
            import_id=self.project_id,
            state=STATES[status],
            vendor_status=status,
            # A full list may be a part of them only.
            failed=len(relations) if relations is not None and len(relations) < MAX_FAILED_RELATIONS else None,
            message=message(answer, relations or [], response),
        )


class GitLabHook(ImportProgressHook):
    """
    Send requests to GitLab with an access token.

    :param gitlab_conn_id: The Airflow connection of type ``gitlab``: the host, and the token as password.
    """

    conn_name_attr = "gitlab_conn_id"
    default_conn_name = "gitlab_default"
    conn_type = "gitlab"
    hook_name = "GitLab"
    import_classes = (GitLabProjectImport,)
    status_advice: ClassVar[Mapping[int, str]] = {
        401: "Enter a valid access token with the scope api as the connection's password.",
        403: "The user of the token needs at least the Maintainer role in the group, and imports from GitLab export "
        "files must be enabled in GitLab.",
        404: "Check the project_id, and that the user of the token may see the project.",
    }

    def __init__(self, gitlab_conn_id: str = default_conn_name) -> None:
        super().__init__(gitlab_conn_id)

    def send_authenticated(self, request: Request, connection: VendorConnection) -> Conversation[Response]:
        """Send one request with the token."""
        return (yield request.with_headers({"PRIVATE-TOKEN": connection.password}))

    def validate_connection(self, connection: VendorConnection) -> None:
        """Raise if the connection has no usable token."""
        require_credential("password", connection.password, "GitLab access token")

    def probe(self, connection: VendorConnection) -> Conversation[str]:
        """Request the user of the token."""
        response = yield Request(method="GET", path=f"{API}/user")
        answer = response.json()
        name = as_text(answer.get("username")) if isinstance(answer, dict) else None
        if name is None:
            raise response.unexpected("a user with a username", "GitLab")
        return f"{connection.base_url} accepted the token of {response.excerpt(name)}."

    def start_project_import(self, file: ImportFileSource, *, path: str, namespace: str) -> GitLabProjectImport:
        """
        Start an import, once. GitLab refuses it if the project exists.

        :param file: The export file of a project: a path, an address in an object storage, or bytes.
        :param path: The path of the new project in its namespace.
        :param namespace: The full path of the namespace.
        :raises ImportStartRefusedError: If GitLab refuses it; nothing was started.
        :raises ImportStartUnknownError: If the answer was lost, so that the import may have been started.
        """
        return GitLabProjectImport(self.start_import(_start(file, path, namespace)))

    def find_project_import(self, full_path: str) -> GitLabProjectImport | None:
        """
        Return the import of the project with a path, or None if there is no such project or it was not imported.

        :param full_path: The full path of the project.
        """
        request = import_status(full_path)
        try:
            answer = self.request(request.method, request.path).json()
        except ImportRequestError as error:
            if error.status == 404:
                return None
            raise
        match answer:
            case {"id": int(project_id), "import_status": status} if status in STATES:
                return GitLabProjectImport(str(project_id))
        return None


def import_status(project_id: str) -> Request:
    """Return the request for the status of an import."""
    return Request(method="GET", path=f"{API}/projects/{quoted(project_id)}/import")


def failed_relations(answer: Mapping[str, Any], response: Response) -> list[str] | None:
    """Return the relations that could not be imported with their reasons, or None if GitLab does not list them."""
    relations = answer.get("failed_relations")
    if not isinstance(relations, list):
        return None
    return [relation_in_words(relation, response) for relation in relations]


def relation_in_words(relation: Any, response: Response) -> str:
    """Return a relation that could not be imported, with the reason if GitLab gives one."""
    fields = relation if isinstance(relation, dict) else {}
    name = as_text(fields.get("relation_name")) or "a relation"
    reason = as_text(fields.get("exception_message")) or as_text(fields.get("exception_class"))
    return response.excerpt(f"{name}: {reason}" if reason else name, 200)


def message(answer: Mapping[str, Any], relations: Sequence[str], response: Response) -> str | None:
    """Return the error of an import and the first relations that could not be imported."""
    error = as_text(answer.get("import_error"))
    parts = [response.excerpt(error)] if error else []
    parts += relations[:MAX_SHOWN_RELATIONS]
    if (more := len(relations) - MAX_SHOWN_RELATIONS) > 0:
        at_least = "at least " if len(relations) >= MAX_FAILED_RELATIONS else ""
        parts.append(f"and {at_least}{more} more failed relations")
    return "; ".join(parts) or None


def export_file(file: ImportFileSource) -> ImportFile:
    """Return the export file of a project, checked."""
    return ImportFile(file, name=FILE_NAME if isinstance(file, bytes) else None)


def _start(file: ImportFileSource, path: str, namespace: str) -> Conversation[str]:
    upload = export_file(file)
    body = MultipartBody("file", upload, upload.name, "application/gzip", fields={"path": path, "namespace": namespace})
    response = yield Request(method="POST", path=f"{API}/projects/import", data=body)
    answer = response.json()
    try:
        return checked_id("id", answer.get("id") if isinstance(answer, dict) else None)
    except ValueError:
        raise response.unexpected('an object with the key "id"', "GitLab") from None
