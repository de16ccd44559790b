// SPDX-License-Identifier: Apache-2.0
// What the list shows, in the page's URL: its filters, its order and its page.

import { LABELS, OVER } from "./states.js";

export const PAGE_SIZE = 50;
const MAX_SEARCH_LENGTH = 200;
export const FILTERS = ["search", "vendor", "state", "dag_id", "days"];
// States of the filter that stand for several of the API.
export const GROUPS = {
  under_way: { label: "Under way", states: ["under_way"] },
  went_wrong: { label: "Went wrong", states: ["went_wrong"] },
  ended_today: { label: "Ended today", states: OVER, isToday: true },
  went_wrong_today: { label: "Went wrong today", states: ["went_wrong"], isToday: true },
};

export const query = { search: "", vendor: "", state: "", dag_id: "", days: "", sort: "", offset: 0 };

export function readQuery(parameters) {
  for (const name of [...FILTERS, "sort"]) query[name] = parameters[name] ?? "";
  query.search = query.search.slice(0, MAX_SEARCH_LENGTH);
  if (!Object.hasOwn(LABELS, query.state) && !Object.hasOwn(GROUPS, query.state)) query.state = "";
  if (!/^-?(import|task|state|progress|started|took|ended)$/.test(query.sort)) query.sort = "";
  query.offset = /^\d{1,5}$/.test(parameters.offset ?? "") ? Number(parameters.offset) : 0;
}

export function writeQuery() {
  const text = String(new URLSearchParams(used(query))).replaceAll("+", "%20");
  history.replaceState(null, "", text ? `?${text}` : location.pathname);
}

export function isFiltered() {
  return Boolean(query.search || query.vendor || query.state || query.dag_id);
}

export function apiParameters() {
  const { state, ...others } = query;
  const parameters = new URLSearchParams(used(others));
  const { states, isToday } = GROUPS[state] ?? { states: [state] };
  for (const name of states.filter(Boolean)) parameters.append("state", name);
  const dayBeganAt = new Date().setHours(0, 0, 0, 0);
  if (isToday) parameters.set("ended_within", String(Math.ceil((Date.now() - dayBeganAt) / 1000) || 1));
  parameters.set("day_began_at", String(dayBeganAt / 1000));
  parameters.set("limit", String(PAGE_SIZE));
  return parameters;
}

function used(values) {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value));
}

// Unlike URLSearchParams, keep "+" as a plus: Airflow 3.1 does not encode ids, and later versions encode them fully.
export function urlParameters() {
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
