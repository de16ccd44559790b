// SPDX-License-Identifier: Apache-2.0
// The summary above the list: tiles that filter it, and the slowest import.

import { $, replaceIfChanged, setText } from "./dom.js";
import { formatNumber } from "./format.js";
import { tabUrl } from "./links.js";
import { query } from "./query.js";
import { createTook, taskName } from "./wait.js";

export function setUpSummary(onChange) {
  for (const tile of tiles()) {
    tile.addEventListener("click", () => onChange({ state: query.state === tile.dataset.filter ? "" : tile.dataset.filter }));
  }
}

export function updateSummary(summary) {
  $("summary").hidden = !summary;
  if (!summary) return;
  const counts = { under_way: summary.under_way, ended_today: summary.ended, went_wrong_today: summary.went_wrong };
  for (const tile of tiles()) {
    const count = counts[tile.dataset.filter];
    setText(tile.querySelector(".value"), formatNumber(count));
    tile.toggleAttribute("data-alarming", tile.dataset.filter === "went_wrong_today" && count > 0);
    tile.setAttribute("aria-pressed", String(query.state === tile.dataset.filter));
  }
  updateSlowest(summary.slowest);
}

function updateSlowest(wait) {
  const tile = $("slowest");
  const took = wait ? createTook(wait) : null;
  const value = tile.querySelector(".value");
  replaceIfChanged(value, [wait?.state, wait?.waiting_since, wait?.took], () => [took ?? "–"]);
  setText(tile.querySelector(".name"), wait ? `${wait.vendor ?? ""} · ${taskName(wait)}` : "");
  if (took) tile.href = tabUrl(wait);
  else tile.removeAttribute("href");
}

function tiles() {
  return $("summary").querySelectorAll("button");
}
