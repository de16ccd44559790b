# SPDX-License-Identifier: Apache-2.0
"""The references to one import and to a vendor's list of imports, and the conversations that poll them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Protocol, TypeVar, get_args
from urllib.parse import quote
from uuid import UUID

from airflow_import_progress.http.connection import VendorConnection
from airflow_import_progress.http.exchange import Conversation, excerpt
from airflow_import_progress.progress import ImportProgress, NotForXCom

MAX_IDENTIFIER_LENGTH = 500
#: Quotes and brackets of JSON or Python, which must not be passed on with an identifier.
OPENING_MARKS, CLOSING_MARKS = frozenset("\"'`{[("), frozenset("\"'`}])")

T_co = TypeVar("T_co", covariant=True)


class Pollable(Protocol[T_co]):
    """What a hook polls: one import, or a vendor's list of imports."""

    def poll(self, connection: VendorConnection) -> Conversation[T_co]:
        """
        Poll the vendor.

        :param connection: The connection that is used, for settings in its extras.
        :return: A conversation that changes nothing at the vendor.
        """

    def describe(self, conn_id: str) -> str:
        """
        Return the words by which messages name it.

        :param conn_id: The Airflow connection through which it is polled.
        """


@dataclass(frozen=True)
class Import(NotForXCom, ABC):
    """
    Identify one import at one vendor.

    A subclass is a frozen dataclass. Its fields are plain JSON values, because a trigger stores them.
    """

    instead_in_xcom: ClassVar[str] = "its import_id, or its to_dict()"
    #: The name of such an import in messages, such as ``"Lucca leave import"``.
    label: ClassVar[str]
    #: Where to look for the cause when it failed, as a sentence for the error message.
    failure_advice: ClassVar[str] = ""
    #: What to do when the vendor waits for somebody to act, as a sentence.
    action_advice: ClassVar[str] = ""

    @property
    @abstractmethod
    def import_id(self) -> str:
        """The identifier shown to users."""

    @property
    def warning_before_start(self) -> str | None:
        """A warning that a wait logs once before its first poll, such as that the import is not identified; or None."""
        return None

    @abstractmethod
    def poll(self, connection: VendorConnection) -> Conversation[ImportProgress]:
        """
        Poll the vendor for the progress of the import.

        :param connection: The connection that is used, for settings in its extras.
        :return: A conversation that ends in the progress. It changes nothing at the vendor.
        """

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values; they are the arguments of the class."""
        return asdict(self)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "import_id" in vars(cls).get("__annotations__", ()):
            raise TypeError(f"{cls.__name__} must give its field another name than import_id, which is a property.")

    @classmethod
    def text_fields(cls) -> tuple[str, ...]:
        """Return the names of the fields that are texts."""
        return tuple(field.name for field in fields(cls) if _may_be_text(field.type))

    def describe(self, conn_id: str) -> str:
        """
        Return the words by which messages name this import.

        :param conn_id: The Airflow connection through which it is polled.
        """
        return f"{self.label} {self.import_id!r} (connection {conn_id!r})"


@dataclass(frozen=True, kw_only=True)
class ListedImport:
    """
    Hold an import as a vendor's list reports it.

    :param import_: The reference to the import.
    :param has_ended: Whether it is over, for good or bad. None: the list does not report it, so the import is polled.
    :param progress: Its progress. Default None: the list reports less, so the import is polled once it has ended.
    """

    import_: Import
    has_ended: bool | None
    progress: ImportProgress | None = None


@dataclass(frozen=True)
class ImportList(ABC):
    """
    Identify the imports that a vendor lists, whoever started them.

    A subclass is a frozen dataclass. Its fields are plain JSON values, because a trigger stores them.
    """

    #: The name of the imports in messages, such as ``"Zilliz import jobs"``.
    label: ClassVar[str]

    @abstractmethod
    def poll(self, connection: VendorConnection) -> Conversation[Sequence[ListedImport]]:
        """
        Request the list.

        :param connection: The connection that is used, for settings in its extras.
        :return: A conversation that ends in the imports, each of which has an ``import_id`` of its own. It changes
            nothing at the vendor.
        """

    def place(self, connection: VendorConnection) -> str:
        """
        Return what identifies the place at the vendor whose imports are listed. Default: the host, port and path.

        With another place, a watcher begins anew.

        :param connection: The connection, whose extras may name a part of the vendor such as a cluster.
        """
        return connection.base_url.partition("://")[2].removesuffix(":443").removesuffix(":80")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values; they are the arguments of the class."""
        return asdict(self)

    def describe(self, conn_id: str) -> str:
        """
        Return the words by which messages name the imports.

        :param conn_id: The Airflow connection through which they are listed.
        """
        return f"{self.label} (connection {conn_id!r})"


def quoted(identifier: str) -> str:
    """Return an identifier quoted as one segment of a path, whatever it contains."""
    return quote(identifier, safe="")


def checked_id(name: str, value: object) -> str:
    """
    Return an import's identifier as text, or raise if the value cannot be one.

    A template of a task that pushed nothing renders to ``"None"`` or to an empty string. Sent to a vendor, that would
    at best be an unknown import, and at worst a request for another resource.

    :param name: Name of the argument, for the message.
    :param value: The identifier: a text, a whole number or a UUID.
    :raises ValueError: if it is not an identifier; the message names the argument.
    """
    if isinstance(value, int | UUID) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(  # noqa: TRY004
            f"{name} must be the import's identifier as text, not {excerpt(repr(value))}. If it comes from an XCom, "
            f"check that the upstream task returned it."
        )
    value = value.strip()
    if value.lower() in ("", "none", "null", "undefined"):
        raise ValueError(
            f"{name} is {value!r}, which is not an identifier. If it comes from an XCom, "
            f"check that the upstream task returned it."
        )
    if "{{" in value or "{%" in value:
        raise ValueError(f"{name} is a template that was not rendered: {value!r}")
    if value[0] in OPENING_MARKS or value[-1] in CLOSING_MARKS:
        raise ValueError(
            f"{name} must be the identifier alone, without quotes or brackets, not {excerpt(value)!r}. If it comes "
            f"from the XCom of a shell command, that may be JSON: extract the identifier from it."
        )
    # Quoting does not change "." and "..", which would lead to another path.
    if not value.isprintable() or len(value) > MAX_IDENTIFIER_LENGTH or value in (".", ".."):
        raise ValueError(f"{name} is not an identifier of an import: {excerpt(value)!r}")
    return value


def _may_be_text(annotation: Any) -> bool:
    # The annotation is itself a text where annotations are not evaluated.
    if isinstance(annotation, str):
        return "str" in (part.strip() for part in annotation.split("|"))
    return annotation is str or str in get_args(annotation)
