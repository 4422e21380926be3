// The page of one trace that stands in a file: its data is in the document, its state behind the # of the address.

import { h, show } from "./dom.js";
import { focusSearch, openHelp, setCommonKeys, setKeys, startKeys } from "./keys.js";
import { createTraceView } from "./traceview.js";

const hashState = {
  get: (name) => new URLSearchParams(location.hash.slice(1)).get(name),
  set: (values) => {
    const query = new URLSearchParams(location.hash.slice(1));
    for (const [name, value] of Object.entries(values)) {
      if (value === "" || value === null || value === undefined) query.delete(name);
      else query.set(name, value);
    }
    const text = query.toString();
    if (text !== location.hash.slice(1)) history.replaceState(null, "", `#${text}`);
  },
};

let sharedView = null;

function openShared() {
  const trace = JSON.parse(document.getElementById("trace-data").textContent);
  if (sharedView) sharedView.destroy();
  sharedView = createTraceView(trace, hashState, {});
  document.body.dataset.page = "trace";
  show(document.getElementById("main"), h("div", { class: "trace-page" }, sharedView.node));
  sharedView.shown();
  setKeys(sharedView.keys);
}

setCommonKeys([
  { keys: ["/"], shown: "/", text: "Search", act: () => focusSearch() },
  { keys: ["?"], shown: "?", text: "This help", act: () => openHelp() },
  { keys: ["Escape"], shown: "Esc", text: "Close", act: () => sharedView.escape() },
]);
startKeys();
document.getElementById("help-button").addEventListener("click", openHelp);
window.addEventListener("hashchange", openShared);
openShared();
