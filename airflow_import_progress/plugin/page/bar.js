// SPDX-License-Identifier: Apache-2.0
// The bar of an import's progress.

import { createElement, setText } from "./dom.js";
import { formatPercent } from "./format.js";
import { isUnderWay, isUnsuccessful } from "./states.js";

export function createBar() {
  const bar = createElement("div", "bar");
  const track = createElement("div", "track");
  track.setAttribute("role", "progressbar");
  track.setAttribute("aria-valuemin", "0");
  track.setAttribute("aria-valuemax", "100");
  track.append(createElement("div", "fill"), createElement("div", "failed-records"));
  bar.append(track, createElement("span", "percent"));
  return bar;
}

export function updateBar(bar, wait) {
  const [track, text] = bar.children;
  const [fill, failedRecords] = track.children;
  const percent = typeof wait.percent === "number" ? wait.percent : null;
  const isUnknown = percent === null && isUnderWay(wait);
  track.toggleAttribute("data-unknown", isUnknown);
  track.toggleAttribute("data-unsuccessful", isUnsuccessful(wait));
  track.setAttribute("aria-label", `Progress of ${wait.vendor ?? ""} import ${wait.import_id ?? ""}`);
  if (percent === null) track.removeAttribute("aria-valuenow");
  else track.setAttribute("aria-valuenow", String(Math.floor(percent)));
  track.setAttribute("aria-valuetext", percent === null ? "unknown" : formatPercent(percent));
  const failedPercent = Math.min(percentOfFailedRecords(wait), percent ?? 100);
  fill.style.width = `${(percent ?? 0) - Math.min(failedPercent, percent ?? 0)}%`;
  failedRecords.style.width = `${failedPercent}%`;
  track.toggleAttribute("data-failed-records", failedPercent > 0);
  if (isUnknown) setText(text, "? %");
  else if (percent === null) setText(text, "–");
  else setText(text, percent >= 100 && isUnsuccessful(wait) ? "" : formatPercent(percent));
}

function percentOfFailedRecords(wait) {
  return wait.failed && wait.total ? (100 * wait.failed) / wait.total : 0;
}
