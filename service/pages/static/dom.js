// Elements made of texts: whatever is inserted becomes text or an attribute, never markup.

/** An element. attributes: `onclick`-like ones are listeners, `true` is set empty, `false` and null are left out. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Put children in place of those that are there. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
}

/** A message that screen readers speak; an empty one hides it. kind: "error" or "note". */
export function say(element, text, kind = "error") {
  element.className = kind;
  element.setAttribute("role", kind === "error" ? "alert" : "status");
  element.hidden = !text;
  if (element.textContent !== text) element.textContent = text;
}

/** A table: titles, and rows of texts or elements. numeric: columns (from 0) that are aligned right. */
export function table(caption, titles, rows, numeric = []) {
  const isNumber = new Set(numeric);
  const cell = (tag, content, column, more = {}) =>
    el(tag, { class: isNumber.has(column) ? "number" : null, ...more }, content);
  return el("table", {},
    el("caption", {}, caption),
    el("thead", {}, el("tr", {}, titles.map((title, column) => cell("th", title, column, { scope: "col" })))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((content, column) => cell("td", content, column))))));
}
