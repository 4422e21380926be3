// The waterfall: a tree and a timeline, of which only the rows that can be seen are in the document.

import { h, icon, s, show } from "./dom.js";
import { colourOf } from "./colours.js";
import { duration, line, plural } from "./format.js";
import { childless, isDatabase, keptFor, levelOf, rowsOf, titleOf } from "./model.js";

const ROW = 30;
const SPARE = 8;
const INDENT = 14;
const DEEPEST = 18;

// callbacks: onSelect(node), onOpen(node)
export function createWaterfall(callbacks) {
  const body = h("div", { class: "wf-body", role: "rowgroup" });
  const overlay = s("svg", { class: "wf-links", "aria-hidden": "true" });
  const axis = h("div", { class: "wf-axis", role: "columnheader", "aria-label": "Time" });
  const head = h("div", { class: "wf-head", role: "row", "aria-rowindex": 1 },
    h("div", { class: "wf-name", role: "columnheader" }, "Span"), axis);
  const node = h("div", { class: "waterfall", id: "waterfall", role: "treegrid", tabindex: 0, "data-list": true,
    "aria-label": "Waterfall of spans and log lines" }, head, body);
  const collapsed = new Set();
  const drawn = new Map();
  let model = null;
  let rows = [];
  let options = { logs: true, keep: null, matches: new Set() };
  let selected = null;
  let range = null;
  let frame = 0;

  function setModel(next) {
    const key = selected && selected.key;
    model = next;
    selected = null;
    range = { start: model.start, end: model.start + model.total };
    refresh();
    if (key) selectKey(key, false);
  }

  function setOptions(next) {
    options = { ...options, ...next };
    refresh();
  }

  function refresh() {
    rows = rowsOf(model, { collapsed, logs: options.logs, keep: options.keep });
    node.setAttribute("aria-rowcount", String(rows.length + 1));
    body.style.setProperty("height", `${rows.length * ROW}px`);
    drawAxis();
    redraw();
  }

  function redraw() {
    drawn.forEach((row) => row.remove());
    drawn.clear();
    draw();
  }

  function draw() {
    frame = 0;
    const first = Math.max(0, Math.floor(node.scrollTop / ROW) - SPARE);
    const last = Math.min(rows.length, Math.ceil((node.scrollTop + (node.clientHeight || 900)) / ROW) + SPARE);
    for (const [index, row] of drawn) {
      if (index < first || index >= last) {
        row.remove();
        drawn.delete(index);
      }
    }
    const fresh = document.createDocumentFragment();
    for (let index = first; index < last; index += 1) {
      if (drawn.has(index)) continue;
      const row = drawRow(rows[index], index);
      drawn.set(index, row);
      fresh.append(row);
    }
    body.append(fresh);
    drawLinks(first, last);
    const at = rows.indexOf(selected);
    if (drawn.has(at)) node.setAttribute("aria-activedescendant", `row-${at}`);
    else node.removeAttribute("aria-activedescendant");
  }

  function left(us) {
    return ((us - range.start) / (range.end - range.start)) * 100;
  }

  function drawRow(item, index) {
    const row = h("div", { class: `wf-row is-${item.kind}`, role: "row", id: `row-${index}`, "aria-rowindex": index + 2,
      "aria-level": item.depth + 1, "aria-selected": item === selected ? "true" : "false",
      style: { top: `${index * ROW}px` } });
    if (item === selected) row.classList.add("selected");
    if (options.matches.size && !options.matches.has(item)) row.classList.add("dim");
    if (item.kind === "span" && !childless(item)) row.setAttribute("aria-expanded", String(!collapsed.has(item.key)));
    const indent = h("span", { class: "wf-indent", style: { width: `${Math.min(item.depth, DEEPEST) * INDENT}px` } });
    row.append(...(item.kind === "span" ? spanCells(item, indent) : item.kind === "log" ? logCells(item, indent)
      : gapCells(item, indent)));
    row.addEventListener("click", (event) => {
      if (event.target.closest(".wf-twisty")) toggle(item);
      else {
        select(item);
        callbacks.onOpen(item);
      }
    });
    return row;
  }

  function spanCells(item, indent) {
    const { span } = item;
    const failed = span.status === "ERROR";
    const kept = keptFor(span);
    const twisty = h("span", { class: "wf-twisty", "aria-hidden": "true" },
      !childless(item) && icon(collapsed.has(item.key) ? "right" : "down"));
    const name = h("div", { class: "wf-name", role: "gridcell" }, indent, twisty,
      h("i", { class: `dot ${colourOf(span.service)}${isDatabase(span) ? " ring" : ""}`, "aria-hidden": "true" }),
      // Below a span of the same service, its colour says so.
      (!item.parent || item.parent.span.service !== span.service) && h("span", { class: "wf-service" }, line(span.service, 40)),
      h("span", { class: "wf-title" }, line(titleOf(span))),
      failed && h("span", { class: "tag error" }, "error"),
      kept && h("span", { class: "tag kept", title: `kept: ${line(kept)}` }, "kept"),
      item.orphan && h("span", { class: "tag", title: "Its parent is not in this trace" }, "no parent"),
      (span.links || []).length > 0 && h("span", { class: "tag", title: plural(span.links.length, "link") }, icon("link")));
    const from = left(item.start);
    const width = Math.max(0, left(item.end) - from);
    const time = h("div", { class: "wf-time", role: "gridcell", "aria-label": `${duration(span.duration_us)}, begins at ${
      duration(item.start - model.start)}` });
    if (from < 100 && from + width > 0) {
      const shownFrom = Math.max(0, from);
      const shownTo = Math.min(100, from + width);
      time.append(h("span", { class: `wf-bar ${colourOf(span.service)}${failed ? " failed" : ""}${kept ? " was-kept" : ""}`,
        style: { left: `${shownFrom}%`, width: `${shownTo - shownFrom}%` } }));
      for (const log of item.logs.slice(0, 50)) addTick(time, log.start, levelOf(log.log));
      for (const event of (span.events || []).slice(0, 50)) addTick(time, event.time_us, "event");
      const label = h("span", { class: "wf-label" }, duration(span.duration_us));
      // Beside the bar on the side where there is room.
      if (shownTo < 82) label.style.setProperty("left", `${shownTo}%`);
      else if (shownFrom > 18) label.style.setProperty("right", `${100 - shownFrom}%`);
      else {
        label.classList.add("inside");
        label.style.setProperty("right", `${100 - shownTo}%`);
      }
      time.append(label);
    }
    return [name, time];
  }

  function addTick(time, us, level) {
    const at = left(us);
    if (at >= 0 && at <= 100) time.append(h("span", { class: `wf-tick ${level}`, style: { left: `${at}%` } }));
  }

  function logCells(item, indent) {
    const { log } = item;
    const level = levelOf(log);
    const at = Math.max(0, Math.min(100, left(item.start)));
    const name = h("div", { class: "wf-name", role: "gridcell" }, indent, h("span", { class: "wf-twisty" }),
      h("span", { class: `level ${level}` }, line(log.level || "log", 8)),
      h("span", { class: "wf-title" }, line(log.message)));
    const label = `+${duration(item.start - model.start)}`;
    return [name, h("div", { class: "wf-time", role: "gridcell", "aria-label": `at ${duration(item.start - model.start)}` },
      h("span", { class: `wf-dot ${level}`, style: { left: `${at}%` } }),
      h("span", { class: "wf-label", style: at < 85 ? { left: `${at}%` } : { right: `${100 - at}%` } }, label))];
  }

  function gapCells(item, indent) {
    const text = item.between ? "on the way between the services" : "nothing was recorded";
    const from = Math.max(0, left(item.start));
    const to = Math.min(100, left(item.end));
    return [h("div", { class: "wf-name", role: "gridcell" }, indent, h("span", { class: "wf-twisty" }),
      h("span", { class: "wf-title" }, text)),
    h("div", { class: "wf-time", role: "gridcell", "aria-label": `${duration(item.end - item.start)}, ${text}` },
      to > from && h("span", { class: "wf-gap", style: { left: `${from}%`, width: `${to - from}%` } },
        h("span", {}, duration(item.end - item.start))))];
  }

  function drawAxis() {
    const ticks = [];
    for (const part of [0, 0.25, 0.5, 0.75, 1]) {
      const us = range.start - model.start + (range.end - range.start) * part;
      ticks.push(h("span", { class: part === 1 ? "end" : "", style: part === 1 ? { right: "0" } : { left: `${part * 100}%` } },
        us === 0 ? "0" : duration(us)));
    }
    show(axis, ticks);
  }

  // A curve from a span to the one it links to, for those of which an end can be seen.
  function drawLinks(first, last) {
    overlay.remove();
    if (!model.links.length) return;
    const index = new Map();
    rows.forEach((row, at) => { if (row.kind === "span") index.set(row, at); });
    const width = axis.clientWidth || 600;
    const paths = [];
    for (const { from, to } of model.links) {
      const [a, b] = [index.get(from), index.get(to)];
      if (a === undefined || b === undefined || (a < first && b < first) || (a >= last && b >= last)) continue;
      const x = (item) => (Math.max(0, Math.min(100, left(item.start))) / 100) * width;
      const y = (at) => at * ROW + ROW / 2;
      const bend = Math.max(18, Math.min(60, Math.abs(b - a) * 8));
      paths.push(s("path", { d: `M${x(from)} ${y(a)}C${x(from) - bend} ${y(a)} ${x(to) - bend} ${y(b)} ${x(to)} ${y(b)}` }),
        s("circle", { cx: x(to), cy: y(b), r: 3 }));
    }
    if (paths.length) {
      show(overlay, paths);
      overlay.setAttribute("height", String(rows.length * ROW));
      body.append(overlay);
    }
  }

  function select(item, visible = true) {
    if (!item) return;
    const before = drawn.get(rows.indexOf(selected));
    if (before) {
      before.classList.remove("selected");
      before.setAttribute("aria-selected", "false");
    }
    selected = item;
    const at = rows.indexOf(item);
    if (at >= 0 && visible) {
      const top = at * ROW;
      const seen = node.clientHeight - head.offsetHeight;
      if (top < node.scrollTop) node.scrollTop = top;
      else if (top + ROW > node.scrollTop + seen) node.scrollTop = top + ROW - seen;
    }
    draw();
    const row = drawn.get(at);
    if (row) {
      row.classList.add("selected");
      row.setAttribute("aria-selected", "true");
    }
    callbacks.onSelect(item);
  }

  function reveal(item) {
    let hidden = false;
    for (let above = item.parent; above; above = above.parent) hidden = collapsed.delete(above.key) || hidden;
    if (hidden || !rows.includes(item)) refresh();
    const at = rows.indexOf(item);
    // In the middle, where it is far away.
    if (at >= 0 && (at * ROW < node.scrollTop || at * ROW > node.scrollTop + node.clientHeight - 3 * ROW)) {
      node.scrollTop = Math.max(0, at * ROW - node.clientHeight / 2);
    }
    select(item);
  }

  function selectKey(key, visible = true) {
    const item = key.startsWith("s") ? model.byId.get(key.slice(1)) : rows.find((row) => row.key === key);
    if (item) (visible ? reveal : select)(item, visible);
    return item;
  }

  function move(step) {
    if (!rows.length) return;
    const at = rows.indexOf(selected);
    select(rows[at < 0 ? 0 : Math.max(0, Math.min(rows.length - 1, at + step))]);
  }

  function toggle(item, open = collapsed.has(item.key)) {
    if (childless(item)) return;
    if (open) collapsed.delete(item.key);
    else collapsed.add(item.key);
    refresh();
    select(item);
  }

  function across(direction) {
    if (!selected) return move(0);
    if (direction > 0) {
      if (!childless(selected) && collapsed.has(selected.key)) toggle(selected, true);
      else if (!childless(selected)) move(1);
    } else if (!childless(selected) && !collapsed.has(selected.key)) toggle(selected, false);
    else if (selected.parent) select(selected.parent);
    return undefined;
  }

  function nextError() {
    const failed = (row) => row.kind === "span" && row.span.status === "ERROR";
    const next = rows.slice(rows.indexOf(selected) + 1).find(failed) || model.errors[0];
    if (next) reveal(next);
  }

  function zoom(item) {
    const whole = { start: model.start, end: model.start + model.total };
    range = item && item.end > item.start ? { start: item.start, end: item.end } : whole;
    drawAxis();
    redraw();
    return range.end - range.start < whole.end - whole.start;
  }

  node.addEventListener("scroll", () => { if (!frame) frame = requestAnimationFrame(draw); }, { passive: true });
  const sized = new ResizeObserver(() => { if (model) draw(); });
  sized.observe(node);
  return { node, setModel, setOptions, select, reveal, selectKey, move, across, toggle, nextError, zoom,
    page: (direction) => move(direction * Math.max(1, Math.floor(node.clientHeight / ROW) - 2)),
    edge: (end) => rows.length && select(rows[end ? rows.length - 1 : 0]),
    get selected() { return selected; }, destroy: () => sized.disconnect() };
}
