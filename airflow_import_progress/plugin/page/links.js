// SPDX-License-Identifier: Apache-2.0
// Addresses: of Airflow's pages and of this page's API, relative, so that the path below which Airflow is served is kept,
// and of the vendor's pages.

import { lastErrorLine } from "./log.js";

export function taskUrl(wait) {
  const parts = ["..", "dags", wait.dag_id, "runs", wait.run_id, "tasks", wait.task_id];
  if (wait.map_index >= 0) parts.push("mapped", String(wait.map_index));
  return parts.map(encodeURIComponent).join("/");
}

export function tabUrl(wait) {
  return `${taskUrl(wait)}/plugin/import`;
}

// The log of the try, at its last error if that has been found.
export function logUrl(wait) {
  const line = lastErrorLine(wait);
  return `${taskUrl(wait)}?try_number=${wait.try_number}${line === null ? "" : `#${line}`}`;
}

export function waitUrl({ dag_id, run_id, task_id, map_index }) {
  return `api/wait?${new URLSearchParams({ dag_id, run_id, task_id, map_index })}`;
}

// The address if it is one of the web, or null: other schemes, such as "javascript:", could run scripts.
export function webAddress(address) {
  try {
    const url = new URL(address);
    return ["http:", "https:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
