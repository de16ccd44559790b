// SPDX-License-Identifier: Apache-2.0
// The pages of the list.

import { $, setText } from "./dom.js";
import { formatNumber } from "./format.js";
import { PAGE_SIZE, query } from "./query.js";

let nextOffset = null;

export function setUpPages(onChange) {
  $("newer").addEventListener("click", () => onChange({ offset: Math.max(query.offset - PAGE_SIZE, 0) }));
  $("older").addEventListener("click", () => onChange({ offset: nextOffset ?? query.offset }));
}

export function updatePages(count, next) {
  nextOffset = next;
  $("pages").hidden = query.offset === 0 && next === null;
  setText($("range"), `${formatNumber(query.offset + 1)}–${formatNumber(query.offset + count)}`);
  disable($("newer"), query.offset === 0, $("older"));
  disable($("older"), next === null, $("newer"));
}

// A disabled button would lose the focus, so the other one gets it.
function disable(button, isDisabled, other) {
  const hadFocus = button === document.activeElement;
  button.disabled = isDisabled;
  if (isDisabled && hadFocus) {
    other.disabled = false;
    other.focus();
  }
}
