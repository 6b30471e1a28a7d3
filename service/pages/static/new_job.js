// A job made of its spec's JSON schema; of trainings and sweeps with what they come to (POST /v1/plans) while one types.
import { getJson, may, send } from "./api.js";
import { byId, el, fill, say } from "./dom.js";
import { bytes, duration, integer } from "./format.js";
import { planTable } from "./job_plan.js";
import { SchemaForm } from "./schema_form.js";

const QUIET_MS = 350; // without a key press, before the plan is asked for
const OPTIONS = ["priority", "deadline_s", "labels"];
const kind = byId("new-job")?.dataset.kind;
const base = kind === "sweep" ? "base." : ""; // before the settings of a training
const hasPlan = ["train", "sweep"].includes(kind);
let form = null;
let asking = null;
let timer = null;
let submissionKey = crypto.getRandomValues(new Uint32Array(4)).join("-"); // pressing twice makes one job

function clearErrors() {
  form.clearErrors();
  for (const name of OPTIONS) {
    byId(`${name}-error`).hidden = true;
    byId(name).removeAttribute("aria-invalid");
  }
}

/** Show a refusal where it belongs; what belongs to no field goes to `elsewhere`. */
function showRefusal(error, elsewhere) {
  const path = (error.path ?? "").replace(/^spec\./, "");
  const option = OPTIONS.find((name) => path === name || path.startsWith(`${name}.`));
  if (option) {
    byId(`${option}-error`).textContent = error.message;
    byId(`${option}-error`).hidden = false;
    byId(option).setAttribute("aria-invalid", "true");
    byId(option).closest("details").open = true;
    say(elsewhere, "");
  } else if (form.showError(path, error.message)) say(elsewhere, "");
  else say(elsewhere, error.message);
}

async function preview() {
  asking?.abort();
  const mine = new AbortController();
  asking = mine;
  const values = form.values();
  const spec = kind === "sweep" ? values.base ?? {} : values;
  try {
    const answer = await send("POST", "/v1/plans", spec, { signal: mine.signal });
    clearErrors();
    say(byId("preview-problem"), spec.dataset ? "" : "Choose a dataset to see memory, time and findings.", "note");
    showPlan(answer, kind === "sweep" ? runsOf(values) : null);
  } catch (error) {
    if (error.name === "AbortError") return;
    clearErrors();
    if (error.path) error.path = base + error.path;
    showRefusal(error, byId("preview-problem"));
    fill(byId("plan"));
    fill(byId("estimates"));
    showFindings([]);
  }
}

/** How many runs a sweep has, as far as its settings say so. */
function runsOf({ grid, search }) {
  if (!grid || typeof grid !== "object") return null;
  const lengths = Object.entries(grid).filter(([name]) => !search || name === "seed").map(([, values]) => values?.length);
  return lengths.reduce((product, length) => product * length, search ? search.points : 1);
}

function showPlan(answer, runs) {
  const facts = Number.isFinite(runs) ? [["Runs", integer(runs)]] : [];
  if (answer.time) facts.push(["Time", `${duration(answer.time.low_s)} to ${duration(answer.time.high_s)}`], ["Steps", integer(answer.time.steps)]);
  if (answer.steps_per_epoch) facts.push(["Steps per epoch", integer(answer.steps_per_epoch)]);
  if (answer.memory) facts.push(["Memory, at most", bytes(answer.memory.total_bytes)], ["Embedding table", `${integer(answer.memory.table_rows)} rows, ${bytes(answer.memory.table_bytes)}`]);
  fill(byId("estimates"), facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
  fill(byId("plan"), planTable(answer.plan));
  showFindings(answer.findings);
}

function showFindings(findings) {
  const errors = findings.filter((finding) => finding.level === "error");
  const others = findings.filter((finding) => finding.level !== "error");
  fill(byId("errors"), errors.map((finding) => el("li", { class: "error" }, finding.message)));
  fill(byId("warnings"), others.map((finding) => el("li", {}, finding.message)));
  byId("errors").hidden = !errors.length;
  byId("warnings").parentElement.hidden = !others.length;
  byId("warnings-count").textContent = `${others.length} ${others.length === 1 ? "warning" : "warnings"}`;
  for (const finding of errors) form.showError(base + finding.path, finding.message);
}

/** Offer the settings that the chosen network has. */
function fitNetwork(architectures, usual) {
  const name = form.value(`${base}model.name`) || usual;
  const network = architectures.find((one) => one.name === name);
  if (!network) return;
  form.hint(`${base}model.name`, `${network.summary} ${integer(network.parameters)} weights outside the table with Criteo's fields.`);
  for (const option of new Set(architectures.flatMap((one) => one.options))) form.offer(`${base}model.${option}`, network.options.includes(option));
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(preview, QUIET_MS);
}

/** Labels of lines `key=value`; the service checks their form. */
function labels() {
  const lines = byId("labels").value.split("\n").filter((line) => line.trim());
  return Object.fromEntries(lines.map((line) => {
    const at = line.indexOf("=");
    return at < 0 ? [line.trim(), ""] : [line.slice(0, at).trim(), line.slice(at + 1).trim()];
  }));
}

function numberOf(id) {
  const text = byId(id).value.trim();
  return Number.isFinite(Number(text)) ? Number(text) : text;
}

async function submit(event) {
  event.preventDefault();
  clearErrors();
  say(byId("problem"), "");
  const body = { kind, spec: form.values(), labels: labels() };
  for (const name of ["priority", "deadline_s"]) if (byId(name).value.trim()) body[name] = numberOf(name);
  const button = event.submitter;
  if (button) button.disabled = true;
  try {
    const job = await send("POST", "/v1/jobs", body, { headers: { "Idempotency-Key": submissionKey } });
    location.assign(`/ui/jobs/${encodeURIComponent(job.id)}`);
  } catch (error) {
    if (error.status !== 0) submissionKey = crypto.getRandomValues(new Uint32Array(4)).join("-"); // refused: the next is another request
    showRefusal(error, byId("problem"));
    document.querySelector("[aria-invalid]")?.focus();
  } finally {
    if (button) button.disabled = false;
  }
}

async function begin(jobId) {
  const job = await getJson(`/v1/jobs/${encodeURIComponent(jobId)}`);
  if (job.kind !== kind) {
    location.replace(`/ui/jobs/new?kind=${encodeURIComponent(job.kind)}&from=${encodeURIComponent(jobId)}`);
    return;
  }
  const missing = form.fill(job.spec);
  byId("labels").value = Object.entries(job.labels).map(([key, value]) => `${key}=${value}`).join("\n");
  if (job.priority) byId("priority").value = job.priority;
  say(byId("from"), `With the settings of job ${job.id}${missing.length ? `, without ${missing.join(", ")}` : ""}.`, "note");
}

/** What a new job may name: datasets and models that there are, by the setting's path. */
async function choices() {
  const names = (entries) => entries.map((entry) => entry.name);
  const [{ datasets }, models] = await Promise.all([getJson("/v1/datasets"), may("models:read") ? getJson("/v1/models") : null]);
  const known = { [`${base}dataset`]: names(datasets), vocabulary_from: names(datasets) };
  if (models) known.model = names(models.models);
  if (!datasets.length && kind !== "prepare") {
    say(byId("problem"), "There is no dataset yet. Prepare one from raw files, or register one with POST /v1/datasets.", "note");
  }
  return known;
}

/** Fill in a dataset. */
function choose(dataset) {
  if (kind !== "prepare" && kind !== "score") form.fill(base ? { base: { dataset } } : { dataset });
}

async function openPlan(schema) {
  const { architectures } = await getJson("/v1/architectures");
  const usual = schema.$defs.ModelConfig.properties.name.default;
  byId("settings").addEventListener("input", () => {
    fitNetwork(architectures, usual);
    soon();
  });
  fitNetwork(architectures, usual);
  await preview();
}

async function open() {
  const [schema, known] = await Promise.all([getJson(`/v1/plans/schema?kind=${kind}`), choices()]);
  form = new SchemaForm(byId("settings"), schema, known);
  const asked = new URLSearchParams(location.search);
  const [only, ...others] = known[`${base}dataset`];
  if (asked.has("from")) await begin(asked.get("from"));
  else if (asked.has("dataset")) choose(asked.get("dataset"));
  else if (only && !others.length) choose(only);
  byId("new-job").addEventListener("submit", submit);
  if (hasPlan) await openPlan(schema);
}

if (byId("new-job")) open().catch((error) => say(byId("problem"), error.message));
