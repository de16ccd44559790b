// SPDX-License-Identifier: Apache-2.0
// Helpers for the document. Texts from vendors and users are untrusted: they are inserted as text, never as markup.

export const $ = (id) => document.getElementById(id);

export function createElement(name, classes, text) {
  const element = document.createElement(name);
  if (classes) element.className = classes;
  if (text !== undefined && text !== null) element.textContent = String(text);
  return element;
}

// A text on one line: its end is cut off where it does not fit, and its title shows the whole.
export function createLine(name, classes, text) {
  const line = createElement(name, `line ${classes}`, text);
  line.title = text ?? "";
  return line;
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

export function createButton(classes, text, onClick) {
  const button = createElement("button", classes, text);
  button.type = "button";
  button.addEventListener("click", onClick);
  return button;
}

export function createOption(value, label) {
  const option = createElement("option", "", label);
  option.value = value;
  return option;
}

export function createCell(role, ...content) {
  const cell = createElement(role === "columnheader" ? "th" : "td");
  if (role === "columnheader") cell.scope = "col";
  cell.setAttribute("role", role);
  cell.append(...content);
  return cell;
}

export function createRow(...cells) {
  const row = createElement("tr");
  row.setAttribute("role", "row");
  row.append(...cells);
  return row;
}

export function createSvg(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, String(value));
  if (text !== undefined) element.textContent = text;
  return element;
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

export function replaceIfChanged(element, values, content) {
  const shown = JSON.stringify(values);
  if (element.shown === shown) return;
  element.shown = shown;
  replaceKeepingFocus(element, ...content());
}

// Keep the keyboard focus on the link or button at the same position.
export function replaceKeepingFocus(element, ...content) {
  const targets = () => [...element.querySelectorAll("a[href], button")];
  const focused = targets().indexOf(document.activeElement);
  element.replaceChildren(...content);
  if (focused >= 0) targets()[focused]?.focus({ preventScroll: true });
}
