// A sweep's runs, kept up to date by few requests: all are read once, then those that go on.

import { getJson } from "./api.js";

const PAGE = 200;
const MOST_SINGLE = 20; // runs that are asked for by themselves, before all are read again

export class SweepRuns {
  constructor(sweep) {
    this.path = `/v1/jobs?parent=${sweep}&limit=${PAGE}`;
    this.runs = new Map(); // by id, in the order of the sweep's points
  }

  /** The runs as they are now. children: how many there are in each state, as the sweep says. */
  async now(children) {
    if (!(await this.#follow(children))) {
      const all = await readAll(this.path);
      this.runs = new Map(all.reverse().map((run) => [run.id, run])); // the list has the newest first
    }
    return [...this.runs.values()];
  }

  /** Read the running ones, and those that were; whether all runs are then in the states that the sweep tells. */
  async #follow(children) {
    if (!this.runs.size) return false;
    const running = await readAll(`${this.path}&state=running`);
    const known = new Set(running.map((run) => run.id));
    const before = [...this.runs.values()].filter((run) => run.state === "running" && !known.has(run.id));
    if (before.length > MOST_SINGLE) return false;
    const others = await Promise.all(before.map((run) => getJson(`/v1/jobs/${run.id}`)));
    for (const run of [...running].reverse()) this.runs.set(run.id, run); // new ones stand last, the oldest first
    for (const run of others) this.runs.set(run.id, run);
    const counts = {};
    for (const { state } of this.runs.values()) counts[state] = (counts[state] ?? 0) + 1;
    const states = new Set([...Object.keys(counts), ...Object.keys(children)]);
    return [...states].every((state) => (counts[state] ?? 0) === (children[state] ?? 0));
  }
}

async function readAll(path) {
  const jobs = [];
  let cursor = null;
  do {
    const page = await getJson(cursor ? `${path}&cursor=${cursor}` : path);
    jobs.push(...page.jobs);
    cursor = page.next_cursor;
  } while (cursor);
  return jobs;
}
