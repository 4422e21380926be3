// One trace: what failed first, the waterfall, the sequence diagram, the JSON. In the served page and in the shared file.

import { announce, copyButton, h, icon, show, throttled } from "./dom.js";
import { serviceChip } from "./colours.js";
import { detailsOf } from "./details.js";
import { clock, count, day, duration, line, plain, plural, shortId } from "./format.js";
import { buildModel, keptFor, search, titleOf, whyFailed } from "./model.js";
import { sequence } from "./sequence.js";
import { createWaterfall } from "./waterfall.js";

const TABS = [["waterfall", "Waterfall"], ["sequence", "Sequence"], ["json", "JSON"]];
const JSON_SHOWN = 200_000;
const WIDE = "(min-width: 1100px)";

// state: {get(name), set({name: value or ""})}; options: {actions(model): [nodes], traceHref(id, span) or null}
export function createTraceView(trace, state, options) {
  let model = buildModel(trace);
  let open = false;
  const callbacks = {
    traceHref: options.traceHref || null,
    onSpan: (id) => { showTab("waterfall"); waterfall.reveal(model.byId.get(id)); },
    onZoom: (node) => zoomTo(node),
  };
  const waterfall = createWaterfall({
    onSelect: (node) => {
      state.set({ span: node.kind === "span" ? node.span.span_id : "" });
      if (open) drawDetails(node);
    },
    onOpen: (node) => openDetails(node, false),
  });

  const title = h("div", { class: "trace-title" });
  const notice = h("div", { class: "trace-notice" });
  const field = h("input", { type: "search", placeholder: "Find in this trace", "aria-label": "Find in this trace",
    "data-search": true, value: state.get("q") || "" });
  const found = h("span", { class: "quiet-text found", role: "status" });
  const logs = h("input", { type: "checkbox", checked: state.get("logs") !== "0" });
  const reset = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => zoomTo(null) }, "Whole trace");
  const tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Ways to look at it" }, TABS.map(([name, text]) =>
    h("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}`, "aria-selected": "false",
      tabindex: -1, onclick: () => showTab(name) }, text)));
  const tools = h("div", { class: "tools" }, field, found, h("label", { class: "check" }, logs, "Log lines"), reset);
  const panels = Object.fromEntries(TABS.map(([name]) => [name,
    h("div", { class: `panel panel-${name}`, role: "tabpanel", id: `panel-${name}`, "aria-labelledby": `tab-${name}`, hidden: true })]));
  const details = h("aside", { class: "details", "aria-label": "Details", hidden: true });
  const node = h("div", { class: "trace" }, title, notice, h("div", { class: "bar" }, tabs, tools),
    h("div", { class: "stage" }, h("div", { class: "panels" }, Object.values(panels)), details));
  panels.waterfall.append(waterfall.node);

  const find = () => {
    const { matches, keep } = search(model, field.value);
    waterfall.setOptions({ keep, matches: new Set(matches) });
    show(found, field.value.trim() ? plural(matches.length, "match", "matches") : "");
  };
  const findSoon = throttled(() => { find(); state.set({ q: field.value.trim() }); }, 120);
  field.addEventListener("input", findSoon);
  logs.addEventListener("change", () => {
    waterfall.setOptions({ logs: logs.checked });
    state.set({ logs: logs.checked ? "" : "0" });
  });
  tabs.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = TABS.findIndex(([name]) => name === current());
    const next = TABS[(at + step + TABS.length) % TABS.length][0];
    showTab(next);
    tabs.querySelector(`#tab-${next}`).focus();
    event.preventDefault();
    event.stopPropagation();
  });
  waterfall.node.addEventListener("keydown", (event) => {
    const act = { ArrowDown: () => waterfall.move(1), ArrowUp: () => waterfall.move(-1), ArrowRight: () => waterfall.across(1),
      ArrowLeft: () => waterfall.across(-1), PageDown: () => waterfall.page(1), PageUp: () => waterfall.page(-1),
      Home: () => waterfall.edge(false), End: () => waterfall.edge(true) }[event.key];
    if (act && !event.ctrlKey && !event.metaKey && !event.altKey) {
      act();
      event.preventDefault();
    }
  });

  function current() {
    const name = state.get("tab");
    return TABS.some(([one]) => one === name) ? name : "waterfall";
  }

  function showTab(name) {
    state.set({ tab: name === "waterfall" ? "" : name });
    for (const [one] of TABS) {
      const tab = tabs.querySelector(`#tab-${one}`);
      tab.setAttribute("aria-selected", String(one === name));
      tab.setAttribute("tabindex", one === name ? "0" : "-1");
      panels[one].hidden = one !== name;
    }
    tools.hidden = name !== "waterfall";
    if (name === "sequence") show(panels.sequence, sequence(model, (one) => { showTab("waterfall"); waterfall.reveal(one); openDetails(one, false); }));
    else if (name === "json") show(panels.json, jsonPanel());
    else waterfall.setOptions({});
  }

  function jsonPanel() {
    const text = JSON.stringify(model.trace, null, 2);
    return [h("div", { class: "json-head" }, h("span", { class: "quiet-text" }, text.length > JSON_SHOWN
      ? `The first ${count(JSON_SHOWN)} of ${count(text.length)} characters; all of it is copied.` : plural(text.length, "character")),
    copyButton("Copy the JSON", () => text)),
    h("pre", { class: "json", tabindex: 0, "aria-label": "The trace as JSON", "data-list": true }, plain(text, JSON_SHOWN))];
  }

  function drawHead() {
    const root = model.roots[0];
    const failed = model.errors.length > 0;
    const kept = model.order.map((one) => keptFor(one.span)).find(Boolean);
    const first = model.failedFirst;
    show(title,
      h("div", { class: "trace-name" },
        h("h1", {}, root ? line(titleOf(root.span), 160) : "A trace without spans"),
        failed ? h("span", { class: "badge error" }, icon("error"), plural(model.errors.length, "error"))
          : h("span", { class: "badge ok" }, icon("check"), "no errors"),
        kept && h("span", { class: "badge kept", title: "Kept although its request was not sampled" }, icon("kept"), `kept: ${line(kept, 30)}`),
        root && root.orphan && h("span", { class: "badge" }, "partial")),
      h("div", { class: "trace-actions" }, options.actions ? options.actions(model) : null),
      h("div", { class: "trace-meta" }, h("dl", { class: "trace-facts" },
        one("Duration", duration(model.end - model.start)), one("Began", `${day(model.start)} ${clock(model.start)}`),
        one("Spans", count(model.spans.length)), one("Log lines", count((model.trace.logs || []).length)),
        h("div", {}, h("dt", {}, "Trace"), h("dd", {}, h("code", { title: model.trace.trace_id }, shortId(model.trace.trace_id)),
          copyButton("Copy the trace id", () => model.trace.trace_id)))),
      h("ul", { class: "legend", "aria-label": "Services" }, model.services.slice(0, 12).map((service) =>
        h("li", {}, serviceChip(service.name), h("span", { class: "quiet-text" }, count(service.spans)))),
      model.services.length > 12 && h("li", { class: "quiet-text" }, `${model.services.length - 12} more`))));
    show(notice,
      first && h("p", { class: "failed-first" }, h("strong", {}, "Failed first"), serviceChip(first.span.service),
        h("button", { type: "button", class: "plain", onclick: () => { showTab("waterfall"); waterfall.reveal(first); openDetails(first, false); } },
          line(titleOf(first.span), 120)), h("span", { class: "why" }, line(whyFailed(first.span), 200))),
      model.trace.not_kept > 0 && h("p", { class: "notice" }, `${plural(model.trace.not_kept, "span")} of this trace came when the store had no room.`));
  }

  function one(name, text) {
    return h("div", {}, h("dt", {}, name), h("dd", {}, text));
  }

  function drawDetails(item) {
    show(details, h("button", { type: "button", class: "quiet close", "aria-label": "Close the details", onclick: closeDetails }, icon("cross")),
      detailsOf(item, model, callbacks));
    details.scrollTop = 0;
  }

  function openDetails(item, focus) {
    if (!item) return;
    open = true;
    details.hidden = false;
    drawDetails(item);
    if (focus) details.querySelector("h2")?.focus();
  }

  function closeDetails() {
    open = false;
    details.hidden = true;
    waterfall.node.focus();
  }

  function zoomTo(item) {
    reset.hidden = !waterfall.zoom(item);
    announce(reset.hidden ? "Whole trace" : "Zoomed");
  }

  function update(next) {
    model = buildModel(next);
    waterfall.setModel(model);
    drawHead();
    find();
    if (current() !== "waterfall") showTab(current());
    if (open && waterfall.selected) drawDetails(waterfall.selected);
  }

  drawHead();
  waterfall.setModel(model);
  waterfall.setOptions({ logs: logs.checked });
  if (field.value) find();
  showTab(current());

  // Called once `node` is in the document: before, nothing has a height.
  function shown() {
    const span = state.get("span");
    const first = (span && model.byId.get(span)) || model.failedFirst;
    waterfall.setOptions({});
    if (first && current() === "waterfall") {
      waterfall.reveal(first);
      if (span || matchMedia(WIDE).matches) openDetails(first, false);
    } else waterfall.edge(false);
    waterfall.node.focus({ preventScroll: true });
  }

  const inWaterfall = (act) => () => (current() === "waterfall" ? act() : false);
  const keys = [
    { keys: ["j", "ArrowDown"], shown: "j ↓", text: "Next row", act: inWaterfall(() => waterfall.move(1)) },
    { keys: ["k", "ArrowUp"], shown: "k ↑", text: "Row before", act: inWaterfall(() => waterfall.move(-1)) },
    { keys: ["ArrowRight"], shown: "→", text: "Open what is below", act: inWaterfall(() => waterfall.across(1)) },
    { keys: ["ArrowLeft"], shown: "←", text: "Close it, or go up", act: inWaterfall(() => waterfall.across(-1)) },
    { keys: ["Enter"], shown: "Enter", text: "Details of the row",
      act: inWaterfall(() => (waterfall.selected ? openDetails(waterfall.selected, true) : false)) },
    { keys: ["n"], shown: "n", text: "Next span with an error", act: () => waterfall.nextError() },
    { keys: ["z"], shown: "z", text: "Zoom to the span, and back", act: () => zoomTo(reset.hidden ? waterfall.selected : null) },
    { keys: ["w"], shown: "w", text: "Waterfall", act: () => { showTab("waterfall"); waterfall.node.focus(); } },
    { keys: ["d"], shown: "d", text: "Sequence diagram", act: () => showTab("sequence") },
  ];
  return { node, update, shown, keys, waterfall,
    escape: () => {
      if (open) closeDetails();
      else if (!reset.hidden) zoomTo(null);
      else return false;
      return true;
    },
    destroy: () => { findSoon.cancel(); waterfall.destroy(); } };
}
