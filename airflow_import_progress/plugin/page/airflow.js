// SPDX-License-Identifier: Apache-2.0
// The page's relation to Airflow's UI, which shows it in a frame: theme and links.

export function syncTheme() {
  const preference = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    document.documentElement.dataset.theme = airflowTheme() ?? (preference.matches ? "dark" : "light");
  };
  preference.addEventListener("change", apply);
  window.addEventListener("storage", apply);
  const airflow = airflowDocument();
  if (airflow) new MutationObserver(apply).observe(airflow.documentElement, { attributeFilter: ["class"] });
  apply();
}

function airflowTheme() {
  const classes = airflowDocument()?.documentElement.classList;
  for (const theme of ["dark", "light"]) {
    if (classes?.contains(theme)) return theme;
  }
  try {
    const stored = localStorage.getItem("theme");
    return stored === "dark" || stored === "light" ? stored : null;
  } catch {
    return null;
  }
}

// Airflow's frame may neither navigate its parent nor open tabs, so a link in Airflow's own document is clicked instead.
export function openLink(event) {
  const link = event.target.closest?.("a[href]");
  const airflow = airflowDocument();
  if (!link || !airflow || event.button > 1) return;
  event.preventDefault();
  const inNewTab = link.target === "_blank" || event.button === 1 || event.ctrlKey || event.metaKey || event.shiftKey;
  const proxy = airflow.createElement("a");
  proxy.href = link.href;
  proxy.target = inNewTab ? "_blank" : "_self";
  proxy.rel = "noopener noreferrer";
  airflow.body.append(proxy);
  proxy.click();
  proxy.remove();
}

function airflowDocument() {
  try {
    return window.parent === window ? null : window.parent.document;
  } catch {
    return null;
  }
}
