// SPDX-License-Identifier: Apache-2.0
// The chart of an import's progress over time.

import { createElement, createSvg } from "./dom.js";
import { formatTime } from "./format.js";

export function createFigure(wait) {
  const figure = createElement("figure");
  if ((wait.history ?? []).length < 2) {
    figure.append(createElement("figcaption", "", "Progress over time"), createElement("p", "muted", "The chart needs at least two percentages."));
    return figure;
  }
  figure.append(createElement("figcaption", "", "Progress over time"), createSvg("svg", { class: "chart progress", role: "img" }));
  return figure;
}

export function drawChart(chart, wait) {
  const size = { width: Math.max(chart.clientWidth, 240), height: 200, left: 44, right: 14, top: 10, bottom: 26 };
  const points = wait.history;
  const [first, last] = [points[0], points[points.length - 1]];
  const hasEnd = typeof wait.ends_at === "number" && wait.ends_at > last[0];
  // Limit the prediction to twice the history, which would be squeezed into a corner otherwise.
  const until = hasEnd ? Math.min(wait.ends_at, last[0] + 2 * (last[0] - first[0])) : last[0];
  const span = Math.max(until - first[0], 1);
  const x = (at) => size.left + ((at - first[0]) / span) * (size.width - size.left - size.right);
  const y = (percent) => size.top + (1 - percent / 100) * (size.height - size.top - size.bottom);
  const path = points.map(([at, percent]) => `${x(at)},${y(percent)}`);
  const label = `From ${Math.floor(first[1])} % at ${formatTime(first[0], true)} to ${Math.floor(last[1])} % at ${formatTime(last[0], true)}`;
  chart.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
  chart.setAttribute("aria-label", hasEnd ? `${label}, expected to end at ${formatTime(wait.ends_at, true)}` : label);
  chart.replaceChildren(
    ...[0, 50, 100].flatMap((percent) => [
      createSvg("line", { class: "grid", x1: size.left, x2: size.width - size.right, y1: y(percent), y2: y(percent) }),
      createSvg("text", { x: size.left - 8, y: y(percent) + 4, "text-anchor": "end" }, `${percent} %`),
    ]),
    ...createTimeLabels(first[0], until, size, x),
    createSvg("polygon", { class: "area", points: [`${x(first[0])},${y(0)}`, ...path, `${x(last[0])},${y(0)}`].join(" ") }),
    createSvg("polyline", { class: "line", points: path.join(" ") }),
    ...(hasEnd ? [createSvg("line", { class: "expected", x1: x(last[0]), y1: y(last[1]), x2: x(until), y2: y(expectedPercent(last, wait.ends_at, until)) })] : []),
    createSvg("circle", { cx: x(last[0]), cy: y(last[1]), r: 3.5 }),
  );
}

function expectedPercent([at, percent], endsAt, until) {
  return percent + ((100 - percent) * (until - at)) / (endsAt - at);
}

function createTimeLabels(from, until, size, x) {
  const times = size.width < 420 ? [from, until] : [from, (from + until) / 2, until];
  return times.map((at, index) => {
    const anchor = index === 0 ? "start" : index === times.length - 1 ? "end" : "middle";
    return createSvg("text", { x: x(at), y: size.height - 6, "text-anchor": anchor }, formatTime(at, until - from < 600));
  });
}
