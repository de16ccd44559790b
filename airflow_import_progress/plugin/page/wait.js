// SPDX-License-Identifier: Apache-2.0
// The elements that show a wait.

import { createFigure } from "./chart.js";
import { setTime } from "./clock.js";
import { createElement, createLink, setText } from "./dom.js";
import { formatNumber, formatPace, formatRecords, isUnderWay } from "./format.js";

export const LABELS = {
  waiting: "Waiting",
  running: "Running",
  needs_action: "Needs action",
  retrying: "Retrying",
  done: "Done",
  failed: "Failed",
  gave_up: "Gave up",
  skipped: "Skipped",
};
const DESCRIPTIONS = {
  waiting: "The task is waiting. The import is unknown in this try, has not started, or has ended and the task is about to end.",
  running: "The vendor is processing the import.",
  needs_action: "The import waits for an action at the vendor.",
  retrying: "The task failed and will be retried.",
  done: "The import succeeded.",
  failed: "The import failed or did not pass the sensor's limits.",
  gave_up: "The task failed, and the outcome of the import is unknown. Check it at the vendor.",
  skipped: "The task was skipped.",
};

export function importCell(wait) {
  const url = vendorUrl(wait);
  const id = url ? createLink(url, wait.import_id, true) : createElement("span", "", wait.import_id);
  id.classList.add("id");
  return [createElement("div", "", wait.vendor), id];
}

export function taskCell(wait) {
  const line = createElement("div", "name");
  line.append(createLink(taskUrl(wait), taskName(wait)));
  return [line, createElement("div", "id muted", wait.run_id)];
}

export function createBadge(wait) {
  const label = wait.state === "waiting" && wait.import_state === "pending" ? "Pending" : LABELS[wait.state];
  const badge = createElement("span", "badge", label ?? wait.state);
  badge.title = DESCRIPTIONS[wait.state] ?? "";
  return badge;
}

export function createBar() {
  const bar = createElement("div", "bar");
  const track = createElement("div", "track");
  track.setAttribute("role", "progressbar");
  track.setAttribute("aria-valuemin", "0");
  track.setAttribute("aria-valuemax", "100");
  track.append(createElement("div", "fill"));
  bar.append(track, createElement("span", "percent"));
  return bar;
}

export function updateBar(bar, wait) {
  const [track, percent] = bar.children;
  const hasPercent = typeof wait.percent === "number";
  const isIdle = !hasPercent && !isUnderWay(wait);
  track.toggleAttribute("data-unknown", !hasPercent && !isIdle);
  track.setAttribute("aria-label", `Progress of ${wait.vendor ?? ""} import ${wait.import_id ?? ""}`);
  if (hasPercent) track.setAttribute("aria-valuenow", String(Math.floor(wait.percent)));
  else track.removeAttribute("aria-valuenow");
  track.setAttribute("aria-valuetext", hasPercent ? `${Math.floor(wait.percent)} %` : "unknown");
  track.firstElementChild.style.width = hasPercent ? `${wait.percent}%` : "0";
  // Round down, so that 100 % means complete.
  setText(percent, hasPercent ? `${Math.floor(wait.percent)} %` : isIdle ? "–" : "? %");
}

export function createHeadline(wait) {
  const line = createElement("div", "headline");
  const bar = createBar();
  updateBar(bar, wait);
  line.append(createBadge(wait), bar);
  return line;
}

export function createDetails(wait) {
  const details = createElement("div", "detail");
  details.append(createMessages(wait), createFigure(wait), createFacts(wait));
  return details;
}

function createMessages(wait) {
  const messages = createElement("div", "messages");
  const texts = new Set([wait.message, wait.error, wait.warning].filter(Boolean));
  texts.forEach((text) => messages.append(createElement("p", "", text)));
  messages.hidden = texts.size === 0;
  return messages;
}

function createFacts(wait) {
  const list = createElement("dl");
  const add = (term, value) => {
    if (value === null || value === undefined || value === "") return;
    const description = createElement("dd");
    description.append(value);
    list.append(createElement("dt", "", term), description);
  };
  const time = (at, kind) => (typeof at === "number" ? setTime(createElement("span"), at, kind) : null);
  const url = vendorUrl(wait);
  add("Import", createElement("span", "id", wait.import_id));
  add("At the vendor", url ? createLink(url, "Open its page", true) : null);
  add("Task", createLink(taskUrl(wait), taskName(wait)));
  add("Run", createElement("span", "id", wait.run_id));
  add("Task state", `${wait.task_state ?? "none"} (try ${wait.try_number})`);
  add("Vendor's status", wait.vendor_status);
  add("Records", formatRecords(wait));
  add("Pace", isUnderWay(wait) ? formatPace(wait) : "");
  add("Expected end", isUnderWay(wait) ? time(wait.ends_at, "due") : null);
  add("Ended", time(wait.ended_at));
  add("Last polled", time(wait.polled_at));
  add("Failed polls in a row", wait.failures ? formatNumber(wait.failures) : "");
  add("Waiting since", time(wait.waiting_since));
  add("Deadline", isUnderWay(wait) ? time(wait.deadline) : null);
  add("Connection", wait.conn_id);
  return list;
}

// Relative, so that the path below which Airflow is served is kept.
function taskUrl(wait) {
  const parts = ["..", "dags", wait.dag_id, "runs", wait.run_id, "tasks", wait.task_id];
  if (wait.map_index >= 0) parts.push("mapped", String(wait.map_index));
  return parts.map(encodeURIComponent).join("/");
}

function taskName(wait) {
  return `${wait.dag_id} · ${wait.task_id}${wait.map_index >= 0 ? ` [${wait.map_index}]` : ""}`;
}

function vendorUrl(wait) {
  try {
    const url = new URL(wait.import_url);
    return ["http:", "https:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
