// A job's log: read on from where the last answer ended, whenever the stream says that there is more.
import { getText, mayPass } from "./api.js";
import { byId, say } from "./dom.js";
import { integer } from "./format.js";
import { later } from "./live.js";

const MOST_LINES = 5000;
const FIRST_BYTES = 65_536; // what is read of the log's end at first
const WAIT_MS = 700;
const AGAIN_MS = 5000; // after it could not be read

export class JobLog {
  constructor(jobId) {
    this.path = `/v1/jobs/${encodeURIComponent(jobId)}/logs`;
    this.next = `?tail=${FIRST_BYTES}`; // the query of the next request
    this.isCut = false; // there are lines before those that were read at first
    this.lines = [];
    this.open = ""; // a line without its end
    this.dropped = 0;
    this.timer = null;
    this.isReading = false;
    byId("search").addEventListener("input", () => this.#show());
    byId("follow").addEventListener("change", () => this.#show());
  }

  /** There is more to read, soon. */
  wake(waitMs = WAIT_MS) {
    this.timer ??= later(() => {
      this.timer = null;
      this.read();
    }, waitMs);
  }

  async read() {
    if (this.isReading) return this.wake();
    this.isReading = true;
    try {
      let more = true;
      while (more) more = await this.#readOnce();
      this.#show();
    } catch (error) {
      say(byId("log-note"), error.message);
      if (mayPass(error)) this.wake(AGAIN_MS);
    } finally {
      this.isReading = false;
    }
    return undefined;
  }

  async #readOnce() {
    const { text, headers } = await getText(this.path + this.next);
    if (headers.has("X-Start")) this.isCut = headers.get("X-Start") !== "0";
    const after = headers.get("X-Next-After"); // this server has not the file: lines that are events
    const next = after === null ? `?offset=${headers.get("X-Next-Offset")}` : `?after=${after}`;
    const isMore = after !== null && next !== this.next && text !== "";
    this.next = next;
    const lines = (this.open + text).split("\n");
    this.open = lines.pop();
    for (const line of lines) this.lines.push(line);
    const over = Math.max(0, this.lines.length - MOST_LINES);
    this.lines.splice(0, over);
    this.dropped += over;
    return isMore;
  }

  #show() {
    const wanted = byId("search").value.toLowerCase();
    const all = this.open ? [...this.lines, this.open] : this.lines;
    const shown = wanted ? all.filter((line) => line.toLowerCase().includes(wanted)) : all;
    const log = byId("log");
    const text = shown.length ? shown.join("\n") : wanted ? "No line holds this text." : "The job has written nothing yet.";
    if (log.textContent !== text) log.textContent = text;
    if (byId("follow").checked) log.scrollTop = log.scrollHeight;
    const first = this.isCut ? "Earlier ones" : `The first ${integer(this.dropped)}`;
    const left = this.isCut || this.dropped ? ` ${first} are in the download.` : "";
    say(byId("log-note"), `${wanted ? `${integer(shown.length)} of ` : ""}${integer(all.length)} lines.${left}`, "note");
  }
}
