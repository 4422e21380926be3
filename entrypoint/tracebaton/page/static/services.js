// Who calls whom: a graph, and the same numbers as tables.

import { ask } from "./api.js";
import { sparkline } from "./charts.js";
import { h, s, show, throttled } from "./dom.js";
import { colourOf, serviceChip } from "./colours.js";
import { count, duration, line, percent, plural } from "./format.js";

const NODE = { width: 168, height: 58 };

export function servicesView() {
  const graph = h("div", { class: "graph-place" });
  const tables = h("div", { class: "service-tables" });
  const node = h("div", { class: "services" }, h("div", { class: "page-head" }, h("h1", {}, "Services"),
    h("p", { class: "quiet-text" }, "Who calls whom, over all that is stored")), graph, tables);

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
      show(tables, serviceTable(all.services), edgeTable(all.edges || []), endpointTable(all.endpoints || []));
    } catch (error) {
      show(graph, h("p", { class: "notice", role: "alert" }, error.message));
    }
  }
  const refresh = throttled(load, 1000);
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
  const edges = (all.edges || []).slice(0, 300);
  const known = new Map(all.services.slice(0, 80).map((one) => [one.name, one]));
  const names = [...new Set([...known.keys(), ...edges.flatMap((edge) => [edge.from, edge.to])])];
  const ranks = ranksOf(names, edges);
  const columns = [];
  for (const name of names) (columns[ranks.get(name)] ||= []).push(name);
  order(columns, edges);
  const [across, along] = narrow ? [NODE.width + 24, NODE.height + 74] : [NODE.height + 44, NODE.width + 150];
  const widest = Math.max(...columns.map((column) => column.length));
  const places = new Map();
  columns.forEach((column, rank) => column.forEach((name, index) => {
    const side = 16 + (widest - column.length) * across / 2 + index * across;
    places.set(name, narrow ? { x: side, y: 34 + rank * along } : { x: 16 + rank * along, y: side + 18 });
  }));
  const back = edges.some((edge) => ranks.get(edge.to) <= ranks.get(edge.from)) ? 70 : 0;
  const width = narrow ? 32 + widest * across + back : 32 + (columns.length - 1) * along + NODE.width;
  const height = narrow ? 60 + (columns.length - 1) * along + NODE.height : 40 + widest * across + back;
  const most = Math.max(1, ...edges.map((edge) => edge.count));
  const figure = s("svg", { class: "graph", width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `${plural(names.length, "service")}, ${plural(edges.length, "connection")}; the same as tables below` });
  const labels = s("g", {});
  for (const edge of edges) drawEdge(figure, labels, edge, places, ranks, narrow, most);
  for (const name of names) figure.append(box(name, known.get(name), places.get(name)));
  figure.append(labels);
  return figure;
}

// Fewer crossings: each column in the order of the middle of those that call into it.
function order(columns, edges) {
  for (let rank = 1; rank < columns.length; rank += 1) {
    const before = new Map((columns[rank - 1] || []).map((name, index) => [name, index]));
    const middle = (name) => {
      const from = edges.filter((edge) => edge.to === name && before.has(edge.from)).map((edge) => before.get(edge.from));
      return from.length ? from.reduce((sum, n) => sum + n, 0) / from.length : 1e6;
    };
    columns[rank] = (columns[rank] || []).map((name) => [middle(name), name]).sort((a, b) => a[0] - b[0]).map(([, name]) => name);
  }
}

function drawEdge(figure, labels, edge, places, ranks, narrow, most) {
  const [a, b] = [places.get(edge.from), places.get(edge.to)];
  const forward = ranks.get(edge.to) > ranks.get(edge.from);
  let path;
  let label;
  if (edge.from === edge.to) {
    const x = a.x + NODE.width / 2;
    path = `M${x - 20} ${a.y}c-10 -30 50 -30 40 0`;
    label = [x, a.y - 18];
  } else if (forward && narrow) {
    const [x1, y1, x2, y2] = [a.x + NODE.width / 2, a.y + NODE.height, b.x + NODE.width / 2, b.y - 5];
    path = `M${x1} ${y1}C${x1} ${y1 + 36} ${x2} ${y2 - 36} ${x2} ${y2}`;
    label = [x1 + (x2 - x1) * 0.5, y1 + (y2 - y1) * 0.5];
  } else if (forward) {
    const [x1, y1, x2, y2] = [a.x + NODE.width, a.y + NODE.height / 2, b.x - 5, b.y + NODE.height / 2];
    path = `M${x1} ${y1}C${x1 + 70} ${y1} ${x2 - 70} ${y2} ${x2} ${y2}`;
    label = [x1 + (x2 - x1) * 0.5, y1 + (y2 - y1) * 0.5];
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
  const thick = 1.5 + 3 * Math.log1p(edge.count) / Math.log1p(most);
  figure.append(s("g", { class: `edge ${edge.kind || "http"}${failed ? " failed" : ""}` }, s("title", {}, line(text)),
    s("path", { d: path, "stroke-width": thick.toFixed(1) }), tip(path, forward, narrow, b, edge.from === edge.to)));
  labels.append(s("g", { class: `edge-label${failed ? " failed" : ""}` },
    s("text", { x: label[0], y: label[1] - 5, "text-anchor": "middle" }, `${count(edge.count)}${failed ? ` · ${percent(edge.errors, edge.count)} failed` : ""}`),
    s("text", { class: "small", x: label[0], y: label[1] + 10, "text-anchor": "middle" }, `${duration(edge.p50_us)} · ${duration(edge.p99_us)}`)));
}

function tip(path, forward, narrow, to, itself) {
  if (itself) return null;
  if (forward && narrow) return s("path", { class: "tip", d: `M${to.x + NODE.width / 2} ${to.y}l-5 -9h10z` });
  if (forward) return s("path", { class: "tip", d: `M${to.x} ${to.y + NODE.height / 2}l-9 -5v10z` });
  if (narrow) return s("path", { class: "tip", d: `M${to.x + NODE.width} ${to.y + NODE.height / 2}l9 -5v10z` });
  return s("path", { class: "tip", d: `M${to.x + NODE.width / 2} ${to.y + NODE.height}l-5 9h10z` });
}

function box(name, service, place) {
  const short = line(name, 60);
  const shown = short.length > 18 ? `${short.slice(0, 17)}…` : short;
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
