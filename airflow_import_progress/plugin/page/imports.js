// SPDX-License-Identifier: Apache-2.0
// The "Imports" page: the list of waits, or one wait.

import { openLink, syncTheme } from "./airflow.js";
import { formatRelativeTime, setServerTime, updateTimes } from "./clock.js";
import { $, hide, setText } from "./dom.js";
import { createList } from "./list.js";
import { showForbidden, showLoggedOut, showMessage, showOutage } from "./messages.js";
import { createPolling } from "./polling.js";
import { urlParameters } from "./query.js";
import { createSingle } from "./single.js";

let fetchedAt = null;

syncTheme();
const refresh = createPolling(request, () => showOutage(fetchedAt));
const parameters = urlParameters();
const view = parameters.run_id && parameters.task_id ? createSingle(parameters) : createList(parameters, refresh);
document.addEventListener("click", openLink);
document.addEventListener("auxclick", openLink);
window.addEventListener("resize", view.redraw);
setInterval(updateClock, 1000);
refresh();

async function request(signal) {
  const response = await fetch(view.url(), { signal, headers: { Accept: "application/json" } });
  if (!response.ok) return showHttpError(response.status);
  const content = await response.json();
  setServerTime(content.now);
  fetchedAt = content.now;
  hide("problem");
  view.update(content);
  updateClock();
  await view.updateMore?.(signal);
}

function showHttpError(status) {
  if (status === 401) {
    clear();
    showLoggedOut();
  } else if (status === 403) {
    clear();
    showForbidden(view.actionIfForbidden?.());
  } else if (status === 404 && view.notFound) {
    clear();
    showMessage(view.notFound.title, view.notFound.texts, view.notFound.action());
  } else {
    throw new Error(`HTTP ${status}`);
  }
}

function clear() {
  hide("problem");
  view.clear();
  setText($("freshness"), "");
  fetchedAt = null;
}

function updateClock() {
  updateTimes();
  if (fetchedAt) setText($("freshness"), `Updated ${formatRelativeTime(fetchedAt)}`);
}
