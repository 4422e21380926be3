// What comes in, as Server-Sent Events. A browser opens six connections to one server for all of its tabs, so one of them
// listens for all (it holds a lock) and hands on what it hears. Where there are no locks (an address other than loopback),
// each tab listens while it is looked at.

const KINDS = ["span", "log", "trace", "dropped"];
const NAME = "tracebaton-live";

export function listen(onEvent, onState) {
  const stop = () => {};
  if (typeof EventSource === "undefined") return stop;
  if (!navigator.locks || typeof BroadcastChannel === "undefined") return whileVisible(onEvent, onState);
  const channel = new BroadcastChannel(NAME);
  let state = "connecting";
  let leads = false;
  const heard = (message) => {
    if (message.kind === "state") onState(message.data);
    else if (message.kind === "asked") {
      if (leads) channel.postMessage({ kind: "state", data: state });
    } else onEvent(message.kind, message.data);
  };
  channel.onmessage = (event) => heard(event.data);
  channel.postMessage({ kind: "asked" });
  const tell = (message) => {
    if (message.kind === "state") state = message.data;
    channel.postMessage(message);
    heard(message);
  };
  navigator.locks.request(NAME, () => new Promise(() => {
    leads = true;
    open((kind, data) => tell({ kind, data }), (data) => tell({ kind: "state", data }));
  })).catch(() => whileVisible(onEvent, onState));
  return stop;
}

function open(onEvent, onState) {
  const source = new EventSource("/api/live");
  source.onopen = () => onState("connected");
  source.onerror = () => {
    onState("disconnected");
    // The browser tries again by itself, but for an answer that was no stream.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => open(onEvent, onState), 1000);
  };
  for (const kind of KINDS) {
    source.addEventListener(kind, (event) => {
      try {
        onEvent(kind, JSON.parse(event.data));
      } catch (error) {
        console.error("a live event could not be shown", error);
      }
    });
  }
  return source;
}

function whileVisible(onEvent, onState) {
  let source = null;
  const look = () => {
    if (document.hidden && source) {
      source.close();
      source = null;
    } else if (!document.hidden && !source) source = open(onEvent, onState);
  };
  document.addEventListener("visibilitychange", look);
  look();
  return () => { if (source) source.close(); };
}
