// A trace beside another one: what is new, what is gone, what took longer.

import { ask } from "./api.js";
import { h, show } from "./dom.js";
import { colourOf, serviceChip } from "./colours.js";
import { clock, count, day, duration, line, plural, shortId } from "./format.js";

const STATES = { new: "new", gone: "gone", slower: "slower", faster: "faster", same: "same", failed: "failed" };
const MOST = 2000;

// id may be "", then it is asked for
export function compareView(id, state, go) {
  const body = h("div", { class: "compare-body" });
  const node = h("div", { class: "compare" }, h("div", { class: "page-head" }, h("h1", {}, "Compare"),
    h("p", { class: "quiet-text" }, "A trace beside the last good one of the same endpoint, or any other")), body);
  let at = -1;

  async function load() {
    if (!id) return chooseFirst();
    try {
      const answer = await ask(`/api/compare/${encodeURIComponent(id)}`, { with: state.get("with") });
      draw(answer);
      others(answer);
    } catch (error) {
      show(body, picker(), h("p", { class: "notice", role: "alert" }, error.message));
    }
    return undefined;
  }

  async function chooseFirst() {
    const place = h("ul", { class: "choices" });
    show(body, h("p", {}, "Which trace? Paste an id, or choose one with an error."), idForm("Trace id", (value) => go(`/compare/${encodeURIComponent(value)}`)), place);
    try {
      const failing = await ask("/api/traces", { status: "error", limit: 20 });
      show(place, failing.traces.map((one) => choice(one, `/compare/${one.trace_id}`)),
        !failing.traces.length && h("li", { class: "empty" }, "No trace with an error is stored."));
    } catch (error) {
      show(place, h("li", { class: "notice", role: "alert" }, error.message));
    }
  }

  function idForm(label, use) {
    const field = h("input", { type: "text", placeholder: label, "aria-label": label, size: 34, "data-search": true });
    return h("form", { class: "id-form", onsubmit: (event) => { event.preventDefault(); if (field.value.trim()) use(field.value.trim()); } },
      field, h("button", { type: "submit" }, "Compare"));
  }

  function choice(one, href) {
    return h("li", {}, h("a", { class: "choice", href }, h("code", {}, shortId(one.trace_id)),
      h("span", { class: "tr-name" }, line((one.root || {}).name || "no name", 100)), serviceChip((one.root || {}).service || "?"),
      h("span", { class: one.errors ? "error-text" : "quiet-text" }, one.errors ? plural(one.errors, "error") : "no errors"),
      h("span", { class: "number" }, duration(one.duration_us)), h("span", { class: "quiet-text" }, clock(one.start_us))));
  }

  function picker() {
    return idForm("Another trace's id", (value) => { state.set({ with: value }); load(); });
  }

  const otherPlace = h("div", {});

  async function others({ this: mine, other }) {
    const root = (mine || {}).root || {};
    let list;
    try {
      list = await ask("/api/traces", { service: root.service, route: root.route || "", limit: 12 });
    } catch {
      return; // the comparison stands without the list
    }
    show(otherPlace, h("details", { class: "section" }, h("summary", {}, "Compare with another"), picker(),
      h("ul", { class: "choices" }, list.traces.filter((one) => one.trace_id !== mine.trace_id && (!other || one.trace_id !== other.trace_id))
        .map((one) => choice(one, `/compare/${mine.trace_id}?with=${one.trace_id}`)))));
  }

  function card(summary, label) {
    if (!summary) {
      return h("article", { class: "card missing" }, h("p", { class: "kicker" }, label),
        h("p", {}, "No trace of this endpoint without errors is stored. Choose another below."));
    }
    const root = summary.root || {};
    return h("article", { class: `card${summary.errors ? " failed" : ""}` }, h("p", { class: "kicker" }, label,
      summary.errors ? h("span", { class: "tag error" }, plural(summary.errors, "error")) : h("span", { class: "tag good" }, "no errors")),
    h("h2", {}, h("a", { href: `/trace/${summary.trace_id}` }, line(root.name || "no name", 120))),
    h("p", { class: "card-facts" }, h("span", { class: "big" }, duration(summary.duration_us)), h("span", {}, plural(summary.spans, "span")),
      h("span", {}, plural(summary.logs || 0, "line")), h("span", { class: "quiet-text" }, `${day(summary.start_us)} ${clock(summary.start_us)}`),
      h("code", {}, shortId(summary.trace_id))));
  }

  function draw(answer) {
    const { this: mine, other } = answer;
    const rows = (answer.rows || []).slice(0, MOST);
    const counts = {};
    for (const row of rows) counts[row.state] = (counts[row.state] || 0) + 1;
    const only = h("input", { type: "checkbox", checked: state.get("all") !== "1" });
    const list = h("div", { class: "compare-rows", role: "table", "aria-label": "Differences", tabindex: -1, "data-list": true });
    const longest = Math.max(1, ...rows.map((row) => Math.max(row.this_us || 0, row.other_us || 0)));
    const drawRows = () => {
      at = -1;
      const shown = rows.filter((row) => !only.checked || row.state !== "same");
      show(list, h("div", { class: "cmp-row head", role: "row" }, ["What", "This", other ? "The other" : "–", "Difference"].map((text) => h("span", { role: "columnheader" }, text))),
        shown.map((row) => compareRow(row, longest)),
        !shown.length && h("div", { role: "row" }, h("span", { role: "cell", class: "empty" }, "They did the same things in about the same time.")));
    };
    only.addEventListener("change", () => { state.set({ all: only.checked ? "" : "1" }); drawRows(); });
    drawRows();
    const words = Object.keys(STATES).filter((name) => counts[name]).map((name) => h("li", {}, h("span", { class: `state ${name}` }, STATES[name]), count(counts[name])));
    show(body, h("div", { class: "cards" }, card(mine, "This trace"), card(other, state.get("with") ? "The other" : "The last good one")), otherPlace,
      h("div", { class: "compare-tools" }, h("ul", { class: "state-counts", "aria-label": "Counts" }, words), h("label", { class: "check" }, only, "Only what differs")), list);
  }

  function compareRow(row, longest) {
    const path = row.path || [];
    const last = String(path[path.length - 1] ?? "");
    const [, service, kind, name] = /^(.*?) (SERVER|CLIENT|INTERNAL|PRODUCER|CONSUMER|UNSPECIFIED) (.*)$/s.exec(last) || ["", "", "", last];
    const difference = row.this_us !== null && row.other_us !== null && row.this_us !== undefined && row.other_us !== undefined ? row.this_us - row.other_us : null;
    const bar = (us, status, mine) => h("span", { role: "cell", class: "cmp-bar-cell", "data-label": mine ? "this" : "other" }, us === null || us === undefined ? h("span", { class: "quiet-text" }, "–")
      : [h("span", { class: "cmp-track", "aria-hidden": "true" }, h("i", { class: `${mine ? "mine" : "theirs"}${status === "ERROR" ? " failed" : ""}`, style: { width: `${Math.max(1, (us / longest) * 100)}%` } })),
        h("span", { class: `number${status === "ERROR" ? " error-text" : ""}` }, duration(us)), status === "ERROR" && h("span", { class: "hidden" }, "with an error")]);
    return h("div", { class: `cmp-row ${STATES[row.state] || ""}`, role: "row", tabindex: -1 },
      h("span", { role: "cell", class: "cmp-name", style: { "padding-left": `${Math.min(path.length - 1, 12) * 14}px` }, title: line(path.join(" › "), 600) },
        h("i", { class: `dot ${colourOf(service)}`, "aria-hidden": "true" }), h("span", { class: "wf-service" }, line(service, 40)), h("span", { class: "wf-title" }, line(name)), kind && kind !== "INTERNAL" && h("span", { class: "kind" }, kind.toLowerCase())),
      bar(row.this_us, row.this_status, true), bar(row.other_us, row.other_status, false),
      h("span", { role: "cell", class: "cmp-state" }, h("span", { class: `state ${STATES[row.state] || ""}` }, STATES[row.state] || line(row.state, 20)),
        difference !== null && Math.abs(difference) > 0 && h("span", { class: "number quiet-text" }, `${difference > 0 ? "+" : ""}${duration(difference)}`)));
  }

  function move(step) {
    const rows = [...body.querySelectorAll(".cmp-row:not(.head), a.choice")];
    if (!rows.length) return;
    at = Math.max(0, Math.min(rows.length - 1, rows.indexOf(document.activeElement) < 0 ? (step > 0 ? 0 : rows.length - 1) : rows.indexOf(document.activeElement) + step));
    rows[at].focus();
    rows[at].scrollIntoView({ block: "nearest" });
  }

  return { node, title: id ? `Compare ${shortId(id)}` : "Compare", shown: load, onEvent: () => {}, stateChanged: load,
    keys: [
      { keys: ["j", "ArrowDown"], shown: "j ↓", text: "Next row", act: () => move(1) },
      { keys: ["k", "ArrowUp"], shown: "k ↑", text: "Row before", act: () => move(-1) },
      { keys: ["Enter"], shown: "Enter", text: "Open the trace", act: () => (id ? go(`/trace/${id}`) : false) },
    ],
    escape: () => { if (id) go(`/trace/${id}`); return Boolean(id); },
    destroy: () => {} };
}
