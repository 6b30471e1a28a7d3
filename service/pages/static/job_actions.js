// What can be asked of a job in its state; the table of states is docs/jobs.md.
import { send } from "./api.js";
import { byId, el, fill } from "./dom.js";

const ACTIONS = [
  { name: "pause", text: "Pause", when: (job) => ["queued", "running"].includes(job.state) && !job.pausing },
  { name: "resume", text: "Resume", when: (job) => job.state === "paused" || job.pausing },
  { name: "cancel", text: "Cancel", danger: true, when: (job) => ["queued", "running", "paused"].includes(job.state),
    ask: (job) => `Cancel job ${job.id}? It keeps its checkpoint, and can be retried.` },
  { name: "retry", text: "Retry", when: (job) => ["failed", "cancelled"].includes(job.state) },
];

/** Draw the buttons. done(job): the job as an action left it; failed(error). */
export function showActions(job, done, failed) {
  const host = byId("actions");
  if (host === null) return; // the key may not change jobs
  const wanted = ACTIONS.filter((action) => action.when(job));
  const names = [...wanted.map((action) => action.name), job.kind].join(" ");
  if (host.dataset.names === names) return; // a button that has the focus keeps it
  host.dataset.names = names;
  const press = (action) => async (event) => {
    if (action.ask && !confirm(action.ask(job))) return;
    event.target.disabled = true;
    try {
      done(await send("POST", `/v1/jobs/${encodeURIComponent(job.id)}/${action.name}`));
      host.querySelector("button, a")?.focus(); // the one that was pressed is gone
    } catch (error) {
      failed(error);
    } finally {
      event.target.disabled = false;
    }
  };
  fill(host,
    wanted.map((action) => el("button", { type: "button", class: action.danger ? "danger" : null, onclick: press(action) }, action.text)),
    el("a", { class: "button", href: `/ui/jobs/new?kind=${job.kind}&from=${encodeURIComponent(job.id)}` }, "Clone with changes"));
}
