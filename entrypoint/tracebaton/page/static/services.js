// Who calls whom: a graph, and the same numbers as tables.

import { ask } from "./api.js";
import { sparkline } from "./charts.js";
import { h, s, show, throttled, whenSeen } from "./dom.js";
import { colourOf, serviceChip } from "./colours.js";
import { count, duration, line, percent, plural } from "./format.js";

const NODE = { width: 172, height: 58 };

export function servicesView() {
  const graph = h("div", { class: "graph-place" });
  const tables = h("div", { class: "service-tables" });
  const node = h("div", { class: "services" }, h("div", { class: "page-head" }, h("h1", {}, "Services"),
    h("p", { class: "quiet-text" }, "Who calls whom, over all that is stored: calls, p50 · p99")), graph, tables);

  async function load() {
    try {
      const all = await ask("/api/services");
      if (!(all.services || []).length) {
        show(tables);
        show(graph, h("p", { class: "empty" }, "No services yet. They appear with the first spans."));
        return;
      }
      const narrow = matchMedia("(max-width: 700px)").matches;
      show(graph, h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Graph of services", "data-list": true }, serviceGraph(all, narrow)));
      const scroller = graph.firstChild;
      scroller.scrollLeft = (scroller.scrollWidth - scroller.clientWidth) / 2;
      show(tables, serviceTable(all.services), edgeTable(all.edges || []), endpointTable(all.endpoints || []));
    } catch (error) {
      show(graph, h("p", { class: "notice", role: "alert" }, error.message));
    }
  }
  const refresh = whenSeen(throttled(load, 3000));
  return { node, title: "Services", shown: load, onEvent: (kind) => { if (kind === "trace") refresh(); }, keys: [], destroy: refresh.cancel };
}

// Ranks: a service stands after those that call it; edges that would close a circle are not counted.
function ranksOf(names, edges) {
  const out = new Map(names.map((name) => [name, []]));
  for (const edge of edges) if (edge.from !== edge.to) out.get(edge.from)?.push(edge.to);
  const called = new Set(edges.filter((edge) => edge.from !== edge.to).map((edge) => edge.to));
  const starts = names.filter((name) => !called.has(name));
  const state = new Map();
  const order = [];
  const visit = (first) => {
    const waiting = [[first, 0]];
    state.set(first, "open");
    while (waiting.length) {
      const top = waiting[waiting.length - 1];
      const nexts = out.get(top[0]);
      if (top[1] < nexts.length) {
        const next = nexts[top[1]];
        top[1] += 1;
        if (!state.has(next)) {
          state.set(next, "open");
          waiting.push([next, 0]);
        } else if (state.get(next) === "open") nexts[top[1] - 1] = null;
      } else {
        state.set(top[0], "done");
        order.push(top[0]);
        waiting.pop();
      }
    }
  };
  for (const name of [...starts, ...names]) if (!state.has(name)) visit(name);
  const ranks = new Map(names.map((name) => [name, 0]));
  for (const name of order.reverse()) {
    for (const next of out.get(name)) if (next !== null) ranks.set(next, Math.max(ranks.get(next), ranks.get(name) + 1));
  }
  return ranks;
}

function serviceGraph(all, narrow) {
  const edges = merged(all.edges || []);
  const known = new Map(all.services.slice(0, 80).map((one) => [one.name, one]));
  const names = [...new Set([...known.keys(), ...edges.flatMap((edge) => [edge.from, edge.to])])];
  const ranks = ranksOf(names, edges);
  const columns = Array.from({ length: Math.max(...ranks.values()) + 1 }, () => []);
  for (const name of names) columns[ranks.get(name)].push(name);
  const steps = [];
  for (const edge of edges) {
    // An edge over several columns goes through a place of its own in each, so that it meets no box.
    edge.via = [];
    let before = edge.from;
    for (let rank = ranks.get(edge.from) + 1; rank < ranks.get(edge.to); rank += 1) {
      const place = { edge };
      columns[rank].push(place);
      edge.via.push(place);
      steps.push([before, place]);
      before = place;
    }
    if (ranks.get(edge.to) > ranks.get(edge.from)) steps.push([before, edge.to]);
  }
  arrange(columns, steps);
  // `side` is across the direction in which the calls go, `along` is that direction.
  const size = narrow ? { side: NODE.width, along: NODE.height, gap: 14, via: 84, step: NODE.height + 84 }
    : { side: NODE.height, along: NODE.width, gap: 30, via: 40, step: NODE.width + 166 };
  const spanOf = (item) => (item.edge ? size.via : size.side) + size.gap;
  const lengths = columns.map((column) => column.reduce((sum, item) => sum + spanOf(item), 0));
  const widest = Math.max(...lengths);
  const places = new Map();
  columns.forEach((column, rank) => {
    let side = 12 + (widest - lengths[rank]) / 2;
    for (const item of column) {
      const along = 12 + rank * size.step;
      places.set(item, narrow ? { x: side, y: along } : { x: along, y: side });
      side += spanOf(item);
    }
  });
  const back = edges.some((edge) => ranks.get(edge.to) <= ranks.get(edge.from)) ? 76 : 0;
  const far = 24 + (columns.length - 1) * size.step + size.along;
  const width = narrow ? 24 + widest + back : far;
  const height = narrow ? far : 24 + widest + back;
  const most = Math.max(1, ...edges.map((edge) => edge.count));
  const figure = s("svg", { class: "graph", width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `${plural(names.length, "service")}, ${plural(edges.length, "connection")}; the same as tables below` });
  const labels = s("g", {});
  for (const edge of edges) drawEdge(figure, labels, edge, places, ranks, { narrow, most, size });
  for (const name of names) figure.append(box(name, known.get(name), places.get(name)));
  figure.append(labels);
  return figure;
}

// One line for all calls from one service to another; of several kinds, the times are those of the most frequent one.
function merged(edges) {
  const found = new Map();
  for (const edge of edges.slice(0, 300)) {
    const key = JSON.stringify([edge.from, edge.to]);
    const one = found.get(key);
    if (!one) found.set(key, { ...edge });
    else {
      const larger = edge.count > one.count ? edge : one;
      found.set(key, { ...larger, count: one.count + edge.count, errors: one.errors + edge.errors });
    }
  }
  return [...found.values()];
}

// Fewer crossings: each column in the order of the middle of those that lead into it, then of those that it leads to.
function arrange(columns, steps) {
  const sweep = (column, beside, from, to) => {
    const index = new Map(beside.map((item, at) => [item, at]));
    const middle = (item, at) => {
      const ends = steps.filter((step) => step[to] === item && index.has(step[from])).map((step) => index.get(step[from]));
      return ends.length ? ends.reduce((sum, n) => sum + n, 0) / ends.length : at;
    };
    return column.map((item, at) => [middle(item, at), item]).sort((a, b) => a[0] - b[0]).map(([, item]) => item);
  };
  for (let round = 0; round < 2; round += 1) {
    for (let rank = 1; rank < columns.length; rank += 1) columns[rank] = sweep(columns[rank], columns[rank - 1], 0, 1);
    for (let rank = columns.length - 2; rank >= 0; rank -= 1) columns[rank] = sweep(columns[rank], columns[rank + 1], 1, 0);
  }
}

function drawEdge(figure, labels, edge, places, ranks, { narrow, most, size }) {
  const [a, b] = [places.get(edge.from), places.get(edge.to)];
  const forward = ranks.get(edge.to) > ranks.get(edge.from);
  let path;
  let label;
  if (edge.from === edge.to) {
    const x = a.x + NODE.width / 2;
    path = `M${x - 20} ${a.y}c-10 -30 50 -30 40 0`;
    label = [x, a.y - 10];
  } else if (forward) {
    const middle = (place, extent) => (narrow ? [place.x + extent / 2, place.y] : [place.x, place.y + extent / 2]);
    let at = middle(a, size.side);
    at[narrow ? 1 : 0] += size.along;
    path = `M${at[0]} ${at[1]}`;
    const to = (x, y) => {
      const bend = narrow ? (y - at[1]) / 2 : (x - at[0]) / 2;
      path += narrow ? `C${at[0]} ${at[1] + bend} ${x} ${y - bend} ${x} ${y}` : `C${at[0] + bend} ${at[1]} ${x - bend} ${y} ${x} ${y}`;
      at = [x, y];
    };
    for (const via of edge.via) {
      const [x, y] = middle(places.get(via), size.via);
      to(x, y);
      path += narrow ? `v${size.along}` : `h${size.along}`;
      at[narrow ? 1 : 0] += size.along;
      label ||= narrow ? [x, y + size.along / 2] : [x + size.along / 2, y];
    }
    const start = at;
    const [x, y] = middle(b, size.side);
    if (narrow) to(x, y - 5);
    else to(x - 5, y);
    // Upright ones nearer to their end, where the lines that leave one box have come apart.
    label ||= narrow ? [start[0] + (x - start[0]) * 0.72, start[1] + (y - start[1]) * 0.6] : [start[0] + (x - start[0]) * 0.5, start[1] + (y - start[1]) * 0.5];
  } else if (narrow) {
    const [x1, y1, x2, y2] = [a.x + NODE.width, a.y + NODE.height / 2, b.x + NODE.width + 5, b.y + NODE.height / 2];
    const out = Math.max(x1, x2) + 50;
    path = `M${x1} ${y1}C${out} ${y1} ${out} ${y2} ${x2} ${y2}`;
    label = [out - 14, (y1 + y2) / 2];
  } else {
    const [x1, y1, x2, y2] = [a.x + NODE.width / 2, a.y + NODE.height, b.x + NODE.width / 2, b.y + NODE.height + 5];
    const out = Math.max(y1, y2) + 60;
    path = `M${x1} ${y1}C${x1} ${out} ${x2} ${out} ${x2} ${y2}`;
    label = [(x1 + x2) / 2, out - 15];
  }
  const failed = edge.errors > 0;
  const text = `${edge.from} calls ${edge.to}: ${plural(edge.count, "call")}, ${plural(edge.errors, "error")}, p50 ${duration(edge.p50_us)}, p99 ${duration(edge.p99_us)}`;
  const thick = 1.2 + 2 * Math.log1p(edge.count) / Math.log1p(most);
  figure.append(s("g", { class: `edge ${edge.kind || "http"}${failed ? " failed" : ""}` }, s("title", {}, line(text)),
    s("path", { d: path, "stroke-width": thick.toFixed(1) }), tip(forward, narrow, b, edge.from === edge.to)));
  const above = `${count(edge.count)}${failed ? ` · ${percent(edge.errors, edge.count)} failed` : ""}`;
  const below = narrow ? duration(edge.p50_us) : `${duration(edge.p50_us)} · ${duration(edge.p99_us)}`;
  const wide = Math.max(above.length, below.length) * 6.4 + 8;
  labels.append(s("g", { class: `edge-label${failed ? " failed" : ""}` },
    s("rect", { x: label[0] - wide / 2, y: label[1] - 16, width: wide, height: 32, rx: 6 }),
    s("text", { x: label[0], y: label[1] - 3, "text-anchor": "middle" }, above),
    s("text", { class: "small", x: label[0], y: label[1] + 11, "text-anchor": "middle" }, below)));
}

function tip(forward, narrow, to, itself) {
  if (itself) return null;
  if (forward && narrow) return s("path", { class: "tip", d: `M${to.x + NODE.width / 2} ${to.y}l-5 -9h10z` });
  if (forward) return s("path", { class: "tip", d: `M${to.x} ${to.y + NODE.height / 2}l-9 -5v10z` });
  if (narrow) return s("path", { class: "tip", d: `M${to.x + NODE.width} ${to.y + NODE.height / 2}l9 -5v10z` });
  return s("path", { class: "tip", d: `M${to.x + NODE.width / 2} ${to.y + NODE.height}l-5 9h10z` });
}

function box(name, service, place) {
  const short = line(name, 60);
  const shown = short.length > 17 ? `${short.slice(0, 16)}…` : short;
  return s("g", { class: `graph-node${service ? "" : " outside"}` }, s("title", {}, short),
    s("rect", { x: place.x, y: place.y, width: NODE.width, height: NODE.height, rx: 10 }),
    service && s("circle", { class: `fill ${colourOf(name)}`, cx: place.x + 18, cy: place.y + 22, r: 5 }),
    s("text", { class: "name", x: place.x + (service ? 32 : 16), y: place.y + 27 }, shown),
    s("text", { class: "small", x: place.x + 16, y: place.y + 46 }, service ? `${plural(service.requests, "request")}` : "sends no spans"),
    service && service.errors > 0 && s("text", { class: "small failed", x: place.x + NODE.width - 14, y: place.y + 46, "text-anchor": "end" },
      `${percent(service.errors, service.requests)} failed`));
}

function numbers(title, heads, rows) {
  if (!rows.length) return null;
  return h("section", {}, h("h2", {}, title), h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title },
    h("table", {}, h("thead", {}, h("tr", {}, heads.map((head, index) => h("th", { scope: "col", class: index < rows[0].words ? "" : "number" }, head)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.cells.map((cell, index) => h(index ? "td" : "th", { scope: index ? null : "row", class: index < row.words ? "" : "number" }, cell))))))));
}

function errorCell(errors, whole) {
  return errors ? h("span", { class: "error-text" }, `${count(errors)} (${percent(errors, whole)})`) : "0";
}

function serviceTable(services) {
  return numbers("Services", ["Service", "Requests", "Errors", "p50", "p99"], services.map((one) => ({ words: 1, cells: [
    h("a", { href: `/traces?service=${encodeURIComponent(one.name)}` }, serviceChip(one.name)), count(one.requests), errorCell(one.errors, one.requests),
    duration(one.p50_us), duration(one.p99_us)] })));
}

function edgeTable(edges) {
  return numbers("Calls", ["From", "To", "Over", "Calls", "Errors", "p50", "p99"], edges.map((one) => ({ words: 3, cells: [
    serviceChip(one.from), serviceChip(one.to), line(one.kind || "", 20), count(one.count), errorCell(one.errors, one.count), duration(one.p50_us), duration(one.p99_us)] })));
}

function endpointTable(endpoints) {
  return numbers("Endpoints", ["Service", "Route", "Requests", "Errors", "p50", "p99", "Over time"], endpoints.map((one) => ({ words: 2, cells: [
    serviceChip(one.service), h("a", { href: `/traces?service=${encodeURIComponent(one.service)}&route=${encodeURIComponent(one.route)}` }, line(one.route, 80)),
    count(one.count), errorCell(one.errors, one.count), duration(one.p50_us), duration(one.p99_us),
    sparkline(one.sparkline_p50, one.sparkline_p99, `${line(one.route, 80)}: p50 ${duration(one.p50_us)}, p99 ${duration(one.p99_us)}`)] })));
}
