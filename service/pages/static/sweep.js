// One sweep: figures against the batch size, a line per choice of settings, and its runs.

import { getJson } from "./api.js";
import { LineChart } from "./charts.js";
import { byId, el, fill, say } from "./dom.js";
import { duration, integer, number, percent, time } from "./format.js";
import { FINAL, stateTag } from "./job_parts.js";
import { repeat } from "./live.js";
import { SweepRuns } from "./sweep_runs.js";
import { BATCH, alignedOf, changesOf, figuresOf, gridNames, groupsOf, linesOf, publishedLine, settingOf } from "./sweep_groups.js";
import { refill, wideTable } from "./wide_table.js";

const EVERY_MS = 15_000;
const NAMES = {
  test_auc: "test AUC",
  valid_auc: "validation AUC",
  test_log_loss: "test log loss (nats)",
  valid_log_loss: "validation log loss (nats)",
  rows_per_s: "rows/s",
  seconds: "time from start to end",
};
const SHOWN_AS = { seconds: duration, rows_per_s: integer };
const secondsText = (value) => `${number(value, 3)} s`;

const id = encodeURIComponent(byId("sweep").dataset.job);
const chosen = byId("figure");
const charts = {};
const runsOfIt = new SweepRuns(id);
let published = null;
let state = null;
let looked = "";

chosen.addEventListener("change", () => drawFigure());
const looking = repeat(look, EVERY_MS);

async function look() {
  try {
    const sweep = await getJson(`/v1/jobs/${id}`);
    if (sweep.kind !== "sweep") {
      say(byId("status"), `This job is of the kind ${sweep.kind}. Its page is /ui/jobs/${id}.`);
      looking.stop();
      return;
    }
    const news = JSON.stringify(sweep);
    if (news !== looked || sweep.children.running) {
      const runs = await runsOfIt.now(sweep.children);
      published ??= await readPublished(sweep);
      const names = gridNames(sweep.spec.grid);
      state = { sweep, runs, names, groups: groupsOf(runs, names, Object.keys(NAMES)) };
      show();
      looked = news;
    }
    say(byId("status"), sweep.message ?? "", sweep.state === "failed" ? "error" : "note");
    if (FINAL.has(sweep.state)) looking.stop();
  } catch (problem) {
    say(byId("status"), problem.message);
  }
}

/** The published table of the sweep's data and network; an empty object where there is none. */
async function readPublished({ spec }) {
  const [dataset, results] = await Promise.all([
    getJson(`/v1/datasets/${encodeURIComponent(spec.base.dataset)}`),
    getJson("/v1/published-results"),
  ]);
  const network = spec.base.model?.name ?? "deepfm";
  const found = results.tables.find((of) => of.preset === dataset.preset && of.network === network);
  return found ? { ...found, source: results.source } : {};
}

function show() {
  const { sweep, runs, names, groups } = state;
  const fact = (title, content) => el("div", {}, el("dt", {}, title), el("dd", {}, content));
  refill(byId("facts"),
    fact("State", stateTag(sweep)),
    fact("Progress", percent(sweep.progress)),
    fact("Dataset", el("a", { href: `/ui/datasets/${encodeURIComponent(sweep.spec.base.dataset)}` }, sweep.spec.base.dataset)),
    fact("Runs", Object.entries(sweep.children).map(([name, count]) => `${count} ${name}`).join(", ")),
    fact("Best by validation AUC", bestOf(sweep)),
    fact("Submitted", time(sweep.created_at)),
    fact("Ended", time(sweep.finished_at)));
  const measured = Object.keys(NAMES).filter((name) => groups.some((group) => name in group.figures));
  const choices = measured.filter((name) => name !== "seconds");
  if (names.includes(BATCH) && choices.length) drawPictures(choices);
  refill(byId("groups"), groups.length ? groupTable(groups, measured) : el("p", { class: "empty" }, "No run has succeeded yet."));
  refill(byId("runs"), runTable(runs, names, measured));
}

function bestOf({ metrics, result }) {
  const job = metrics.best?.job ?? result.best;
  return job ? el("a", { href: `/ui/jobs/${job}` }, `${number(metrics.best?.valid_auc)}, ${job}`) : "–";
}

function drawPictures(choices) {
  if (choices.join() !== [...chosen.options].map((option) => option.value).join()) {
    const before = chosen.value;
    fill(chosen, choices.map((name) => el("option", { value: name }, NAMES[name])));
    if (choices.includes(before)) chosen.value = before;
  }
  byId("pictures").hidden = false;
  drawFigure();
  const title = "Time against batch size";
  const of = { title, x: "batch size (rows)", name: `sweep-${id}-time`, formatX: integer, formatY: secondsText, log: true, points: true };
  draw("time", of, linesOf(state.groups, "seconds"));
}

function drawFigure() {
  const figure = chosen.value;
  const formatY = SHOWN_AS[figure] ?? number;
  const lines = linesOf(state.groups, figure);
  const name = `sweep-${id}-${figure}`;
  const common = { x: "batch size (rows)", formatX: integer, log: true, points: true };
  draw("absolute", { ...common, title: `${NAMES[figure]} against batch size`, name, formatY }, lines);
  const changes = changesOf(lines);
  const withPublished = figure.endsWith("_auc") && published?.auc;
  if (withPublished) {
    const label = `published: ${published.network}, ${published.rule}, all of ${published.preset}`;
    changes.push(...changesOf([publishedLine(label, published.auc)]));
  }
  say(byId("published"), withPublished ? `Published line: ${published.source}, ${published.epochs} epochs.` : "", "note");
  const change = { ...common, title: `Change of ${NAMES[figure]} from the smallest batch`, name: `${name}-change` };
  draw("change", { ...change, x: "batch size / smallest batch size", formatY: signed }, changes);
}

const signed = (value) => (value > 0 ? `+${number(value, 3)}` : number(value, 3));

function draw(place, settings, lines) {
  const { xs, series } = alignedOf(lines);
  if (charts[place]?.title !== settings.title) charts[place] = new LineChart(byId(place), settings);
  charts[place].set(xs, series);
}

function groupTable(groups, measured) {
  const settings = Object.keys(groups[0].settings);
  const rows = groups.map((group) => [
    ...settings.map((name) => text(group.settings[name])),
    integer(group.runs.length),
    ...measured.map((name) => spreadText(group.figures[name], SHOWN_AS[name] ?? number)),
  ]);
  const titles = [...settings, "runs", ...measured.map((name) => NAMES[name])];
  const numeric = titles.map((_, column) => column).slice(settings.length);
  return wideTable("Mean ± sample standard deviation over seeds", titles, rows, numeric);
}

function runTable(runs, names, measured) {
  const rows = runs.map((run) => {
    const figures = figuresOf(run);
    return [
      el("a", { href: `/ui/jobs/${run.id}` }, run.id),
      ...names.map((name) => text(settingOf(run.spec, name))),
      run.reason ? el("div", {}, stateTag(run), ` ${run.reason}`) : stateTag(run),
      percent(run.progress),
      ...measured.map((name) => (SHOWN_AS[name] ?? number)(figures[name])),
    ];
  });
  const titles = ["run", ...names, "state", "progress", ...measured.map((name) => NAMES[name])];
  return wideTable("Runs", titles, rows, titles.map((_, column) => column).slice(names.length + 2));
}

const text = (value) => (typeof value === "string" ? value : JSON.stringify(value) ?? "–");

function spreadText(spread, shown) {
  if (!spread) return "–";
  return spread.sd === null ? shown(spread.mean) : `${shown(spread.mean)} ± ${shown === number ? number(spread.sd, 3) : shown(spread.sd)}`;
}
