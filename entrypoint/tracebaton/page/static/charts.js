// Small charts: a rate over time, and a line as wide as a word.

import { h, s } from "./dom.js";
import { clock, count, plural } from "./format.js";

// rate: {from_us, bucket_us, traces: [n], errors: [n]}
export function rateChart(rate) {
  const traces = rate.traces || [];
  const errors = rate.errors || [];
  const total = traces.reduce((sum, n) => sum + n, 0);
  if (!total) return null;
  const failed = errors.reduce((sum, n) => sum + n, 0);
  const most = Math.max(1, ...traces);
  const until = rate.from_us + rate.bucket_us * traces.length;
  const text = `${plural(total, "trace")}, ${count(failed)} with errors, from ${clock(rate.from_us, false)} to ${clock(until, false)}`;
  const height = 48;
  const figure = s("svg", { class: "rate", viewBox: `0 0 ${traces.length * 10} ${height}`, preserveAspectRatio: "none",
    role: "img", "aria-label": text });
  traces.forEach((n, index) => {
    if (!n) return;
    const tall = Math.max(2, (n / most) * height);
    const bad = errors[index] ? Math.max(3, (errors[index] / most) * height) : 0;
    figure.append(s("g", {}, s("title", {}, `${clock(rate.from_us + rate.bucket_us * index, false)}: ${plural(n, "trace")}, ${count(errors[index] || 0)} with errors`),
      s("rect", { class: "hit", x: index * 10, y: 0, width: 10, height }),
      s("rect", { class: "all", x: index * 10 + 1, y: height - tall, width: 8, height: tall }),
      bad > 0 && s("rect", { class: "bad", x: index * 10 + 1, y: height - Math.min(bad, tall), width: 8, height: Math.min(bad, tall) })));
  });
  return h("figure", { class: "rate-chart" }, h("div", { class: "rate-most", "aria-hidden": "true" }, count(most)), figure,
    h("figcaption", {}, h("span", {}, clock(rate.from_us, false)),
      h("span", { class: "rate-text" }, plural(total, "trace"), " · ", h("span", { class: failed ? "error-text" : "" }, plural(failed, "error"))),
      h("span", {}, clock(until, false))));
}

// p50 as a line and p99 as a dotted one; a point in which nothing was asked for has no value, or 0, and is left out.
export function sparkline(p50, p99, text) {
  const [width, height] = [120, 28];
  const most = Math.max(1, ...(p99 || []).filter(Number.isFinite), ...(p50 || []).filter(Number.isFinite));
  const places = (list) => (list || []).map((n, index) => (!n ? null
    : [(index / Math.max(1, list.length - 1)) * (width - 4) + 2, height - 2 - (n / most) * (height - 5)]));
  const path = (list) => {
    let pen = "M";
    return places(list).map((place) => {
      if (!place) { pen = "M"; return ""; }
      const [x, y] = place;
      const step = `${pen}${x.toFixed(1)} ${y.toFixed(1)}${pen === "M" ? "h.01" : ""}`;
      pen = "L";
      return step;
    }).join("");
  };
  return s("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": text },
    s("path", { class: "p99", d: path(p99) }), s("path", { class: "p50", d: path(p50) }));
}
