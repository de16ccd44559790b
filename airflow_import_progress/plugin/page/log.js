// SPDX-License-Identifier: Apache-2.0
// The last error in the log of a task's try, at which Airflow's log view opens.

import { hasUnsuccessfulTry } from "./states.js";

// Maximum length of a log that is read, in characters.
const MAX_LENGTH = 2_000_000;

const TOO_LONG = new Error("The log is too long.");

// The numbers of the lines by try. A try is over and read only once.
const lines = new Map();

// The number of the line for the address of the log view, or null if it is unknown.
export function lastErrorLine(wait) {
  return lines.get(tryKey(wait)) ?? null;
}

// Read the log of an unsuccessful try, once, with the permissions of the user.
export async function whenLastErrorIsFound(wait, callback) {
  const key = tryKey(wait);
  if (!hasUnsuccessfulTry(wait) || lines.has(key)) return;
  lines.set(key, null);
  try {
    const entries = await readLog(wait);
    lines.set(key, numberOfLastError(entries, await countsFoldedGroups()));
    callback();
  } catch (error) {
    // If the user may not read logs, or there is none, the log view opens where it usually does. Otherwise read it again.
    if (![403, 404].includes(error.status) && error !== TOO_LONG) lines.delete(key);
  }
}

function tryKey(wait) {
  return JSON.stringify([wait.dag_id, wait.run_id, wait.task_id, wait.map_index, wait.try_number]);
}

async function readLog(wait) {
  const parts = ["dags", wait.dag_id, "dagRuns", wait.run_id, "taskInstances", wait.task_id, "logs", String(wait.try_number)];
  const url = `../api/v2/${parts.map(encodeURIComponent).join("/")}?map_index=${wait.map_index}`;
  const response = await fetch(url, { headers: { Accept: "application/x-ndjson" } });
  if (!response.ok) throw Object.assign(new Error(`HTTP ${response.status}`), { status: response.status });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += part.value;
    if (text.length > MAX_LENGTH) {
      await reader.cancel();
      throw TOO_LONG;
    }
  }
  return text.split("\n").filter((line) => line.trim()).map((line) => JSON.parse(line));
}

// Since Airflow 3.3 the log view expects the number before a line. Earlier ones expect its position, from 1, among the
// lines and groups.
async function countsFoldedGroups() {
  const response = await fetch("../api/v2/version");
  const [major, minor] = (await response.json()).version.split(".").map(Number);
  return major === 3 && minor < 3;
}

// Errors in groups are left out, because their lines are folded away.
function numberOfLastError(entries, countsFolded) {
  let [depth, inGroups, outside, groups, found] = [0, 0, 0, 0, null];
  for (const entry of entries) {
    const text = entry.event ?? String(entry);
    if (text.includes("::group::")) {
      depth += 1;
    } else if (text.includes("::endgroup::")) {
      if (depth === 1) groups += 1;
      depth = Math.max(depth - 1, 0);
    } else if (depth) {
      inGroups += 1;
    } else {
      if (isError(entry)) found = countsFolded ? outside + groups + 1 : outside + inGroups;
      outside += 1;
    }
  }
  return found;
}

function isError({ level, error_detail }) {
  return level === "error" || level === "critical" || Boolean(error_detail);
}
