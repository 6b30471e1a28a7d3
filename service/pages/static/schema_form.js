// A form made from a JSON schema: a field for each setting, a group for each object. What is left empty is not sent.
import { el, fill } from "./dom.js";

const OPEN = new Set(["base", "model", "scaling"]); // groups that are shown unfolded
// Of a training's many settings, those that are shown at once.
const FIRST = ["dataset", "publish_as", "batch_size", "epochs", "seed", "model", "scaling", "optimizer"];
const whole = new Intl.NumberFormat("en", { maximumSignificantDigits: 12 });

/** The schema behind a reference or a choice of "this or null". */
function resolve(schema, root) {
  const found = schema.$ref ? root.$defs[schema.$ref.split("/").pop()] : schema;
  const options = (found.anyOf ?? []).filter((option) => option.type !== "null");
  const inner = options.length ? resolve(options[0], root) : found;
  return { ...inner, ...(found === schema ? {} : { title: schema.title }), description: schema.description ?? inner.description, default: schema.default };
}

const isList = (schema) => schema.type === "array" && !(schema.items ?? {}).$ref;
const isLines = (schema) => isList(schema) && schema.items?.type === "string"; // a line each: paths hold commas
const isJson = (schema) => Boolean(schema.oneOf) || (schema.type === "object" && !schema.properties) || (schema.type === "array" && !isList(schema));

const defaultText = (value) => {
  if (value === undefined || value === null) return "not set";
  return Array.isArray(value) ? value.join(", ") : String(value);
};

function limits(schema) {
  const items = schema.items ?? {};
  const at = (one, other) => schema[one] ?? items[one] ?? schema[other] ?? items[other];
  const low = at("minimum", "exclusiveMinimum");
  const high = at("maximum", "exclusiveMaximum");
  const above = schema.exclusiveMinimum !== undefined ? "above" : "from";
  return [low === undefined ? "" : `${above} ${whole.format(low)}`, high === undefined ? "" : `to ${whole.format(high)}`].filter(Boolean).join(" ");
}

/** A text as the schema's type; one that cannot be is sent as it is, and the service says what is wrong with it. */
function parse(text, schema) {
  if (isJson(schema)) {
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  }
  if (isLines(schema)) return text.split("\n").map((line) => line.trim()).filter(Boolean);
  const number = (part) => (part.trim() !== "" && Number.isFinite(Number(part)) ? Number(part) : part.trim());
  if (schema.type === "array") return text.split(",").filter((part) => part.trim()).map(number);
  if (schema.type === "boolean") return text === "true";
  return ["integer", "number"].includes(schema.type) ? number(text) : text;
}

/** A value as the text that `parse` reads. */
function textOf(value, schema) {
  if (isJson(schema)) return JSON.stringify(value, null, 1);
  if (Array.isArray(value)) return value.join(isLines(schema) ? "\n" : ", ");
  return String(value);
}

function emptyInput(id, schema, describedBy) {
  const more = { id, spellcheck: "false", "aria-describedby": describedBy };
  if (isLines(schema)) return el("textarea", { ...more, rows: 3, placeholder: "one per line" });
  if (isJson(schema)) {
    const example = schema.examples?.[0] ?? schema.default;
    return el("textarea", { ...more, rows: 4, class: "mono", placeholder: example ? JSON.stringify(example, null, 1) : "JSON" });
  }
  const inputmode = { integer: "numeric", number: "decimal" }[schema.type];
  return el("input", { ...more, placeholder: defaultText(schema.default), inputmode });
}

export class SchemaForm {
  /** host: gets the fields. schema: of an object. choices: {path: [texts]} for settings that the service lists. */
  constructor(host, schema, choices = {}) {
    this.root = schema;
    this.choices = choices;
    this.fields = new Map(); // path -> {input, error, schema}
    fill(host, this.#group(schema, "", "Settings", true));
  }

  #group(schema, prefix, title, isNeeded) {
    const entries = Object.entries(schema.properties).map(([name, part]) => [name, resolve(part, this.root)]);
    const isGroup = ([, part]) => part.type === "object" && part.properties;
    const isTraining = Boolean(schema.properties.batch_size);
    const place = ([name]) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
    if (isTraining) entries.sort((one, other) => place(one) - place(other));
    const isMain = ([name]) => !isTraining || FIRST.includes(name);
    const plain = entries.filter((entry) => !isGroup(entry));
    const required = new Set(schema.required ?? []);
    const fields = (some) => el("div", { class: "fields" }, some.map(([name, part]) => this.#field(prefix + name, part, isNeeded && required.has(name))));
    const rest = plain.filter((entry) => !isMain(entry));
    const own = [
      fields(plain.filter(isMain)),
      rest.length ? el("details", {}, el("summary", {}, "More settings of the run"), fields(rest)) : null,
    ];
    const groups = entries.filter(isGroup).map(([name, part]) => this.#group(part, `${prefix}${name}.`, name, isNeeded && required.has(name)));
    if (prefix === "") return [el("fieldset", {}, el("legend", {}, title), ...own), ...groups];
    const group = el("div", { role: "group", "aria-label": title }, ...own);
    return el("details", { class: "panel", open: OPEN.has(title), "data-group": title }, el("summary", {}, title), group, groups);
  }

  #field(path, schema, isRequired) {
    const id = `setting-${path}`;
    const options = this.choices[path] ?? schema.enum ?? (schema.type === "boolean" ? ["true", "false"] : null);
    const describedBy = `${id}-hint ${id}-error`;
    const input = options
      ? el("select", { id, "aria-describedby": describedBy },
        el("option", { value: "" }, isRequired ? "choose one" : `default: ${defaultText(schema.default)}`),
        options.map((option) => el("option", { value: option }, String(option))))
      : emptyInput(id, schema, describedBy);
    if (isRequired) input.required = true;
    if (isRequired && input.placeholder === defaultText()) input.placeholder = "required";
    const error = el("p", { class: "field-error", id: `${id}-error`, hidden: true });
    this.fields.set(path, { input, error, schema });
    const name = path.split(".").pop();
    const about = [schema.description, limits(schema) && `(${limits(schema)})`].filter(Boolean).join(" ");
    return el("div", {}, el("label", { for: id }, name), input, el("p", { class: "hint", id: `${id}-hint` }, about), error);
  }

  /** Settings that were given, nested. */
  values() {
    const found = {};
    for (const [path, { input, schema }] of this.fields) {
      if (input.value.trim() === "") continue;
      const parts = path.split(".");
      const last = parts.pop();
      let inner = found;
      for (const part of parts) inner = inner[part] ??= {};
      inner[last] = parse(input.value, schema);
    }
    return found;
  }

  /** Fill in settings; the paths of those that the form has no field for. */
  fill(values, prefix = "") {
    const missing = [];
    for (const [name, value] of Object.entries(values)) {
      const field = this.fields.get(prefix + name);
      if (value === null) continue;
      if (field) {
        const text = textOf(value, field.schema);
        if (field.input.tagName === "SELECT" && ![...field.input.options].some((option) => option.value === text)) {
          field.input.append(el("option", { value: text }, text));
        }
        field.input.value = text;
        const group = field.input.closest("details");
        if (group) group.open = true;
      } else if (typeof value === "object" && !Array.isArray(value)) missing.push(...this.fill(value, `${prefix}${name}.`));
      else missing.push(prefix + name);
    }
    return missing;
  }

  /** Show an error beside its field; whether there is such a field. */
  showError(path, text) {
    const known = path && (this.fields.get(path) ?? this.fields.get([...this.fields.keys()].find((name) => path.startsWith(`${name}.`))));
    if (!known) return false;
    known.error.textContent = text;
    known.error.hidden = false;
    known.input.setAttribute("aria-invalid", "true");
    for (let group = known.input.closest("details"); group; group = group.parentElement.closest("details")) group.open = true;
    return true;
  }

  clearErrors() {
    for (const { input, error } of this.fields.values()) {
      error.hidden = true;
      error.textContent = "";
      input.removeAttribute("aria-invalid");
    }
  }

  value(path) {
    return this.fields.get(path).input.value;
  }

  /** Hide a setting that has no place now; one that was given stays, so that its error can be seen. */
  offer(path, isOffered) {
    const { input } = this.fields.get(path);
    input.parentElement.hidden = !isOffered && input.value.trim() === "";
  }

  hint(path, text) {
    document.getElementById(`setting-${path}-hint`).textContent = text;
  }
}
