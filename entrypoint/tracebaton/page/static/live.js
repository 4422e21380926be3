// Spans and log lines of all services in one column, as they come. Scrolling up pauses it.

import { h, icon, show, throttled } from "./dom.js";
import { serviceChip } from "./colours.js";
import { clock, count, duration, line, plural, shortId } from "./format.js";
import { levelOf, titleOf } from "./model.js";

const MOST = 1000;
const WAITING = 2000;
const AT_ONCE = 400; // in a tenth of a second; nobody reads more

export function liveView(state) {
  const list = h("div", { class: "live-list", role: "log", "aria-live": "off", "aria-label": "Spans and log lines", tabindex: 0, "data-list": true });
  const resume = h("button", { type: "button", class: "resume", hidden: true, onclick: () => follow() });
  const field = h("input", { type: "search", placeholder: "Only what has this text", "aria-label": "Only what has this text", "data-search": true, value: state.get("q") || "" });
  const what = h("select", { "aria-label": "What to show" }, [["", "Spans and lines"], ["span", "Spans"], ["log", "Lines"], ["error", "Errors"]].map(([value, text]) => h("option", { value }, text)));
  what.value = state.get("show") || "";
  const pause = h("button", { type: "button", "aria-pressed": "false", onclick: () => (paused ? follow() : stop()) }, "Pause");
  const empty = h("p", { class: "empty" }, "Waiting for spans and log lines.");
  const status = h("span", { class: "hidden", role: "status" });
  const node = h("div", { class: "live" }, h("div", { class: "page-head" }, h("h1", {}, "Live"), h("div", { class: "tools" }, field, what, pause)),
    h("div", { class: "live-stage" }, list, empty, resume), status);
  let paused = false;
  let waiting = [];
  let missed = 0;
  let skipped = 0;
  let frame = 0;
  let fresh = [];
  let placed = 0; // where the list was scrolled to by this program

  function wanted(kind, item) {
    if (what.value === "error" ? !isError(kind, item) : what.value && what.value !== kind) return false;
    const text = field.value.trim().toLowerCase();
    if (!text) return true;
    const all = kind === "span" ? `${item.service} ${item.name} ${item.target || ""} ${item.trace_id}` : `${item.service} ${item.message} ${item.level} ${item.trace_id}`;
    return all.slice(0, 20_000).toLowerCase().includes(text);
  }

  function isError(kind, item) {
    return kind === "span" ? item.status === "ERROR" : levelOf(item) === "error";
  }

  function onEvent(kind, item) {
    if (kind === "dropped") item = { kind: "dropped", dropped: typeof item === "object" ? item.count ?? item.dropped : item };
    else if ((kind !== "span" && kind !== "log") || !wanted(kind, item)) return;
    if (paused) {
      waiting.push([kind, item]);
      if (waiting.length > WAITING) {
        waiting.shift();
        missed += 1;
      }
      tellSoon();
      return;
    }
    fresh.push([kind, item]);
    if (fresh.length > AT_ONCE) {
      fresh.shift();
      skipped += 1;
    }
    if (!frame) frame = setTimeout(flush, 100);
  }

  function flush() {
    frame = 0;
    const rows = document.createDocumentFragment();
    if (skipped) rows.append(liveRow("dropped", { dropped: skipped }));
    skipped = 0;
    for (const [kind, item] of fresh) rows.append(liveRow(kind, item));
    fresh = [];
    list.append(rows);
    while (list.childElementCount > MOST) list.firstChild.remove();
    empty.hidden = list.childElementCount > 0;
    toEnd();
  }

  function toEnd() {
    list.scrollTop = list.scrollHeight;
    placed = list.scrollTop;
  }

  function stop() {
    if (paused) return;
    paused = true;
    pause.setAttribute("aria-pressed", "true");
    show(pause, "Resume");
    tell();
  }

  function follow() {
    paused = false;
    pause.setAttribute("aria-pressed", "false");
    show(pause, "Pause");
    fresh.push(...waiting);
    fresh = fresh.slice(-MOST);
    waiting = [];
    missed = 0;
    resume.hidden = true;
    show(status, "Following");
    flush();
  }

  function tell() {
    resume.hidden = false;
    show(resume, icon("down"), waiting.length ? `${count(waiting.length + missed)} more` : "Paused");
    show(status, "Paused");
  }
  const tellSoon = throttled(tell, 200);

  list.addEventListener("scroll", () => {
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 8;
    if (!atEnd && list.scrollTop < placed - 4) stop();
    else if (atEnd && paused && list.scrollTop > placed - 4) follow();
  }, { passive: true });
  const filterSoon = throttled(() => {
    state.set({ q: field.value.trim(), show: what.value });
    for (const row of list.children) row.hidden = row.item && !wanted(row.item[0], row.item[1]);
    if (!paused) toEnd();
  }, 150);
  field.addEventListener("input", filterSoon);
  what.addEventListener("change", filterSoon);

  function move(step) {
    const links = [...list.querySelectorAll("a:not([hidden] *)")].filter((one) => !one.closest("[hidden]"));
    const at = links.indexOf(document.activeElement);
    const next = links[at < 0 ? links.length - 1 : Math.max(0, Math.min(links.length - 1, at + step))];
    if (!next) return;
    stop();
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  }

  return { node, title: "Live", shown: () => list.focus({ preventScroll: true }), onEvent,
    keys: [
      { keys: ["j"], shown: "j", text: "Next", act: () => move(1) },
      { keys: ["k"], shown: "k", text: "Before", act: () => move(-1) },
      { keys: ["Enter"], shown: "Enter", text: "Open its trace", act: () => false },
      { keys: ["p", " "], shown: "p", text: "Pause, and resume", act: (event) => (event.key === " " && event.target.closest("button, a") ? false : paused ? follow() : stop()) },
    ],
    escape: () => { if (!paused) return false; follow(); return true; },
    destroy: () => { clearTimeout(frame); tellSoon.cancel(); filterSoon.cancel(); } };
}

function liveRow(kind, item) {
  if (kind === "dropped") return h("div", { class: "live-row note" }, `${plural(item.dropped || 0, "event")} left out: they came faster than they could be shown`);
  const failed = kind === "span" ? item.status === "ERROR" : levelOf(item) === "error";
  const href = item.trace_id ? `/trace/${encodeURIComponent(item.trace_id)}${item.span_id ? `?span=${encodeURIComponent(item.span_id)}` : ""}` : null;
  const text = kind === "span" ? titleOf(item) : item.message;
  const row = h("div", { class: `live-row ${kind}${failed ? " failed" : ""}` },
    h("span", { class: "live-time" }, clock(kind === "span" ? item.start_us + (item.duration_us || 0) : item.time_us)),
    serviceChip(item.service),
    kind === "span" ? h("span", { class: "kind" }, String(item.kind || "").toLowerCase()) : h("span", { class: `level ${levelOf(item)}` }, line(item.level || "log", 8)),
    href ? h("a", { class: "live-text", href }, line(text)) : h("span", { class: "live-text" }, line(text)),
    h("span", { class: "live-end number" }, kind === "span" ? duration(item.duration_us) : item.trace_id ? shortId(item.trace_id) : ""));
  row.item = [kind, item];
  return row;
}
