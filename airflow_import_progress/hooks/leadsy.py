# SPDX-License-Identifier: Apache-2.0
"""
LeadsyGroup: imports of leads.

Source of what is known about the vendor: the published API reference, section "Import",
https://docs.staging.leadsygroup.com/. It gives the fields of an import, but neither the statuses that an import can
have nor the scheme of the authentication, so both can be told to this module.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

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
    as_address,
    as_count,
    as_moment,
    as_number,
    as_text,
    checked_id,
    excerpt,
    quoted,
)

IMPORTS_PATH = "/api/v1/import"

#: The list names every import of a company, and may not come in pages.
MAX_LIST_BYTES = 8 * 1024 * 1024
MAX_SHOWN_STATUS = 100

DEFAULT_AUTH_SCHEME = "Bearer"
#: What stands for no scheme at all. Airflow's forms cannot store an empty text.
NO_AUTH_SCHEME = "none"
AUTH_SCHEME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)

#: What the names of statuses most likely mean. Leadsy does not publish them; these are the usual ones. Names in other
#: languages are left to ``status_map``: Spanish "terminado" is a success, English "terminated" is none.
STATES: Mapping[str, ImportState] = {
    **dict.fromkeys(
        ("pending", "queued", "waiting", "created", "uploaded", "on_hold", "scheduled"),
        ImportState.PENDING,
    ),
    **dict.fromkeys(
        ("processing", "in_progress", "running", "started", "importing", "validating"),
        ImportState.RUNNING,
    ),
    **dict.fromkeys(
        (
            "completed",
            "complete",
            "done",
            "finished",
            "success",
            "succeeded",
            "successful",
            "imported",
            "processed",
        ),
        ImportState.SUCCEEDED,
    ),
    **dict.fromkeys(
        ("failed", "failure", "error", "errored", "aborted", "rejected", "terminated", "invalid"),
        ImportState.FAILED,
    ),
    **dict.fromkeys(("cancelled", "canceled"), ImportState.CANCELLED),
}
#: Names of an end at which some records are in and others are not.
PARTIAL_SUCCESSES = frozenset({"partially_completed", "completed_with_errors", "partial"})


@dataclass(frozen=True)
class LeadsyImport(Import):
    """
    Identify an import of leads into Leadsy.

    :param import_code: The ``import_code`` that Leadsy answered when the import was started.
    :param status_map: What Leadsy's statuses mean, where this package does not know or is wrong: names (whatever their
        case, with spaces, hyphens or underscores) or integers of statuses to states, or to the states' names.
    :raises ValueError: if one of them cannot be right; the message names it.
    """

    label: ClassVar[str] = "Leadsy import"
    failure_advice: ClassVar[str] = "Look at the import in Leadsy."

    import_code: str
    status_map: Mapping[str | int, ImportState | str] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "import_code", checked_id("import_code", self.import_code))
        object.__setattr__(self, "status_map", checked_status_map(self.status_map))

    @property
    def import_id(self) -> str:
        """Return the ``import_code``."""
        return self.import_code

    def poll(self, connection: VendorConnection) -> Conversation[ImportProgress]:
        """
        Ask how far the import is: one request.

        :param connection: The connection that is used; what its extra ``status_map`` says counts where the import's
            own says nothing.
        """
        response = yield Request(method="GET", path=f"{IMPORTS_PATH}/{quoted(self.import_code)}")
        file = _import_file(response, self.import_code)
        status = _Status.of(file)
        told = status.told_by({**_status_map_of(connection), **checked_status_map(self.status_map)})
        state = told or status.usual
        warning = None
        if state is None:
            if _says_something(file.get("finished_at")):
                raise _unknown_end(status, response)
            state, warning = ImportState.RUNNING, _unknown_status(status, response)
        total, processed = as_count(file.get("total_records")), as_count(file.get("processed_records"))
        failed = as_count(file.get("failed_records"))
        words = []
        if state is ImportState.FAILED and failed and total:
            words.append(f"{failed:,} of {total:,} records failed")
        if not told and status.is_partial_success:
            words.append(
                f"to let such an import pass, set status_map={_entry_for(status, response, ImportState.SUCCEEDED)} "
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
            message="; ".join(words) or None,
            started_at=as_moment(file.get("started_at")),
            finished_at=as_moment(file.get("finished_at")),
            warning=warning,
            details=_details(file, response),
        )


class LeadsyHook(ImportProgressHook):
    """
    Talk to Leadsy with a token.

    The connection: host the one of Leadsy's API, password the token, schema ``https`` unless given, extras
    ``auth_scheme`` (what stands in front of the token; ``""`` or ``"none"`` sends it bare), ``status_map`` (see
    :class:`LeadsyImport`), ``timeout``, ``verify`` and ``proxy``.

    :param leadsy_conn_id: The Airflow connection of type ``leadsy``.
    """

    conn_name_attr: ClassVar[str] = "leadsy_conn_id"
    default_conn_name: ClassVar[str] = "leadsy_default"
    conn_type: ClassVar[str] = "leadsy"
    hook_name: ClassVar[str] = "Leadsy"
    import_classes: ClassVar[Sequence[type[Import]]] = (LeadsyImport,)
    refusal_advice: ClassVar[Mapping[int, str]] = {
        401: "Leadsy did not accept the token: put a valid one into the connection's password; one from a log-in "
        "expires. If it is valid, Leadsy may expect another word in front of it: see the connection's extra "
        "'auth_scheme'.",
        403: "Leadsy does not let this token do that: use the token of a user who may see the company's imports.",
        404: "Leadsy does not know it, or this token may not see it: check import_code, and that the connection is for "
        "the Leadsy where the import was started.",
    }

    def __init__(self, leadsy_conn_id: str = default_conn_name) -> None:
        super().__init__(leadsy_conn_id)

    def validate_connection(self, connection: VendorConnection) -> None:
        """
        Refuse a connection without a usable token, or with extras that cannot be right.

        :param connection: The connection, already read.
        :raises ImportRequestError: if something is missing or cannot be used.
        """
        token = connection.password
        if not token:
            raise ImportRequestError("The connection has no password. Enter the Leadsy token there.")
        if not (token.isascii() and token.isprintable()):
            raise ImportRequestError(
                "The connection's password has characters that cannot be sent. Enter the Leadsy token alone."
            )
        scheme = _auth_scheme_of(connection)
        if scheme and " " in token:
            raise ImportRequestError(
                f"The connection's password has a space in it. Enter the Leadsy token alone: {scheme!r} is put in "
                f"front of it, or what the extra 'auth_scheme' says."
            )
        _status_map_of(connection)

    def send_authenticated(self, request: Request, connection: VendorConnection) -> Conversation[Response]:
        """
        Send one request with the token, behind the scheme that the connection says.

        :param request: What to ask.
        :param connection: The connection with the token.
        """
        value = f"{_auth_scheme_of(connection)} {connection.password}".lstrip()
        return (yield request.with_headers({"Authorization": value}))

    def probe(self, connection: VendorConnection) -> Conversation[str]:
        """
        Ask for the list of imports.

        :param connection: The connection to verify.
        """
        response = yield Request(method="GET", path=IMPORTS_PATH, max_answer_bytes=MAX_LIST_BYTES)
        # Not with the advice for an unknown import, of which there is none here. Any web server may answer so.
        if response.status == 404 or not (response.is_too_long or isinstance(response.json(), dict | list)):
            raise ImportRequestError(
                f"{response.request_line} answered HTTP {response.status} and no list of imports, so nothing is "
                f"verified. Check that the connection's host is that of Leadsy's API."
            )
        return f"{connection.base_url} accepted the token and listed its imports."


@dataclass(frozen=True)
class _Status:
    """Hold what Leadsy calls the state of an import: a name, and an integer that means nothing by itself."""

    name: str | None
    number: int | None

    @classmethod
    def of(cls, file: Mapping[str, Any]) -> _Status:
        number = as_number(file.get("status"))
        return cls(
            name=as_text(file.get("status_name")),
            number=int(number) if number is not None and number.is_integer() else None,
        )

    @property
    def keys(self) -> list[str]:
        """Return under what a map may tell of it, in order of preference."""
        return [_key(str(value)) for value in (self.name, self.number) if value is not None]

    @property
    def is_partial_success(self) -> bool:
        return self.name is not None and _key(self.name) in PARTIAL_SUCCESSES

    @property
    def usual(self) -> ImportState | None:
        if self.is_partial_success:
            return ImportState.FAILED
        return STATES.get(_key(self.name)) if self.name else None

    def told_by(self, status_map: Mapping[str, str]) -> ImportState | None:
        return next((ImportState(status_map[key]) for key in self.keys if key in status_map), None)

    def shown(self, response: Response) -> str | int | None:
        if self.name is None:
            return self.number
        # A name that is known is a state; any other may be anything.
        return self.name if self.usual else response.excerpt(self.name, MAX_SHOWN_STATUS)

    def words(self, response: Response) -> str:
        if self.name is None:
            return f"status {self.number} without a name"
        shown = f"status {self.shown(response)!r}"
        return shown if self.number is None else f"{shown} (number {self.number})"


def checked_status_map(value: object) -> dict[str, str]:
    """
    Return a map of statuses with normalised names or decimal integers as keys, and names of states as values.

    :param value: What a user wrote; None is an empty map.
    :raises ValueError: if it is no such map; the message names ``status_map``.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(  # noqa: TRY004
            f"status_map must map names or integers of statuses to states, not {_shown(value)}"
        )
    result: dict[str, str] = {}
    for status, state in value.items():
        key, word = _checked_key(status), _checked_state(status, state)
        if result.setdefault(key, word) != word:
            raise ValueError(f"status_map has two states for the status {key!r}: {result[key]!r} and {word!r}")
    return result


def _checked_key(status: object) -> str:
    if isinstance(status, bool) or not isinstance(status, str | int) or not str(status).strip():
        raise ValueError(f"status_map has the key {_shown(status)}, which is neither a status's name nor an integer")
    return _key(str(status))


def _checked_state(status: object, state: object) -> str:
    try:
        return ImportState(str(state).strip().lower()).value
    except ValueError:
        raise ValueError(
            f"status_map has {_shown(state)} for the status {_shown(status)}, which is none of "
            f"{', '.join(map(repr, map(str, ImportState)))}"
        ) from None


def _key(status: str) -> str:
    text = status.strip()
    # One spelling for each integer; what is no integer is a name.
    return str(int(text)) if INTEGER.fullmatch(text) else re.sub(r"[\s_-]+", "_", text).lower()


def _shown(value: object) -> str:
    return excerpt(repr(value), 100)


def _status_map_of(connection: VendorConnection) -> dict[str, str]:
    value = connection.extra.get("status_map")
    # A form has a line of text for it.
    written = value.strip() or None if isinstance(value, str) else value
    try:
        return checked_status_map(json.loads(written) if isinstance(written, str) else written)
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
            "The connection's extra 'auth_scheme' must be one word to put in front of the token, such as 'Bearer', or "
            "'none' to send the token alone."
        )
    return scheme


def _import_file(response: Response, import_code: str) -> dict[str, Any]:
    answer = response.json()
    file = answer.get("import_file") if isinstance(answer, dict) else None
    if not isinstance(file, dict):
        raise _unexpected(response, _shape(answer, response), 'an object with the object "import_file"')
    answered = file.get("import_code")
    if answered not in (None, "") and str(answered).strip() != import_code:
        raise _unexpected(
            response, f"with the import {response.excerpt(str(answered), 100)!r}", f"the import {import_code!r}"
        )
    return file


def _details(file: Mapping[str, Any], response: Response) -> dict[str, Any]:
    error_file = as_address(file.get("error_file"))
    details = {
        "error_file": response.redacted(error_file) if error_file else None,
        "success_rate": as_number(file.get("success_rate")),
    }
    return {name: value for name, value in details.items() if value is not None}


def _says_something(value: Any) -> bool:
    return bool(value.strip() if isinstance(value, str) else value)


def _entry_for(status: _Status, response: Response, state: ImportState) -> str:
    """Return the ``status_map`` that tells what a status means, as people write it in Python and in JSON."""
    key = response.excerpt(status.keys[0], MAX_SHOWN_STATUS)
    return json.dumps({key: state.value}, ensure_ascii=False)


def _unknown_status(status: _Status, response: Response) -> str:
    if not status.keys:
        return "Leadsy tells no status of the import, so the wait goes on. Look at the import in Leadsy."
    others = ", ".join(repr(str(state)) for state in ImportState if state is not ImportState.RUNNING)
    return (
        f"Leadsy's {status.words(response)} is unknown to this package, so the wait goes on. Say what it means with "
        f"status_map={_entry_for(status, response, ImportState.RUNNING)} on the sensor, or as the extra 'status_map' "
        f"of the connection; in place of 'running' it may be one of {others}."
    )


def _unknown_end(status: _Status, response: Response) -> ImportProtocolError:
    words = f"{response.request_line} answered that the import is over, but"
    look = "Whether the import succeeded is unknown: look in Leadsy."
    if not status.keys:
        return ImportProtocolError(f"{words} not with what status. {look}")
    return ImportProtocolError(
        f"{words} its {status.words(response)} is unknown to this package. {look} If it did, say so with "
        f"status_map={_entry_for(status, response, ImportState.SUCCEEDED)} on the sensor, or as the extra "
        f"'status_map' of the connection, otherwise with 'failed' in place of 'succeeded', and clear this task."
    )


def _shape(answer: Any, response: Response) -> str:
    # Not the body itself: it may have addresses in it that open files, and people's names.
    if isinstance(answer, dict):
        return response.excerpt(f"an object with the keys {', '.join(answer)}" if answer else "an empty object")
    return "a list" if isinstance(answer, list) else response.excerpt(json.dumps(answer), 100)


def _unexpected(response: Response, answered: str, promised: str) -> ImportProtocolError:
    return ImportProtocolError(
        f"{response.request_line} answered {answered} where Leadsy's API promises {promised}. Whether the import "
        f"succeeded is unknown: look in Leadsy, and report this if it lasts."
    )
