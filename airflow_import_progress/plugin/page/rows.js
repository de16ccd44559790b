// SPDX-License-Identifier: Apache-2.0
// The rows of the list, and the details of the one that is open.

import { createBar, updateBar } from "./bar.js";
import { createTime } from "./clock.js";
import { drawCharts, showDetails } from "./details.js";
import { $, createButton, createCell, createElement, createLink, createRow, replaceIfChanged, setText } from "./dom.js";
import { logUrl } from "./links.js";
import { hasUnsuccessfulTry, isStartUnknown, isUnderWay } from "./states.js";
import { createImportCell, createStateCell, createTaskCell, createTook, errorText, recordsText } from "./wait.js";

const COLUMNS = ["Import", "Task", "State", "Progress", "Started", "Took", "Ended", "Details"];

const rows = new Map();

export function updateRows(waits, onOpen) {
  const body = $("waits").tBodies[0];
  const focused = body.contains(document.activeElement) ? document.activeElement : null;
  const keys = waits.map(waitKey);
  for (const [key, row] of rows) {
    if (!keys.includes(key)) removeRow(key, row);
  }
  let before = body.firstElementChild;
  waits.forEach((wait, index) => {
    const row = rows.get(keys[index]) ?? createWaitRow(keys[index], onOpen);
    updateRow(row, wait);
    for (const part of [row, row.opened]) {
      if (!part) continue;
      if (part === before) before = part.nextElementSibling;
      else body.insertBefore(part, before);
    }
  });
  // A row that was moved has lost the focus.
  if (focused?.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
}

export function clearRows() {
  rows.forEach((row, key) => removeRow(key, row));
}

function removeRow(key, row) {
  row.opened?.remove();
  row.remove();
  rows.delete(key);
}

function waitKey(wait) {
  return JSON.stringify([wait.dag_id, wait.run_id, wait.task_id, wait.map_index]);
}

function createWaitRow(key, onOpen) {
  const row = createRow(...COLUMNS.map((label) => createLabeledCell(label)));
  const [, , , progress, , , , details] = row.cells;
  row.bar = createBar();
  progress.append(row.bar, createElement("div", "records"), createElement("div", "error"));
  row.toggle = createButton("toggle", "Details", () => toggleDetails(row, onOpen));
  row.toggle.setAttribute("aria-expanded", "false");
  details.append(row.toggle, createElement("span"));
  rows.set(key, row);
  return row;
}

function createLabeledCell(label) {
  const cell = createCell("cell");
  cell.dataset.label = label;
  return cell;
}

function updateRow(row, wait) {
  row.wait = wait;
  row.dataset.state = wait.state;
  const [import_, task, state, progress, started, took, ended] = row.cells;
  const end = isUnderWay(wait) ? wait.ends_at : wait.ended_at;
  replaceIfChanged(import_, [wait.vendor, wait.import_id, wait.import_url, wait.state], () => createImportCell(wait));
  replaceIfChanged(task, [waitKey(wait)], () => createTaskCell(wait));
  replaceIfChanged(state, [wait.state, wait.import_state, wait.start?.state, wait.polled_at], () => createStateCell(wait));
  updateBar(row.bar, wait);
  setText(progress.children[1], recordsText(wait));
  setText(progress.children[2], errorText(wait));
  progress.children[2].toggleAttribute("data-whole", isStartUnknown(wait));
  replaceIfChanged(started, [wait.waiting_since], () => createTimes(wait.waiting_since));
  replaceIfChanged(took, [wait.state, wait.waiting_since, wait.took], () => [createTook(wait)].filter(Boolean));
  ended.dataset.label = isUnderWay(wait) ? "Expected end" : "Ended";
  replaceIfChanged(ended, [wait.state, end], () => createTimes(end, isUnderWay(wait) ? "due" : ""));
  row.toggle.setAttribute("aria-label", `Details of ${importName(wait)}`);
  updateLogLink(row);
}

function createTimes(at, kind) {
  return typeof at === "number" ? [createTime(at, kind)] : [];
}

function updateLogLink({ wait, toggle }) {
  const url = hasUnsuccessfulTry(wait) ? logUrl(wait) : null;
  replaceIfChanged(toggle.nextElementSibling, [importName(wait), url], () => {
    if (!url) return [];
    const link = createLink(url, "Log");
    link.setAttribute("aria-label", `Log of ${importName(wait)}`);
    return [link];
  });
}

function importName(wait) {
  return `${wait.vendor ?? "the"} import ${wait.import_id ?? ""}`;
}

// ---- Details -------------------------------------------------------------------------------------------------------

function toggleDetails(row, onOpen) {
  const isOpen = row.opened !== undefined;
  row.toggle.setAttribute("aria-expanded", String(!isOpen));
  row.toggleAttribute("data-open", !isOpen);
  if (isOpen) {
    row.opened.remove();
    row.opened = undefined;
    return;
  }
  // Only one row may be open, because each open row needs its own request.
  rows.forEach((other) => other !== row && other.opened && toggleDetails(other));
  const cell = createCell("cell", "Loading …");
  cell.className = "muted";
  cell.colSpan = row.cells.length;
  row.opened = createRow(cell);
  row.opened.className = "details";
  row.after(row.opened);
  onOpen();
}

export function openWait() {
  return openRow()?.wait ?? null;
}

// Without a wait, update what is shown after the line of its last error has been found.
export function updateOpenDetails(wait) {
  const row = openRow();
  const cell = row?.opened.cells[0];
  const newest = wait ?? cell?.shownWait;
  if (!newest || waitKey(row.wait) !== waitKey(newest)) return;
  cell.shownWait = newest;
  cell.className = "";
  showDetails(cell, newest);
  updateLogLink(row);
}

export function showDetailsError(status) {
  const cell = openRow()?.opened.cells[0];
  if (!cell) return;
  cell.shown = cell.shownWait = null;
  setText(cell, status === 404 ? "The task has published nothing in this try yet." : `Airflow's API server returned HTTP ${status}. Trying again.`);
}

export function redrawCharts() {
  const cell = openRow()?.opened.cells[0];
  if (cell?.shownWait) drawCharts(cell, cell.shownWait);
}

function openRow() {
  return [...rows.values()].find((row) => row.opened);
}
