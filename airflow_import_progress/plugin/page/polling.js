// SPDX-License-Identifier: Apache-2.0
// The repetition of a request while the page is visible.

// In milliseconds.
const POLL_INTERVAL = 5000;
const REQUEST_TIMEOUT = 20000;
// Minimum gap between two polls, as a multiple of the duration of the last one: a slow Airflow is polled less often.
const MIN_GAP_FACTOR = 10;

// Return the function that requests at once. It aborts the request that is under way.
export function createPolling(request, onFailure) {
  let timer = null;
  let active = null;

  async function poll() {
    clearTimeout(timer);
    active?.abort();
    const current = (active = new AbortController());
    const timeout = setTimeout(() => current.abort(), REQUEST_TIMEOUT);
    const startedAt = performance.now();
    try {
      await request(current.signal);
    } catch {
      // Ignore the error if a newer request has aborted this one.
      if (current === active) onFailure();
    } finally {
      clearTimeout(timeout);
      if (current === active && !document.hidden) {
        timer = setTimeout(poll, Math.max(POLL_INTERVAL, MIN_GAP_FACTOR * (performance.now() - startedAt)));
      }
    }
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : poll()));
  return poll;
}
