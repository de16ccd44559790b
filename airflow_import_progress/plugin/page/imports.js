// SPDX-License-Identifier: Apache-2.0
// The "Imports" page: its requests, its list of waits and its filters.

import { openLink, syncTheme } from "./airflow.js";
import { drawChart } from "./chart.js";
import { formatRelativeTime, setServerTime, setTime, updateRelativeTimes } from "./clock.js";
import { $, createElement, createLink, createOption, hide, replaceIfChanged, replaceKeepingFocus, setText, showText } from "./dom.js";
import { errorText, formatNumber, formatPace, formatRecords, formatTime, isUnderWay } from "./format.js";
import { LABELS, createBadge, createBar, createDetails, createHeadline, importCell, taskCell, updateBar } from "./wait.js";

// In milliseconds.
const POLL_INTERVAL = 5000;
const REQUEST_TIMEOUT = 20000;
// Minimum gap between two polls, as a multiple of the duration of the last one: a slow Airflow is polled less often.
const MIN_GAP_FACTOR = 10;

const rows = new Map();
const vendors = new Set();
const dags = new Set();
const filters = { vendor: "", state: "", dag: "", days: "" };
// The query for the only wait on the page, or null for the list.
let singleWait = null;
// The element with the chart, and its wait.
let charted = null;
let fetchedAt = null;
let timer = null;
let activeRequest = null;

start();

function start() {
  syncTheme();
  const query = queryParameters();
  if (query.run_id && query.task_id) {
    singleWait = {
      dag_id: query.dag_id,
      run_id: query.run_id,
      task_id: query.task_id,
      // Airflow does not replace the placeholder for a task that is not mapped.
      map_index: /^\d+$/.test(query.map_index ?? "") ? query.map_index : "-1",
    };
    $("title").textContent = "Import";
  } else {
    filters.vendor = query.vendor ?? "";
    filters.state = query.state in LABELS || query.state === "under_way" ? query.state : "";
    filters.dag = query.dag_id ?? "";
    filters.days = [...$("days").options].some(({ value }) => value === query.days) ? query.days : "";
    setUpFilters();
  }
  document.addEventListener("click", openLink);
  document.addEventListener("auxclick", openLink);
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
  window.addEventListener("resize", redrawChart);
  setInterval(updateTimes, 1000);
  refresh();
}

// Unlike URLSearchParams, keep "+" as a plus: Airflow 3.1 does not encode ids, and later versions encode them fully.
function queryParameters() {
  const parameters = {};
  for (const part of location.search.slice(1).split("&")) {
    const at = part.indexOf("=");
    if (at > 0) parameters[part.slice(0, at)] = decode(part.slice(at + 1));
  }
  return parameters;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// ---- Requests ------------------------------------------------------------------------------------------------------

async function refresh() {
  clearTimeout(timer);
  activeRequest?.abort();
  const request = (activeRequest = new AbortController());
  const timeout = setTimeout(() => request.abort(), REQUEST_TIMEOUT);
  const startedAt = performance.now();
  try {
    const response = await fetch(requestUrl(), { signal: request.signal, headers: { Accept: "application/json" } });
    await (response.ok ? update(await response.json()) : showHttpError(response.status));
    await updateOpenDetails(request.signal);
  } catch {
    // Ignore the error if a newer request has aborted this one.
    if (request === activeRequest) showOutage();
  } finally {
    clearTimeout(timeout);
    if (request === activeRequest && !document.hidden) {
      timer = setTimeout(refresh, Math.max(POLL_INTERVAL, MIN_GAP_FACTOR * (performance.now() - startedAt)));
    }
  }
}

function requestUrl() {
  if (singleWait) return `api/wait?${new URLSearchParams(singleWait)}`;
  const parameters = new URLSearchParams();
  if (filters.vendor) parameters.set("vendor", filters.vendor);
  if (filters.state) parameters.set("state", filters.state);
  if (filters.dag) parameters.set("dag_id", filters.dag);
  if (filters.days) parameters.set("days", filters.days);
  return `api/waits?${parameters}`;
}

function showHttpError(status) {
  if (status === 401) {
    clearPage();
    return showMessage("You are not logged in", ["Log in to Airflow to see imports."], createLink("../", "Log in"));
  }
  if (status === 403) {
    clearPage();
    return showMessage("You may not see this", [
      "This page requires Airflow's permission to read the task instances and XComs of a DAG. Ask your Airflow administrator for it.",
    ], isFiltered() ? createClearButton() : undefined);
  }
  if (status === 404 && singleWait) {
    clearPage();
    return showMessage("This task has not published any import", [
      "Only the sensors and operators of airflow-provider-import-progress, and of packages that add a vendor to it, report one, starting with the first poll of a try.",
      "If this task is one of them and is running, check its log: it may not have reached the vendor yet.",
    ], createLink("../plugin/imports", "All imports"));
  }
  throw new Error(`HTTP ${status}`);
}

function showOutage() {
  const age = fetchedAt ? ` The page shows the state of ${formatTime(fetchedAt, true)}.` : "";
  showText("problem", `Airflow's API server does not respond.${age} Retrying every few seconds.`);
  if (!fetchedAt) {
    showMessage("Nothing to show yet", ["The page updates automatically once Airflow's API server responds."]);
  }
}

function clearPage() {
  hide("problem");
  hide("filters");
  vendors.clear();
  dags.clear();
  for (const id of ["vendor", "dag"]) $(id).length = 1;
  hide("waits");
  hide("older");
  hide("wait");
  $("summary").textContent = "";
  $("freshness").textContent = "";
  rows.forEach((row) => (row.opened?.remove(), row.remove()));
  rows.clear();
  fetchedAt = null;
}

// ---- Updates -------------------------------------------------------------------------------------------------------

function update(content) {
  setServerTime(content.now);
  fetchedAt = content.now;
  hide("problem");
  if (singleWait) updateSingle(content.wait);
  else updateList(content);
  updateTimes();
}

function updateSingle(wait) {
  hide("message");
  const section = $("wait");
  section.hidden = false;
  section.dataset.state = wait.state;
  $("title").textContent = `${wait.vendor ?? ""} import`;
  setText($("summary"), wait.import_id ?? "");
  replaceKeepingFocus(section, createHeadline(wait), createDetails(wait));
  charted = { element: section, wait };
  redrawChart();
}

function updateList({ waits, older, scanned }) {
  $("filters").hidden = false;
  waits.forEach((wait) => {
    if (wait.vendor) vendors.add(wait.vendor);
    dags.add(wait.dag_id);
  });
  updateOptions($("vendor"), vendors, filters.vendor);
  updateOptions($("dag"), dags, filters.dag);
  updateRows(waits);
  $("waits").hidden = waits.length === 0;
  updateSummary(waits);
  updateLimitNotice(waits, older, scanned);
  if (waits.length) hide("message");
  else showEmptyMessage();
}

function updateSummary(waits) {
  const underWay = waits.filter(isUnderWay).length;
  const over = waits.length - underWay;
  setText($("summary"), waits.length ? `${formatNumber(underWay)} under way · ${formatNumber(over)} over` : "");
}

function updateLimitNotice(waits, older, scanned) {
  if (!older) return hide("older");
  const limit = `Only ${formatNumber(waits.length)} waits are shown, those under way first.`;
  const filtered = isFiltered() ? ` The filters were applied to the newest ${formatNumber(scanned)} waits.` : "";
  showText("older", `${limit}${filtered} Choose a DAG to see its other waits.`);
}

function showEmptyMessage() {
  if (isFiltered()) {
    return showMessage("No import matches", ["Choose another vendor, state or DAG, or a longer period."], createClearButton());
  }
  return showMessage("No task waits for an import", [
    "The page shows unfinished runs and those of the last 7 days. For earlier runs, choose a longer period above.",
    "An import appears after the first poll by a sensor or operator of airflow-provider-import-progress, or of a package that adds a vendor to it.",
    "If an import is missing: you need permission to read its DAG, and the package must also be installed on the workers and the triggerer.",
  ]);
}

function updateRows(waits) {
  const body = $("waits").tBodies[0];
  const keys = waits.map(waitKey);
  for (const [key, row] of rows) {
    if (!keys.includes(key)) {
      row.opened?.remove();
      row.remove();
      rows.delete(key);
    }
  }
  let before = body.firstElementChild;
  waits.forEach((wait, index) => {
    const row = rows.get(keys[index]) ?? createRow(keys[index]);
    updateRow(row, wait);
    // Do not move a row that is already in place, because it would lose the focus.
    if (row === before) before = row.nextElementSibling;
    else body.insertBefore(row, before);
    if (!row.opened) return;
    if (row.opened === before) before = before.nextElementSibling;
    else body.insertBefore(row.opened, before);
  });
}

function waitKey(wait) {
  return JSON.stringify([wait.dag_id, wait.run_id, wait.task_id, wait.map_index]);
}

function createRow(key) {
  const row = createElement("tr");
  row.setAttribute("role", "row");
  for (const label of ["Import", "Task", "State", "Progress", "Pace", "End", "Polled", "Details"]) {
    const cell = createElement("td");
    cell.setAttribute("role", "cell");
    cell.dataset.label = label;
    row.append(cell);
  }
  row.bar = createBar();
  row.cells[3].append(row.bar, createElement("div", "records"), createElement("div", "error"));
  row.toggle = createElement("button", "toggle", "Details");
  row.toggle.type = "button";
  row.toggle.setAttribute("aria-expanded", "false");
  row.toggle.addEventListener("click", () => toggleDetails(row));
  row.cells[7].append(row.toggle);
  rows.set(key, row);
  return row;
}

function updateRow(row, wait) {
  row.wait = wait;
  row.dataset.state = wait.state;
  const [import_, task, state, progress, pace, end, polled] = row.cells;
  replaceIfChanged(import_, [wait.vendor, wait.import_id, wait.import_url], () => importCell(wait));
  replaceIfChanged(task, [waitKey(wait)], () => taskCell(wait));
  replaceIfChanged(state, [wait.state, wait.import_state], () => [createBadge(wait)]);
  updateBar(row.bar, wait);
  setText(progress.children[1], formatRecords(wait));
  setText(progress.children[2], errorText(wait));
  setText(pace, isUnderWay(wait) ? formatPace(wait) : "");
  if (isUnderWay(wait)) setTime(end, wait.ends_at, "due");
  else setTime(end, wait.ended_at);
  setTime(polled, wait.polled_at);
  row.toggle.setAttribute("aria-label", `Details of ${wait.vendor ?? "the"} import ${wait.import_id ?? ""}`);
}

// ---- Details -------------------------------------------------------------------------------------------------------

function toggleDetails(row) {
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
  row.opened = createElement("tr", "details");
  row.opened.setAttribute("role", "row");
  const cell = createElement("td", "muted", "Loading …");
  cell.setAttribute("role", "cell");
  cell.colSpan = row.cells.length;
  row.opened.append(cell);
  row.after(row.opened);
  refresh();
}

async function updateOpenDetails(signal) {
  const row = [...rows.values()].find((candidate) => candidate.opened);
  if (!row) return;
  const { dag_id, run_id, task_id, map_index } = row.wait;
  const response = await fetch(`api/wait?${new URLSearchParams({ dag_id, run_id, task_id, map_index })}`, { signal });
  if (!response.ok || !row.opened) return;
  const { wait } = await response.json();
  const cell = row.opened.cells[0];
  cell.className = "";
  cell.dataset.state = wait.state;
  replaceKeepingFocus(cell, createDetails(wait));
  charted = { element: cell, wait };
  redrawChart();
  updateTimes();
}

function redrawChart() {
  const chart = charted?.element.querySelector("svg.chart");
  if (chart?.isConnected) drawChart(chart, charted.wait);
}

function updateTimes() {
  updateRelativeTimes();
  if (fetchedAt) setText($("freshness"), `Updated ${formatRelativeTime(fetchedAt)}`);
}

// ---- Filters -------------------------------------------------------------------------------------------------------

function setUpFilters() {
  const states = $("state");
  states.append(createOption("under_way", "Under way"), ...Object.entries(LABELS).map(([state, label]) => createOption(state, label)));
  states.value = filters.state;
  $("days").value = filters.days;
  updateOptions($("vendor"), vendors, filters.vendor);
  updateOptions($("dag"), dags, filters.dag);
  for (const name of ["vendor", "state", "dag", "days"]) {
    $(name).addEventListener("change", (event) => applyFilters({ [name]: event.target.value }));
  }
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("clear").addEventListener("click", clearFilters);
  $("clear").hidden = !isFiltered() && !filters.days;
}

function applyFilters(change) {
  Object.assign(filters, change);
  for (const name of ["vendor", "state", "dag", "days"]) $(name).value = filters[name];
  $("clear").hidden = !isFiltered() && !filters.days;
  const query = requestUrl().slice("api/waits".length);
  history.replaceState(null, "", query === "?" ? location.pathname : query.replaceAll("+", "%20"));
  refresh();
}

function clearFilters() {
  applyFilters({ vendor: "", state: "", dag: "", days: "" });
  $("vendor").focus();
}

function createClearButton() {
  const button = createElement("button", "", "Clear filters");
  button.type = "button";
  button.addEventListener("click", clearFilters);
  return button;
}

function isFiltered() {
  return Boolean(filters.vendor || filters.state || filters.dag);
}

// Options are never removed, so that those hidden by a filter remain available.
function updateOptions(select, values, selected) {
  if (selected) values.add(selected);
  const sorted = [...values].sort((a, b) => a.localeCompare(b));
  if (select.options.length === sorted.length + 1) return;
  select.replaceChildren(select.options[0], ...sorted.map((value) => createOption(value, value)));
  select.value = selected;
}

function showMessage(title, texts, action) {
  const message = $("message");
  message.hidden = false;
  if (action) action.classList.add("action");
  // Do not replace an unchanged message with each poll, because its action may have the focus.
  replaceIfChanged(message, [title, texts], () => [createElement("h2", "", title), ...texts.map((text) => createElement("p", "", text)), ...(action ? [action] : [])]);
}
