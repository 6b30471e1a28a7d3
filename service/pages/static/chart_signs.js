// What tells a chart's lines apart beside their colours: a dash and the shape of their marks. The first 42 differ in these.
import { el } from "./dom.js";

const COLOURS = 6; // --line-1 and on, in page.css
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [14, 4], [5, 2]]; // CSS pixels on and off
// Radius (rem), corners, degrees of the first, for stars what of the radius is left between corners: disc, square,
// triangle, diamond, triangle, star, cross; about as large as each other.
const SHAPES = [[0.3, 24, 0], [0.38, 4, 45], [0.43, 3, -90], [0.41, 4, 0], [0.43, 3, 90], [0.5, 5, -90, 0.4], [0.5, 4, 45, 0.4]];
const EDGE = 1.5; // CSS pixels around a mark, in the panel's colour: it stands out of its own line
const FEW = 40; // values of a line that are all marked
const SPARSE = 8; // marks of a line with more, over the chart's width
const SIGN = [3, 1]; // rem; width and height in a legend

export const LINE_WIDTH = 2; // CSS pixels
export const SIGN_WIDTH = SIGN[0];
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
export const rem = () => parseFloat(getComputedStyle(document.documentElement).fontSize);

/** The sign of a chart's line by its place, from 0. */
export const signOf = (index) => ({
  colour: colour(`--line-${(index % COLOURS) + 1}`),
  dash: DASHES[index % DASHES.length],
  shape: SHAPES[index % SHAPES.length],
});

/** scale: device pixels to a CSS pixel. */
function addShape(path, [size, corners, degrees, inner], x, y, scale) {
  const radius = size * rem() * scale;
  const points = inner ? 2 * corners : corners;
  for (let point = 0; point < points; point += 1) {
    const angle = (degrees / 180 + (2 * point) / points) * Math.PI;
    const reach = inner && point % 2 ? inner * radius : radius;
    path[point ? "lineTo" : "moveTo"](x + reach * Math.cos(angle), y + reach * Math.sin(angle));
  }
  path.closePath();
}

/** Where uPlot draws the marks of a line. isEach: at all values, however many. */
function marksOf(index, isEach) {
  return (plot, place, first, last) => {
    const { left, top, width, height } = plot.bbox;
    const isInside = ([x, y]) => x >= left - 1 && x <= left + width + 1 && y >= top - 1 && y <= top + height + 1;
    const spots = [];
    for (let at = first; at <= last; at += 1) {
      const value = plot.data[place][at];
      if (value === null || value === undefined) continue;
      const spot = [plot.valToPos(plot.data[0][at], "x", true), plot.valToPos(value, "y", true)];
      if (isInside(spot)) spots.push(spot);
    }
    const apart = isEach || spots.length < FEW ? 0 : width / SPARSE;
    const fill = new Path2D();
    let next = apart ? left + (apart * (index % SHAPES.length)) / SHAPES.length : -Infinity; // not where the others' are
    for (const [x, y] of spots) {
      if (x < next) continue;
      addShape(fill, SHAPES[index % SHAPES.length], x, y, devicePixelRatio);
      while (apart && next <= x) next += apart;
    }
    return { fill, stroke: fill };
  };
}

/** How uPlot draws the marks of a line. */
export const pointsOf = (index, isEach) =>
  ({ show: true, fill: signOf(index).colour, stroke: colour("--panel"), width: EDGE, paths: marksOf(index, isEach) });

/** A line's sign on a canvas. left, middle, length: device pixels. scale: of them to a CSS pixel. */
export function drawSign(ctx, sign, left, middle, length, scale) {
  ctx.save();
  ctx.strokeStyle = sign.colour;
  ctx.fillStyle = sign.colour;
  ctx.lineWidth = LINE_WIDTH * scale;
  ctx.setLineDash(sign.dash.map((part) => part * scale));
  ctx.beginPath();
  ctx.moveTo(left, middle);
  ctx.lineTo(left + length, middle);
  ctx.stroke();
  ctx.beginPath();
  addShape(ctx, sign.shape, left + length / 2, middle, scale);
  ctx.setLineDash([]);
  ctx.lineJoin = "round";
  ctx.lineWidth = EDGE * scale;
  ctx.strokeStyle = colour("--panel");
  ctx.fill();
  ctx.stroke();
  ctx.restore();
}

/** A line's sign as an element. */
export function signElement(sign) {
  const scale = Math.max(2, devicePixelRatio);
  const [width, height] = SIGN.map((part) => Math.round(part * rem() * scale));
  const canvas = el("canvas", { class: "sign", width, height, "aria-hidden": "true" });
  drawSign(canvas.getContext("2d"), sign, 0, height / 2, width, scale);
  return canvas;
}
