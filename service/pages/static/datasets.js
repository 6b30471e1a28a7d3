// All datasets: rows, label rates, and the job that prepared each.

import { getJson } from "./api.js";
import { byId, el, fill, say } from "./dom.js";
import { counted, integer, percent, time } from "./format.js";
import { wideTable } from "./wide_table.js";

const SPLITS = ["train", "valid", "test"];
const shown = byId("datasets");

try {
  const { datasets } = await getJson("/v1/datasets");
  if (datasets.length) fill(shown, tableOf(datasets));
  else say(byId("status"), "No dataset is registered yet. POST /v1/datasets prepares one from raw files.", "note");
} catch (problem) {
  say(byId("status"), problem.message);
} finally {
  shown.removeAttribute("aria-busy");
}

function tableOf(datasets) {
  const titles = ["name", "schema", ...SPLITS.map((split) => `${split} rows`), "label rate (train)", "table rows", "prepared by", "registered"];
  const rows = datasets.map((of) => [
    el("a", { href: `/ui/datasets/${encodeURIComponent(of.name)}` }, of.name),
    of.preset,
    ...SPLITS.map((split) => integer(of.rows[split])),
    percent(of.label_rate.train, 2),
    integer(of.table_rows),
    of.job ? el("a", { href: `/ui/jobs/${of.job}` }, of.job) : "elsewhere",
    time(of.created_at),
  ]);
  return wideTable(counted(datasets.length, "dataset"), titles, rows, [2, 3, 4, 5, 6]);
}
