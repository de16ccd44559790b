// SPDX-License-Identifier: Apache-2.0
// Whatever a vendor or a person has named is put into the page as text, never as markup.

const POLL_EVERY = 5000;
// An Airflow that is slow to answer is asked less often.
const REST = 10;
const GIVE_UP_AFTER = 20000;

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
const EXPLAINED = {
  waiting: "The task waits. Nothing is known of the import in this try, or it has not begun, or it is over and the task is about to be.",
  running: "The vendor works on the import.",
  needs_action: "The vendor waits for somebody before it goes on.",
  retrying: "The task failed and will be tried again.",
  done: "The import has succeeded.",
  failed: "The import has failed, or did not pass.",
  gave_up: "The task failed without knowing what became of the import. Look at the vendor.",
  skipped: "The task was skipped.",
};
const UNDER_WAY = ["waiting", "running", "needs_action", "retrying"];

const $ = (id) => document.getElementById(id);
const rows = new Map();
const vendors = new Set();
const dags = new Set();
const wanted = { vendor: "", state: "", dag: "", days: "" };
let one = null;
let drawn = null;
// The server's clock minus this one's: "12 s ago" is told by the server's.
let skew = 0;
let fetchedAt = null;
let timer = null;
let asking = null;

start();

function start() {
  followTheme();
  const query = queryParameters();
  if (query.run_id && query.task_id) {
    one = {
      dag_id: query.dag_id,
      run_id: query.run_id,
      task_id: query.task_id,
      // The template of a task that is not mapped is left as it is.
      map_index: /^\d+$/.test(query.map_index ?? "") ? query.map_index : "-1",
    };
    $("title").textContent = "Import";
  } else {
    wanted.vendor = query.vendor ?? "";
    wanted.state = query.state in LABELS || query.state === "under_way" ? query.state : "";
    wanted.dag = query.dag_id ?? "";
    wanted.days = [...$("days").options].some(({ value }) => value === query.days) ? query.days : "";
    setUpFilters();
  }
  document.addEventListener("click", followLink);
  document.addEventListener("auxclick", followLink);
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
  window.addEventListener("resize", redraw);
  setInterval(tellTimes, 1000);
  refresh();
}

// Airflow 3.1 puts ids into the address as they are, later ones encode them: so a "+" is always a plus.
function queryParameters() {
  const found = {};
  for (const part of location.search.slice(1).split("&")) {
    const at = part.indexOf("=");
    if (at > 0) found[part.slice(0, at)] = decoded(part.slice(at + 1));
  }
  return found;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// ---- Light and dark ------------------------------------------------------------------------------------------------

function followTheme() {
  const preference = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    document.documentElement.dataset.theme = airflowsTheme() ?? (preference.matches ? "dark" : "light");
  };
  preference.addEventListener("change", apply);
  window.addEventListener("storage", apply);
  const airflow = airflowsPage();
  if (airflow) new MutationObserver(apply).observe(airflow.documentElement, { attributeFilter: ["class"] });
  apply();
}

function airflowsTheme() {
  const classes = airflowsPage()?.documentElement.classList;
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

function airflowsPage() {
  try {
    return window.parent === window ? null : window.parent.document;
  } catch {
    return null;
  }
}

// ---- Links ---------------------------------------------------------------------------------------------------------

// Airflow shows the page in a frame that may neither leave itself nor open tabs. A link of Airflow's own page may.
function followLink(event) {
  const link = event.target.closest?.("a[href]");
  const airflow = airflowsPage();
  if (!link || !airflow || event.button > 1) return;
  event.preventDefault();
  const elsewhere = link.target === "_blank" || event.button === 1 || event.ctrlKey || event.metaKey || event.shiftKey;
  const proxy = airflow.createElement("a");
  proxy.href = link.href;
  proxy.target = elsewhere ? "_blank" : "_self";
  proxy.rel = "noopener noreferrer";
  airflow.body.append(proxy);
  proxy.click();
  proxy.remove();
}

// Relative to this page, so that they stand below the path that Airflow is served under.
function taskAddress(wait) {
  const parts = ["..", "dags", wait.dag_id, "runs", wait.run_id, "tasks", wait.task_id];
  if (wait.map_index >= 0) parts.push("mapped", String(wait.map_index));
  return parts.map(encodeURIComponent).join("/");
}

function taskName(wait) {
  return `${wait.dag_id} · ${wait.task_id}${wait.map_index >= 0 ? ` [${wait.map_index}]` : ""}`;
}

function linkTo(address, text, isElsewhere) {
  const link = make("a", "", text);
  link.href = address;
  if (isElsewhere) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  return link;
}

function vendorsPage(wait) {
  try {
    const address = new URL(wait.import_url);
    return ["http:", "https:"].includes(address.protocol) ? address.href : null;
  } catch {
    return null;
  }
}

// ---- Asking --------------------------------------------------------------------------------------------------------

async function refresh() {
  clearTimeout(timer);
  asking?.abort();
  const mine = (asking = new AbortController());
  const tooLong = setTimeout(() => mine.abort(), GIVE_UP_AFTER);
  const began = performance.now();
  try {
    const answer = await fetch(question(), { signal: mine.signal, headers: { Accept: "application/json" } });
    await (answer.ok ? show(await answer.json()) : refuse(answer.status));
    await showOpenDetails(mine.signal);
  } catch {
    // Another question has taken the place of this one, or nobody answers.
    if (mine === asking) complain();
  } finally {
    clearTimeout(tooLong);
    if (mine === asking && !document.hidden) {
      timer = setTimeout(refresh, Math.max(POLL_EVERY, REST * (performance.now() - began)));
    }
  }
}

function question() {
  if (one) return `api/wait?${new URLSearchParams(one)}`;
  const filters = new URLSearchParams();
  if (wanted.vendor) filters.set("vendor", wanted.vendor);
  if (wanted.state) filters.set("state", wanted.state);
  if (wanted.dag) filters.set("dag_id", wanted.dag);
  if (wanted.days) filters.set("days", wanted.days);
  return `api/waits?${filters}`;
}

function refuse(status) {
  if (status === 401) {
    forget();
    return say("You are not logged in", ["Log in to Airflow to see imports."], linkTo("../", "Log in"));
  }
  if (status === 403) {
    forget();
    return say("You may not see this", [
      "It takes Airflow's permission to read task instances and XComs of a DAG. Ask whoever runs your Airflow for it.",
    ], isFiltered() ? clearButton() : undefined);
  }
  if (status === 404 && one) {
    forget();
    return say("This task has told nothing of an import", [
      "Only sensors of airflow-provider-import-progress do, from their first poll in a try on.",
      "If this is one of them and it has begun, look at its log: it may not have reached the vendor yet.",
    ], linkTo("../plugin/imports", "All imports"));
  }
  throw new Error(`HTTP ${status}`);
}

function complain() {
  const known = fetchedAt ? ` What is shown is from ${clock(fetchedAt, true)}.` : "";
  reveal("problem", `Airflow's API server does not answer.${known} Trying again every few seconds.`);
  if (!fetchedAt) {
    say("Nothing to show yet", ["This page will fill by itself as soon as Airflow's API server answers."]);
  }
}

function forget() {
  hide("problem");
  hide("filters");
  vendors.clear();
  dags.clear();
  for (const id of ["vendor", "dag"]) $(id).length = 1;
  hide("waits");
  hide("older");
  hide("one");
  $("summary").textContent = "";
  $("freshness").textContent = "";
  rows.forEach((row) => (row.opened?.remove(), row.remove()));
  rows.clear();
  fetchedAt = null;
}

// ---- Showing -------------------------------------------------------------------------------------------------------

function show(answer) {
  skew = answer.now - Date.now() / 1000;
  fetchedAt = answer.now;
  hide("problem");
  if (one) showOne(answer.wait);
  else showAll(answer);
  tellTimes();
}

function showOne(wait) {
  hide("message");
  const section = $("one");
  section.hidden = false;
  section.dataset.state = wait.state;
  $("title").textContent = `${wait.vendor ?? ""} import`;
  setText($("summary"), wait.import_id ?? "");
  refill(section, headline(wait), details(wait));
  drawn = { element: section, wait };
  redraw();
}

function showAll(answer) {
  $("filters").hidden = false;
  answer.waits.forEach((wait) => {
    if (wait.vendor) vendors.add(wait.vendor);
    dags.add(wait.dag_id);
  });
  offer($("vendor"), vendors, wanted.vendor);
  offer($("dag"), dags, wanted.dag);
  updateRows(answer.waits);
  $("waits").hidden = answer.waits.length === 0;
  tellHowMany(answer);
  if (answer.waits.length) hide("message");
  else sayWhyEmpty();
}

function tellHowMany(answer) {
  const count = answer.waits.filter((wait) => UNDER_WAY.includes(wait.state)).length;
  const over = answer.waits.length - count;
  setText($("summary"), answer.waits.length ? `${number(count)} under way · ${number(over)} over` : "");
  if (answer.older) {
    const told = `Shown are ${number(answer.waits.length)} waits, those that are under way first.`;
    const looked = isFiltered() ? ` Only the newest ${number(answer.looked_at)} were looked at.` : "";
    reveal("older", `${told}${looked} Others are left out: choose a DAG to see its own.`);
  } else hide("older");
}

function sayWhyEmpty() {
  if (isFiltered()) {
    return say("No import matches", ["Other vendors, states or DAGs, or earlier runs, may have some."], clearButton());
  }
  return say("No task waits for an import", [
    "Runs of the last 7 days are shown, and those that go on. For earlier ones choose a longer time above.",
    "An import appears here as soon as a sensor of airflow-provider-import-progress has asked its vendor for the first time.",
    "If one waits and is not here: its DAG must be one that you may read, and the package must be installed where the workers and the triggerer run, too.",
  ]);
}

function updateRows(waits) {
  const body = $("waits").tBodies[0];
  const keys = waits.map(keyOf);
  for (const [key, row] of rows) {
    if (!keys.includes(key)) {
      row.opened?.remove();
      row.remove();
      rows.delete(key);
    }
  }
  let before = body.firstElementChild;
  waits.forEach((wait, index) => {
    const row = rows.get(keys[index]) ?? makeRow(keys[index]);
    updateRow(row, wait);
    // What stands where it should is left alone: moving it would take the focus away.
    if (row === before) before = row.nextElementSibling;
    else body.insertBefore(row, before);
    if (!row.opened) return;
    if (row.opened === before) before = before.nextElementSibling;
    else body.insertBefore(row.opened, before);
  });
}

function keyOf(wait) {
  return JSON.stringify([wait.dag_id, wait.run_id, wait.task_id, wait.map_index]);
}

function makeRow(key) {
  const row = make("tr");
  row.setAttribute("role", "row");
  for (const label of ["Import", "Task", "State", "Progress", "Pace", "End", "Polled", "Details"]) {
    const cell = make("td");
    cell.setAttribute("role", "cell");
    cell.dataset.label = label;
    row.append(cell);
  }
  row.bar = makeBar();
  row.cells[3].append(row.bar, make("div", "records"), make("div", "trouble"));
  row.toggle = make("button", "toggle", "Details");
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
  const [named, task, state, progress, pace, end, polled] = row.cells;
  redo(named, [wait.vendor, wait.import_id, wait.import_url], () => namedImport(wait));
  redo(task, [keyOf(wait)], () => namedTask(wait));
  redo(state, [wait.state, wait.import_state], () => [badge(wait)]);
  updateBar(row.bar, wait);
  setText(progress.children[1], records(wait));
  setText(progress.children[2], trouble(wait));
  setText(pace, isUnderWay(wait) ? tellPace(wait) : "");
  if (isUnderWay(wait)) setMoment(end, wait.ends_at, "due");
  else setMoment(end, wait.ended_at);
  setMoment(polled, wait.polled_at);
  row.toggle.setAttribute("aria-label", `Details of ${wait.vendor ?? "the"} import ${wait.import_id ?? ""}`);
}

function namedImport(wait) {
  const address = vendorsPage(wait);
  const id = address ? linkTo(address, wait.import_id, true) : make("span", "", wait.import_id);
  id.classList.add("id");
  return [make("div", "", wait.vendor), id];
}

function namedTask(wait) {
  const line = make("div", "name");
  line.append(linkTo(taskAddress(wait), taskName(wait)));
  return [line, make("div", "id muted", wait.run_id)];
}

function badge(wait) {
  const label = wait.state === "waiting" && wait.import_state === "pending" ? "Pending" : LABELS[wait.state];
  const made = make("span", "badge", label ?? wait.state);
  made.title = EXPLAINED[wait.state] ?? "";
  return made;
}

function makeBar() {
  const bar = make("div", "bar");
  const track = make("div", "track");
  track.setAttribute("role", "progressbar");
  track.setAttribute("aria-valuemin", "0");
  track.setAttribute("aria-valuemax", "100");
  track.append(make("div", "fill"));
  bar.append(track, make("span", "percent"));
  return bar;
}

function updateBar(bar, wait) {
  const [track, percent] = bar.children;
  const isKnown = typeof wait.percent === "number";
  const isIdle = !isKnown && !isUnderWay(wait);
  track.toggleAttribute("data-unknown", !isKnown && !isIdle);
  track.setAttribute("aria-label", `Progress of ${wait.vendor ?? ""} import ${wait.import_id ?? ""}`);
  if (isKnown) track.setAttribute("aria-valuenow", String(Math.floor(wait.percent)));
  else track.removeAttribute("aria-valuenow");
  track.setAttribute("aria-valuetext", isKnown ? `${Math.floor(wait.percent)} %` : "not known");
  track.firstElementChild.style.width = isKnown ? `${wait.percent}%` : "0";
  // Rounded down: an import that is not complete should not look so.
  setText(percent, isKnown ? `${Math.floor(wait.percent)} %` : isIdle ? "–" : "? %");
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
  // One at a time: each open one is asked for by itself.
  rows.forEach((other) => other !== row && other.opened && toggleDetails(other));
  row.opened = make("tr", "details");
  row.opened.setAttribute("role", "row");
  const cell = make("td", "muted", "Loading …");
  cell.setAttribute("role", "cell");
  cell.colSpan = row.cells.length;
  row.opened.append(cell);
  row.after(row.opened);
  refresh();
}

async function showOpenDetails(signal) {
  const row = [...rows.values()].find((candidate) => candidate.opened);
  if (!row) return;
  const { dag_id, run_id, task_id, map_index } = row.wait;
  const answer = await fetch(`api/wait?${new URLSearchParams({ dag_id, run_id, task_id, map_index })}`, { signal });
  if (!answer.ok || !row.opened) return;
  const { wait } = await answer.json();
  const cell = row.opened.cells[0];
  cell.className = "";
  cell.dataset.state = wait.state;
  refill(cell, details(wait));
  drawn = { element: cell, wait };
  redraw();
  tellTimes();
}

function headline(wait) {
  const line = make("div", "headline");
  const bar = makeBar();
  updateBar(bar, wait);
  line.append(badge(wait), bar);
  return line;
}

function details(wait) {
  const made = make("div", "detail");
  made.append(telling(wait), figure(wait), facts(wait));
  return made;
}

function telling(wait) {
  const made = make("div", "telling");
  const said = [wait.message, wait.error, wait.warning].filter((text, index, all) => text && all.indexOf(text) === index);
  said.forEach((text) => made.append(make("p", "", text)));
  made.hidden = said.length === 0;
  return made;
}

function facts(wait) {
  const list = make("dl");
  const add = (term, value) => {
    if (value === null || value === undefined || value === "") return;
    const told = make("dd");
    told.append(value);
    list.append(make("dt", "", term), told);
  };
  const moment = (at, kind) => (typeof at === "number" ? setMoment(make("span"), at, kind) : null);
  const address = vendorsPage(wait);
  add("Import", make("span", "id", wait.import_id));
  add("At the vendor", address ? linkTo(address, "Open its page", true) : null);
  add("Task", linkTo(taskAddress(wait), taskName(wait)));
  add("Run", make("span", "id", wait.run_id));
  add("Task state", `${wait.task_state ?? "none"} (try ${wait.try_number})`);
  add("Vendor's status", wait.vendor_status);
  add("Records", records(wait));
  add("Pace", isUnderWay(wait) ? tellPace(wait) : "");
  add("Expected end", isUnderWay(wait) ? moment(wait.ends_at, "due") : null);
  add("Ended", moment(wait.ended_at));
  add("Last polled", moment(wait.polled_at));
  add("Failed polls in a row", wait.failures ? number(wait.failures) : "");
  add("Waiting since", moment(wait.waiting_since));
  add("Waits at the latest until", isUnderWay(wait) ? moment(wait.deadline) : null);
  add("Connection", wait.conn_id);
  return list;
}

// ---- The chart -----------------------------------------------------------------------------------------------------

function figure(wait) {
  const made = make("figure");
  if ((wait.history ?? []).length < 2) {
    made.append(make("figcaption", "", "Progress over time"), make("p", "muted", "Two percentages at least are needed for a chart."));
    return made;
  }
  made.append(make("figcaption", "", "Progress over time"), draw("svg", { class: "chart", role: "img" }));
  return made;
}

function redraw() {
  const chart = drawn?.element.querySelector("svg.chart");
  if (chart?.isConnected) drawChart(chart, drawn.wait);
}

function drawChart(chart, wait) {
  const size = { width: Math.max(chart.clientWidth, 240), height: 200, left: 44, right: 14, top: 10, bottom: 26 };
  const points = wait.history;
  const [first, last] = [points[0], points[points.length - 1]];
  const isAhead = typeof wait.ends_at === "number" && wait.ends_at > last[0];
  // What is far ahead would squeeze what was seen into a corner.
  const until = isAhead ? Math.min(wait.ends_at, last[0] + 2 * (last[0] - first[0])) : last[0];
  const span = Math.max(until - first[0], 1);
  const x = (at) => size.left + ((at - first[0]) / span) * (size.width - size.left - size.right);
  const y = (percent) => size.top + (1 - percent / 100) * (size.height - size.top - size.bottom);
  const path = points.map(([at, percent]) => `${x(at)},${y(percent)}`);
  const label = `From ${Math.floor(first[1])} % at ${clock(first[0], true)} to ${Math.floor(last[1])} % at ${clock(last[0], true)}`;
  chart.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
  chart.setAttribute("aria-label", isAhead ? `${label}, expected to end at ${clock(wait.ends_at, true)}` : label);
  chart.replaceChildren(
    ...[0, 50, 100].flatMap((percent) => [
      draw("line", { class: "grid", x1: size.left, x2: size.width - size.right, y1: y(percent), y2: y(percent) }),
      draw("text", { x: size.left - 8, y: y(percent) + 4, "text-anchor": "end" }, `${percent} %`),
    ]),
    ...timeLabels(first[0], until, size, x),
    draw("polygon", { class: "area", points: [`${x(first[0])},${y(0)}`, ...path, `${x(last[0])},${y(0)}`].join(" ") }),
    draw("polyline", { class: "line", points: path.join(" ") }),
    ...(isAhead ? [draw("line", { class: "ahead", x1: x(last[0]), y1: y(last[1]), x2: x(until), y2: y(ahead(last, wait.ends_at, until)) })] : []),
    draw("circle", { cx: x(last[0]), cy: y(last[1]), r: 3.5 }),
  );
}

function ahead([at, percent], endsAt, until) {
  return percent + ((100 - percent) * (until - at)) / (endsAt - at);
}

function timeLabels(from, until, size, x) {
  const moments = size.width < 420 ? [from, until] : [from, (from + until) / 2, until];
  return moments.map((at, index) => {
    const anchor = index === 0 ? "start" : index === moments.length - 1 ? "end" : "middle";
    return draw("text", { x: x(at), y: size.height - 6, "text-anchor": anchor }, clock(at, until - from < 600));
  });
}

function draw(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, String(value));
  if (text !== undefined) made.textContent = text;
  return made;
}

// ---- Filters -------------------------------------------------------------------------------------------------------

function setUpFilters() {
  const states = $("state");
  states.append(option("under_way", "Under way"), ...Object.entries(LABELS).map(([state, label]) => option(state, label)));
  states.value = wanted.state;
  $("days").value = wanted.days;
  offer($("vendor"), vendors, wanted.vendor);
  offer($("dag"), dags, wanted.dag);
  for (const name of ["vendor", "state", "dag", "days"]) {
    $(name).addEventListener("change", (event) => filter({ [name]: event.target.value }));
  }
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("clear").addEventListener("click", clearFilters);
  $("clear").hidden = !isFiltered() && !wanted.days;
}

function filter(change) {
  Object.assign(wanted, change);
  for (const name of ["vendor", "state", "dag", "days"]) $(name).value = wanted[name];
  $("clear").hidden = !isFiltered() && !wanted.days;
  const query = question().slice("api/waits".length);
  history.replaceState(null, "", query === "?" ? location.pathname : query.replaceAll("+", "%20"));
  refresh();
}

function clearFilters() {
  filter({ vendor: "", state: "", dag: "", days: "" });
  $("vendor").focus();
}

function clearButton() {
  const button = make("button", "", "Clear filters");
  button.type = "button";
  button.addEventListener("click", clearFilters);
  return button;
}

function isFiltered() {
  return Boolean(wanted.vendor || wanted.state || wanted.dag);
}

// What was there once stays to be chosen, also while the filter hides it.
function offer(select, values, chosen) {
  if (chosen) values.add(chosen);
  const offered = [...values].sort((a, b) => a.localeCompare(b));
  if (select.options.length === offered.length + 1) return;
  select.replaceChildren(select.options[0], ...offered.map((value) => option(value, value)));
  select.value = chosen;
}

function option(value, label) {
  const made = make("option", "", label);
  made.value = value;
  return made;
}

// ---- Words ---------------------------------------------------------------------------------------------------------

function isUnderWay(wait) {
  return UNDER_WAY.includes(wait.state);
}

function number(value) {
  return value.toLocaleString(undefined, { maximumFractionDigits: 0 });
}

function records(wait) {
  const told = [];
  if (wait.processed !== null && wait.total !== null) told.push(`${number(wait.processed)} of ${number(wait.total)} records`);
  else if (wait.processed !== null) told.push(`${number(wait.processed)} records`);
  else if (wait.total !== null) told.push(`${number(wait.total)} records`);
  if (wait.failed) told.push(`${number(wait.failed)} failed`);
  return told.join(" · ");
}

function trouble(wait) {
  const polls = wait.failures > 1 ? ` (${number(wait.failures)} failed polls in a row)` : "";
  return wait.error ? `${wait.error}${polls}` : isUnderWay(wait) ? "" : (wait.message ?? "");
}

function tellPace(wait) {
  if (wait.records_per_minute) return `${number(wait.records_per_minute)} records/min`;
  if (wait.percent_per_minute) return `${wait.percent_per_minute.toLocaleString(undefined, { maximumSignificantDigits: 2 })} %/min`;
  return "";
}

function clock(at, withSeconds) {
  const date = new Date(at * 1000);
  const format = { hour: "2-digit", minute: "2-digit", ...(withSeconds ? { second: "2-digit" } : {}) };
  const isToday = date.toDateString() === new Date().toDateString();
  return date.toLocaleString(undefined, isToday ? format : { day: "numeric", month: "short", ...format });
}

function span(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

function tellMoment(at, kind) {
  const left = at - (Date.now() / 1000 + skew);
  if (left <= 0 && kind === "due") return "overdue";
  if (left <= 0) return `${span(-left)} ago`;
  return left < 60 ? "in less than 1 min" : `in about ${span(left)}`;
}

function setMoment(element, at, kind = "") {
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
  setText(element, tellMoment(at, kind));
  return element;
}

function tellTimes() {
  for (const element of document.querySelectorAll("[data-at]")) {
    setText(element, tellMoment(Number(element.dataset.at), element.dataset.kind));
  }
  if (fetchedAt) setText($("freshness"), `Updated ${tellMoment(fetchedAt)}`);
}

// ---- The document --------------------------------------------------------------------------------------------------

function make(name, classes, text) {
  const made = document.createElement(name);
  if (classes) made.className = classes;
  if (text !== undefined && text !== null) made.textContent = String(text);
  return made;
}

function setText(element, text) {
  const value = text ?? "";
  if (element.textContent !== value) element.textContent = value;
}

function redo(cell, values, content) {
  const shown = JSON.stringify(values);
  if (cell.shown === shown) return;
  cell.shown = shown;
  cell.replaceChildren(...content());
}

// Whoever has tabbed to a link stays on it.
function refill(element, ...content) {
  const links = () => [...element.querySelectorAll("a[href]")];
  const focused = links().indexOf(document.activeElement);
  element.replaceChildren(...content);
  if (focused >= 0) links()[focused]?.focus({ preventScroll: true });
}

function say(title, texts, action) {
  const message = $("message");
  message.hidden = false;
  if (action) action.classList.add("action");
  // Said once, not with each poll: the focus may be on what there is to do.
  redo(message, [title, texts], () => [make("h2", "", title), ...texts.map((text) => make("p", "", text)), ...(action ? [action] : [])]);
}

function reveal(id, text) {
  setText($(id), text);
  $(id).hidden = false;
}

function hide(id) {
  $(id).hidden = true;
}
