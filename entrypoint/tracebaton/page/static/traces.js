// The list of traces, newest first, with its filters in the address.

import { ask } from "./api.js";
import { rateChart, sparkline } from "./charts.js";
import { announce, h, icon, show, throttled, whenSeen } from "./dom.js";
import { colourOf, serviceChip } from "./colours.js";
import { clock, count, day, duration, isToday, line, parseDuration, plural } from "./format.js";

const FILTERS = ["service", "route", "status", "kept", "min_us", "max_us", "text", "attr"];
const PAGE = 50;
const MOST = 1000;

// state: {get, set}; leftFor: the id of the trace one comes back from, or ""
export function tracesView(state, leftFor) {
  const fields = {
    text: h("input", { type: "search", placeholder: "Names, ids, messages", "aria-label": "Text", "data-search": true }),
    service: h("select", { "aria-label": "Service" }, h("option", { value: "" }, "All services")),
    route: h("input", { type: "text", placeholder: "Route", "aria-label": "Route", list: "routes", size: 12 }),
    status: h("select", { "aria-label": "Status" }, [["", "Any status"], ["error", "Errors"], ["ok", "Without errors"]].map(([value, text]) => h("option", { value }, text))),
    min_us: h("input", { type: "text", placeholder: "from 200ms", "aria-label": "Shortest duration", size: 8 }),
    max_us: h("input", { type: "text", placeholder: "to 2s", "aria-label": "Longest duration", size: 8 }),
    attr: h("input", { type: "text", placeholder: "key=value", "aria-label": "Attribute, as key=value", size: 14 }),
    kept: h("input", { type: "checkbox" }),
  };
  const routes = h("datalist", { id: "routes" });
  const problem = h("p", { class: "field-problem", role: "alert" });
  const clear = h("button", { type: "button", class: "quiet", onclick: () => { for (const name of FILTERS) state.set({ [name]: "" }); fromState(); load(); } }, "Clear");
  const form = h("form", { class: "filters", role: "search", "aria-label": "Filter the traces", onsubmit: (event) => { event.preventDefault(); changed(); } },
    fields.text, fields.service, fields.route, routes, fields.status,
    h("span", { class: "pair" }, fields.min_us, fields.max_us), fields.attr, h("label", { class: "check" }, fields.kept, "Kept"), clear);
  const toggle = h("button", { type: "button", class: "filter-toggle", "aria-expanded": "false", onclick: () => {
    toggle.setAttribute("aria-expanded", String(form.classList.toggle("opened")));
  } }, "Filters");
  form.insertBefore(toggle, fields.service);
  const chart = h("div", { class: "chart-place" });
  const total = h("p", { class: "quiet-text total", role: "status" });
  const list = h("ul", { class: "trace-list", "aria-label": "Traces, newest first" });
  const more = h("button", { type: "button", class: "more", hidden: true, onclick: () => load(true) }, "Older traces");
  const endpoints = h("div", { class: "endpoints" });
  const message = h("div", {});
  const aside = h("details", { class: "side", open: matchMedia("(min-width: 1100px)").matches }, h("summary", {}, "Endpoints"), endpoints);
  const node = h("div", { class: "traces" }, h("div", { class: "page-head" }, h("h1", {}, "Traces"), total), chart, form, problem,
    h("div", { class: "columns" }, h("section", { class: "list-side", "aria-label": "List" }, list, message, more), aside));
  const shown = new Map();
  let summaries = [];
  let next = null;
  let asked = 0;
  let loaded = 1;

  function fromState() {
    for (const name of FILTERS) {
      const value = state.get(name) || "";
      if (name === "kept") fields.kept.checked = value === "1";
      else if (name.endsWith("_us")) fields[name].value = value ? duration(Number(value)).replace(" ", "") : "";
      else {
        if (name === "service" && value && ![...fields.service.options].some((one) => one.value === value)) fields.service.append(h("option", { value }, value));
        fields[name].value = value;
      }
    }
    form.classList.toggle("filtered", FILTERS.some((name) => state.get(name)));
  }

  function changed() {
    const values = {};
    const wrong = [];
    for (const name of FILTERS) {
      const field = fields[name];
      if (name === "kept") values.kept = field.checked ? "1" : "";
      else if (name.endsWith("_us") && field.value.trim()) {
        const us = parseDuration(field.value);
        if (us === null) wrong.push(`"${field.value}" is no duration (expected e.g. 250ms, 2s, 1m)`);
        else values[name] = String(us);
        field.setAttribute("aria-invalid", String(us === null));
      } else {
        values[name] = field.value.trim();
        field.removeAttribute("aria-invalid");
      }
    }
    if (values.attr && !values.attr.includes("=")) {
      wrong.push("An attribute is written key=value");
      delete values.attr;
    }
    problem.textContent = wrong.join(". ");
    if (FILTERS.every((name) => values[name] === undefined || values[name] === (state.get(name) || ""))) return;
    state.set(values);
    form.classList.toggle("filtered", FILTERS.some((name) => state.get(name)));
    load();
  }
  const changedSoon = throttled(changed, 250);
  form.addEventListener("input", changedSoon);
  form.addEventListener("change", changed);

  function filters() {
    return Object.fromEntries(FILTERS.map((name) => [name, state.get(name)]));
  }

  async function load(older = false) {
    asked += 1;
    const mine = asked;
    try {
      const limit = older ? PAGE : Math.min(200, loaded * PAGE);
      const answer = await ask("/api/traces", { ...filters(), limit, before: older ? next : "" });
      if (mine !== asked) return;
      if (older) loaded += 1;
      summaries = older ? [...summaries, ...answer.traces].slice(-MOST) : answer.traces;
      next = answer.next;
      more.hidden = !next;
      const filtered = FILTERS.some((name) => state.get(name));
      show(total, filtered ? `${plural(answer.total, "trace")} ${answer.total === 1 ? "matches" : "match"}` : plural(answer.total, "trace"));
      show(message, summaries.length ? null : filtered
        ? h("p", { class: "empty" }, "No trace matches these filters.")
        : h("div", { class: "empty" }, h("h2", {}, "No traces yet"), h("p", {}, "Send OTLP to port 4317 (gRPC) or 4318 (HTTP), and they appear here."),
          h("pre", {}, "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317")));
      draw();
    } catch (error) {
      if (mine === asked) show(message, h("p", { class: "notice", role: "alert" }, error.message));
    }
  }

  // Rows are kept by trace, so that what has the focus keeps it when traces come in above.
  function draw() {
    const ids = new Set(summaries.map((one) => one.trace_id));
    for (const [id, row] of shown) {
      if (!ids.has(id)) {
        row.node.remove();
        shown.delete(id);
      }
    }
    const longest = Math.max(1, ...summaries.map((one) => one.duration_us || 0));
    let before = null;
    for (const summary of summaries) {
      const text = `${JSON.stringify(summary)}${longest}`;
      let row = shown.get(summary.trace_id);
      if (!row || row.text !== text) {
        const fresh = { text, node: traceRow(summary, longest) };
        if (row) {
          const focused = row.node.contains(document.activeElement);
          row.node.replaceWith(fresh.node);
          if (focused) fresh.node.querySelector("a").focus();
        }
        row = fresh;
        shown.set(summary.trace_id, row);
      }
      const place = before ? before.nextSibling : list.firstChild;
      if (place !== row.node) list.insertBefore(row.node, place);
      before = row.node;
    }
  }

  async function loadSides() {
    const [rate, services] = await Promise.allSettled([ask("/api/rate", { buckets: 60 }), ask("/api/services")]);
    if (rate.status === "fulfilled") show(chart, rateChart(rate.value));
    if (services.status !== "fulfilled") return;
    const { services: all = [], endpoints: ends = [] } = services.value;
    const known = new Set([...fields.service.options].map((one) => one.value));
    for (const one of all) if (!known.has(one.name)) fields.service.append(h("option", { value: one.name }, line(one.name, 60)));
    if (state.get("service")) fields.service.value = state.get("service");
    show(routes, [...new Set(ends.map((one) => one.route))].slice(0, 200).map((value) => h("option", { value })));
    show(endpoints, ends.length ? h("ul", {}, ends.slice(0, 40).map(endpointRow)) : h("p", { class: "quiet-text" }, "None yet."));
  }

  function endpointRow(end) {
    const chosen = state.get("service") === end.service && state.get("route") === end.route;
    const text = `p50 ${duration(end.p50_us)}, p99 ${duration(end.p99_us)}`;
    return h("li", {}, h("button", { type: "button", "aria-pressed": String(chosen), onclick: () => {
      state.set(chosen ? { service: "", route: "" } : { service: end.service, route: end.route });
      fromState();
      load();
      loadSides();
    } },
    h("span", { class: "end-name" }, h("i", { class: `dot ${colourOf(end.service)}`, "aria-hidden": "true" }),
      h("span", { class: "quiet-text" }, line(end.service, 40)), h("span", { class: "end-route" }, line(end.route, 80))),
    sparkline(end.sparkline_p50, end.sparkline_p99, `${line(end.route, 80)} over time: ${text}`),
    h("span", { class: "end-numbers" }, h("span", {}, plural(end.count, "request")),
      end.errors > 0 && h("span", { class: "error-text" }, plural(end.errors, "error"))),
    h("span", { class: "end-numbers right" }, h("span", {}, `p50 ${duration(end.p50_us)}`), h("span", {}, `p99 ${duration(end.p99_us)}`))));
  }

  const refresh = whenSeen(throttled(() => { load(); }, 200));
  const refreshSides = whenSeen(throttled(() => { loadSides(); }, 5000));

  function links() {
    return [...list.querySelectorAll("a")];
  }

  function focusRow(link) {
    if (!link) return;
    link.focus();
    link.scrollIntoView({ block: "nearest" });
  }

  function move(step) {
    const all = links();
    const at = all.indexOf(document.activeElement);
    focusRow(all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.max(0, Math.min(all.length - 1, at + step))]);
  }

  async function nextError() {
    for (let tries = 0; tries < 20; tries += 1) {
      const all = links();
      const at = all.indexOf(document.activeElement);
      const found = all.slice(at + 1).find((link) => link.dataset.failed);
      if (found) return focusRow(found);
      if (!next || summaries.length >= MOST) break;
      await load(true);
    }
    return announce("No further trace with an error in this list");
  }

  fromState();
  return { node, title: "Traces",
    shown: async () => {
      loadSides();
      await load();
      if (document.activeElement === document.body) focusRow(links().find((link) => link.dataset.trace === leftFor));
    },
    onEvent: (kind) => {
      if (kind !== "trace" && kind !== "dropped") return;
      refresh();
      refreshSides();
    },
    stateChanged: () => { fromState(); load(); },
    keys: [
      { keys: ["j", "ArrowDown"], shown: "j ↓", text: "Next trace", act: () => move(1) },
      { keys: ["k", "ArrowUp"], shown: "k ↑", text: "Trace before", act: () => move(-1) },
      { keys: ["Enter"], shown: "Enter", text: "Open the trace", act: () => false },
      { keys: ["e"], shown: "e", text: "Next trace with an error", act: () => { nextError(); } },
    ],
    escape: () => {
      if (!document.activeElement || document.activeElement === document.body) return false;
      document.activeElement.blur();
      return true;
    },
    destroy: () => { changedSoon.cancel(); refresh.cancel(); refreshSides.cancel(); } };
}

export function traceRow(summary, longest) {
  const root = summary.root || {};
  const failed = summary.status === "ERROR" || summary.errors > 0;
  const others = (summary.services || []).filter((one) => one !== root.service);
  const name = root.route && !String(root.name || "").includes(root.route) ? `${root.name} ${root.route}` : root.name;
  return h("li", {}, h("a", { class: `trace-row${failed ? " failed" : ""}`, href: `/trace/${encodeURIComponent(summary.trace_id)}`,
    "data-failed": failed ? "1" : null, "data-trace": summary.trace_id },
  h("span", { class: "tr-mark" }, failed ? icon("error") : null),
  h("span", { class: "tr-main" }, h("i", { class: `dot ${colourOf(root.service || "")}`, "aria-hidden": "true" }),
    h("span", { class: "tr-root" }, line(root.service || "", 40)), h("span", { class: "tr-name" }, line(name || "no name", 160)),
    failed && h("span", { class: "tag error" }, summary.errors > 1 ? plural(summary.errors, "error") : "error"),
    summary.kept && h("span", { class: "tag kept", title: `kept: ${line(summary.kept, 40)}` }, "kept"),
    summary.partial && h("span", { class: "tag" }, "partial"),
    summary.complete === false && h("span", { class: "tag" }, "running")),
  h("span", { class: "tr-services" }, others.slice(0, 3).map(serviceChip), others.length > 3 && h("span", { class: "quiet-text" }, `+${others.length - 3}`)),
  h("span", { class: "tr-counts" }, h("span", {}, plural(summary.spans, "span")), summary.logs > 0 && h("span", {}, plural(summary.logs, "line"))),
  h("span", { class: "tr-duration" }, h("span", {}, duration(summary.duration_us)),
    h("span", { class: "meter", "aria-hidden": "true" }, h("i", { style: { width: `${Math.max(1, (Math.sqrt(summary.duration_us || 0) / Math.sqrt(longest)) * 100)}%` } }))),
  h("span", { class: "tr-time" }, isToday(summary.start_us) ? "" : `${day(summary.start_us)} `, clock(summary.start_us))));
}
