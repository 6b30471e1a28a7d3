// A chart as a picture that can stand alone: its title above, the plot with its axes, the legend below.
import { colour, drawSign, rem, SIGN_WIDTH } from "./chart_signs.js";
import { el } from "./dom.js";

const FAMILY = "system-ui, sans-serif";
const [TITLE, LINE, ROW, GAP] = [2, 1.25, 1.5, 0.5]; // rem: heights of the title, of its further lines, of a row of the legend; gaps

/** A canvas. plot: the canvas of the plot. lines: [{label, sign}] of those that are drawn in it. */
export function pictureOf(title, plot, lines) {
  const letter = rem() * devicePixelRatio;
  const [gap, sign] = [GAP * letter, SIGN_WIDTH * letter];
  const [font, bold] = [`${0.8125 * letter}px ${FAMILY}`, `bold ${letter}px ${FAMILY}`];
  const canvas = el("canvas", { width: plot.width });
  const ctx = canvas.getContext("2d");
  ctx.font = bold;
  const titles = wrapped(ctx, title, canvas.width - 2 * gap);
  ctx.font = font;
  const entries = placed(lines, canvas.width, gap, (label) => sign + gap + ctx.measureText(label).width);
  const rows = entries.length ? entries[entries.length - 1].row + 1 : 0;
  const above = Math.round((TITLE + (titles.length - 1) * LINE) * letter);
  canvas.height = above + plot.height + Math.round(rows * ROW * letter + gap); // this clears it, and its font too
  ctx.fillStyle = colour("--ground");
  ctx.fillRect(0, 0, canvas.width, canvas.height);
  ctx.drawImage(plot, 0, above);
  ctx.fillStyle = colour("--text");
  ctx.textBaseline = "middle";
  ctx.font = bold;
  for (const [line, text] of titles.entries()) ctx.fillText(text, gap, (TITLE / 2 + line * LINE) * letter);
  ctx.font = font;
  for (const { label, sign: one, left, row } of entries) {
    const middle = above + plot.height + (row + 0.5) * ROW * letter;
    drawSign(ctx, one, left, middle, sign, devicePixelRatio);
    ctx.fillText(shortened(ctx, label, canvas.width - left - sign - 2 * gap), left + sign + gap, middle);
  }
  return canvas;
}

/** Lines with their places in the legend: side by side, and in a new row where one has no room. */
function placed(lines, width, gap, widthOf) {
  let [left, row] = [gap, 0];
  return lines.map((line) => {
    const wide = widthOf(line.label);
    if (left > gap && left + wide + gap > width) [left, row] = [gap, row + 1];
    const entry = { ...line, left, row };
    left += wide + 3 * gap;
    return entry;
  });
}

/** A text in lines of at most this width; a word that is wider is shortened. */
function wrapped(ctx, text, width) {
  const lines = [];
  for (const word of text.split(" ")) {
    const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
    if (lines.length && ctx.measureText(longer).width <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines.map((line) => shortened(ctx, line, width));
}

/** A text, with an ellipsis for its end where it is wider than this. */
function shortened(ctx, text, width) {
  if (ctx.measureText(text).width <= width) return text;
  const letters = [...text];
  while (letters.length && ctx.measureText(`${letters.join("")}…`).width > width) letters.pop();
  return `${letters.join("")}…`;
}
