// Parts that the list of jobs and a job's page share.
import { el } from "./dom.js";
import { duration, percent } from "./format.js";

export const FINAL = new Set(["succeeded", "failed", "cancelled"]);

/** The area under the ROC curve so far: of the test split where it is known. */
export const aucOf = (metrics, label = "") => metrics[`test_auc${label}`] ?? metrics[`valid_auc${label}`] ?? metrics[`auc${label}`];

/** The same of further labels, by name. */
export function aucsOfLabels(metrics) {
  const labels = new Set(Object.keys(metrics).map((name) => /^(?:test_|valid_)?auc(\..+)$/.exec(name)?.[1]).filter(Boolean));
  return [...labels].sort().map((label) => [label.slice(1), aucOf(metrics, label)]);
}

export function stateTag(job) {
  const text = job.pausing ? "pausing" : job.state;
  return el("span", { class: `state state-${job.state}` }, text);
}

/** How far a job is, and what is to come. */
export function outlook(job) {
  if (job.state === "queued") {
    const place = job.position ? `place ${job.position} in the queue` : "waits";
    return job.not_before ? `${place}, tried again later` : place;
  }
  if (job.state === "running" && typeof job.eta_s === "number") return `${percent(job.progress)}, ${duration(job.eta_s)} to go`;
  return percent(job.progress);
}

export const progressCell = (job) => [
  el("progress", { max: "1", value: job.progress, "aria-label": `Progress of job ${job.id}` }),
  el("div", { class: "note" }, outlook(job)),
];
