// The curves of a job: its metric series, thinned on the server, then each record as the stream brings it. Of the fields,
// which may be dozens, those that are drawn are read.
import { getJson } from "./api.js";
import { LineChart } from "./charts.js";
import { byId, el, fill } from "./dom.js";
import { bytes, integer, number, percent } from "./format.js";
import { later } from "./live.js";

const POINTS = 600; // of each metric of all fields, about the width of a chart
const FIELD_POINTS = 120; // of each field's, of which a dozen are drawn
const FEWEST_POINTS = 4; // first, last, least, greatest: which fields there are, and which are largest now
const MOST_LIVE = 3000; // records; then the server thins them out anew
const LARGEST = 6;
const DRAW_MS = 500;
const AGAIN_MS = 10_000; // after fields could not be read
const MOST_MARKS = 50; // lines at epochs; of more every second, third ... is drawn

const share = (value) => (typeof value === "number" ? percent(value, 2) : "–");

// byField: each field has such a metric, `clipped_share.C1`; `part`: or each expert, `expert_share.mixture_0.expert_1`.
// byLabel: of several labels, those after the first have such a metric too, `valid_auc.bought`.
const CHARTS = [
  { id: "loss", title: "Loss", y: "nats", names: { loss: "training", valid_log_loss: "validation (log loss)" }, byLabel: ["valid_log_loss"] },
  { id: "auc", title: "AUC", names: { valid_auc: "validation", test_auc: "test" }, byLabel: ["valid_auc", "test_auc"] },
  { id: "speed", title: "Speed (rows/s)", names: { rows_per_s: "rows/s" }, formatY: integer },
  { id: "input-wait", title: "Share of time that waits for input", names: { input_wait_share: "waiting" }, formatY: share },
  { id: "clipped", title: "Share of rows whose gradient was clipped", names: { clipped_share: "all fields" }, byField: "clipped_share", formatY: share },
  { id: "norms", title: "Embedding norm (RMS of a field's rows)", names: {}, byField: "embedding_norm" },
  { id: "balance", title: "Balance of experts (1: all are taken alike)", names: { balance: "all mixtures" } },
  { id: "experts", title: "Share of rows that take an expert", names: {}, byField: "expert_share", part: "Expert", formatY: share },
  { id: "memory", title: "Memory of the job's process", names: { memory_bytes: "memory" }, formatY: bytes },
];

const OF_ALL = CHARTS.flatMap(({ names, byLabel = [] }) => [...Object.keys(names), ...byLabel.map((name) => `${name}.*`)]);
const OF_FIELDS = CHARTS.flatMap(({ byField }) => (byField ? [`${byField}.*`] : []));

export class Curves {
  /** onProblem(text): what could not be read; an empty text: it could. */
  constructor(jobId, onProblem) {
    this.jobId = jobId;
    this.onProblem = onProblem;
    this.places = new Map(); // step -> record
    this.read = new Set(); // metrics of fields whose series is there, not their newest values alone
    this.live = 0;
    this.meanwhile = []; // what the stream has brought since the series was last asked for
    this.loading = null; // while the series is read
    this.hasFailed = false;
    this.again = null; // while the next try to read fields waits
    this.charts = new Map(); // id -> {chart, choice}
    this.timer = null;
  }

  /** Read the series, once at a time; the number of an event up to which it goes at least. */
  load() {
    this.loading ??= this.#load().finally(() => (this.loading = null));
    return this.loading;
  }

  async #load() {
    this.meanwhile = [];
    this.live = 0; // from here on, also where this fails: it's then tried after as many records again
    const newest = this.#ask(OF_FIELDS, FEWEST_POINTS);
    const ofFields = newest.then(({ series }) => this.#askFields(this.#largest(series)));
    const [ofAll, ofEach, drawn] = await Promise.all([this.#ask(OF_ALL, POINTS), newest, ofFields]);
    this.places.clear();
    this.read = new Set(drawn.names);
    for (const record of [...ofAll.series, ...ofEach.series, ...drawn.series, ...this.meanwhile]) this.#take(record);
    this.#draw();
    return Math.min(ofAll.last_seq, ofEach.last_seq);
  }

  /** Metrics of fields that are to be drawn, by the newest values. */
  #largest(records) {
    const known = new Set(records.flatMap(Object.keys));
    const shapes = CHARTS.filter(({ byField }) => byField);
    return shapes.flatMap((shape) => chosen(shape, within(shape.byField, known), records, this.charts.get(shape.id)?.choice));
  }

  #ask(metrics, points) {
    // A field's name may hold a comma, which ends a name here: then all that begin so.
    const names = metrics.map((name) => (name.includes(",") ? `${name.split(",", 1)}*` : name));
    return getJson(`/v1/jobs/${encodeURIComponent(this.jobId)}/metrics?${new URLSearchParams({ names, points })}`);
  }

  /** Read these metrics of fields, then draw them. */
  async #readFields(names) {
    for (const name of names) this.read.add(name); // asked for once
    const { names: known, series } = await this.#askFields(names);
    for (const name of names) if (!known.includes(name)) this.read.delete(name);
    for (const record of series) this.#take(record);
    this.#draw();
  }

  /** The series of these metrics of fields, and the names that need not be asked for again. A failure is told. */
  async #askFields(names) {
    if (!names.length) return { names, series: [] };
    try {
      const { series } = await this.#ask(names, FIELD_POINTS);
      if (this.hasFailed && !this.again) {
        this.hasFailed = false;
        this.onProblem("");
      }
      return { names, series };
    } catch (error) {
      if (error.status === 410) {
        this.onProblem("The events of this job were removed meanwhile. Curves of fields show what was read before.");
        return { names, series: [] };
      }
      this.#readLater(error);
      return { names: [], series: [] };
    }
  }

  #readLater(error) {
    this.hasFailed = true;
    this.onProblem(`Curves of fields cannot be read: ${error.message}`);
    this.again ??= later(() => {
      this.again = null;
      this.#draw(); // which reads what is lacking
    }, AGAIN_MS);
  }

  add({ seq: _seq, at: _at, ...record }) {
    this.#take(record);
    this.meanwhile.push(record);
    this.live += 1;
    if (this.timer) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      if (this.live > MOST_LIVE && !this.loading) this.load().catch(() => this.#draw()); // what the stream brought is still there
      else this.#draw();
    }, DRAW_MS);
  }

  #take(record) {
    if (typeof record.step !== "number") return;
    this.places.set(record.step, { ...this.places.get(record.step), ...record });
  }

  #draw() {
    const records = [...this.places.values()].sort((one, other) => one.step - other.step);
    const known = new Set(records.flatMap(Object.keys));
    const unread = [];
    for (const shape of CHARTS) {
      const fields = shape.byField ? within(shape.byField, known) : [];
      if (!fields.length && !Object.keys(shape.names).some((name) => known.has(name))) continue;
      const picked = chosen(shape, fields, records, this.charts.get(shape.id)?.choice);
      const lacking = picked.filter((name) => !this.read.has(name));
      unread.push(...lacking);
      if (!lacking.length || this.again) this.#drawOne(shape, fields, [...ofLabels(shape, known), ...picked.map((name) => [name, partOf(name)])], records);
    }
    if (unread.length && !this.again) this.#readFields(unread);
    else if (!this.charts.size) fill(byId("curves"), el("p", { class: "empty panel" }, "No figures yet. They come with the job's first records; jobs other than trainings have none."));
  }

  /** more: metrics beside those of the shape, each with its title. */
  #drawOne(shape, fields, more, records) {
    if (!this.charts.has(shape.id)) this.#make(shape, fields);
    const { chart } = this.charts.get(shape.id);
    const wanted = [...Object.entries(shape.names), ...more];
    const kept = records.filter((record) => wanted.some(([name]) => name in record));
    const series = wanted
      .map(([name, label]) => ({ label, values: kept.map((record) => record[name] ?? null) }))
      .filter(({ values }) => values.some((value) => value !== null));
    chart.set(kept.map((record) => record.step), series, epochs(records));
  }

  #make(shape, fields) {
    if (!this.charts.size) fill(byId("curves"));
    byId("curves-note").hidden = false;
    const host = el("div");
    const panel = el("div", { class: "panel" }, host);
    const chart = new LineChart(host, { title: shape.title, x: "step", y: shape.y, name: `${this.jobId}-${shape.id}`, formatX: integer, formatY: shape.formatY ?? number });
    let choice = null;
    if (fields.length) {
      const options = fields.map((name) => el("option", { value: name }, partOf(name)));
      choice = el("select", { id: `field-${shape.id}`, onchange: () => this.#draw() }, el("option", { value: "" }, `the ${LARGEST} largest`), options);
      panel.append(el("label", { for: choice.id }, shape.part ?? "Field"), choice);
    }
    this.charts.set(shape.id, { chart, choice });
    // In the order of CHARTS, whichever comes first: the key is the panel's place.
    panel.dataset.place = String(CHARTS.indexOf(shape));
    const after = [...byId("curves").children].find((other) => Number(other.dataset.place) > CHARTS.indexOf(shape));
    byId("curves").insertBefore(panel, after ?? null);
  }
}

/** Those of these metrics that are of a field or a label: `auc.NAME`. */
const within = (metric, known) => [...known].filter((name) => name.startsWith(`${metric}.`));

/** The field or label that a metric is of. */
const partOf = (name) => name.slice(name.indexOf(".") + 1);

/** The same metrics of further labels, with titles. */
function ofLabels({ names, byLabel = [] }, known) {
  return byLabel.flatMap((metric) => within(metric, known).sort().map((name) => [name, `${names[metric]}, ${partOf(name)}`]));
}

/** Metrics of the field that was chosen, or of those with the largest newest values. */
function chosen(shape, fields, records, choice) {
  if (choice?.value) return [choice.value];
  const newest = {};
  for (const record of records) for (const name of fields) if (typeof record[name] === "number") newest[name] = record[name];
  return fields.toSorted((one, other) => (newest[other] ?? 0) - (newest[one] ?? 0)).slice(0, LARGEST).sort();
}

/** Where an epoch's first record stands. */
function epochs(records) {
  const marks = [];
  let epoch = null;
  for (const record of records) {
    if (typeof record.epoch === "number" && record.epoch !== epoch) {
      epoch = record.epoch;
      marks.push({ x: record.step, text: `epoch ${epoch + 1}` });
    }
  }
  const every = Math.ceil(marks.length / MOST_MARKS);
  return marks.filter((_, place) => place % every === 0);
}
