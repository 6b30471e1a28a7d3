// The page of one job: read once, then kept up to date by its stream of events.
import { getJson, mayPass } from "./api.js";
import { byId, el, fill, say } from "./dom.js";
import { between, duration, integer, number, percent, time } from "./format.js";
import { showActions } from "./job_actions.js";
import { Curves } from "./job_curves.js";
import { JobLog } from "./job_log.js";
import { aucOf, aucsOfLabels, FINAL, progressCell, stateTag } from "./job_parts.js";
import { showPlan } from "./job_plan.js";
import { followEvents, later, repeat } from "./live.js";

const EARLIER_EVENTS = 2000; // before the page was opened; states and warnings among them are read
const LOOK_MS = 10_000; // what no event tells: the place in the queue, how many runs of a sweep are done
const SELDOM_MS = 30_000; // while it runs: that somebody wishes it to pause
const AGAIN_MS = 5000; // after the page, or its plan, could not be filled
const SHOWN = ["valid_auc", "test_auc", "loss", "rows_per_s"]; // metrics beside the state
const jobId = byId("job").dataset.jobId;
const path = `/v1/jobs/${encodeURIComponent(jobId)}`;
const curves = new Curves(jobId, (text) => say(byId("problem"), text));
const log = new JobLog(jobId);
let job = null;
let stream = null;
let hasAll = false; // the stream has brought the event that ended the job
let isAway = false; // the last answer was a refusal, or none
let newest = {}; // of each metric, what the stream has brought
let plannedFor = null; // the state that the plan was shown for
let hasCurves = false; // or they cannot be read; until then nothing else is asked for that the service has long work with

const fact = (name, value) => [el("dt", {}, name), el("dd", {}, value)];

function show(newer) {
  const wasOver = job !== null && FINAL.has(job.state);
  job = newer;
  const isOver = FINAL.has(job.state);
  document.title = `${isOver ? job.state : percent(job.progress)} · ${job.kind} …${job.id.slice(-8)} · ctrfast`;
  fill(byId("state"), stateTag(job), " ", job.kind);
  fill(byId("progress"), progressCell(job));
  say(byId("message"), [job.reason, job.message].filter(Boolean).join(": "), job.state === "failed" ? "error" : "note");
  const children = job.children ? Object.entries(job.children).map(([state, count]) => `${count} ${state}`).join(", ") : null;
  fill(byId("facts"),
    [
      ["AUC", number(aucOf(job.metrics), 6)],
      ...aucsOfLabels(job.metrics).map(([label, auc]) => [`AUC, ${label}`, number(auc, 6)]),
      ["Loss", number(job.metrics.loss)],
      ["Speed", `${integer(job.metrics.rows_per_s)} rows/s`],
      ["Took", duration(between(job.started_at, job.finished_at))],
      ["Submitted", time(job.created_at)],
      ["Started", time(job.started_at)],
      ["Ended", time(job.finished_at)],
      ["Attempt", integer(job.attempt)],
      ["Priority", String(job.priority)],
      ...(job.deadline_at ? [["Deadline", time(job.deadline_at)]] : []),
      ...(job.parent ? [["Run of", el("a", { href: `/ui/jobs/${encodeURIComponent(job.parent)}` }, job.parent)]] : []),
      ...(children ? [["Runs", el("a", { href: `/ui/jobs?parent=${encodeURIComponent(job.id)}` }, children)]] : []),
      ...(job.kind === "sweep" ? [["Figures", el("a", { href: `/ui/sweeps/${encodeURIComponent(job.id)}` }, "by batch size")]] : []),
      ...Object.entries(job.labels).map(([key, value]) => [key, value]),
    ].map(([name, value]) => el("div", {}, fact(name, value))));
  showActions(job, (changed) => (say(byId("problem"), ""), show(changed)), (error) => say(byId("problem"), error.message));
  showResult();
  planOnce();
  if (wasOver && !isOver) {
    hasAll = false; // it was retried
    stream?.reopen();
  }
}

function planOnce() {
  const state = FINAL.has(job.state) ? job.state : "open";
  if (!hasCurves || plannedFor === state) return;
  plannedFor = state;
  showPlan(job, () => later(planAgain, AGAIN_MS));
}

function planAgain() {
  plannedFor = null;
  show(job);
}

function showResult() {
  byId("result-details").hidden = !Object.keys(job.result).length;
  const link = (href, text) => el("li", {}, el("a", { href }, text));
  const { outputs = [], model, version } = job.result;
  fill(byId("files"),
    job.state === "succeeded" && ["train", "prepare", "sweep"].includes(job.kind) ? link(`${path}/report`, "Report") : null,
    outputs.map((name) => link(`${path}/outputs/${encodeURIComponent(name)}`, name)),
    model && version ? el("li", {}, `Model ${model}, version ${version}`) : null);
  const text = JSON.stringify({ metrics: job.metrics, result: job.result }, null, 2);
  if (byId("result").textContent !== text) byId("result").textContent = text;
}

function addEvent(type, { at, seq: _seq, ...data }) {
  const { state, message, reason, ...rest } = data;
  const says = [reason, message, ...Object.entries(rest).filter(([name]) => name !== "traceparent").map(([name, value]) => `${name} ${JSON.stringify(value)}`)];
  byId("events").append(el("tr", {}, el("td", {}, time(at)), el("td", {}, state ?? type), el("td", {}, says.filter(Boolean).join(", "))));
}

function isThere() {
  if (isAway) say(byId("problem"), "");
  isAway = false;
}

async function refresh() {
  try {
    show(await getJson(path));
    isThere();
  } catch (error) {
    isAway = true;
    say(byId("problem"), error.message);
  }
}

function onEvent(type, data) {
  if (type === "metric") {
    curves.add(data);
    newest = { ...newest, ...data };
  } else if (type === "log") log.wake();
  else if (type === "progress") {
    const { progress, eta_s: eta } = data;
    const told = SHOWN.filter((name) => typeof newest[name] === "number").map((name) => [name, newest[name]]);
    show({ ...job, progress, eta_s: eta, metrics: { ...job.metrics, ...Object.fromEntries(told) } });
  } else {
    if (type === "state") hasAll = FINAL.has(data.state);
    addEvent(type, data);
    refresh();
    log.wake();
  }
}

/** Events before those that the stream brings; of a long history the newest. */
async function earlierEvents(last) {
  fill(byId("events"));
  let after = Math.max(0, last - EARLIER_EVENTS);
  while (after < last) {
    const page = await getJson(`${path}/events?after=${after}&limit=1000&types=state,warning`).catch((error) => {
      if (error.status === 410) return { events: [], after: last }; // they were removed
      throw error;
    });
    for (const event of page.events) {
      if (event.seq <= last) addEvent(event.type, { ...event.data, at: event.at });
    }
    after = page.after > after ? page.after : last;
  }
}

async function open() {
  show(await getJson(path));
  hasAll = FINAL.has(job.state); // the series is read after it
  const last = await curves.load().catch((error) => {
    if (error.status !== 410) throw error;
    return null; // its events were removed
  }).finally(() => {
    hasCurves = true;
    planOnce();
  });
  isThere();
  log.read();
  if (last === null) {
    say(byId("stream"), "The events of this job were removed.", "note");
    return;
  }
  await earlierEvents(last);
  stream = followEvents(`${path}/events`, last, {
    onEvent,
    onStatus: (status) => {
      say(byId("stream"), status === "live" ? "live" : "The service does not answer; trying again.", "note");
      if (status === "live") {
        refresh();
        log.wake();
      }
    },
    isOver: () => hasAll,
  });
  let looked = Date.now();
  repeat(() => {
    const wait = job.state === "running" && job.kind !== "sweep" ? SELDOM_MS : LOOK_MS;
    if (FINAL.has(job.state) || Date.now() - looked < wait - LOOK_MS / 2) return undefined;
    looked = Date.now();
    return refresh();
  }, LOOK_MS);
}

/** Fill the page; where that fails and may succeed later, again from the start. */
async function begin() {
  try {
    await open();
  } catch (error) {
    isAway = true;
    say(byId("problem"), error.status === 404 ? `${error.message} Go back to the list of jobs.` : error.message);
    if (mayPass(error)) later(begin, AGAIN_MS);
  }
}

begin();
