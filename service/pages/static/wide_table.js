// Tables that scroll in a frame of their own where the page is narrower than they are.

import { csv, download } from "./charts.js";
import { el, fill, table } from "./dom.js";

export function wideTable(caption, titles, rows, numeric = []) {
  const frame = { class: "scroll", tabindex: "0", role: "group", "aria-label": caption };
  return el("div", frame, table(caption, titles, rows, numeric));
}

/**
 * A table of records that can be saved. columns: [{title, of, shown, numeric}]: `of` takes a record's value, `shown` makes
 * it a text or an element; the CSV file has the value itself. name: of the file.
 */
export function dataTable(name, caption, columns, records) {
  const rows = records.map((record) => columns.map(({ of, shown = String }) => shown(of(record), record)));
  const numeric = columns.flatMap((column, place) => (column.numeric ? [place] : []));
  const save = () => {
    const lines = [columns.map((column) => column.title), ...records.map((record) => columns.map(({ of }) => of(record)))];
    download(new Blob([csv(lines)], { type: "text/csv" }), `${name}.csv`);
  };
  const button = el("button", { type: "button", class: "small", onclick: save, "aria-label": `${caption}: CSV` }, "CSV");
  return el("div", { class: "saved" }, wideTable(caption, columns.map((column) => column.title), rows, numeric), button);
}

/** A value with a bar as long as its share of `most`. */
export function bar(value, most, shown) {
  return el("span", { class: "bar" }, el("meter", { "aria-hidden": "true", min: 0, max: most || 1, value: value ?? 0 }), shown(value));
}

/** `fill` for what is shown again and again: the keyboard's focus and the frames' places stay where they are. */
export function refill(host, ...children) {
  const held = host.contains(document.activeElement) ? likenessOf(document.activeElement) : null;
  const places = new Map(framesOf(host).map((frame) => [frame.getAttribute("aria-label"), frame.scrollLeft]));
  fill(host, ...children);
  for (const frame of framesOf(host)) frame.scrollLeft = places.get(frame.getAttribute("aria-label")) ?? 0;
  const same = [...host.querySelectorAll("a, button, [tabindex]")].find((element) => likenessOf(element) === held);
  same?.focus({ preventScroll: true });
}

const framesOf = (host) => [...host.querySelectorAll(".scroll")];

function likenessOf(element) {
  const name = element.getAttribute("aria-label") ?? element.textContent;
  return `${element.tagName} ${element.getAttribute("href")} ${name}`;
}
