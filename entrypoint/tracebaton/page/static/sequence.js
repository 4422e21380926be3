// Who spoke to whom, from top to bottom: a column for each service and for what is called but sends no spans.

import { h, s } from "./dom.js";
import { colourOf } from "./colours.js";
import { count, duration, line, plural } from "./format.js";
import { isDatabase, titleOf } from "./model.js";

const MOST = 400;
const STEP = 34;
const TOP = 56;

// [{from, to, label, node, database, times, last: the node of the last one}] by time; like calls in a row are one.
function messagesOf(model) {
  const messages = [];
  for (const node of model.order) {
    const { span } = node;
    if (span.kind === "CLIENT" || span.kind === "PRODUCER") {
      const served = node.children.filter((child) => child.span.service !== span.service);
      if (served.length) served.forEach((child) => messages.push(message(node, child.span.service, child)));
      else messages.push(message(node, calledBy(span)));
    } else if (!node.parent && (span.kind === "SERVER" || span.kind === "CONSUMER")) {
      messages.push({ ...message(node, span.service), from: "client", label: titleOf(span), outside: true });
    } else if (node.parent && node.parent.span.service !== span.service
      && !["CLIENT", "PRODUCER"].includes(node.parent.span.kind)) {
      messages.push({ ...message(node.parent, span.service, node), at: node.start });
    }
  }
  messages.sort((a, b) => a.at - b.at);
  const merged = [];
  for (const one of messages) {
    const before = merged[merged.length - 1];
    if (before && before.from === one.from && before.to === one.to && before.label === one.label && one.database && !one.failed) {
      before.times += 1;
      before.us += one.us;
    } else merged.push(one);
  }
  return merged;
}

function message(node, to, served = null) {
  const { span } = node;
  return { from: span.service, to, node, served, at: node.start, end: node.end, us: span.duration_us, times: 1, label: label(span, served),
    database: isDatabase(span), failed: span.status === "ERROR" || Boolean(served && served.span.status === "ERROR"),
    oneWay: span.kind === "PRODUCER" };
}

function label(span, served) {
  return served && served.span.name ? served.span.name : titleOf(span);
}

function calledBy(span) {
  const attributes = span.attributes || {};
  return String(attributes["db.system.name"] || attributes["db.system"] || attributes["messaging.system"]
    || attributes["server.address"] || attributes["net.peer.name"] || attributes["peer.service"] || "not traced");
}

export function sequence(model, onSelect) {
  const all = messagesOf(model);
  const messages = all.slice(0, MOST);
  if (!messages.length) return h("p", { class: "empty" }, "No service called another in this trace.");
  const names = [];
  for (const one of messages) for (const name of [one.from, one.to]) if (!names.includes(name)) names.push(name);
  const services = new Set(model.services.map((one) => one.name));
  const lane = matchMedia("(max-width: 700px)").matches ? 118 : names.length > 5 ? 150 : 190;
  const x = (name) => lane / 2 + 10 + names.indexOf(name) * lane;
  // An answer is a row of its own where something else happened meanwhile.
  const rows = [];
  for (const one of messages) {
    rows.push({ at: one.at, order: 0, one });
    if (!one.oneWay && !one.database && one.from !== one.to) rows.push({ at: one.end, order: 1, one, answer: true });
  }
  rows.sort((a, b) => a.at - b.at || a.order - b.order);
  const height = TOP + rows.length * STEP + 24;
  const width = lane + 20 + (names.length - 1) * lane;
  const figure = s("svg", { class: "seq", width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  for (const name of names) {
    const outside = !services.has(name);
    figure.append(s("line", { class: "seq-life", x1: x(name), x2: x(name), y1: 40, y2: height - 8 }),
      s("g", {}, s("title", {}, line(name)), s("rect", { class: `seq-head${outside ? " outside" : ""}`, x: x(name) - lane / 2 + 14, y: 8, width: lane - 28, height: 30, rx: 6 }),
        !outside && s("circle", { class: `fill ${colourOf(name)}`, cx: x(name) - lane / 2 + 28, cy: 23, r: 5 }),
        s("text", { x: x(name) + (outside ? 0 : 7), y: 28, "text-anchor": "middle" }, short(name, lane / 9))));
  }
  rows.forEach(({ one, answer, at }, index) => figure.append(arrow(one, answer, TOP + index * STEP + 14, x, lane, at - model.start, onSelect)));
  return h("div", { class: "seq-view" },
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Sequence diagram", "data-list": true }, figure),
    all.length > MOST && h("p", { class: "quiet-text" }, `The first ${count(MOST)} of ${plural(all.length, "call")}.`),
    h("ol", { class: "hidden", "aria-label": "Calls in order" }, messages.map((one) => h("li", {},
      `${line(one.from, 60)} to ${line(one.to, 60)}: ${line(one.label, 120)}${one.times > 1 ? `, ${one.times} times` : ""}, ${duration(one.us)}${one.failed ? ", failed" : ""}`))));
}

function arrow(one, answer, y, x, lane, offset, onSelect) {
  const [from, to] = answer ? [x(one.to), x(one.from)] : [x(one.from), x(one.to)];
  const group = s("g", { class: `seq-call${answer ? " answer" : ""}${one.failed ? " failed" : ""}` });
  const text = answer ? `${one.failed ? "failed · " : ""}${duration(one.us)}`
    : `${short(one.label, Math.max(1, Math.abs(names(from, to, lane))) * (lane / 7.2))}${one.times > 1 ? ` ×${one.times}` : ""}`;
  group.append(s("title", {}, `${line(one.label)} · +${duration(offset)} · ${duration(one.us)}`));
  if (from === to) {
    group.append(s("path", { d: `M${from} ${y - 4}h36v12h-30` }), s("path", { class: "tip", d: `M${from} ${y + 8}l7 -4v8z` }),
      s("text", { x: from + 44, y: y + 5 }, text));
  } else {
    const way = to > from ? 1 : -1;
    group.append(s("line", { x1: from, x2: to - way * 7, y1: y, y2: y }), s("path", { class: "tip", d: `M${to} ${y}l${-way * 8} -4v8z` }),
      s("text", { x: (from + to) / 2, y: y - 6, "text-anchor": "middle" }, text));
  }
  group.addEventListener("click", () => onSelect(one.node));
  return group;
}

function names(from, to, lane) {
  return Math.round((to - from) / lane);
}

function short(text, characters) {
  const one = line(text, 200);
  const most = Math.max(6, Math.floor(characters));
  return one.length > most ? `${one.slice(0, most - 1)}…` : one;
}
