// A service has one colour in every view: the hash of its name, moved on where another one has that colour already.

import { h } from "./dom.js";
import { line } from "./format.js";

const COLOURS = 10;
const slots = new Map();

function hashOf(name) {
  let hash = 2166136261;
  for (let index = 0; index < Math.min(name.length, 200); index += 1) {
    hash = Math.imul(hash ^ name.charCodeAt(index), 16777619);
  }
  return (hash >>> 0) % COLOURS;
}

export function colourOf(service) {
  const name = String(service);
  let slot = slots.get(name);
  if (slot === undefined) {
    slot = hashOf(name);
    const taken = new Set(slots.values());
    for (let step = 0; step < COLOURS && taken.has(slot); step += 1) slot = (slot + 1) % COLOURS;
    // A program whose service name changes with every start would fill this.
    if (slots.size < 500) slots.set(name, slot);
  }
  return `c${slot}`;
}

export function serviceChip(service) {
  return h("span", { class: "service" }, h("i", { class: `dot ${colourOf(service)}`, "aria-hidden": "true" }),
    h("span", { class: "service-name" }, line(service, 60)));
}
