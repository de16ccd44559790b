// SPDX-License-Identifier: Apache-2.0
// The list of waits, with its filters, its summary and its pages.

import { $, hide } from "./dom.js";
import { addFilterOptions, createClearButton, forgetFilterOptions, setUpFilters, showFilters } from "./filters.js";
import { waitUrl } from "./links.js";
import { whenLastErrorIsFound } from "./log.js";
import { showMessage } from "./messages.js";
import { setUpPages, updatePages } from "./pages.js";
import { apiParameters, isFiltered, query, readQuery, writeQuery } from "./query.js";
import { clearRows, openWait, redrawCharts, showDetailsError, updateOpenDetails, updateRows } from "./rows.js";
import { setUpSorting, showSorting } from "./sorting.js";
import { setUpSummary, updateSummary } from "./summary.js";

export function createList(parameters, refresh) {
  readQuery(parameters);
  const change = (changes) => changeQuery(changes, refresh);
  setUpFilters(change);
  setUpSorting(change);
  setUpPages(change);
  setUpSummary(change);
  return {
    url: () => `api/waits?${apiParameters()}`,
    update: (content) => update(content, refresh),
    updateMore: updateDetails,
    clear,
    redraw: redrawCharts,
    actionIfForbidden: () => (isFiltered() ? createClearButton() : null),
  };
}

function changeQuery(changes, refresh) {
  Object.assign(query, { offset: 0 }, changes);
  writeQuery();
  showFilters();
  showSorting();
  $("waits").setAttribute("aria-busy", "true");
  refresh();
}

function update({ waits, next_offset, summary }, refresh) {
  // The last page may have become empty.
  if (!waits.length && query.offset) return changeQuery({}, refresh);
  $("filters").hidden = false;
  addFilterOptions(waits, summary?.dag_ids ?? []);
  updateSummary(summary);
  updateRows(waits, refresh);
  updatePages(waits.length, next_offset ?? null);
  $("waits").removeAttribute("aria-busy");
  $("waits").hidden = !waits.length;
  if (waits.length) hide("message");
  else showEmptyMessage();
}

async function updateDetails(signal) {
  const opened = openWait();
  if (!opened) return;
  const response = await fetch(waitUrl(opened), { signal });
  if (!response.ok) return showDetailsError(response.status);
  const { wait } = await response.json();
  updateOpenDetails(wait);
  whenLastErrorIsFound(wait, () => updateOpenDetails());
}

function clear() {
  for (const id of ["filters", "summary", "waits", "pages"]) hide(id);
  forgetFilterOptions();
  clearRows();
}

function showEmptyMessage() {
  if (isFiltered()) {
    return showMessage("No import matches", ["Search for something else, or choose another vendor, state or DAG, or a longer period."], createClearButton());
  }
  showMessage("No task waits for an import", [
    `The page shows unfinished runs and those of ${$("days").selectedOptions[0].text}. For earlier runs, choose a longer period above.`,
    "An import appears after the first poll by a sensor or operator of airflow-provider-import-progress, or of a package that adds a vendor to it.",
    "If an import is missing: you need permission to read its DAG, and the package must also be installed on the workers and the triggerer.",
  ]);
}
