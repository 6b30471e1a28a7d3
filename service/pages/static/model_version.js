// A version of a model: all its figures, its calibration, what its gates compared, and how live traffic drifts from it.

import { getJson, may } from "./api.js";
import { LineChart } from "./charts.js";
import { byId, el, fill } from "./dom.js";
import { integer, number, percent } from "./format.js";
import { bar, dataTable } from "./wide_table.js";

const rate = (value) => percent(value, 1);
let chart = null;

export async function showVersion(model, version) {
  const of = model.versions.find((one) => one.version === version);
  byId("one").hidden = !of;
  if (!of) return;
  byId("one-title").textContent = `Version ${version}`;
  const path = `/v1/models/${encodeURIComponent(model.name)}`;
  fill(byId("figures"), figures(model, of));
  fill(byId("gates"), gates(of.verdict));
  await Promise.all([
    filled(byId("calibration-note"), () => calibration(model.name, `${path}/versions/${version}/calibration`)),
    filled(byId("drift"), () => drift(model.name, `${path}/drift?version=${version}`)),
  ]);
}

/** Fill a place with what `read` finds, or with the reason why there is none. */
async function filled(place, read) {
  try {
    fill(place, await read());
  } catch (problem) {
    fill(place, el("p", { class: "hint" }, problem.message));
  }
}

function figures(model, of) {
  const job = of.job ? el("a", { href: `/ui/jobs/${of.job}` }, of.job) : "–";
  const score = may("score") ? el("p", {}, el("a", { href: `/ui/score?model=${encodeURIComponent(model.name)}&version=${of.version}` }, "Score with it")) : null;
  return [
    dataTable(`${model.name}-${of.version}-figures`, "Figures", [
      { title: "figure", of: ([name]) => name },
      { title: "value", of: ([, value]) => value, shown: (value) => (typeof value === "number" ? number(value, 6) : String(value)), numeric: true },
    ], byRelevance(Object.entries(of.metrics))),
    el("p", {}, "Trained by ", job, ". Manifest's sha256 ", el("code", {}, of.sha256.slice(0, 16)), "."),
    score,
  ];
}

/** Figures of the test split first, then those of validation. */
function byRelevance(metrics) {
  const rank = ([name]) => (name.startsWith("test_") ? 0 : name.startsWith("valid_") ? 1 : 2);
  return metrics.toSorted((a, b) => rank(a) - rank(b));
}

async function calibration(name, path) {
  const found = await getJson(path);
  chart ??= new LineChart(byId("calibration"), {
    title: "Click rate predicted and seen, test rows", x: "click rate predicted", y: "click rate seen", name: `${name}-calibration`,
    formatX: rate, formatY: rate, points: true,
  });
  draw(found);
  const rows = found.note ?? `${integer(found.test_rows)} test rows in ${found.before.length} bins; whiskers are 95 % intervals of the rate seen.`;
  const chosen = found.choice
    ? ` Held-out ECE ${number(found.choice.before.ece, 3)} before, ${number(found.choice.after.ece, 3)} after.`
    : "";
  return `${rows} Method: ${found.method}. ${found.reason}${chosen}`;
}

function draw({ method, before, after }) {
  const shown = [["before", before], [`after (${method})`, after]].filter(([, bins]) => bins.length);
  const xs = [...new Set(shown.flatMap(([, bins]) => bins.map((bin) => bin.predicted)))].sort((a, b) => a - b);
  const series = shown.map(([label, bins]) => {
    const byX = new Map(bins.map((bin) => [bin.predicted, bin]));
    const column = (read) => xs.map((x) => (byX.has(x) ? read(byX.get(x)) : null));
    return { label, values: column((bin) => bin.seen), low: column((bin) => bin.low), high: column((bin) => bin.high) };
  });
  chart.set(xs, xs.length ? [...series, { label: "both agree", values: xs }] : []);
}

function gates(verdict) {
  const compared = verdict?.compared;
  if (!compared?.split) return null;
  const titles = { auc: "AUC", normalised_entropy: "normalised entropy", calibration_ratio: "calibration ratio" };
  const names = Object.keys(titles).filter((name) => name in compared.candidate || name in compared.champion);
  const shown = (value) => number(value, 6);
  const reasons = [...verdict.refused, ...verdict.overruled];
  const against = compared.version === null ? "the first version" : `compared with version ${compared.version}`;
  return [
    el("h3", {}, `Gates: ${against} on the ${compared.split} split`),
    reasons.length ? el("ul", {}, reasons.map((reason) => el("li", {}, reason))) : el("p", {}, "Passed."),
    compared.note ? el("p", { class: "hint" }, compared.note) : null,
    dataTable("gates", "What the gates compared", [
      { title: "figure", of: (name) => titles[name] },
      { title: "this version", of: (name) => compared.candidate[name] ?? null, shown, numeric: true },
      { title: "the champion then", of: (name) => compared.champion[name] ?? null, shown, numeric: true },
    ], names),
  ];
}

async function drift(name, path) {
  const found = await getJson(path);
  const head = el("h3", {}, `Drift over the last ${found.hours} hours`);
  if (!found.rows) return [head, el("p", { class: "hint" }, "The process that answers has scored no rows with it yet.")];
  const highest = Math.max(...found.fields.map((field) => field.psi));
  const share = (title, of) => ({ title, of, shown: (value) => percent(value, 1), numeric: true });
  const fields = found.fields.toSorted((a, b) => b.psi - a.psi);
  return [head, dataTable(`${name}-drift`, `${integer(found.rows)} rows of this process against the training rows, the highest drift first`, [
    { title: "field", of: (field) => field.name },
    { title: "reading", of: (field) => field.reading.replaceAll("_", " ") },
    { title: "PSI", of: (field) => field.psi, shown: (value) => bar(value, highest, (psi) => number(psi, 3)), numeric: true },
    { title: "PSI by chance", of: (field) => field.psi_chance, shown: (value) => number(value, 3), numeric: true },
    share("missing", (field) => field.missing),
    share("missing in training", (field) => field.missing_expected),
    share("unseen", (field) => field.unseen),
    share("unseen in training", (field) => field.unseen_expected),
  ], fields)];
}
