// SPDX-License-Identifier: Apache-2.0
// The details of a wait: its messages, charts, facts and files.

import { createFigure, drawChart } from "./chart.js";
import { createTime, createTimeWithDate } from "./clock.js";
import { createCell, createElement, createLink, createRow, replaceKeepingFocus } from "./dom.js";
import { createDurations, drawDurations } from "./durations.js";
import { formatDuration, formatNumber, formatPace, formatRecords } from "./format.js";
import { logUrl, taskUrl, webAddress } from "./links.js";
import { lastErrorLine } from "./log.js";
import { hasUnsuccessfulTry, isTimed, isUnderWay } from "./states.js";
import { createTook, taskName } from "./wait.js";

const START_TEXTS = {
  starting: "May have been started",
  started: "Started",
  not_awaited: "Started",
  failed: "Started",
  unknown: "May have been started",
  not_started: "Not started",
};

// Show the details of a wait in an element, below other elements.
export function showDetails(element, wait, ...above) {
  // Do not replace what has not changed, because a text in it may be selected. The duration counts on by itself.
  const shown = JSON.stringify([{ ...wait, took: isTimed(wait) ? null : wait.took }, lastErrorLine(wait)]);
  if (element.shown !== shown) {
    element.shown = shown;
    element.dataset.state = wait.state;
    replaceKeepingFocus(element, ...above, createDetails(wait));
  }
  drawCharts(element, wait);
}

function createDetails(wait) {
  const charts = createElement("div", "charts");
  charts.append(createFigure(wait), createDurations(wait));
  const details = createElement("div", "detail");
  details.append(createMessages(wait), charts, createFacts(wait), ...createFiles(wait.files ?? []));
  return details;
}

// Draw the charts of details that are in the document, because their width is that of their place.
export function drawCharts(details, wait) {
  const progress = details.querySelector("svg.progress");
  if (progress) drawChart(progress, wait);
  const durations = details.querySelector("svg.durations");
  if (durations) drawDurations(durations, wait);
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
  const addTime = (term, at, kind) => add(term, typeof at === "number" ? createTimeWithDate(at, kind) : null);
  const addLink = (term, address, text) => {
    const url = webAddress(address);
    add(term, url ? createLink(url, text, true) : null);
  };
  add("Import", wait.import_id ? createElement("span", "id", wait.import_id) : createElement("span", "muted", "–"));
  addLink("At the vendor", wait.import_url, "Open its page");
  addLink("Failed records", wait.error_file, "Error file");
  add("Task", createLink(taskUrl(wait), taskName(wait)));
  add("Run", createElement("span", "id", wait.run_id));
  add("Task state", `${wait.task_state ?? "none"} (try ${wait.try_number})`);
  add("Log", hasUnsuccessfulTry(wait) ? createLink(logUrl(wait), `Log of try ${wait.try_number}`) : null);
  add("Start", startText(wait.start));
  addTime("Start sent", wait.start?.sent_at);
  add("Vendor's status", wait.vendor_status);
  add("Records", formatRecords(wait));
  add("Pace", isUnderWay(wait) ? formatPace(wait) : "");
  add("Took", createTook(wait));
  addTime("Waiting since", wait.waiting_since);
  addTime("Expected end", isUnderWay(wait) ? wait.ends_at : null, "due");
  addTime("Ended", wait.ended_at);
  addTime("Began at the vendor", wait.vendor_started_at);
  addTime("Ended at the vendor", wait.vendor_finished_at);
  add("Took at the vendor", tookAtVendor(wait));
  addTime("Last polled", wait.polled_at);
  add("Failed polls in a row", wait.failures ? formatNumber(wait.failures) : "");
  addTime("Deadline", isUnderWay(wait) ? wait.deadline : null);
  add("Connection", wait.conn_id);
  return list;
}

function startText(start) {
  if (!start) return null;
  const text = START_TEXTS[start.state] ?? start.state;
  const content = start.content ? ` with ${start.content}` : "";
  return `${text}${content}${start.state === "not_awaited" ? ". The task did not wait for the import." : ""}`;
}

function tookAtVendor(wait) {
  if (typeof wait.vendor_started_at !== "number") return null;
  if (typeof wait.vendor_finished_at === "number") return formatDuration(wait.vendor_finished_at - wait.vendor_started_at);
  return isUnderWay(wait) ? createTime(wait.vendor_started_at, "elapsed") : null;
}

function createFiles(files) {
  if (!files.length) return [];
  const table = createElement("table", "files");
  table.setAttribute("role", "table");
  const caption = createElement("caption", "", "Files");
  const head = createElement("thead");
  head.append(createRow(...["Name", "State", "Rows", "Error"].map((label) => createCell("columnheader", label))));
  const body = createElement("tbody");
  body.append(...files.map(createFile));
  table.append(caption, head, body);
  return [table];
}

function createFile(file) {
  const texts = [file.name ?? "–", file.state ?? "–", rowsText(file), file.error ?? ""];
  return createRow(...texts.map((text) => createCell("cell", String(text))));
}

function rowsText({ imported_rows, total_rows }) {
  const numbers = [imported_rows, total_rows].filter((number) => number !== null && number !== undefined);
  return numbers.map((number) => (typeof number === "number" ? formatNumber(number) : number)).join(" of ") || "–";
}
