// SPDX-License-Identifier: Apache-2.0
// The chart that compares the duration of a wait with those of earlier runs of its task.

import { serverTime } from "./clock.js";
import { createElement, createSvg } from "./dom.js";
import { formatDate, formatDuration, formatNumber } from "./format.js";
import { LABELS, isTimed, isUnderWay, labelOf } from "./states.js";

const HEIGHT = 110;
const MAX_SLOT = 28;
// The width of the label of the median, right of the bars.
const LABEL_WIDTH = 130;

export function createDurations(wait) {
  const earlier = wait.durations ?? [];
  const figure = createElement("figure");
  figure.append(createElement("figcaption", "", earlier.length > 1 ? `Last ${formatNumber(earlier.length)} durations` : "Durations"));
  if (!earlier.length) {
    figure.append(createElement("p", "muted", "No earlier import of this task has succeeded or failed, so there is nothing to compare with."));
    return figure;
  }
  const text = comparison(wait);
  if (text) figure.append(createElement("p", wait.is_slow ? "slow" : "", text));
  figure.append(createSvg("svg", { class: "chart durations", role: "img" }));
  return figure;
}

export function drawDurations(chart, wait) {
  const bars = wait.durations.map(({ took, ended_at, state }) => (
    { took, state, label: `${formatDate(ended_at)}: ${formatDuration(took)}, ${LABELS[state]}` }
  ));
  const own = ownDuration(wait);
  if (own !== null) bars.push({ took: own, state: wait.state, label: `This import: ${formatDuration(own)}, ${labelOf(wait)}`, isOwn: true });
  const width = Math.max(chart.clientWidth, 240);
  const [top, bottom] = [16, HEIGHT - 4];
  const longest = Math.max(...bars.map(({ took }) => took), wait.usual_took ?? 0, 1);
  const slot = Math.min((width - LABEL_WIDTH) / bars.length, MAX_SLOT);
  const end = bars.length * slot;
  const y = (took) => bottom - ((bottom - top) * took) / longest;
  chart.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  chart.setAttribute("aria-label", description(wait, own));
  chart.replaceChildren(
    createSvg("line", { class: "grid", x1: 0, x2: end, y1: bottom, y2: bottom }),
    ...bars.map((bar, index) => createBar(bar, index * slot, slot, y, bottom)),
    ...createMedian(wait.usual_took, end, y),
  );
}

function createBar({ took, state, label, isOwn }, x, slot, y, bottom) {
  const top = Math.min(y(took), bottom - 2);
  const gap = slot > 8 ? 3 : 1;
  const bar = createSvg("rect", { x, y: top, width: Math.max(slot - gap, 1), height: bottom - top, rx: 2, "data-state": state });
  if (isOwn) bar.setAttribute("class", "own");
  bar.append(createSvg("title", {}, label));
  return bar;
}

function createMedian(usualTook, end, y) {
  if (typeof usualTook !== "number") return [];
  const at = y(usualTook);
  return [
    createSvg("line", { class: "median", x1: 0, x2: end, y1: at, y2: at }),
    createSvg("text", { x: end + 6, y: at + 4 }, `usually ${formatDuration(usualTook)}`),
  ];
}

function description(wait, own) {
  const took = wait.durations.map((earlier) => earlier.took);
  const failed = wait.durations.filter(({ state }) => state !== "done").length;
  const range = `${formatNumber(took.length)} earlier durations from ${formatDuration(Math.min(...took))} to ${formatDuration(Math.max(...took))}`;
  const sentences = [comparison(wait), `${range}, ${formatNumber(failed)} of them failed`];
  if (own !== null) sentences.push(`This import: ${formatDuration(own)}`);
  return sentences.filter(Boolean).join(". ");
}

function ownDuration(wait) {
  return isTimed(wait) ? serverTime() - wait.waiting_since : wait.took;
}

// A sentence that compares the wait with the usual duration, or an empty text while that is unknown.
function comparison(wait) {
  if (typeof wait.usual_took !== "number") return "";
  const successes = wait.durations.filter(({ state }) => state === "done").length;
  const usual = `${formatDuration(wait.usual_took)} (median of ${formatNumber(successes)})`;
  const own = ownDuration(wait);
  if (!wait.is_slow || own === null) return `Usually ${usual}`;
  return `Slower than usual: ${formatDuration(own)}${isUnderWay(wait) ? " so far" : ""}, usually ${usual}`;
}
