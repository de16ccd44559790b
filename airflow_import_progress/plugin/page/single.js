// SPDX-License-Identifier: Apache-2.0
// The only wait on the page, as in the tab of a task.

import { drawCharts, showDetails } from "./details.js";
import { $, createLink, hide, setText } from "./dom.js";
import { waitUrl } from "./links.js";
import { whenLastErrorIsFound } from "./log.js";
import { createHeadline } from "./wait.js";

export function createSingle({ dag_id, run_id, task_id, map_index }) {
  // Airflow does not replace the placeholder for a task that is not mapped.
  const url = waitUrl({ dag_id, run_id, task_id, map_index: /^\d+$/.test(map_index ?? "") ? map_index : "-1" });
  let shown = null;
  $("title").textContent = "Import";
  return {
    url: () => url,
    update: ({ wait }) => {
      shown = wait;
      update(wait);
      whenLastErrorIsFound(wait, () => shown && update(shown));
    },
    clear: () => {
      shown = null;
      setText($("subject"), "");
      hide("wait");
    },
    redraw: () => shown && drawCharts($("wait"), shown),
    notFound: {
      title: "This task has not published any import",
      texts: [
        "Only the sensors and operators of airflow-provider-import-progress, and of packages that add a vendor to it, report one, starting with the first poll of a try.",
        "If this task is one of them and is running, check its log: it may not have reached the vendor yet.",
      ],
      action: () => createLink("../plugin/imports", "All imports"),
    },
  };
}

function update(wait) {
  hide("message");
  const section = $("wait");
  section.hidden = false;
  $("title").textContent = `${wait.vendor ?? ""} import`;
  setText($("subject"), wait.import_id ?? "");
  showDetails(section, wait, createHeadline(wait));
}
