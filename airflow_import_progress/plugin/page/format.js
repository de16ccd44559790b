// SPDX-License-Identifier: Apache-2.0
// Numbers, times and waits as text.

const UNDER_WAY = ["waiting", "running", "needs_action", "retrying"];

export function isUnderWay(wait) {
  return UNDER_WAY.includes(wait.state);
}

export function formatNumber(value) {
  return value.toLocaleString(undefined, { maximumFractionDigits: 0 });
}

export function formatRecords(wait) {
  const parts = [];
  if (wait.processed !== null && wait.total !== null) parts.push(`${formatNumber(wait.processed)} of ${formatNumber(wait.total)} records`);
  else if (wait.processed !== null) parts.push(`${formatNumber(wait.processed)} records`);
  else if (wait.total !== null) parts.push(`${formatNumber(wait.total)} records`);
  if (wait.failed) parts.push(`${formatNumber(wait.failed)} failed`);
  return parts.join(" · ");
}

export function formatPace(wait) {
  if (wait.records_per_minute) return `${formatNumber(wait.records_per_minute)} records/min`;
  if (wait.percent_per_minute) return `${wait.percent_per_minute.toLocaleString(undefined, { maximumSignificantDigits: 2 })} %/min`;
  return "";
}

export function errorText(wait) {
  const polls = wait.failures > 1 ? ` (${formatNumber(wait.failures)} failed polls in a row)` : "";
  return wait.error ? `${wait.error}${polls}` : isUnderWay(wait) ? "" : (wait.message ?? "");
}

export function formatTime(at, withSeconds) {
  const date = new Date(at * 1000);
  const format = { hour: "2-digit", minute: "2-digit", ...(withSeconds ? { second: "2-digit" } : {}) };
  const isToday = date.toDateString() === new Date().toDateString();
  return date.toLocaleString(undefined, isToday ? format : { day: "numeric", month: "short", ...format });
}

export function formatDuration(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}
