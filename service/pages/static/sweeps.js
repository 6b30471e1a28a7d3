// The list of sweeps, newest first: how far each is, and what it tries.

import { getJson } from "./api.js";
import { byId, el, say } from "./dom.js";
import { number, percent, time } from "./format.js";
import { stateTag } from "./job_parts.js";
import { repeat } from "./live.js";
import { gridNames } from "./sweep_groups.js";
import { refill, wideTable } from "./wide_table.js";

const EVERY_MS = 10_000;
const PAGE = 50;
const shown = byId("sweeps");
const more = byId("more");
let pages = 1;

more.addEventListener("click", () => {
  pages += 1;
  looking.now();
});
const looking = repeat(look, EVERY_MS);

async function look() {
  try {
    const sweeps = [];
    let cursor = null;
    for (let read = 0; read < pages && (read === 0 || cursor); read += 1) {
      const page = await getJson(`/v1/jobs?kind=sweep&limit=${PAGE}${cursor ? `&cursor=${cursor}` : ""}`);
      sweeps.push(...page.jobs);
      cursor = page.next_cursor;
    }
    more.hidden = !cursor;
    if (sweeps.length) refill(shown, tableOf(sweeps));
    say(byId("status"), sweeps.length ? "" : "No sweep was submitted yet. POST /v1/jobs with the kind `sweep` starts one.", "note");
  } catch (problem) {
    say(byId("status"), problem.message);
  } finally {
    shown.removeAttribute("aria-busy");
  }
}

function tableOf(sweeps) {
  const titles = ["sweep", "state", "progress", "runs", "dataset", "tries", "best validation AUC", "submitted"];
  return wideTable("Sweeps, newest first", titles, sweeps.map(rowOf), [6]);
}

function rowOf(sweep) {
  const { base, grid } = sweep.spec;
  const tries = gridNames(grid).map((name) => (Array.isArray(grid[name]) ? `${name}: ${grid[name].length}` : name));
  return [
    el("a", { href: `/ui/sweeps/${sweep.id}` }, sweep.id),
    stateTag(sweep),
    percent(sweep.progress),
    runsText(sweep.children),
    base.dataset ?? "–",
    tries.join(", "),
    number(sweep.metrics.best?.valid_auc),
    time(sweep.created_at),
  ];
}

function runsText(children) {
  return Object.entries(children ?? {}).map(([state, count]) => `${count} ${state}`).join(", ");
}
