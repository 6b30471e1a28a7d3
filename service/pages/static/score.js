// Try a score: an impression as JSON -> what versions of a model make of it, side by side.

import { getJson, send } from "./api.js";
import { byId, el, fill, say } from "./dom.js";
import { number, percent } from "./format.js";
import { wideTable } from "./wide_table.js";

const form = byId("score-form");
const { model, first, second, row } = form.elements;
const button = form.querySelector("button[type=submit]");
const status = byId("status");
const answer = byId("answer");
const rowError = byId("row-error");
const wish = new URLSearchParams(location.search);
let models = [];
let suggested = "";

form.addEventListener("submit", score);
model.addEventListener("change", () => telling(chooseVersions));
first.addEventListener("change", () => telling(suggestRow));
telling(start);

/** Do something, and say at the top why it cannot be done. */
async function telling(doing) {
  try {
    say(status, "");
    await doing();
  } catch (problem) {
    say(status, problem.message);
  }
}

async function start() {
  models = (await getJson("/v1/models")).models.filter((of) => versionsOf(of).length);
  form.hidden = !models.length;
  if (!models.length) {
    say(status, "No model can be scored yet. Submit a train job with `publish_as`, and its model appears here.", "note");
    return;
  }
  choices(model, models.map((of) => [of.name, of.name]), wish.get("model"));
  await chooseVersions();
}

/** Numbers of the versions whose files are there, newest first. */
function versionsOf(of) {
  return of.model_version_status.filter((found) => found.state === "AVAILABLE").map((found) => found.version);
}

function choices(select, pairs, chosen) {
  fill(select, pairs.map(([value, text]) => el("option", { value }, text)));
  if (pairs.some(([value]) => value === chosen)) select.value = chosen;
}

async function chooseVersions() {
  const chosen = models.find((of) => of.name === model.value);
  const shown = versionsOf(chosen).map((version) => {
    const aliases = Object.keys(chosen.aliases).filter((alias) => String(chosen.aliases[alias]) === version);
    return [version, aliases.length ? `${version} (${aliases.join(", ")})` : version];
  });
  choices(first, shown, wish.get("version") ?? String(chosen.aliases.latest));
  choices(second, [["", "none"], ...shown], wish.get("beside"));
  await suggestRow();
}

/** All columns of the version, as missing values, unless the reader has written something. */
async function suggestRow() {
  if (row.value !== suggested) return;
  const of = await getJson(`${placeOf(model.value)}/versions/${first.value}/metadata`);
  const columns = Object.keys(of.metadata.signature_def.signature_def.serving_default.inputs);
  suggested = JSON.stringify(Object.fromEntries(columns.map((name) => [name, null])), null, 1);
  row.value = suggested;
}

const placeOf = (name) => `/v1/models/${encodeURIComponent(name)}`;

async function score(event) {
  event.preventDefault();
  const impression = readRow();
  if (impression === null) return;
  button.disabled = true;
  say(status, "");
  try {
    const versions = [...new Set([first.value, second.value])].filter(Boolean).map(Number);
    fill(answer, shown(await Promise.all(versions.map((version) => scoreWith(version, impression)))));
  } catch (problem) {
    fill(answer);
    if (problem.path) tellRow(problem.message);
    else say(status, problem.message);
  } finally {
    button.disabled = false;
  }
}

/** The JSON object in the text field; null, with the reason beside the field, where it is none. */
function readRow() {
  tellRow("");
  try {
    const value = JSON.parse(row.value);
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return value;
    tellRow('The impression must be one JSON object, such as {"I1": 3, "C1": "68fd1e64"}.');
  } catch (error) {
    tellRow(`The impression cannot be read as JSON: ${error.message}.`);
  }
  return null;
}

function tellRow(text) {
  say(rowError, text);
  row.setAttribute("aria-invalid", String(text !== ""));
}

async function scoreWith(version, impression) {
  const instances = [impression];
  const [scores, encoded, explained] = await Promise.all([
    send("POST", "/v1/score", { model: model.value, version, context: impression, candidates: [{}] }),
    send("POST", `${placeOf(model.value)}:explain-encoding`, { version, instances }),
    send("POST", `${placeOf(model.value)}:explain`, { version, instances, pairs: 0 }),
  ]);
  const added = new Map(explained.rows[0].fields.map((field) => [field.name, field.contribution]));
  return { version, ...scores.scores[0], fields: new Map(encoded.rows[0].map((field) => [field.name, field])), added };
}

function shown(scored) {
  const probabilities = scored.map(probabilitiesOf);
  const titles = [...new Set(probabilities.flatMap((of) => [...of.keys()]))];
  const scores = scored.map((of, place) => [
    String(of.version),
    ...titles.map((title) => percent(probabilities[place].get(title), 3)),
    percent(of.calibrated, 3),
    fieldsThat(of, "unseen").map((field) => field.name).join(", ") || "none",
    `${fieldsThat(of, "missing").length} of ${of.fields.size}`,
  ]);
  const ofScores = ["version", ...titles, "calibrated", "unseen", "fields missing"];
  const numbers = [...titles, "calibrated"].map((_, place) => 1 + place);
  const names = [...new Set(scored.flatMap((of) => [...of.fields.keys()]))];
  const columns = scored.flatMap((of) => [`version ${of.version}: encoded to`, `version ${of.version}: adds to logit`]);
  const numeric = scored.map((_, place) => 3 + 2 * place);
  const fields = names.map((name) => fieldRow(name, scored));
  const hasLabels = scored.some((of) => of.probabilities);
  return [
    wideTable("Scores", ofScores, scores, [...numbers, ofScores.length - 1]),
    hasLabels ? el("p", { class: "hint" }, "Of several labels, the first one's probability is calibrated, and its logit explained.") : null,
    wideTable("Fields", ["field", "value", ...columns], fields, numeric),
    el("p", { class: "hint" }, "What a field adds: the logit less that with the field's value missing."),
  ];
}

/** By the title of their column: of several labels each has its name in it. */
function probabilitiesOf({ probability, probabilities }) {
  if (!probabilities) return new Map([["probability", probability]]);
  return new Map(Object.entries(probabilities).map(([label, value]) => [`probability: ${label}`, value]));
}

const fieldsThat = (of, became) => [...of.fields.values()].filter((field) => becameOf(field).includes(became));

function becameOf(field) {
  if (field.kind === "number") return field.number === null ? ["missing"] : [];
  return field.values.map((value) => value.became);
}

function fieldRow(name, scored) {
  const { raw } = scored.find((of) => of.fields.has(name)).fields.get(name);
  const cells = scored.flatMap((of) => {
    const field = of.fields.get(name);
    return field ? [encodedTo(field), of.added.get(name).toFixed(4)] : ["not a field of this version", ""];
  });
  return [name, raw === null ? "missing" : typeof raw === "string" ? raw : JSON.stringify(raw), ...cells];
}

function encodedTo(field) {
  if (field.kind === "number") {
    const from = field.number === null ? "missing" : `${number(field.number)} → ${number(field.transformed)}`;
    return `${from} → input ${number(field.input)}`;
  }
  const values = field.values.map((value) =>
    el("li", {}, el("span", { class: `tag ${value.became}` }, value.became.replace("_", " ")), ` id ${value.id}, row ${value.row}`),
  );
  return el("ul", { class: "plain" }, values, field.left_out ? el("li", {}, `and ${field.left_out} left out`) : null);
}
