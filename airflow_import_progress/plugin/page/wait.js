// SPDX-License-Identifier: Apache-2.0
// The elements that show a wait in the list and above its details.

import { createBar, updateBar } from "./bar.js";
import { createTime } from "./clock.js";
import { createElement, createLine, createLink } from "./dom.js";
import { formatDate, formatDuration, formatNumber, formatPace, formatRecords } from "./format.js";
import { taskUrl, webAddress } from "./links.js";
import { descriptionOf, isTimed, isUnderWay, labelOf } from "./states.js";

export function createImportCell(wait) {
  return [createElement("div", "", wait.vendor), createImportId(wait)];
}

function createImportId(wait) {
  if (!wait.import_id) return createElement("div", "muted", isUnderWay(wait) ? "no import yet" : "–");
  const line = createLine("div", "id", wait.import_id);
  const url = webAddress(wait.import_url);
  if (url) line.replaceChildren(createLink(url, wait.import_id, true));
  return line;
}

export function createTaskCell(wait) {
  const name = createElement("div", "name");
  name.append(createLink(taskUrl(wait), taskName(wait)));
  return [name, createLine("div", "id muted", wait.run_id)];
}

export function taskName(wait) {
  return `${wait.dag_id} · ${wait.task_id}${wait.map_index >= 0 ? ` [${wait.map_index}]` : ""}`;
}

export function createStateCell(wait) {
  if (!isUnderWay(wait) || typeof wait.polled_at !== "number") return [createBadge(wait)];
  const polled = createElement("div", "polled muted", "polled ");
  polled.append(createTime(wait.polled_at));
  return [createBadge(wait), polled];
}

export function createBadge(wait) {
  const badge = createElement("span", "badge", labelOf(wait));
  badge.title = descriptionOf(wait);
  return badge;
}

export function createTook(wait) {
  if (isTimed(wait)) return createTime(wait.waiting_since, "elapsed");
  if (typeof wait.took !== "number") return null;
  const took = createElement("span", "", formatDuration(wait.took));
  if (typeof wait.waiting_since === "number") {
    took.title = `from ${formatDate(wait.waiting_since)} to ${formatDate(wait.waiting_since + wait.took)}`;
  }
  return took;
}

export function recordsText(wait) {
  return [formatRecords(wait), isUnderWay(wait) ? formatPace(wait) : ""].filter(Boolean).join(" · ");
}

export function errorText(wait) {
  const polls = wait.failures > 1 ? ` (${formatNumber(wait.failures)} failed polls in a row)` : "";
  return wait.error ? `${wait.error}${polls}` : isUnderWay(wait) ? "" : (wait.message ?? "");
}

export function createHeadline(wait) {
  const line = createElement("div", "headline");
  const bar = createBar();
  updateBar(bar, wait);
  line.append(createBadge(wait), bar);
  return line;
}
