# SPDX-License-Identifier: Apache-2.0
"""The scripts of the next imports that clients start."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from airflow_import_progress.sandbox.script import Script


@dataclass(frozen=True)
class NextImport:
    """
    An import that a client has not started yet.

    :param vendor: Name of the vendor.
    :param kind: One of the vendor's kinds of import.
    :param script: Its course, in place of the one that follows from its file.
    :param import_id: Its id.
    :param file_name_contains: Only an import whose file has this text in its name. Empty: any, with a file or without.
    """

    vendor: str
    kind: str
    script: Script
    import_id: str
    file_name_contains: str

    def matches(self, vendor: str, kind: str, file_name: str | None) -> bool:
        """Return True if it is the import that a client starts: see :meth:`.NextImports.take`."""
        return (vendor, kind) == (self.vendor, self.kind) and self.file_name_contains in (file_name or "")


class NextImports:
    """The next imports. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._imports: list[NextImport] = []

    def add(self, next_import: NextImport) -> None:
        """Add an import. Earlier ones take precedence."""
        with self._lock:
            self._imports.append(next_import)

    def take(self, vendor: str, kind: str, file_name: str | None) -> NextImport | None:
        """
        Return and remove the import that a client starts. None: there is none for it.

        :param vendor: Name of the vendor.
        :param kind: The kind of import.
        :param file_name: Name of its file. None: it has none.
        """
        with self._lock:
            for next_import in self._imports:
                if next_import.matches(vendor, kind, file_name):
                    self._imports.remove(next_import)
                    return next_import
        return None

    def remove(self, vendor: str, import_id: str) -> bool:
        """
        Remove the import with an id, and return whether there was one.

        :param vendor: Name of the vendor.
        :param import_id: The id.
        """
        with self._lock:
            left = [one for one in self._imports if (one.vendor, one.import_id) != (vendor, import_id)]
            is_removed, self._imports = len(left) < len(self._imports), left
        return is_removed

    def has(self, vendor: str, import_id: str) -> bool:
        """
        Return whether one of the imports has an id.

        :param vendor: Name of the vendor.
        :param import_id: The id.
        """
        with self._lock:
            return any((one.vendor, one.import_id) == (vendor, import_id) for one in self._imports)
