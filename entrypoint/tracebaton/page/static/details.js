// Everything about one span, line or gap, each value with a button that copies it.

import { copyButton, h, show } from "./dom.js";
import { serviceChip } from "./colours.js";
import { clock, count, duration, plain, shortId } from "./format.js";
import { keptFor, levelOf, titleOf, whyFailed } from "./model.js";

const LONG = 2000;

// callbacks: traceHref(id) or null where other traces cannot be opened, onSpan(span_id), onZoom(node)
export function detailsOf(node, model, callbacks) {
  if (node.kind === "log") return logDetails(node, model, callbacks);
  if (node.kind === "gap") return gapDetails(node, model);
  return spanDetails(node, model, callbacks);
}

function spanDetails(node, model, callbacks) {
  const { span } = node;
  const kept = keptFor(span);
  const failed = span.status === "ERROR";
  const attributes = pairs(span.attributes);
  const scope = span.scope || {};
  return [
    h("p", { class: "kicker" }, serviceChip(span.service), h("span", { class: "kind" }, span.kind)),
    h("h2", { tabindex: -1, class: "detail-title" }, plain(titleOf(span), LONG)),
    failed && h("p", { class: "failure" }, h("strong", {}, "Error"), whyFailed(span) && ` ${plain(whyFailed(span), LONG)}`),
    h("dl", { class: "facts" }, fact("Duration", duration(span.duration_us)),
      fact("Begins", `+${duration(node.start - model.start)}`), fact("At", clock(span.start_us)),
      kept && fact("Kept", plain(kept))),
    h("p", { class: "buttons" }, callbacks.onZoom && h("button", { type: "button", onclick: () => callbacks.onZoom(node) }, "Zoom to it")),
    section("Attributes", attributes),
    listSection("Events", span.events, (event) => [h("p", { class: "moment" }, h("strong", {}, plain(event.name)),
      h("span", { class: "quiet-text" }, `+${duration(event.time_us - model.start)}`)), table(pairs(event.attributes))]),
    listSection("Links", span.links, (link) => linkTo(link, model, callbacks)),
    listSection("Log lines", node.logs, (log) => [h("p", { class: "moment" },
      h("span", { class: `level ${levelOf(log.log)}` }, plain(log.log.level || "log", 12)),
      h("span", { class: "quiet-text" }, `+${duration(log.start - model.start)}`)), value(log.log.message),
    log.log.exception && value(log.log.exception)]),
    section("Span", [["name", span.name], ["span_id", span.span_id], ["parent_span_id", span.parent_span_id || "none"],
      ["trace_id", model.trace.trace_id], ["scope", [scope.name, scope.version].filter(Boolean).join(" ") || "none"]]),
    section("Resource", pairs(span.resource), false),
  ];
}

function linkTo(link, model, callbacks) {
  const inside = model.byId.has(link.span_id) && (!link.trace_id || link.trace_id === model.trace.trace_id);
  const text = inside ? `span ${shortId(link.span_id)} of this trace` : `trace ${shortId(link.trace_id)}, span ${shortId(link.span_id)}`;
  const href = !inside && callbacks.traceHref && callbacks.traceHref(link.trace_id, link.span_id);
  return [h("p", { class: "moment" }, inside
    ? h("button", { type: "button", class: "plain", onclick: () => callbacks.onSpan(link.span_id) }, text)
    : href ? h("a", { href }, text) : text), table(pairs(link.attributes))];
}

function logDetails(node, model, callbacks) {
  const { log } = node;
  return [
    h("p", { class: "kicker" }, serviceChip(log.service), h("span", { class: `level ${levelOf(log)}` }, plain(log.level || "log", 12))),
    h("h2", { tabindex: -1, class: "detail-title" }, "Log line"),
    value(log.message),
    h("dl", { class: "facts" }, fact("Written", `+${duration(node.start - model.start)}`), fact("At", clock(log.time_us)),
      log.logger && fact("Logger", plain(log.logger))),
    h("p", { class: "buttons" }, node.parent
      ? h("button", { type: "button", onclick: () => callbacks.onSpan(log.span_id) }, "Its span")
      : h("span", { class: "quiet-text" }, "Its span is not in this trace.")),
    log.exception && [h("h3", {}, "Exception"), value(log.exception)],
    section("Fields", pairs(log.fields)),
  ];
}

function gapDetails(node, model) {
  return [
    h("p", { class: "kicker" }, serviceChip(node.parent.span.service)),
    h("h2", { tabindex: -1, class: "detail-title" }, `${duration(node.end - node.start)} that nothing explains`),
    h("p", {}, node.between
      ? "The call had begun, or had not ended, while the other service's request was not running: time on the way, in a queue, or before the request was taken."
      : "The span ran, but none of its children did and no line was logged. It computed, waited for a lock or a thread, or called something that is not traced."),
    h("dl", { class: "facts" }, fact("From", `+${duration(node.start - model.start)}`), fact("To", `+${duration(node.end - model.start)}`),
      fact("Within", plain(titleOf(node.parent.span)))),
  ];
}

function fact(name, text) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, text));
}

function pairs(object) {
  return Object.entries(object || {}).sort(([a], [b]) => (a < b ? -1 : 1));
}

function section(title, list, open = true) {
  if (!list.length) return null;
  return h("details", { open, class: "section" }, h("summary", {}, title, h("span", { class: "quiet-text" }, count(list.length))), table(list));
}

function listSection(title, list, each) {
  if (!list || !list.length) return null;
  const shown = list.slice(0, 100).map((one) => h("div", { class: "entry" }, each(one)));
  return h("details", { open: true, class: "section" }, h("summary", {}, title, h("span", { class: "quiet-text" }, count(list.length))),
    shown, list.length > 100 && h("p", { class: "quiet-text" }, `${count(list.length - 100)} more`));
}

function table(list) {
  if (!list.length) return null;
  return h("dl", { class: "pairs" }, list.slice(0, 500).map(([name, one]) => {
    const text = asText(one);
    return h("div", {}, h("dt", {}, plain(name)),
      h("dd", {}, value(text), copyButton(`Copy ${plain(name, 60)}`, () => text)));
  }));
}

function asText(one) {
  return typeof one === "string" ? one : JSON.stringify(one, null, Array.isArray(one) || (one && typeof one === "object") ? 1 : 0);
}

// The text as it is, but for control characters; a long one as a beginning with a button for the rest.
export function value(text) {
  const whole = String(text ?? "");
  if (whole.length <= LONG) return h("pre", { class: "value" }, plain(whole, LONG));
  const place = h("pre", { class: "value", tabindex: 0 }, plain(whole, LONG));
  const button = h("button", { type: "button", class: "plain" }, `Show all ${count(whole.length)} characters`);
  button.addEventListener("click", () => {
    show(place, plain(whole, whole.length));
    button.remove();
  });
  return h("div", {}, place, button);
}
