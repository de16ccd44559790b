// SPDX-License-Identifier: Apache-2.0
// Numbers, times and durations as text.

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
  const { records_per_minute: records, percent_per_minute: percent } = wait;
  const small = { maximumSignificantDigits: 2 };
  if (records) return `${records < 10 ? records.toLocaleString(undefined, small) : formatNumber(records)} records/min`;
  if (percent) return `${percent.toLocaleString(undefined, small)} %/min`;
  return "";
}

// Round down, so that 100 % means complete.
export function formatPercent(percent) {
  return `${Math.floor(percent)} %`;
}

export function formatTime(at, withSeconds) {
  const date = new Date(at * 1000);
  const format = { hour: "2-digit", minute: "2-digit", ...(withSeconds ? { second: "2-digit" } : {}) };
  const isToday = date.toDateString() === new Date().toDateString();
  return date.toLocaleString(undefined, isToday ? format : { day: "numeric", month: "short", ...format });
}

export function formatDate(at) {
  return new Date(at * 1000).toLocaleString();
}

// Round to one unit, for a time that is some way off.
export function formatAge(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

// Exact enough to compare two durations.
export function formatDuration(seconds) {
  const whole = Math.max(Math.floor(seconds), 0);
  if (whole < 60) return `${whole} s`;
  if (whole < 600) return joinUnits(whole, 60, "min", 1, "s");
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 172800) return joinUnits(whole, 3600, "h", 60, "min");
  return joinUnits(whole, 86400, "days", 3600, "h");
}

function joinUnits(seconds, size, unit, smallSize, smallUnit) {
  const rest = Math.floor((seconds % size) / smallSize);
  return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${smallUnit}` : ""}`;
}
