# SPDX-License-Identifier: Apache-2.0
"""An import reference and a hook, as a vendor's module defines them."""

# Without the future annotations that the package's own modules have.

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Optional

import pytest

from airflow_import_progress.hooks.lucca import LuccaHook
from airflow_import_progress.hooks.rocketchat import RocketChatImport
from airflow_import_progress.imports import Import


@dataclass(frozen=True)
class OddImport(Import):
    """An import whose annotations are evaluated."""

    label: ClassVar[str] = "odd import"

    job_id: str
    cluster: str | None = None
    region: Optional[str] = None  # noqa: UP045
    since: datetime | None = None
    count: int = 0
    names: dict[str, str] | None = None

    @property
    def import_id(self):
        return self.job_id

    def poll(self, connection):
        """Poll nothing."""


def test_the_texts_of_an_import_are_found_whether_or_not_its_annotations_are_evaluated():
    assert OddImport.text_fields() == ("job_id", "cluster", "region")
    assert RocketChatImport.text_fields() == ("operation_id", "importer_key", "started_after")


def test_a_hook_has_no_client_to_return_and_names_what_to_use():
    with pytest.raises(NotImplementedError, match=r"LuccaHook has no client.*get_progress\(\), or request\(\)"):
        LuccaHook().get_conn()
