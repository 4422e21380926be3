// The page: which view an address is, the keyboard, and what comes in.

import { addressState } from "./address.js";
import { ask } from "./api.js";
import { announce, h, icon, show, throttled, whenSeen } from "./dom.js";
import { compareView } from "./compare.js";
import { focusSearch, openHelp, setCommonKeys, setKeys, startKeys } from "./keys.js";
import { liveView } from "./live.js";
import { servicesView } from "./services.js";
import { listen } from "./stream.js";
import { line, shortId } from "./format.js";
import { titleOf } from "./model.js";
import { createTraceView } from "./traceview.js";
import { tracesView } from "./traces.js";

const main = document.getElementById("main");
let view = null;

const state = addressState(() => location.search.slice(1),
  (text) => history.replaceState(history.state, "", text ? `${location.pathname}?${text}` : location.pathname));
// The list that was left for a trace, and which trace that was: one comes back to both.
let listAddress = "/traces";
let leftFor = "";

export function go(path) {
  state.settle();
  if (["/", "/traces"].includes(location.pathname)) listAddress = location.pathname + location.search;
  if (path !== location.pathname + location.search) history.pushState({}, "", path);
  open();
}

function open() {
  const [, first = "", second = ""] = location.pathname.split("/");
  const id = decoded(second);
  state.drop();
  if (view) view.destroy();
  document.querySelectorAll("dialog").forEach((one) => one.close());
  setKeys([]);
  main.scrollTop = 0;
  window.scrollTo(0, 0);
  const name = first === "trace" ? "traces" : first || "traces";
  document.querySelectorAll("nav [data-view]").forEach((link) => {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  });
  document.body.dataset.page = first || "traces";
  if (first === "" || first === "traces") use(tracesView(state, leftFor));
  else if (first === "trace" && id) use(tracePage(id));
  else if (first === "services") use(servicesView());
  else if (first === "live") use(liveView(state));
  else if (first === "compare") use(compareView(id, state, go));
  else use({ node: h("div", {}, h("h1", {}, "There is no such page"), h("p", {}, h("a", { href: "/traces" }, "All traces"))), title: "Not found", shown: () => {}, keys: [], destroy: () => {} });
}

function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

function use(next) {
  view = next;
  document.title = `${next.title} · tracebaton`;
  setKeys(next.keys);
  show(main, next.node);
  next.shown();
}

function tracePage(id) {
  leftFor = id;
  const node = h("div", { class: "trace-page" }, h("p", { class: "empty" }, "Loading the trace …"));
  let inner = null;
  let whole = id;
  let gone = false;
  const page = { node, title: `Trace ${shortId(id)}`, keys: [], shown: load,
    escape: () => {
      if (inner && inner.escape()) return true;
      go(listAddress);
      return true;
    },
    onEvent: (kind, data) => { if (kind === "trace" && data.trace_id === whole) seen(); },
    destroy: () => { gone = true; seen.cancel(); if (inner) inner.destroy(); } };
  const nextKey = { keys: ["e"], shown: "e", text: "Next trace with an error", act: () => { nextError(); } };
  const compareKey = { keys: ["c"], shown: "c", text: "Compare with the last good one", act: () => go(`/compare/${whole}`) };

  async function load() {
    try {
      const trace = await ask(`/api/trace/${encodeURIComponent(id)}`);
      if (gone) return;
      whole = trace.trace_id;
      inner = createTraceView(trace, state, { actions, traceHref: (other, span) => `/trace/${encodeURIComponent(other)}?span=${encodeURIComponent(span)}` });
      show(node, inner.node);
      inner.shown();
      page.keys.push(...inner.keys, nextKey, compareKey);
      setKeys(page.keys);
      const root = trace.spans[0];
      if (root) document.title = `${line(titleOf(root), 80)} · tracebaton`;
    } catch (error) {
      if (!gone) show(node, h("h1", {}, "Trace"), h("p", { class: "notice", role: "alert" }, error.message), h("p", {}, h("a", { href: "/traces" }, "All traces")));
    }
  }

  const again = throttled(async () => {
    try {
      const trace = await ask(`/api/trace/${encodeURIComponent(whole)}`);
      if (!gone && inner) inner.update(trace);
    } catch (error) {
      announce(error.message);
    }
  }, 400);

  const seen = whenSeen(again);

  async function nextError() {
    try {
      const { traces } = await ask("/api/traces", { status: "error", limit: 200 });
      const at = traces.findIndex((one) => one.trace_id === whole);
      const next = traces[at + 1] || traces[0];
      if (next && next.trace_id !== whole) go(`/trace/${next.trace_id}`);
      else announce("No other trace has an error");
    } catch (error) {
      announce(error.message);
    }
  }

  function actions(model) {
    const path = `/trace/${encodeURIComponent(model.trace.trace_id)}`;
    const menu = h("details", { class: "menu" }, h("summary", { class: "button" }, icon("share"), "Share"),
      h("div", { class: "menu-box" }, h("a", { href: `${path}.html`, download: true }, h("strong", {}, "HTML file"), h("span", {}, "opens in any browser, without this tool")),
        h("a", { href: `${path}.json`, download: true }, h("strong", {}, "OTLP JSON"), h("span", {}, "opens with tracebaton view FILE"))));
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      menu.open = false;
      menu.querySelector("summary").focus();
      event.preventDefault();
    });
    menu.addEventListener("focusout", (event) => { if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false; });
    return [h("a", { class: "button", href: `/compare/${encodeURIComponent(model.trace.trace_id)}` }, "Compare"), menu];
  }
  return page;
}

document.addEventListener("click", (event) => {
  document.querySelectorAll("details.menu[open]").forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; });
  const link = event.target.closest("a[href]");
  if (!link || event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  if (link.origin !== location.origin || link.hasAttribute("download") || link.classList.contains("skip")) return;
  event.preventDefault();
  go(link.pathname + link.search);
});
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
document.getElementById("help-button").addEventListener("click", openHelp);
window.addEventListener("popstate", open);

setCommonKeys([
  { keys: ["/"], shown: "/", text: "Search", act: () => focusSearch() },
  { keys: ["t"], shown: "t", text: "Traces", act: () => go("/traces") },
  { keys: ["s"], shown: "s", text: "Services", act: () => go("/services") },
  { keys: ["l"], shown: "l", text: "Live", act: () => go("/live") },
  { keys: ["?"], shown: "?", text: "This help", act: () => openHelp() },
  { keys: ["Escape"], shown: "Esc", text: "Close, or go back", act: () => view && view.escape ? view.escape() : false },
]);
startKeys();

const connection = document.getElementById("connection");
listen((kind, data) => { if (view && view.onEvent) view.onEvent(kind, data); }, (now) => {
  connection.className = `connection ${now}`;
  show(connection, now === "connected" ? "live" : now === "disconnected" ? "disconnected" : "");
});
open();
