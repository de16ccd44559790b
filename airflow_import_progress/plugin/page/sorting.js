// SPDX-License-Identifier: Apache-2.0
// The headers of the list, which sort it.

import { $ } from "./dom.js";
import { query } from "./query.js";

// Sorted by these, the largest or latest is what one looks for first.
const DESCENDING_FIRST = ["progress", "started", "took", "ended"];

export function setUpSorting(onChange) {
  for (const header of headers()) {
    header.querySelector("button").addEventListener("click", () => onChange({ sort: nextSort(header.dataset.sort) }));
  }
  showSorting();
}

export function showSorting() {
  for (const header of headers()) {
    const isSorted = query.sort.replace("-", "") === header.dataset.sort;
    header.setAttribute("aria-sort", !isSorted ? "none" : query.sort.startsWith("-") ? "descending" : "ascending");
  }
}

function nextSort(column) {
  const orders = [column, `-${column}`];
  if (DESCENDING_FIRST.includes(column)) orders.reverse();
  return orders[orders.indexOf(query.sort) + 1] ?? "";
}

function headers() {
  return $("waits").querySelectorAll("th[data-sort]");
}
