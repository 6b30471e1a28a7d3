// Numbers with units and times in the reader's zone.

const NONE = "–";
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

const known = (value) => typeof value === "number" && Number.isFinite(value);

export const integer = (value) => (known(value) ? whole.format(value) : NONE);
/** "1 model", "2 models". */
export const counted = (count, what) => `${integer(count)} ${what}${count === 1 ? "" : "s"}`;
export const percent = (share, digits = 0) => (known(share) ? `${(share * 100).toFixed(digits)} %` : NONE);

/** Five significant digits; very small and very large ones as powers of ten. */
export function number(value, digits = 5) {
  if (!known(value)) return NONE;
  if (value === 0) return "0";
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return whole.format(value);
  const size = Math.abs(value);
  return size < 1e-3 || size >= 1e7 ? value.toExponential(digits - 2) : String(Number(value.toPrecision(digits)));
}

export function bytes(value) {
  if (!known(value)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10));
  const size = value / 1024 ** power;
  return `${size >= 100 ? Math.round(size) : size.toPrecision(3)} ${units[power]}`;
}

/** Seconds as "3 h 5 min", "42 s". */
export function duration(seconds) {
  if (!known(seconds)) return NONE;
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return seconds < 10 && seconds > 0 ? `${Number(seconds.toPrecision(2))} s` : `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

/** A `<time>` element of an ISO time, or a dash. */
export function time(iso) {
  const element = document.createElement(iso ? "time" : "span");
  if (iso) element.dateTime = iso;
  element.textContent = iso ? moment.format(new Date(iso)) : NONE;
  return element;
}

/** Seconds from one ISO time to another, or to now. */
export const between = (start, end) =>
  start ? ((end ? Date.parse(end) : Date.now()) - Date.parse(start)) / 1000 : null;
