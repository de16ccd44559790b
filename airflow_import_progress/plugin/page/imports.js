// SPDX-License-Identifier: Apache-2.0
// Names and messages from vendors and users are untrusted: they are inserted as text, never as markup.

// In milliseconds.
const POLL_INTERVAL = 5000;
const REQUEST_TIMEOUT = 20000;
// Minimum gap between two polls, as a multiple of the duration of the last one: a slow Airflow is polled less often.
const MIN_GAP_FACTOR = 10;

const LABELS = {
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
const UNDER_WAY = ["waiting", "running", "needs_action", "retrying"];

const $ = (id) => document.getElementById(id);
const rows = new Map();
const vendors = new Set();
const dags = new Set();
const filters = { vendor: "", state: "", dag: "", days: "" };
// The query for the only wait on the page, or null for the list.
let singleWait = null;
// The element with the chart, and its wait.
let charted = null;
// The server's clock minus the browser's, because relative times use the server's.
let clockOffset = 0;
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

// ---- Light and dark ------------------------------------------------------------------------------------------------

function syncTheme() {
  const preference = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    document.documentElement.dataset.theme = airflowTheme() ?? (preference.matches ? "dark" : "light");
  };
  preference.addEventListener("change", apply);
  window.addEventListener("storage", apply);
  const airflow = airflowDocument();
  if (airflow) new MutationObserver(apply).observe(airflow.documentElement, { attributeFilter: ["class"] });
  apply();
}

function airflowTheme() {
  const classes = airflowDocument()?.documentElement.classList;
  for (const theme of ["dark", "light"]) {
    if (classes?.contains(theme)) return theme;
  }
  try {
    const stored = localStorage.getItem("theme");
    return stored === "dark" || stored === "light" ? stored : null;
  } catch {
    return null;
  }
}

function airflowDocument() {
  try {
    return window.parent === window ? null : window.parent.document;
  } catch {
    return null;
  }
}

// ---- Links ---------------------------------------------------------------------------------------------------------

// Airflow's frame may neither navigate its parent nor open tabs, so a link in Airflow's own document is clicked instead.
function openLink(event) {
  const link = event.target.closest?.("a[href]");
  const airflow = airflowDocument();
  if (!link || !airflow || event.button > 1) return;
  event.preventDefault();
  const inNewTab = link.target === "_blank" || event.button === 1 || event.ctrlKey || event.metaKey || event.shiftKey;
  const proxy = airflow.createElement("a");
  proxy.href = link.href;
  proxy.target = inNewTab ? "_blank" : "_self";
  proxy.rel = "noopener noreferrer";
  airflow.body.append(proxy);
  proxy.click();
  proxy.remove();
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

function createLink(url, text, inNewTab) {
  const link = createElement("a", "", text);
  link.href = url;
  if (inNewTab) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  return link;
}

function vendorUrl(wait) {
  try {
    const url = new URL(wait.import_url);
    return ["http:", "https:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
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
    return showMessage("This task has not reported an import", [
      "Only sensors of airflow-provider-import-progress report one, starting with the first poll of a try.",
      "If this task is such a sensor and is running, check its log: it may not have reached the vendor yet.",
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
  clockOffset = content.now - Date.now() / 1000;
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
    "An import appears after the first poll by a sensor of airflow-provider-import-progress.",
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

function importCell(wait) {
  const url = vendorUrl(wait);
  const id = url ? createLink(url, wait.import_id, true) : createElement("span", "", wait.import_id);
  id.classList.add("id");
  return [createElement("div", "", wait.vendor), id];
}

function taskCell(wait) {
  const line = createElement("div", "name");
  line.append(createLink(taskUrl(wait), taskName(wait)));
  return [line, createElement("div", "id muted", wait.run_id)];
}

function createBadge(wait) {
  const label = wait.state === "waiting" && wait.import_state === "pending" ? "Pending" : LABELS[wait.state];
  const badge = createElement("span", "badge", label ?? wait.state);
  badge.title = DESCRIPTIONS[wait.state] ?? "";
  return badge;
}

function createBar() {
  const bar = createElement("div", "bar");
  const track = createElement("div", "track");
  track.setAttribute("role", "progressbar");
  track.setAttribute("aria-valuemin", "0");
  track.setAttribute("aria-valuemax", "100");
  track.append(createElement("div", "fill"));
  bar.append(track, createElement("span", "percent"));
  return bar;
}

function updateBar(bar, wait) {
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

function createHeadline(wait) {
  const line = createElement("div", "headline");
  const bar = createBar();
  updateBar(bar, wait);
  line.append(createBadge(wait), bar);
  return line;
}

function createDetails(wait) {
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

// ---- The chart -----------------------------------------------------------------------------------------------------

function createFigure(wait) {
  const figure = createElement("figure");
  if ((wait.history ?? []).length < 2) {
    figure.append(createElement("figcaption", "", "Progress over time"), createElement("p", "muted", "The chart needs at least two percentages."));
    return figure;
  }
  figure.append(createElement("figcaption", "", "Progress over time"), createSvg("svg", { class: "chart", role: "img" }));
  return figure;
}

function redrawChart() {
  const chart = charted?.element.querySelector("svg.chart");
  if (chart?.isConnected) drawChart(chart, charted.wait);
}

function drawChart(chart, wait) {
  const size = { width: Math.max(chart.clientWidth, 240), height: 200, left: 44, right: 14, top: 10, bottom: 26 };
  const points = wait.history;
  const [first, last] = [points[0], points[points.length - 1]];
  const hasEnd = typeof wait.ends_at === "number" && wait.ends_at > last[0];
  // Limit the prediction to twice the history, which would be squeezed into a corner otherwise.
  const until = hasEnd ? Math.min(wait.ends_at, last[0] + 2 * (last[0] - first[0])) : last[0];
  const span = Math.max(until - first[0], 1);
  const x = (at) => size.left + ((at - first[0]) / span) * (size.width - size.left - size.right);
  const y = (percent) => size.top + (1 - percent / 100) * (size.height - size.top - size.bottom);
  const path = points.map(([at, percent]) => `${x(at)},${y(percent)}`);
  const label = `From ${Math.floor(first[1])} % at ${formatTime(first[0], true)} to ${Math.floor(last[1])} % at ${formatTime(last[0], true)}`;
  chart.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
  chart.setAttribute("aria-label", hasEnd ? `${label}, expected to end at ${formatTime(wait.ends_at, true)}` : label);
  chart.replaceChildren(
    ...[0, 50, 100].flatMap((percent) => [
      createSvg("line", { class: "grid", x1: size.left, x2: size.width - size.right, y1: y(percent), y2: y(percent) }),
      createSvg("text", { x: size.left - 8, y: y(percent) + 4, "text-anchor": "end" }, `${percent} %`),
    ]),
    ...createTimeLabels(first[0], until, size, x),
    createSvg("polygon", { class: "area", points: [`${x(first[0])},${y(0)}`, ...path, `${x(last[0])},${y(0)}`].join(" ") }),
    createSvg("polyline", { class: "line", points: path.join(" ") }),
    ...(hasEnd ? [createSvg("line", { class: "expected", x1: x(last[0]), y1: y(last[1]), x2: x(until), y2: y(expectedPercent(last, wait.ends_at, until)) })] : []),
    createSvg("circle", { cx: x(last[0]), cy: y(last[1]), r: 3.5 }),
  );
}

function expectedPercent([at, percent], endsAt, until) {
  return percent + ((100 - percent) * (until - at)) / (endsAt - at);
}

function createTimeLabels(from, until, size, x) {
  const times = size.width < 420 ? [from, until] : [from, (from + until) / 2, until];
  return times.map((at, index) => {
    const anchor = index === 0 ? "start" : index === times.length - 1 ? "end" : "middle";
    return createSvg("text", { x: x(at), y: size.height - 6, "text-anchor": anchor }, formatTime(at, until - from < 600));
  });
}

function createSvg(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, String(value));
  if (text !== undefined) element.textContent = text;
  return element;
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

function createOption(value, label) {
  const option = createElement("option", "", label);
  option.value = value;
  return option;
}

// ---- Formatting ----------------------------------------------------------------------------------------------------

function isUnderWay(wait) {
  return UNDER_WAY.includes(wait.state);
}

function formatNumber(value) {
  return value.toLocaleString(undefined, { maximumFractionDigits: 0 });
}

function formatRecords(wait) {
  const parts = [];
  if (wait.processed !== null && wait.total !== null) parts.push(`${formatNumber(wait.processed)} of ${formatNumber(wait.total)} records`);
  else if (wait.processed !== null) parts.push(`${formatNumber(wait.processed)} records`);
  else if (wait.total !== null) parts.push(`${formatNumber(wait.total)} records`);
  if (wait.failed) parts.push(`${formatNumber(wait.failed)} failed`);
  return parts.join(" · ");
}

function errorText(wait) {
  const polls = wait.failures > 1 ? ` (${formatNumber(wait.failures)} failed polls in a row)` : "";
  return wait.error ? `${wait.error}${polls}` : isUnderWay(wait) ? "" : (wait.message ?? "");
}

function formatPace(wait) {
  if (wait.records_per_minute) return `${formatNumber(wait.records_per_minute)} records/min`;
  if (wait.percent_per_minute) return `${wait.percent_per_minute.toLocaleString(undefined, { maximumSignificantDigits: 2 })} %/min`;
  return "";
}

function formatTime(at, withSeconds) {
  const date = new Date(at * 1000);
  const format = { hour: "2-digit", minute: "2-digit", ...(withSeconds ? { second: "2-digit" } : {}) };
  const isToday = date.toDateString() === new Date().toDateString();
  return date.toLocaleString(undefined, isToday ? format : { day: "numeric", month: "short", ...format });
}

function formatDuration(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

function formatRelativeTime(at, kind) {
  const left = at - (Date.now() / 1000 + clockOffset);
  if (left <= 0 && kind === "due") return "overdue";
  if (left <= 0) return `${formatDuration(-left)} ago`;
  return left < 60 ? "in less than 1 min" : `in about ${formatDuration(left)}`;
}

function setTime(element, at, kind = "") {
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

function updateTimes() {
  for (const element of document.querySelectorAll("[data-at]")) {
    setText(element, formatRelativeTime(Number(element.dataset.at), element.dataset.kind));
  }
  if (fetchedAt) setText($("freshness"), `Updated ${formatRelativeTime(fetchedAt)}`);
}

// ---- The document --------------------------------------------------------------------------------------------------

function createElement(name, classes, text) {
  const element = document.createElement(name);
  if (classes) element.className = classes;
  if (text !== undefined && text !== null) element.textContent = String(text);
  return element;
}

function setText(element, text) {
  const value = text ?? "";
  if (element.textContent !== value) element.textContent = value;
}

function replaceIfChanged(cell, values, content) {
  const shown = JSON.stringify(values);
  if (cell.shown === shown) return;
  cell.shown = shown;
  cell.replaceChildren(...content());
}

// Keep the keyboard focus on the link at the same position.
function replaceKeepingFocus(element, ...content) {
  const links = () => [...element.querySelectorAll("a[href]")];
  const focused = links().indexOf(document.activeElement);
  element.replaceChildren(...content);
  if (focused >= 0) links()[focused]?.focus({ preventScroll: true });
}

function showMessage(title, texts, action) {
  const message = $("message");
  message.hidden = false;
  if (action) action.classList.add("action");
  // Do not replace an unchanged message with each poll, because its action may have the focus.
  replaceIfChanged(message, [title, texts], () => [createElement("h2", "", title), ...texts.map((text) => createElement("p", "", text)), ...(action ? [action] : [])]);
}

function showText(id, text) {
  setText($(id), text);
  $(id).hidden = false;
}

function hide(id) {
  $(id).hidden = true;
}
