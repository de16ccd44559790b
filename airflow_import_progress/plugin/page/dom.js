// SPDX-License-Identifier: Apache-2.0
// Helpers for the document. Texts from vendors and users are untrusted: they are inserted as text, never as markup.

export const $ = (id) => document.getElementById(id);

export function createElement(name, classes, text) {
  const element = document.createElement(name);
  if (classes) element.className = classes;
  if (text !== undefined && text !== null) element.textContent = String(text);
  return element;
}

export function createLink(url, text, inNewTab) {
  const link = createElement("a", "", text);
  link.href = url;
  if (inNewTab) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  return link;
}

export function createOption(value, label) {
  const option = createElement("option", "", label);
  option.value = value;
  return option;
}

export function setText(element, text) {
  const value = text ?? "";
  if (element.textContent !== value) element.textContent = value;
}

export function showText(id, text) {
  setText($(id), text);
  $(id).hidden = false;
}

export function hide(id) {
  $(id).hidden = true;
}

export function replaceIfChanged(cell, values, content) {
  const shown = JSON.stringify(values);
  if (cell.shown === shown) return;
  cell.shown = shown;
  cell.replaceChildren(...content());
}

// Keep the keyboard focus on the link at the same position.
export function replaceKeepingFocus(element, ...content) {
  const links = () => [...element.querySelectorAll("a[href]")];
  const focused = links().indexOf(document.activeElement);
  element.replaceChildren(...content);
  if (focused >= 0) links()[focused]?.focus({ preventScroll: true });
}
