// The plan of a training with the reason of each value: that of its report, before the end that of a dry run.
import { getJson, may, mayPass, send } from "./api.js";
import { byId, fill, say, table } from "./dom.js";
import { number } from "./format.js";

const NOT_SETTINGS = new Set(["reasons", "rule", "preset"]);

export const valueText = (value) => {
  if (value === null || value === undefined) return "not set";
  return typeof value === "number" ? number(value, 6) : typeof value === "object" ? JSON.stringify(value) : String(value);
};

/** Settings by dotted name. */
export function flat(settings, prefix = "") {
  return Object.entries(settings).flatMap(([name, value]) =>
    value !== null && typeof value === "object" && !Array.isArray(value) ? flat(value, `${prefix}${name}.`) : [[prefix + name, value]]);
}

export const planTable = (plan) =>
  table(`Rule ${plan.rule}, preset ${plan.preset}`, ["Setting", "Value", "Reason"],
    Object.entries(plan).filter(([name]) => !NOT_SETTINGS.has(name)).map(([name, value]) => [name, valueText(value), plan.reasons[name] ?? ""]), [1]);

/** Show it. onFailure(): it could not be read, and may be later. */
export async function showPlan(job, onFailure) {
  if (job.kind !== "train") {
    byId("settings").textContent = JSON.stringify(job.spec, null, 2);
    say(byId("plan-problem"), "Only trainings have a plan.", "note");
    return;
  }
  byId("settings").textContent = flat(job.spec).map(([name, value]) => `${name} = ${valueText(value)}`).join("\n");
  try {
    const answer = await plan(job);
    if (answer === null) {
      say(byId("plan-problem"), "The plan is shown when the job has succeeded, or to a key with the scope jobs:write.", "note");
      return;
    }
    fill(byId("plan"), planTable(answer.plan));
    byId("settings").textContent = flat({ ...job.spec, ...answer.config }).map(([name, value]) => `${name} = ${valueText(value)}`).join("\n");
    say(byId("plan-problem"), "");
  } catch (error) {
    say(byId("plan-problem"), `The plan cannot be shown: ${error.message}`);
    if (mayPass(error)) onFailure();
  }
}

async function plan(job) {
  if (job.state === "succeeded") {
    try {
      return await getJson(`/v1/jobs/${encodeURIComponent(job.id)}/report`);
    } catch (error) {
      if (error.status !== 404) throw error; // its files are gone: a dry run says the same
    }
  }
  return may("jobs:write") ? send("POST", "/v1/plans", job.spec) : null;
}
