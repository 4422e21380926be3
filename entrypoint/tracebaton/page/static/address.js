// What a view keeps in the address. It is written five times a second at most: browsers refuse more, and a held key is more.

import { throttled } from "./dom.js";

// read() gives the text of a query, write(text) puts it into the address without a step in the history.
export function addressState(read, write) {
  let waiting = null;
  const settle = () => {
    soon.cancel();
    const text = waiting;
    waiting = null;
    if (text !== null && text !== read()) write(text);
  };
  const soon = throttled(settle, 200);
  return {
    get: (name) => new URLSearchParams(waiting ?? read()).get(name),
    // An empty value takes the entry out.
    set: (values) => {
      const query = new URLSearchParams(waiting ?? read());
      for (const [name, value] of Object.entries(values)) {
        if (value === "" || value === null || value === undefined) query.delete(name);
        else query.set(name, value);
      }
      waiting = query.toString();
      soon();
    },
    settle,
    drop: () => { soon.cancel(); waiting = null; },
  };
}
