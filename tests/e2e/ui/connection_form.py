# SPDX-License-Identifier: Apache-2.0
"""The pages of Airflow's UI on which people enter, try and correct connections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect

STANDARD, EXTRAS = "Standard Fields", "Extra Fields"


@dataclass(frozen=True)
class Field:
    """A field as it is shown."""

    label: str
    help: str | None
    placeholder: str | None


class ConnectionForm:
    """The form of one connection, new or stored."""

    def __init__(self, page: Page) -> None:
        self._dialog = page.get_by_role("dialog")
        self._page = page

    @classmethod
    def new(cls, page: Page, conn_id: str, type_name: str) -> ConnectionForm:
        """Open the form of a new connection."""
        page.goto("/connections")
        page.get_by_role("button", name="Add Connection").click()
        form = cls(page)
        form._dialog.locator("input[name=connection_id]").fill(conn_id)
        form._dialog.get_by_role("combobox").first.click()
        page.keyboard.type(type_name)
        page.get_by_role("option", name=type_name, exact=True).click()
        expect(form._dialog.get_by_role("button", name=EXTRAS, exact=True)).to_be_visible()
        return form

    @classmethod
    def stored(cls, page: Page, conn_id: str) -> ConnectionForm:
        """Open the form of a connection that Airflow has."""
        page.goto("/connections")
        _row(page, conn_id).get_by_role("button", name="Edit Connection").click()
        form = cls(page)
        expect(form._dialog.get_by_role("button", name=EXTRAS, exact=True)).to_be_visible()
        return form

    def show(self, section: str) -> None:
        """Unfold a section, which folds the others."""
        heading = self._dialog.get_by_role("button", name=section, exact=True)
        if heading.get_attribute("aria-expanded") != "true":
            heading.click()
        expect(heading).to_have_attribute("aria-expanded", "true")
        # The other one folds slowly.
        expect(self._dialog.get_by_role("region")).to_have_count(1)

    def fields(self, section: str) -> list[Field]:
        """Return the fields that a section shows, from the top."""
        self.show(section)
        return [
            Field(label, _text(root.locator("[data-part=helper-text]")), _placeholder(root))
            for label, root in self._shown()
        ]

    def values(self, section: str) -> dict[str, str]:
        """Return what the fields of a section have in them, by label; a choice in words."""
        self.show(section)
        return {label: _value(root) for label, root in self._shown()}

    def enter(self, section: str, entries: Mapping[str, str]) -> None:
        """Enter texts into fields of a section, by label, or choose them where there is a choice."""
        self.show(section)
        roots = dict(self._shown())
        for label, text in entries.items():
            if roots[label].get_by_role("combobox").count():
                roots[label].get_by_role("combobox").click()
                self._dialog.get_by_role("option", name=text, exact=True).click()
            else:
                roots[label].locator("input, textarea").first.fill(text)
                self._page.keyboard.press("Tab")

    def secret(self) -> Locator:
        """Return the field of the connection's password."""
        return self._dialog.locator("input[name=password]")

    def save(self) -> None:
        """Save, and wait until the form is gone."""
        self._dialog.get_by_role("button", name="Save", exact=True).click()
        expect(self._dialog).to_be_hidden()

    def _shown(self) -> Iterator[tuple[str, Locator]]:
        for root in self._dialog.get_by_role("region").locator("[data-scope=field][data-part=root]").all():
            yield root.locator("label").first.inner_text().strip(), root


def words_of_test(page: Page, conn_id: str) -> str:
    """Press a connection's "Test" button in the list of connections, and return the words that appear."""
    page.goto("/connections")
    _row(page, conn_id).get_by_role("button", name="Test Connection").click()
    message = page.locator("[data-scope=toast][data-part=root]").filter(has_text="Test Connection")
    expect(message.first).to_be_visible()
    return message.first.inner_text()


def _row(page: Page, conn_id: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_text(conn_id, exact=True))


def _text(found: Locator) -> str | None:
    return found.first.inner_text() if found.count() else None


def _placeholder(root: Locator) -> str | None:
    return root.locator("input, textarea").first.get_attribute("placeholder") or None


def _value(root: Locator) -> str:
    if root.get_by_role("combobox").count():
        return root.locator("input[type=hidden]").input_value()
    return root.locator("input, textarea").first.input_value()
