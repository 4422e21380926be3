// The page of one trace that stands in a file: its data is in the document, its state behind the # of the address.

import { addressState } from "./address.js";
import { h, show } from "./dom.js";
import { focusSearch, openHelp, setCommonKeys, setKeys, startKeys } from "./keys.js";
import { createTraceView } from "./traceview.js";

const hashState = addressState(() => location.hash.slice(1), (text) => history.replaceState(null, "", `#${text}`));

let sharedView = null;

function openShared() {
  const trace = JSON.parse(document.getElementById("trace-data").textContent);
  hashState.drop();
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
