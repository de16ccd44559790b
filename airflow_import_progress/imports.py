# SPDX-License-Identifier: Apache-2.0
"""The reference to one import: what identifies it, and how it is polled."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, get_args

from airflow_import_progress.http.connection import VendorConnection
from airflow_import_progress.http.exchange import Conversation
from airflow_import_progress.progress import ImportProgress, NotForXCom


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


def _may_be_text(annotation: Any) -> bool:
    # The annotation is itself a text where annotations are not evaluated.
    if isinstance(annotation, str):
        return "str" in (part.strip() for part in annotation.split("|"))
    return annotation is str or str in get_args(annotation)
