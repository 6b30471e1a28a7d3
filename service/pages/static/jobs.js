// The list of jobs: filters and place are in the page's address, rows are asked for again while somebody looks.
import { getJson } from "./api.js";
import { byId, el, fill, say } from "./dom.js";
import { between, duration, integer, number, time } from "./format.js";
import { aucOf, FINAL, progressCell, stateTag } from "./job_parts.js";
import { repeat } from "./live.js";

const EVERY_MS = 10_000; // while a job that is shown goes on
const SELDOM_MS = 20_000; // else: for those that are new
const here = new URLSearchParams(location.search);
const asked = new URLSearchParams([...here].filter(([name, value]) => value && ["state", "kind", "label", "parent", "cursor"].includes(name)));
const rows = new Map(); // job id -> its row, and the JSON that it was made of

/** What a job is about, in a few words. */
function about(job) {
  const spec = job.spec;
  const parts = {
    train: [spec.model?.name ?? "deepfm", spec.dataset],
    prepare: [spec.name],
    evaluate: [spec.model ?? spec.job, spec.dataset],
    score: [spec.model],
    sweep: [spec.base?.dataset],
  }[job.kind];
  return parts.filter((part) => typeof part === "string").join(" on ");
}

const cells = (job) => [
  el("td", {}, el("a", { href: `/ui/jobs/${encodeURIComponent(job.id)}` }, `${job.kind} …${job.id.slice(-8)}`), el("div", { class: "note" }, about(job))),
  el("td", {}, stateTag(job), job.reason ? el("div", { class: "note" }, job.reason) : null),
  el("td", {}, progressCell(job)),
  el("td", { class: "number" }, number(aucOf(job.metrics), 4)),
  el("td", { class: "number" }, integer(job.metrics.rows_per_s)),
  el("td", {}, Object.entries(job.labels).flatMap(([key, value]) => [el("span", { class: "tag" }, `${key}=${value}`), " "])),
  el("td", {}, time(job.created_at)),
  el("td", { class: "number" }, duration(between(job.started_at, job.finished_at))),
];

function rowOf(job) {
  const content = JSON.stringify(job);
  const known = rows.get(job.id);
  if (known && known.content === content && job.finished_at) return known.row;
  const row = known?.row ?? el("tr");
  const hadFocus = row.contains(document.activeElement);
  fill(row, cells(job));
  if (hadFocus) row.querySelector("a").focus();
  rows.set(job.id, { content, row });
  return row;
}

function show(page) {
  const body = byId("jobs").tBodies[0];
  const wanted = page.jobs.map(rowOf);
  const isSame = wanted.length === body.rows.length && wanted.every((row, index) => body.rows[index] === row);
  if (!isSame) fill(body, wanted);
  byId("jobs").hidden = !wanted.length;
  byId("empty").hidden = Boolean(wanted.length);
  const isFiltered = ["state", "kind", "label", "parent"].some((name) => asked.has(name));
  byId("empty").textContent = isFiltered
    ? "No job matches. Choose other filters, or show all jobs."
    : "There are no jobs yet. Submit one with “New job”, or with POST /v1/jobs.";
  byId("older").hidden = !page.next_cursor;
  if (page.next_cursor) byId("older").href = `?${new URLSearchParams([...asked].filter(([name]) => name !== "cursor").concat([["cursor", page.next_cursor]]))}`;
}

let goesOn = true;
let looked = 0;

async function look() {
  if (!goesOn && Date.now() - looked < SELDOM_MS - EVERY_MS / 2) return;
  try {
    const page = await getJson(`/v1/jobs?${asked}`);
    show(page);
    goesOn = page.jobs.some((job) => !FINAL.has(job.state));
    looked = Date.now();
    say(byId("problem"), "");
  } catch (error) {
    say(byId("problem"), error.message);
  }
}

for (const name of ["state", "kind", "label"]) byId(name).value = here.get(name) ?? "";
byId("filters").addEventListener("submit", (event) => {
  event.preventDefault();
  location.assign(`/ui/jobs?${new URLSearchParams([...new FormData(event.target)].filter(([, value]) => value))}`);
});
for (const name of ["state", "kind"]) byId(name).addEventListener("change", () => byId("filters").requestSubmit());
byId("newest").hidden = !asked.has("cursor");
byId("newest").href = `?${new URLSearchParams([...asked].filter(([name]) => name !== "cursor"))}`;
repeat(look, EVERY_MS);
