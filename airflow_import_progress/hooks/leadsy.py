# SPDX-License-Identifier: Apache-2.0
"""
LeadsyGroup: imports of leads.

Source: the published API reference, section "Import", https://docs.staging.leadsygroup.com/. It lists the fields of an
import, but neither the statuses of an import nor the scheme of the authentication, so users can configure both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from airflow_import_progress.hooks.leadsy_status import Status, checked_status_map
from airflow_import_progress.vendor import (
    Conversation,
    Import,
    ImportProgress,
    ImportProgressHook,
    ImportProtocolError,
    ImportRequestError,
    ImportState,
    Request,
    Response,
    VendorConnection,
    as_count,
    as_moment,
    as_number,
    checked_id,
    quoted,
    redacted_address,
    require_credential,
)

IMPORTS_PATH = "/api/v1/import"

#: The list names every import of a company, and may not be paged.
MAX_LIST_BYTES = 8 * 1024 * 1024

DEFAULT_AUTH_SCHEME = "Bearer"
#: The extra's value for no scheme at all. Airflow's forms cannot store an empty text.
NO_AUTH_SCHEME = "none"
AUTH_SCHEME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True)
class LeadsyImport(Import):
    """
    Identify an import of leads into Leadsy.

    :param import_code: The ``import_code`` that Leadsy returned when the import was started.
    :param status_map: The meaning of Leadsy's statuses, in addition to or instead of the usual one: names (in any
        case, with spaces, hyphens or underscores) or integers of statuses to states, or to the states' names.
    :raises ValueError: if one of them is not valid; the message names it.
    """

    label: ClassVar[str] = "Leadsy import"
    failure_advice: ClassVar[str] = "Check the import in Leadsy."

    import_code: str
    status_map: Mapping[str | int, ImportState | str] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "import_code", checked_id("import_code", self.import_code))
        object.__setattr__(self, "status_map", checked_status_map(self.status_map))

    @property
    def import_id(self) -> str:
        """The ``import_code``."""
        return self.import_code

    def poll(self, connection: VendorConnection) -> Conversation[ImportProgress]:
        """
        Request the import, which has its progress.

        The extra ``status_map`` of the connection applies to statuses that are not in the import's own map.
        """
        response = yield Request(method="GET", path=f"{IMPORTS_PATH}/{quoted(self.import_code)}")
        file = _import_file(response, self.import_code)
        status = Status.of(file)
        mapped_state = status.mapped_state({**_status_map_of(connection), **checked_status_map(self.status_map)})
        state = mapped_state or status.usual_state
        warning = None
        if state is None:
            if _is_given(file.get("finished_at")):
                raise _unknown_end(status, response)
            state, warning = ImportState.RUNNING, _unknown_status_warning(status, response)
        total, processed = as_count(file.get("total_records")), as_count(file.get("processed_records"))
        failed = as_count(file.get("failed_records"))
        messages = []
        if state is ImportState.FAILED and failed and total:
            messages.append(f"{failed:,} of {total:,} records failed")
        if not mapped_state and status.is_partial_success:
            messages.append(
                f"to let such an import pass, set status_map={status.map_entry(response, ImportState.SUCCEEDED)} "
                f"and max_failed_records"
            )
        return ImportProgress(
            import_id=self.import_code,
            state=state,
            percent=100.0 * processed / total if processed is not None and total else None,
            total=total,
            processed=processed,
            failed=failed,
            vendor_status=status.shown(response),
            message="; ".join(messages) or None,
            started_at=as_moment(file.get("started_at")),
            finished_at=as_moment(file.get("finished_at")),
            warning=warning,
            details=_details(file, response),
        )


class LeadsyHook(ImportProgressHook):
    """
    Send requests to Leadsy with a token.

    The connection has the host of Leadsy's API, the token as password, the schema ``https`` unless given, and the
    extras ``auth_scheme`` (the word before the token; with ``""`` or ``"none"`` the token is sent alone),
    ``status_map`` (see :class:`LeadsyImport`), ``timeout``, ``verify`` and ``proxy``.

    :param leadsy_conn_id: The Airflow connection of type ``leadsy``.
    """

    conn_name_attr: ClassVar[str] = "leadsy_conn_id"
    default_conn_name: ClassVar[str] = "leadsy_default"
    conn_type: ClassVar[str] = "leadsy"
    hook_name: ClassVar[str] = "Leadsy"
    import_classes: ClassVar[Sequence[type[Import]]] = (LeadsyImport,)
    status_advice: ClassVar[Mapping[int, str]] = {
        401: "Leadsy did not accept the token: enter a valid one as the connection's password; one from a log-in "
        "expires. If it is valid, Leadsy may expect another word before it: see the connection's extra 'auth_scheme'.",
        403: "This token lacks a permission: use the token of a user who may see the company's imports.",
        404: "The import does not exist, or this token may not see it: check import_code, and that the connection is "
        "for the Leadsy where the import was started.",
    }

    def __init__(self, leadsy_conn_id: str = default_conn_name) -> None:
        super().__init__(leadsy_conn_id)

    def validate_connection(self, connection: VendorConnection) -> None:
        """Raise if the token is missing, or if the token or an extra is not valid."""
        require_credential("password", connection.password, "Leadsy token")
        scheme = _auth_scheme_of(connection)
        if scheme and " " in connection.password:
            raise ImportRequestError(
                f"The connection's password has a space in it. Enter the Leadsy token alone: {scheme!r}, the default "
                f"or the value of the extra 'auth_scheme', is put before it."
            )
        _status_map_of(connection)

    def send_authenticated(self, request: Request, connection: VendorConnection) -> Conversation[Response]:
        """Send one request with the token, after the connection's authentication scheme."""
        value = f"{_auth_scheme_of(connection)} {connection.password}".lstrip()
        return (yield request.with_headers({"Authorization": value}))

    def probe(self, connection: VendorConnection) -> Conversation[str]:
        """Request the list of imports."""
        response = yield Request(method="GET", path=IMPORTS_PATH, max_answer_bytes=MAX_LIST_BYTES)
        # Any web server may return 404. It is raised without its status, whose advice is about a single import.
        if response.status == 404 or not (response.is_too_long or isinstance(response.json(), dict | list)):
            raise ImportRequestError(
                f"{response.request_line} returned HTTP {response.status} and no list of imports, so nothing is "
                f"verified. Check that the connection's host is that of Leadsy's API."
            )
        return f"{connection.base_url} accepted the token and listed its imports."


def _status_map_of(connection: VendorConnection) -> dict[str, str]:
    value = connection.extra.get("status_map")
    # The field of the connection form stores a text.
    value = value.strip() or None if isinstance(value, str) else value
    try:
        return checked_status_map(json.loads(value) if isinstance(value, str) else value)
    except (json.JSONDecodeError, RecursionError):
        problem = "it is a text that is not JSON"
    except ValueError as error:
        problem = str(error)
    raise ImportRequestError(f"The connection's extra 'status_map' cannot be used: {problem}. Correct it in Airflow.")


def _auth_scheme_of(connection: VendorConnection) -> str:
    value = connection.extra.get("auth_scheme")
    if value is None:
        return DEFAULT_AUTH_SCHEME
    scheme = value.strip() if isinstance(value, str) else None
    if scheme is not None and scheme.lower() in ("", NO_AUTH_SCHEME):
        return ""
    if scheme is None or not AUTH_SCHEME.fullmatch(scheme):
        raise ImportRequestError(
            "The connection's extra 'auth_scheme' must be one word to put before the token, such as 'Bearer', or "
            "'none' to send the token alone."
        )
    return scheme


def _import_file(response: Response, import_code: str) -> dict[str, Any]:
    answer = response.json()
    file = answer.get("import_file") if isinstance(answer, dict) else None
    if not isinstance(file, dict):
        expected = 'an object with the object "import_file"'
        raise response.unexpected(expected, "Leadsy", returned=_describe_shape(answer, response))
    returned_code = file.get("import_code")
    if returned_code not in (None, "") and str(returned_code).strip() != import_code:
        returned = f"the import {response.excerpt(str(returned_code), 100)!r}"
        raise response.unexpected(f"the import {import_code!r}", "Leadsy", returned=returned)
    return file


def _describe_shape(answer: Any, response: Response) -> str:
    # The body itself may have people's names, and addresses that give access to files.
    if isinstance(answer, dict):
        return response.excerpt(f"an object with the keys {', '.join(answer)}" if answer else "an empty object")
    return "a list" if isinstance(answer, list) else response.excerpt(json.dumps(answer), 100)


def _details(file: Mapping[str, Any], response: Response) -> dict[str, Any]:
    details = {
        "error_file": redacted_address(file.get("error_file"), response),
        "success_rate": as_number(file.get("success_rate")),
    }
    return {name: value for name, value in details.items() if value is not None}


def _is_given(value: Any) -> bool:
    return bool(value.strip() if isinstance(value, str) else value)


def _unknown_status_warning(status: Status, response: Response) -> str:
    if not status.keys:
        return "Leadsy reports no status of the import, so the wait continues. Check the import in Leadsy."
    others = ", ".join(repr(str(state)) for state in ImportState if state is not ImportState.RUNNING)
    return (
        f"Leadsy's {status.describe(response)} is unknown to this package, so the wait continues. Define its meaning "
        f"with status_map={status.map_entry(response, ImportState.RUNNING)} on the sensor, or as the extra "
        f"'status_map' of the connection; instead of 'running' it may be one of {others}."
    )


def _unknown_end(status: Status, response: Response) -> ImportProtocolError:
    unknown = "Whether the import succeeded is unknown: check in Leadsy."
    if not status.keys:
        return ImportProtocolError(f"{response.request_line} reported a finished import without a status. {unknown}")
    return ImportProtocolError(
        f"{response.request_line} reported a finished import, but its {status.describe(response)} is unknown to this "
        f"package. {unknown} If it succeeded, set status_map={status.map_entry(response, ImportState.SUCCEEDED)} on "
        f"the sensor, or as the extra 'status_map' of the connection, otherwise with 'failed' instead of 'succeeded', "
        f"and clear this task."
    )
