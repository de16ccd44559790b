// SPDX-License-Identifier: Apache-2.0
// The search field and the filters of the list.

import { $, createButton, createOption } from "./dom.js";
import { FILTERS, GROUPS, query } from "./query.js";
import { LABELS } from "./states.js";

// In milliseconds, after the last key.
const SEARCH_DELAY = 400;

// The values that the list has had, by the filter.
const known = { vendor: new Set(), dag_id: new Set() };
let apply = () => {};
let searchTimer = null;

export function setUpFilters(onChange) {
  apply = onChange;
  $("state").append(
    ...Object.entries(GROUPS).map(([group, { label }]) => createOption(group, label)),
    ...Object.entries(LABELS).map(([state, label]) => createOption(state, label)),
  );
  if (![...$("days").options].some(({ value }) => value === query.days)) query.days = "";
  for (const select of $("filters").querySelectorAll("select")) {
    select.addEventListener("change", () => apply({ [select.id]: select.value }));
  }
  $("search").addEventListener("input", () => {
    clearTimeout(searchTimer);
    searchTimer = setTimeout(applySearch, SEARCH_DELAY);
  });
  // The focus leaves the field before the delay is over.
  $("search").addEventListener("change", applySearch);
  $("search").addEventListener("keydown", ({ key }) => {
    if (key === "Escape") $("search").value = "";
    if (key === "Escape" || key === "Enter") applySearch();
  });
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("clear").addEventListener("click", clearFilters);
  showFilters();
}

function applySearch() {
  clearTimeout(searchTimer);
  const search = $("search").value.trim();
  if (search !== query.search) apply({ search });
}

export function showFilters() {
  updateOptions($("vendor"), known.vendor, query.vendor);
  updateOptions($("dag_id"), known.dag_id, query.dag_id);
  for (const name of FILTERS) {
    // Do not change a text that is being typed.
    if ($(name) !== document.activeElement || name !== "search") $(name).value = query[name];
  }
  $("clear").hidden = !FILTERS.some((name) => query[name]);
}

export function addFilterOptions(waits, dagIds) {
  for (const { vendor, dag_id } of waits) {
    if (vendor) known.vendor.add(vendor);
    known.dag_id.add(dag_id);
  }
  dagIds.forEach((dagId) => known.dag_id.add(dagId));
  showFilters();
}

export function forgetFilterOptions() {
  for (const [name, values] of Object.entries(known)) {
    values.clear();
    $(name).length = 1;
  }
}

export function createClearButton() {
  return createButton("", "Clear filters", clearFilters);
}

function clearFilters() {
  clearTimeout(searchTimer);
  $("search").value = "";
  apply(Object.fromEntries(FILTERS.map((name) => [name, ""])));
  $("search").focus();
}

// Options are never removed, so that those hidden by a filter remain available.
function updateOptions(select, values, selected) {
  if (selected) values.add(selected);
  const sorted = [...values].sort((a, b) => a.localeCompare(b));
  if (select.options.length === sorted.length + 1) return;
  select.replaceChildren(select.options[0], ...sorted.map((value) => createOption(value, value)));
  select.value = selected;
}
