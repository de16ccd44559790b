// SPDX-License-Identifier: Apache-2.0
// Times on the page, relative to the server's clock.

import { setText } from "./dom.js";
import { formatDuration } from "./format.js";

// The server's clock minus the browser's, in seconds.
let offset = 0;

export function setServerTime(now) {
  offset = now - Date.now() / 1000;
}

export function formatRelativeTime(at, kind) {
  const left = at - (Date.now() / 1000 + offset);
  if (left <= 0 && kind === "due") return "overdue";
  if (left <= 0) return `${formatDuration(-left)} ago`;
  return left < 60 ? "in less than 1 min" : `in about ${formatDuration(left)}`;
}

export function setTime(element, at, kind = "") {
  element.toggleAttribute("data-empty", typeof at !== "number");
  if (typeof at !== "number") {
    delete element.dataset.at;
    element.removeAttribute("title");
    setText(element, "");
    return element;
  }
  element.dataset.at = String(at);
  element.dataset.kind = kind;
  element.title = new Date(at * 1000).toLocaleString();
  setText(element, formatRelativeTime(at, kind));
  return element;
}

export function updateRelativeTimes() {
  for (const element of document.querySelectorAll("[data-at]")) {
    setText(element, formatRelativeTime(Number(element.dataset.at), element.dataset.kind));
  }
}
