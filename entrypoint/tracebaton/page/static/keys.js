// One place for the keyboard: a view says what a key does, and the help lists it.

import { h } from "./dom.js";

const STORED = "tracebaton-single-keys";
let own = [];
let common = [];

// [{keys: ["j", "ArrowDown"], shown: "j", text: "Next row", act: (event) => ...}]
export function setKeys(list) { own = list; }
export function setCommonKeys(list) { common = list; }

// WCAG 2.1.4: keys without a modifier can be turned off.
function singleKeys() {
  try { return localStorage.getItem(STORED) !== "off"; } catch { return true; }
}

function store(on) {
  try { localStorage.setItem(STORED, on ? "on" : "off"); } catch { /* without storage they stay on */ }
}

export function isTyping(target) {
  return target instanceof HTMLElement
    && (target.matches("textarea, select, [contenteditable]") || (target.matches("input")
      && !["checkbox", "radio", "button"].includes(target.type)));
}

export function startKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = isTyping(event.target);
    if (typing && event.key === "Escape") {
      event.target.blur();
      const main = document.getElementById("main");
      (document.querySelector("[data-list]") || main)?.focus?.();
      event.preventDefault();
      return;
    }
    if (typing || document.querySelector("dialog[open]")) return;
    if (event.key.length === 1 && !singleKeys()) return;
    for (const one of [...own, ...common]) {
      if (!one.keys.includes(event.key)) continue;
      // Enter and arrows belong to what has the focus, where that is a control.
      if (event.key === "Enter" && event.target.closest?.("a, button, summary, input, select")) return;
      if (one.act(event) !== false) event.preventDefault();
      return;
    }
  });
}

export function focusSearch() {
  const field = document.querySelector("[data-search]");
  if (!field) return false;
  field.focus();
  field.select();
  return true;
}

export function openHelp() {
  const before = document.activeElement;
  const rows = (title, list) => list.length > 0 && [h("h3", {}, title), h("dl", { class: "keys" }, list.map((one) => h("div", {},
    h("dt", {}, one.shown.split(" ").map((key) => h("kbd", {}, key))), h("dd", {}, one.text))))];
  const box = h("input", { type: "checkbox", checked: singleKeys() });
  box.addEventListener("change", () => store(box.checked));
  const dialog = h("dialog", { class: "help", "aria-labelledby": "help-title" },
    h("header", {}, h("h2", { id: "help-title" }, "Keyboard"),
      h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Close")),
    rows("This view", own.filter((one) => one.text)), rows("Everywhere", common.filter((one) => one.text)),
    h("label", { class: "check" }, box, "Single keys are shortcuts"));
  dialog.addEventListener("close", () => { dialog.remove(); before?.focus?.(); });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  document.body.append(dialog);
  dialog.showModal();
}
