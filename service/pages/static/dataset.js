// A dataset's report: what it holds, what drifts, what it costs, and what to mend before training.

import { getJson } from "./api.js";
import { LineChart } from "./charts.js";
import { byId, el, fill, say } from "./dom.js";
import { bytes, integer, number, percent, time } from "./format.js";
import { bar, dataTable } from "./wide_table.js";

const SPLITS = ["train", "valid", "test"];
const ASK_AGAIN_MS = 3000;
const MOST_CURVES = 6; // of the largest fields; the table has all
const share = (value) => percent(value, 1);
const rate = (value) => percent(value, 2);
const shownOrDash = (value) => value ?? "–";

const status = byId("status");
const place = byId("report");
const { name } = place.dataset;
const path = `/v1/datasets/${encodeURIComponent(name)}`;

start();

async function start() {
  try {
    showFacts(await getJson(path));
    say(status, "The report is being read; the first time that takes all of the data.", "note");
    const report = await readReport();
    say(status, "");
    showReport(report);
  } catch (problem) {
    say(status, problem.message);
  } finally {
    place.removeAttribute("aria-busy");
  }
}

/** The report; where another one is being made, asked for until that is done. */
async function readReport() {
  for (;;) {
    try {
      return await getJson(`${path}/report`);
    } catch (problem) {
      if (problem.status !== 503) throw problem;
      say(status, "Another report is being made. This page asks again.", "note");
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    }
  }
}

function showFacts(dataset) {
  const fact = (title, content) => el("div", {}, el("dt", {}, title), el("dd", {}, content));
  fill(byId("facts"),
    fact("Schema", dataset.preset),
    SPLITS.map((split) => fact(`Rows, ${split}`, integer(dataset.rows[split]))),
    fact("Label rate, train", rate(dataset.label_rate.train)),
    fact("Rows of the embedding table", integer(dataset.table_rows)),
    fact("Prepared by", dataset.job ? el("a", { href: `/ui/jobs/${dataset.job}` }, dataset.job) : "elsewhere"),
    fact("Registered", time(dataset.created_at)),
    fact("Hash", el("code", {}, dataset.hash.slice(0, 16))));
}

function showReport(report) {
  const splits = SPLITS.filter((split) => split === "train" || report.rows[split]);
  const later = splits.slice(1);
  fill(place, ...[warnings, labels, idFields, numericFields, drift, embeddingTable, repeats].map((part) => part(report, splits, later)));
}

const section = (title, ...content) => el("section", { class: "panel" }, el("h2", {}, title), ...content);

function warnings(report) {
  if (!report.warnings.length) return section("Warnings", el("p", {}, "None."));
  const byRemedy = Map.groupBy(report.warnings, (warning) => warning.remedy);
  return section(`Warnings (${report.warnings.length})`, ...[...byRemedy].map(([remedy, found]) =>
    el("div", { class: "warning" },
      el("ul", {}, found.map((warning) => el("li", {}, warning.field ? el("b", {}, `${warning.field}: `) : null, warning.what))),
      el("p", { class: "hint" }, remedy))));
}

function labels(report, splits) {
  const host = el("div");
  const chart = new LineChart(host, {
    title: "Label rate over the order of rows", x: "rows from the split's start (% of it)", name: `${name}-label-rate`,
    formatX: (value) => number(value, 3), formatY: rate,
  });
  const curves = splits.map((split) => report.label_slices[split].map((of) => [100 * ((of.first_row + of.rows / 2) / report.rows[split]), of.positives / of.rows]));
  drawCurves(chart, splits, curves);
  const rejected = Object.entries(report.rejected).map(([reason, count]) => `${reason} ${integer(count)}`).join(", ") || "none";
  const facts = el("p", {}, `Rejected rows: ${rejected}. ${bytes(report.dataset_bytes)} on disk.`,
    report.negative_rate === 1 ? null : ` Of its rows without a click train keeps ${rate(report.negative_rate)}; models correct for it.`);
  return section("Label rate", facts, host, report.timeline.length ? timeline(report) : null);
}

function timeline(report) {
  const highest = Math.max(...report.timeline.map((point) => (point.rows ? point.positives / point.rows : 0)));
  return dataTable(`${name}-timeline`, "Label rate over time, all splits", [
    { title: "from", of: (point) => point.start },
    { title: "rows", of: (point) => point.rows, shown: integer, numeric: true },
    { title: "label rate", of: (point) => (point.rows ? point.positives / point.rows : null), shown: (value) => bar(value, highest, rate), numeric: true },
  ], report.timeline);
}

/** Curves with places of their own, on one axis. */
function drawCurves(chart, titles, curves) {
  const xs = [...new Set(curves.flatMap((points) => points.map(([x]) => x)))].sort((a, b) => a - b);
  chart.set(xs, curves.map((points, index) => {
    const byX = new Map(points);
    return { label: titles[index], values: xs.map((x) => byX.get(x) ?? null) };
  }));
}

function idFields(report, splits, later) {
  const fields = report.id_fields;
  const host = el("div");
  const chart = new LineChart(host, {
    title: "Occurrences by rank in train", x: "rank of the value (log)", name: `${name}-frequencies`,
    formatX: integer, formatY: integer, log: true, logY: true,
  });
  const largest = fields.toSorted((a, b) => b.values - a.values).slice(0, MOST_CURVES);
  drawCurves(chart, largest.map((field) => field.name), largest.map((field) => field.frequencies));
  const table = dataTable(`${name}-id-fields`, "Id fields", [
    { title: "field", of: (field) => field.name },
    { title: "kept values", of: (field) => field.values, shown: integer, numeric: true },
    { title: "most frequent", of: (field) => field.top_value, shown: shownOrDash },
    { title: "its share", of: (field) => field.top_share, shown: share, numeric: true },
    { title: "top 10", of: (field) => field.top10_share, shown: share, numeric: true },
    { title: "top 100", of: (field) => field.top100_share, shown: share, numeric: true },
    ...ofSplits("missing", splits, (field) => field.missing_share),
    { title: "unseen expected", of: (field) => field.unseen_expected, shown: share, numeric: true },
    ...later.map((split) => ({
      title: `unseen ${split}`, of: (field) => field.unseen_share[split], shown: (value) => bar(value, 1, share), numeric: true,
    })),
    aucAlone,
  ], fields);
  const note = "Unseen values are absent from train or rarer there than min_count; expected: in new rows that are drawn as train was. "
    + "AUC alone is that of the field's label rates; near 1 means that it knows the label.";
  return section("Id fields", el("p", { class: "hint" }, note), host, table);
}

const ofSplits = (what, splits, shares) =>
  splits.map((split) => ({ title: `${what} ${split}`, of: (field) => shares(field)[split], shown: share, numeric: true }));
const aucAlone = { title: "AUC alone", of: (field) => field.label_auc, shown: (value) => number(value, 3), numeric: true };

function numericFields(report, splits) {
  if (!report.numeric_fields.length) return null;
  const figure = (title, of) => ({ title, of, shown: (value) => number(value, 4), numeric: true });
  return section("Numeric fields",
    el("p", { class: "hint" }, "Mean and deviation are those of the training split after the transform."),
    dataTable(`${name}-numeric-fields`, "Numeric fields", [
      { title: "field", of: (field) => field.name },
      { title: "transform", of: (field) => field.transform },
      figure("mean", (field) => field.mean),
      figure("deviation", (field) => field.std),
      ...ofSplits("missing", splits, (field) => field.missing_share),
      aucAlone,
    ], report.numeric_fields));
}

function drift(report, splits, later) {
  if (!later.length) return null;
  const fields = [...report.numeric_fields, ...report.id_fields];
  const highest = Math.max(...fields.flatMap((field) => later.map((split) => field.psi[split] ?? 0)));
  const index = (value) => number(value, 3);
  const columns = later.flatMap((split) => [
    { title: `train to ${split}`, of: (field) => field.psi[split], shown: (value) => bar(value, highest, index), numeric: true },
    { title: `chance ${split}`, of: (field) => field.psi_chance[split], shown: index, numeric: true },
  ]);
  const sorted = fields.toSorted((a, b) => b.psi[later.at(-1)] - a.psi[later.at(-1)]);
  const note = "Population stability index, the highest first: below 0.1 no drift to speak of, 0.1 to 0.25 some, above 0.25 the field is "
    + "another one. Chance alone stays below its column in 999 of 1,000 cases.";
  return section("Drift between splits", el("p", { class: "hint" }, note),
    dataTable(`${name}-drift`, "Population stability index", [{ title: "field", of: (field) => field.name }, ...columns], sorted));
}

function embeddingTable(report) {
  const note = `${integer(report.table_rows)} rows: ${bytes(report.table_bytes)} of weights at D = ${report.embedding_dim}, `
    + `${bytes(report.training_bytes)} while Adam trains.`;
  return section("Embedding table", el("p", {}, note), dataTable(`${name}-table`, "Rows and bytes by field, the largest first", [
    { title: "field", of: (field) => field.name },
    { title: "rows", of: (field) => field.table_rows, shown: integer, numeric: true },
    { title: "weights (bytes)", of: (field) => field.table_bytes, shown: bytes, numeric: true },
    { title: "with Adam's moments (bytes)", of: (field) => field.training_bytes, shown: bytes, numeric: true },
    { title: "share of the table", of: (field) => field.table_bytes / report.table_bytes, shown: (value) => bar(value, 1, share), numeric: true },
  ], report.id_fields.toSorted((a, b) => b.table_rows - a.table_rows)));
}

function repeats(report) {
  const found = Object.entries(report.repeated).filter(([split]) => report.rows[split]).map(([split, of]) => ({ split, ...of }));
  if (!found.length) return null;
  return section("Rows of train in other splits",
    el("p", { class: "hint" }, "Rows alike in label and all inputs, as a model sees them after encoding."),
    dataTable(`${name}-repeats`, "Repeated rows", [
      { title: "split", of: (of) => of.split },
      { title: "rows looked up", of: (of) => of.checked, shown: integer, numeric: true },
      { title: "also in train", of: (of) => of.rows, shown: integer, numeric: true },
      { title: "share", of: (of) => of.share, shown: (value) => percent(value, 3), numeric: true },
      { title: "which", of: (of) => (of.capped ? "the first" : "all") },
    ], found));
}
