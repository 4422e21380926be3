// A trace as a tree of what happened: spans, their log lines, and the times that neither explains.

export function buildModel(trace) {
  const spans = [];
  const byId = new Map();
  for (const span of trace.spans || []) {
    if (byId.has(span.span_id)) continue;
    const node = { kind: "span", span, children: [], items: [], logs: [], depth: 0, parent: null, key: `s${span.span_id}`,
      start: span.start_us, end: span.start_us + Math.max(0, span.duration_us) };
    byId.set(span.span_id, node);
    spans.push(node);
  }
  const roots = [];
  for (const node of spans) {
    const parent = byId.get(node.span.parent_span_id);
    if (parent && parent !== node) parent.children.push(node);
    else {
      node.orphan = Boolean(node.span.parent_span_id);
      roots.push(node);
    }
  }
  const order = inOrder(roots, spans);
  const loose = attachLogs(trace.logs || [], byId);
  let start = Infinity;
  let end = -Infinity;
  for (const node of [...spans, ...loose]) {
    start = Math.min(start, node.start);
    end = Math.max(end, node.end);
  }
  for (const node of spans) for (const log of node.logs) end = Math.max(end, log.start);
  if (!Number.isFinite(start)) { start = 0; end = 0; }
  const model = { trace, spans, byId, roots, order, start, end, loose, total: Math.max(1, end - start) };
  for (const node of spans) node.items = itemsOf(node, model.total);
  model.top = [...roots, ...loose].sort((a, b) => a.start - b.start);
  model.services = servicesOf(order);
  model.errors = order.filter((node) => node.span.status === "ERROR");
  model.failedFirst = failedFirst(model.errors);
  model.links = linksOf(order, byId);
  return model;
}

// Depth first, without recursion: a chain may be as deep as the trace is long. A circle of parents is cut at its first span.
function inOrder(roots, spans) {
  const seen = new Set();
  const order = [];
  const walk = (first) => {
    const waiting = [first];
    while (waiting.length) {
      const node = waiting.pop();
      if (seen.has(node)) continue;
      seen.add(node);
      order.push(node);
      node.children = node.children.filter((child) => !seen.has(child)).sort((a, b) => a.start - b.start);
      for (let index = node.children.length - 1; index >= 0; index -= 1) {
        const child = node.children[index];
        child.parent = node;
        child.depth = node.depth + 1;
        waiting.push(child);
      }
    }
  };
  roots.sort((a, b) => a.start - b.start);
  roots.forEach(walk);
  for (const node of spans) {
    if (seen.has(node)) continue;
    node.orphan = true;
    node.parent = null;
    node.depth = 0;
    roots.push(node);
    walk(node);
  }
  return order;
}

function attachLogs(logs, byId) {
  const loose = [];
  logs.forEach((log, index) => {
    const owner = byId.get(log.span_id);
    const node = { kind: "log", log, start: log.time_us, end: log.time_us, parent: owner || null,
      depth: owner ? owner.depth + 1 : 0, key: `l${index}` };
    (owner ? owner.logs : loose).push(node);
  });
  return loose;
}

// What a span shows below itself, by time. A gap is a tenth of the trace or more, and a millisecond or more, in which none
// of its children ran and none of its lines was written.
function itemsOf(node, total) {
  const items = [...node.children, ...node.logs];
  if (items.length === 0) return items;
  items.sort((a, b) => a.start - b.start || (a.kind === "log" ? -1 : 1));
  const least = Math.max(1000, total / 10);
  const gaps = [];
  let at = node.start;
  const gap = (until) => {
    if (until - at >= least) {
      gaps.push({ kind: "gap", start: at, end: until, parent: node, depth: node.depth + 1,
        key: `g${node.span.span_id}-${gaps.length}`, between: between(node) });
    }
  };
  for (const item of items) {
    if (item.start > node.end) break;
    gap(item.start);
    at = Math.max(at, item.end);
  }
  gap(node.end);
  return gaps.length ? [...items, ...gaps].sort((a, b) => a.start - b.start) : items;
}

// A call's own time beside that of the request it made is spent on the way.
function between(node) {
  return ["CLIENT", "PRODUCER"].includes(node.span.kind)
    && node.children.some((child) => child.span.service !== node.span.service);
}

function servicesOf(order) {
  const services = new Map();
  for (const { span } of order) {
    const one = services.get(span.service) || { name: span.service, spans: 0, errors: 0 };
    one.spans += 1;
    if (span.status === "ERROR") one.errors += 1;
    services.set(span.service, one);
  }
  return [...services.values()];
}

// The failed span that has no failed one below it; of several, the one that ended first.
function failedFirst(errors) {
  const failing = new Set(errors);
  const innermost = errors.filter((node) => !node.children.some((child) => failing.has(child)));
  return innermost.reduce((first, node) => (!first || node.end < first.end ? node : first), null);
}

// What a failed span says of its failure: as `tracebaton trace` has it (trace/report.py).
export function whyFailed(span) {
  if (span.status_message) return span.status_message;
  const found = (span.events || []).filter((event) => event.name === "exception").pop();
  const said = found && ["exception.type", "exception.message"].map((name) => found.attributes[name]).filter(Boolean);
  if (said && said.length) return said.join(": ");
  const status = span.attributes["http.response.status_code"] || span.attributes["http.status_code"];
  return status ? `HTTP ${status}` : String(span.attributes["error.type"] || "");
}

function linksOf(order, byId) {
  const links = [];
  for (const node of order) {
    for (const link of node.span.links || []) {
      const target = byId.get(link.span_id);
      if (target && target !== node) links.push({ from: node, to: target });
    }
  }
  return links.slice(0, 500);
}

export function childless(node) {
  return node.kind !== "span" || node.items.length === 0;
}

// The rows to show. `collapsed` has keys; `keep` is null or says which nodes stay (those that match, and what is above them).
export function rowsOf(model, { collapsed, logs, keep }) {
  const rows = [];
  const waiting = [...model.top].reverse();
  while (waiting.length) {
    const node = waiting.pop();
    if (node.kind === "log" && !logs) continue;
    if (keep && !keep.has(node)) continue;
    rows.push(node);
    if (node.kind !== "span" || (collapsed.has(node.key) && !keep)) continue;
    for (let index = node.items.length - 1; index >= 0; index -= 1) waiting.push(node.items[index]);
  }
  return rows;
}

function haystack(node) {
  if (node.text === undefined) {
    const parts = node.kind === "span"
      ? [node.span.name, node.span.service, node.span.kind, node.span.target, node.span.status_message, node.span.span_id,
        JSON.stringify(node.span.attributes || {})]
      : [node.log.message, node.log.service, node.log.level, node.log.logger, node.log.exception,
        JSON.stringify(node.log.fields || {})];
    node.text = parts.map((part) => String(part ?? "").slice(0, 20_000)).join("\n").toLowerCase();
  }
  return node.text;
}

// {matches: [nodes], keep: Set} for what has the text in it, upper and lower case alike.
export function search(model, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return { matches: [], keep: null };
  const matches = [];
  const keep = new Set();
  const look = (node) => {
    if (!haystack(node).includes(wanted)) return;
    matches.push(node);
    for (let above = node; above && !keep.has(above); above = above.parent) keep.add(above);
  };
  model.loose.forEach(look);
  for (const node of model.order) {
    look(node);
    node.logs.forEach(look);
  }
  return { matches, keep };
}

// What a span is called in a row. A CLIENT span says where it went.
export function titleOf(span) {
  return ["CLIENT", "PRODUCER"].includes(span.kind) && span.target ? span.target : span.name;
}

// "error", "slow" or what else a span says it was kept for although its request was not sampled; "" for others.
export function keptFor(span) {
  const value = (span.attributes || {})["tracebaton.kept"];
  return value === undefined || value === null || value === false ? "" : String(value);
}

export function isDatabase(span) {
  const attributes = span.attributes || {};
  return Boolean(attributes["db.system"] || attributes["db.system.name"]);
}

export function levelOf(log) {
  const level = String(log.level || "").toUpperCase();
  if (["ERROR", "CRITICAL", "FATAL"].includes(level)) return "error";
  if (["WARN", "WARNING"].includes(level)) return "warn";
  return ["DEBUG", "TRACE", "NOTSET"].includes(level) ? "debug" : "info";
}
