// SPDX-License-Identifier: Apache-2.0
// Messages in place of the page's content, and the notice of an outage above it.

import { $, createElement, createLink, replaceIfChanged, showText } from "./dom.js";
import { formatTime } from "./format.js";

export function showMessage(title, texts, action) {
  const message = $("message");
  message.hidden = false;
  if (action) action.classList.add("action");
  // Do not replace an unchanged message with each poll, because its action may have the focus.
  replaceIfChanged(message, [title, texts], () => [createElement("h2", "", title), ...texts.map((text) => createElement("p", "", text)), ...(action ? [action] : [])]);
}

export function showLoggedOut() {
  showMessage("You are not logged in", ["Log in to Airflow to see imports."], createLink("../", "Log in"));
}

export function showForbidden(action) {
  showMessage("You may not see this", [
    "This page requires Airflow's permission to read the task instances and XComs of a DAG. Ask your Airflow administrator for it.",
  ], action);
}

export function showOutage(fetchedAt) {
  const age = fetchedAt ? ` The page shows the state of ${formatTime(fetchedAt, true)}.` : "";
  showText("problem", `Airflow's API server does not respond.${age} Retrying every few seconds.`);
  if (!fetchedAt) {
    showMessage("Nothing to show yet", ["The page updates automatically once Airflow's API server responds."]);
  }
}
