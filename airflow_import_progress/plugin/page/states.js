// SPDX-License-Identifier: Apache-2.0
// The states of waits.

export const LABELS = {
  waiting: "Waiting",
  running: "Running",
  needs_action: "Needs action",
  retrying: "Retrying",
  done: "Done",
  task_succeeded: "Task succeeded",
  started: "Started",
  failed: "Failed",
  gave_up: "Gave up",
  start_unknown: "Start unknown",
  skipped: "Skipped",
};
const DESCRIPTIONS = {
  waiting: "The task is waiting. The import is unknown in this try, has not started, or has ended and the task is about to end.",
  running: "The vendor is processing the import.",
  needs_action: "The import waits for an action at the vendor.",
  retrying: "The task failed and will be retried.",
  done: "The import succeeded.",
  task_succeeded: "The task succeeded, but no success of the import was published: it may have been marked as success.",
  started: "The task started the import and does not wait for it.",
  failed: "The import failed, did not pass the task's limits, or was not started.",
  gave_up: "The task failed, and the outcome of the import is unknown. Check it at the vendor.",
  start_unknown: "The task ended, and it is unknown whether it started an import. Check it at the vendor.",
  skipped: "The task was skipped.",
};

const UNDER_WAY = ["waiting", "running", "needs_action", "retrying"];
const WENT_WRONG = ["failed", "gave_up", "start_unknown"];
export const OVER = Object.keys(LABELS).filter((state) => !UNDER_WAY.includes(state));

export function isUnderWay(wait) {
  return UNDER_WAY.includes(wait.state);
}

// Whether the time of the wait goes on.
export function isTimed(wait) {
  return isUnderWay(wait) && wait.state !== "retrying" && typeof wait.waiting_since === "number";
}

// Whether the task ended without a successful import.
export function isUnsuccessful(wait) {
  return WENT_WRONG.includes(wait.state) || wait.state === "skipped";
}

// Whether the log of the task's last try shows why it ended or will be retried.
export function hasUnsuccessfulTry(wait) {
  return isUnsuccessful(wait) || wait.state === "retrying";
}

export function isStartUnknown(wait) {
  return wait.state === "start_unknown" || (isUnderWay(wait) && wait.start?.state === "unknown");
}

export function labelOf(wait) {
  if (wait.state === "waiting" && wait.start?.state === "starting") return "Starting";
  if (wait.state === "waiting" && wait.import_state === "pending") return "Pending";
  return LABELS[wait.state] ?? wait.state;
}

export function descriptionOf(wait) {
  return DESCRIPTIONS[wait.state] ?? "";
}
