// All models: the version that answers, its figures, and where aliases point.

import { getJson } from "./api.js";
import { byId, el, fill, say } from "./dom.js";
import { counted, integer, number, time } from "./format.js";
import { wideTable } from "./wide_table.js";

const shown = byId("models");

try {
  const { models } = await getJson("/v1/models");
  if (models.length) fill(shown, tableOf(models));
  else say(byId("status"), "No model is published yet. A train job with `publish_as` publishes one.", "note");
} catch (problem) {
  say(byId("status"), problem.message);
} finally {
  shown.removeAttribute("aria-busy");
}

function tableOf(models) {
  const titles = ["name", "versions", "latest", "test AUC of latest", "test log loss", "other aliases", "newest version of"];
  return wideTable(counted(models.length, "model"), titles, models.map(rowOf), [1, 2, 3, 4]);
}

function rowOf(model) {
  const { latest, ...others } = model.aliases;
  const metrics = model.versions.find((of) => of.version === latest)?.metrics ?? {};
  return [
    el("a", { href: `/ui/models/${encodeURIComponent(model.name)}` }, model.name),
    integer(model.versions.length),
    latest === undefined ? "none" : String(latest),
    number(metrics.test_auc),
    number(metrics.test_log_loss),
    Object.entries(others).map(([alias, version]) => `${alias}: ${version}`).join(", ") || "none",
    time(model.versions[0]?.created_at),
  ];
}
