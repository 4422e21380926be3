// Numbers and texts as people read them. Times and durations are whole microseconds.

const SHOWN = 300;

// Control characters as their pictures (ESC is U+241B) and what turns the direction of writing as its code: a name can
// neither move what stands beside it nor hide. `limit` is in characters; what is left out is counted.
export function plain(value, limit = SHOWN, counted = true) {
  const text = typeof value === "string" ? value : String(value ?? "");
  const cut = text.length > limit ? text.slice(0, limit) : text;
  const seen = cut
    .replace(/[\u0000-\u0008\u000b-\u001f]/g, (one) => String.fromCharCode(0x2400 + one.charCodeAt(0)))
    .replace(/\u007f/g, "\u2421")
    .replace(/[\u0080-\u009f\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff]/g,
      (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
  if (cut.length === text.length) return seen;
  return counted ? `${seen}… (${count(text.length - cut.length)} more characters)` : `${seen}…`;
}

// One line of it, for where a row has room for no more.
export function line(value, limit = SHOWN) {
  return plain(typeof value === "string" ? value.slice(0, limit * 4).replace(/\s+/g, " ").trim() : value, limit, false);
}

export function count(number) {
  return Number(number || 0).toLocaleString("en-US");
}

export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${Number(number) === 1 ? one : many}`;
}

export function duration(us) {
  if (us === null || us === undefined || Number.isNaN(us)) return "–";
  const sign = us < 0 ? "−" : "";
  const size = Math.abs(us);
  if (size < 1) return "0";
  if (size < 1000) return `${sign}${Math.round(size)} µs`;
  if (size < 999_950) return `${sign}${digits(size / 1000)} ms`;
  if (size < 60_000_000) return `${sign}${digits(size / 1e6)} s`;
  const seconds = Math.round(size / 1e6);
  if (seconds < 3600) return `${sign}${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${sign}${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

function digits(number) {
  return number < 10 ? number.toFixed(2) : number < 100 ? number.toFixed(1) : number.toFixed(0);
}

// "200ms", "1.5 s", "2m", "300us" or a number of milliseconds, in microseconds; null where it is none.
export function parseDuration(text) {
  const found = /^\s*([0-9]*\.?[0-9]+)\s*(us|µs|ms|s|min|m|h)?\s*$/i.exec(text);
  if (!found) return null;
  const unit = { us: 1, "µs": 1, ms: 1000, s: 1e6, m: 6e7, min: 6e7, h: 3.6e9 }[(found[2] || "ms").toLowerCase()];
  return Math.round(Number(found[1]) * unit);
}

function two(number, width = 2) {
  return String(number).padStart(width, "0");
}

// HH:MM:SS.mmm here, where the reader is.
export function clock(us, withMillis = true) {
  const time = new Date(us / 1000);
  const text = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  return withMillis ? `${text}.${two(time.getMilliseconds(), 3)}` : text;
}

export function day(us) {
  const time = new Date(us / 1000);
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
}

export function isToday(us) {
  return day(us) === day(Date.now() * 1000);
}

export function shortId(id) {
  return String(id || "").slice(0, 8);
}

export function percent(part, whole) {
  if (!whole || !part) return "0 %";
  const value = (part / whole) * 100;
  return `${value < 1 ? value.toFixed(1) : Math.round(value)} %`;
}
