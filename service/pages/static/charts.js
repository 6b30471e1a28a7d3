// A line chart (uPlot, loaded before as a global) with the table behind it, and its data as CSV and picture as PNG.
import { colour, LINE_WIDTH, pointsOf, rem, signElement, signOf } from "./chart_signs.js";
import { el, fill, table } from "./dom.js";
import { number } from "./format.js";

const [LOWEST, HIGHEST] = [240, 480]; // pixels
const MOST_TABLE_ROWS = 1000;

const heightOf = (width) => Math.round(Math.min(HIGHEST, Math.max(LOWEST, width / 4)));
const dark = matchMedia("(prefers-color-scheme: dark)");

/** Save a blob under a name. */
export function download(blob, name) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** A cell of a CSV file (RFC 4180); one that a spreadsheet would take for a formula gets an apostrophe. */
function csvCell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export const csv = (rows) => rows.map((row) => row.map(csvCell).join(",")).join("\r\n") + "\r\n";

export class LineChart {
  /**
   * host: an empty element. title; x, y: names of the axes with their units, y where the title does not say it; name: of
   * downloads. formatX, formatY: texts of axes, legend and table. log, logY: a logarithmic axis. points: mark each value.
   */
  constructor(host, { title, x, y, name, formatX = number, formatY = number, log = false, logY = false, points = false }) {
    Object.assign(this, { title, x, y, name, formatX, formatY, log, logY, points });
    this.data = [[]];
    this.series = [];
    this.marks = [];
    this.plot = el("div", { class: "plot", role: "img" });
    this.behind = el("div", { class: "tall scroll", tabindex: "0", role: "region", "aria-label": `${title}: values` });
    this.details = el("details", { ontoggle: () => this.#tabulate() }, el("summary", {}, "Values as a table"), this.behind);
    const button = (text, onclick) => el("button", { type: "button", class: "small", onclick, "aria-label": `${title}: ${text}` }, text);
    fill(host,
      el("div", { class: "spread" }, el("h3", {}, title),
        el("div", { class: "row" },
          button("CSV", () => this.#saveCsv()),
          button("PNG", () => this.#savePng().catch((error) => alert(`No picture was made: ${error.message}`))))),
      this.plot, this.details);
    host.classList.add("chart");
    this.resizing = new ResizeObserver(() => {
      if (this.uplot && this.plot.clientWidth) this.#fit();
    });
    this.resizing.observe(this.plot);
    dark.addEventListener("change", () => this.#draw());
  }

  /**
   * xs: ascending numbers. series: [{label, values}], null where there is none; `low` and `high` are ends of whiskers.
   * marks: x of lines across, with texts.
   */
  set(xs, series, marks = []) {
    const isSame = this.uplot && series.map((one) => one.label).join("\n") === this.series.map((one) => one.label).join("\n");
    this.data = [xs, ...series.map((one) => one.values)];
    this.series = series;
    this.marks = marks;
    const last = series.map((one) => `${one.label} ${this.formatY(one.values.findLast((value) => value !== null))}`);
    this.plot.setAttribute("aria-label", `${this.title}: ${xs.length} ${xs.length === 1 ? "point" : "points"}. Last: ${last.join(", ")}.`);
    if (isSame) this.uplot.setData(this.data);
    else this.#draw();
    if (this.details.open) this.#tabulate();
  }

  #fit() {
    const width = this.plot.clientWidth;
    this.uplot.setSize({ width, height: heightOf(width) });
  }

  #draw() {
    if (this.uplot) this.uplot.destroy();
    this.uplot = null;
    fill(this.plot, this.data[0].length ? null : el("p", { class: "empty" }, "No values yet."));
    if (!this.data[0].length) return;
    const letter = rem();
    const font = `${0.75 * letter}px system-ui, sans-serif`;
    const width = this.plot.clientWidth || 400;
    const axis = (more) => ({
      stroke: colour("--faint"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 },
      font, ...more,
    });
    const named = (label) => (label ? { label, labelSize: 1.125 * letter, labelFont: font } : {});
    const room = (_plot, _axis, _least, most) => Math.max(3, 1 + 0.45 * this.formatX(most).length) * letter; // of a label of x
    const signs = this.series.map((_, index) => signOf(index));
    this.uplot = new uPlot({
      width,
      height: heightOf(width),
      padding: [null, 2 * letter, null, null], // the last label of x is wider than its place
      scales: { x: { time: false, distr: this.log ? 3 : 1, log: 2 }, y: this.#scaleY() },
      axes: [
        axis({ size: 2 * letter, space: room, ...named(this.x), values: (_, values) => values.map((v) => (v === null ? "" : this.formatX(v))) }),
        axis({ size: 4 * letter, ...named(this.y), values: (_, values) => values.map((v) => (v === null ? "" : this.formatY(v))) }),
      ],
      series: [
        { label: this.x, value: (_, v) => (v === null ? "–" : this.formatX(v)) },
        ...this.series.map((one, index) => ({
          label: one.label,
          stroke: signs[index].colour,
          dash: signs[index].dash.map((part) => part * devicePixelRatio),
          width: LINE_WIDTH,
          spanGaps: true,
          points: pointsOf(index, this.points),
          value: (_, v) => (v === null ? "–" : this.formatY(v)),
        })),
      ],
      hooks: { draw: [(plot) => this.#drawMarks(plot), (plot) => this.#drawWhiskers(plot)] },
    }, this.data, this.plot);
    const [, ...entries] = this.plot.querySelectorAll(".u-marker"); // the first is of x
    entries.forEach((marker, index) => marker.replaceWith(signElement(signs[index])));
  }

  /** Wide enough for whiskers, which uPlot does not know of; a line that is 0 all along gets an axis to 1, not to 100. */
  #scaleY() {
    if (this.logY) return { distr: 3 };
    const range = (_, least, most) => {
      if (least === null) return [null, null];
      if (least === 0 && most === 0) return [0, 1];
      const ends = this.series.flatMap((one) => [...(one.low ?? []), ...(one.high ?? [])]).filter((end) => end !== null);
      return uPlot.rangeNum(Math.min(least, ...ends), Math.max(most, ...ends), 0.1, true);
    };
    return { range };
  }

  #drawWhiskers(plot) {
    const { ctx } = plot;
    ctx.save();
    ctx.lineWidth = devicePixelRatio;
    const reach = 4 * devicePixelRatio;
    for (const [index, { low, high }] of this.series.entries()) {
      if (!low || !plot.series[index + 1].show) continue;
      ctx.strokeStyle = signOf(index).colour;
      for (const [place, x] of this.data[0].entries()) {
        if (low[place] === null) continue;
        const [at, bottom, top] = [plot.valToPos(x, "x", true), plot.valToPos(low[place], "y", true), plot.valToPos(high[place], "y", true)];
        ctx.beginPath();
        for (const end of [bottom, top]) {
          ctx.moveTo(at - reach, end);
          ctx.lineTo(at + reach, end);
        }
        ctx.moveTo(at, bottom);
        ctx.lineTo(at, top);
        ctx.stroke();
      }
    }
    ctx.restore();
  }

  #drawMarks(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = colour("--edge");
    ctx.fillStyle = colour("--faint");
    ctx.font = `${0.6875 * rem() * devicePixelRatio}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.textBaseline = "alphabetic";
    ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
    const gap = 3 * devicePixelRatio;
    let free = bbox.left; // texts do not overlap: one that has no room is left out
    for (const { x, text } of this.marks) {
      const at = Math.round(plot.valToPos(x, "x", true));
      if (at < bbox.left || at > bbox.left + bbox.width) continue;
      ctx.beginPath();
      ctx.moveTo(at, bbox.top);
      ctx.lineTo(at, bbox.top + bbox.height);
      ctx.stroke();
      const wide = ctx.measureText(text).width;
      const left = at + gap + wide > ctx.canvas.width ? at - gap - wide : at + gap; // at the right edge: before its line
      if (left < free) continue;
      ctx.fillText(text, left, bbox.top + 0.6875 * rem() * devicePixelRatio);
      free = left + wide + 2 * gap;
    }
    ctx.restore();
  }

  #titles() {
    const ends = ({ label, low }) => (low ? [label, `${label}, low`, `${label}, high`] : [label]);
    return [this.x, ...this.series.flatMap(ends)];
  }

  #rows() {
    const ends = ({ values, low, high }, row) => (low ? [values[row], low[row], high[row]] : [values[row]]);
    return this.data[0].map((x, row) => [x, ...this.series.flatMap((one) => ends(one, row))]);
  }

  #tabulate() {
    if (!this.details.open) return;
    const rows = this.#rows();
    const shown = rows.slice(-MOST_TABLE_ROWS).map(([x, ...values]) => [this.formatX(x), ...values.map((v) => this.formatY(v))]);
    const caption = rows.length > shown.length ? `The last ${shown.length} of the ${rows.length} points drawn; the CSV file has all of these` : this.title;
    const titles = this.#titles();
    fill(this.behind, table(caption, titles, shown, titles.map((_, column) => column)));
  }

  #saveCsv() {
    const text = csv([this.#titles(), ...this.#rows()]);
    download(new Blob([text], { type: "text/csv" }), `${this.name}.csv`);
  }

  async #savePng() {
    const { pictureOf } = await import("./chart_picture.js"); // most readers save none
    if (!this.uplot) return;
    const lines = this.series.map(({ label }, index) => ({ label, sign: signOf(index) }));
    const shown = lines.filter((_, index) => this.uplot.series[index + 1].show);
    const canvas = pictureOf(this.title, this.uplot.ctx.canvas, shown);
    canvas.toBlob((blob) => download(blob, `${this.name}.png`), "image/png");
  }
}
