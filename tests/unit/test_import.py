# SPDX-License-Identifier: Apache-2.0
"""An import reference and a hook, as a vendor's module defines them."""

# Without the future annotations that the package's own modules have.

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Optional

import pytest

from airflow_import_progress.hooks.lucca import LuccaHook
from airflow_import_progress.hooks.rocketchat import RocketChatImport
from airflow_import_progress.imports import Import, checked_id, quoted


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


def test_an_identifier_is_never_a_path():
    assert quoted("../../x?y#z") == "..%2F..%2Fx%3Fy%23z"


@pytest.mark.parametrize(
    ("given", "kept"), [("3c90", "3c90"), (" 3c90\n", "3c90"), (449839014328146739, "449839014328146739")]
)
def test_an_identifier_is_kept_as_text(given, kept):
    assert checked_id("summary_id", given) == kept


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "  ",
        "None",
        "none",
        "null",
        "undefined",
        "{{ ti.xcom_pull('upload') }}",
        True,
        3.5,
        {},
        ["a"],
        "a\x00b",
        ".",
        "..",
        "x" * 501,
    ],
)
def test_what_cannot_be_an_identifier_is_refused_by_the_arguments_name(value):
    with pytest.raises(ValueError, match="summary_id"):
        checked_id("summary_id", value)


def test_what_an_upstream_task_returned_instead_is_not_told_at_any_length():
    with pytest.raises(ValueError, match="not \\['row', 'row'") as caught:
        checked_id("summary_id", ["row"] * 100_000)
    assert len(str(caught.value)) < 600


def test_a_field_may_not_take_the_name_of_the_property():
    with pytest.raises(TypeError, match="NamedTwice must give its field another name than import_id"):

        class NamedTwice(Import):
            import_id: str
