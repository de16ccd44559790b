// SPDX-License-Identifier: Apache-2.0
// Times and durations on the page, relative to the server's clock, which count on between two polls.

import { createElement, setText } from "./dom.js";
import { formatAge, formatDate, formatDuration, formatTime } from "./format.js";

// In seconds, between the clocks of Airflow's machines.
const MAX_CLOCK_DIFFERENCE = 30;

// The server's clock minus the browser's, in seconds.
let offset = 0;

export function setServerTime(now) {
  offset = now - Date.now() / 1000;
}

export function serverTime() {
  return Date.now() / 1000 + offset;
}

export function formatRelativeTime(at, kind) {
  const left = at - serverTime();
  if (left <= 0 && kind === "due") return "overdue";
  // The clock of the machine that polls may be a little ahead.
  if (left <= (kind === "due" ? 0 : MAX_CLOCK_DIFFERENCE)) return `${formatAge(Math.max(-left, 0))} ago`;
  return left < 60 ? "in less than 1 min" : `in about ${formatAge(left)}`;
}

// The kind "due" is a time that is still to come, and "elapsed" the duration since a time.
export function createTime(at, kind = "") {
  const element = createElement("time", "", formatCounting(at, kind));
  const date = new Date(at * 1000);
  // A published time may be beyond the dates of JavaScript.
  if (!Number.isNaN(date.valueOf())) element.dateTime = date.toISOString();
  element.title = kind === "elapsed" ? `from ${formatDate(at)} to now` : formatDate(at);
  element.dataset.at = String(at);
  element.dataset.kind = kind;
  return element;
}

// Both relative and absolute, because a touch screen shows no titles.
export function createTimeWithDate(at, kind) {
  const both = createElement("span");
  both.append(createTime(at, kind), createElement("span", "muted", ` · ${formatTime(at, true)}`));
  return both;
}

export function updateTimes() {
  for (const element of document.querySelectorAll("time[data-at]")) {
    setText(element, formatCounting(Number(element.dataset.at), element.dataset.kind));
  }
}

function formatCounting(at, kind) {
  return kind === "elapsed" ? formatDuration(serverTime() - at) : formatRelativeTime(at, kind);
}
