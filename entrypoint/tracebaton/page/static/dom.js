// Elements built from values. Whatever a span or a line is called becomes a text node or an attribute's value, never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    // Properties of style, never the attribute: that one the content security policy forbids.
    else if (name === "style") for (const [key, one] of Object.entries(value)) node.style.setProperty(key, one);
    else if (name === "class") node.setAttribute("class", value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  add(node, children);
  return node;
}

function add(node, children) {
  for (const child of children) {
    if (child === undefined || child === null || child === false) continue;
    if (Array.isArray(child)) add(node, child);
    else node.append(child instanceof Node ? child : String(child));
  }
}

// h("p", {class: "quiet"}, "text", node, [more])
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

export function s(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

export function show(parent, ...children) {
  parent.replaceChildren();
  add(parent, children);
  return parent;
}

// Calls `what` once in `ms`, however often it is asked for meanwhile.
export function throttled(what, ms) {
  let timer = 0;
  const asked = () => {
    if (!timer) timer = setTimeout(() => { timer = 0; what(); }, ms);
  };
  asked.cancel = () => { clearTimeout(timer); timer = 0; };
  return asked;
}

// Calls it now, or once a page in the background is looked at again.
export function whenSeen(what) {
  let owed = false;
  const looked = () => {
    if (document.hidden || !owed) return;
    owed = false;
    what();
  };
  document.addEventListener("visibilitychange", looked);
  const asked = () => { owed = true; looked(); };
  asked.cancel = () => {
    document.removeEventListener("visibilitychange", looked);
    what.cancel();
  };
  return asked;
}

export function announce(text) {
  const place = document.getElementById("announcer");
  if (place) place.textContent = text;
}

export function copyButton(label, text) {
  const button = h("button", { type: "button", class: "copy", "aria-label": label, title: label }, icon("copy"));
  button.addEventListener("click", async (event) => {
    event.stopPropagation();
    const done = await copied(text());
    announce(done ? "Copied" : "The browser did not allow to copy");
    show(button, icon(done ? "check" : "cross"));
    setTimeout(() => show(button, icon("copy")), 1200);
  });
  return button;
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // No clipboard without a secure context: an address other than loopback, and in some browsers file://.
    const area = h("textarea", { class: "hidden", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

const ICONS = {
  copy: ["M9 9h10v11H9z", "M5 15V4h10"],
  check: ["M5 12.5l4.5 4.5L19 7.5"],
  cross: ["M6 6l12 12", "M18 6L6 18"],
  right: ["M9 6l6 6-6 6"],
  down: ["M6 9l6 6 6-6"],
  link: ["M7 17L17 7", "M9 7h8v8"],
  share: ["M12 15V4", "M8 8l4-4 4 4", "M5 13v7h14v-7"],
  error: ["M12 7v6", "M12 16.5v.5", "M12 3a9 9 0 1 0 .01 0z"],
  kept: ["M7 4h10v16l-5-4-5 4z"],
};

export function icon(name) {
  return s("svg", { class: `icon icon-${name}`, viewBox: "0 0 24 24", width: 16, height: 16, "aria-hidden": "true" },
    ICONS[name].map((path) => s("path", { d: path })));
}
