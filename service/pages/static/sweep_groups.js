// A sweep's runs, put together: a group for each choice of settings but the seed, a line for each but the batch size too.

export const BATCH = "batch_size";
const RULE = "scaling.rule";
const SEED = "seed";

/** What a spec sets under a dotted name. */
export function settingOf(spec, name) {
  return name.split(".").reduce((value, part) => value?.[part], spec);
}

/** Names of a grid in the service's order: rule, batch size, others by name, seeds last. */
export function gridNames(grid) {
  const first = [RULE, BATCH].filter((name) => name in grid);
  const rest = Object.keys(grid).filter((name) => ![RULE, BATCH, SEED].includes(name));
  return [...first, ...rest.sort(), ...(SEED in grid ? [SEED] : [])];
}

/** A run's figures: its metrics, and the seconds from its first start to its end, unless it took over another run. */
export function figuresOf(run) {
  const took = run.started_at && run.finished_at && !("taken_from" in run.result);
  const seconds = took ? (Date.parse(run.finished_at) - Date.parse(run.started_at)) / 1000 : null;
  return { ...run.metrics, seconds };
}

/** Mean and sample standard deviation; sd is null for one value. */
export function spreadOf(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { count: values.length, mean, sd: values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : null };
}

/** Succeeded runs by their settings but the seed: [{settings, figures: {name: spread}, runs}]. */
export function groupsOf(runs, names, figures) {
  const kept = names.filter((name) => name !== SEED);
  const groups = new Map();
  for (const run of runs.filter((of) => of.state === "succeeded")) {
    const settings = Object.fromEntries(kept.map((name) => [name, settingOf(run.spec, name)]));
    const key = JSON.stringify(settings);
    if (!groups.has(key)) groups.set(key, { settings, runs: [] });
    groups.get(key).runs.push(run);
  }
  for (const group of groups.values()) {
    const measured = group.runs.map(figuresOf);
    group.figures = {};
    for (const name of figures) {
      const values = measured.map((of) => of[name]).filter((value) => Number.isFinite(value));
      if (values.length) group.figures[name] = spreadOf(values);
    }
  }
  return [...groups.values()];
}

/** Lines over the batch size: [{label, points: [{batch, mean, sd, count}]}], of groups that have the figure. */
export function linesOf(groups, figure) {
  const lines = new Map();
  for (const { settings, figures } of groups.filter((group) => figure in group.figures)) {
    const { [BATCH]: batch, ...others } = settings;
    const label = Object.entries(others)
      .map(([name, value]) => (name === RULE ? String(value) : `${name}=${JSON.stringify(value)}`))
      .join(", ");
    if (!lines.has(label)) lines.set(label, { label: label || "all runs", points: [] });
    lines.get(label).points.push({ batch, ...figures[figure] });
  }
  for (const line of lines.values()) line.points.sort((a, b) => a.batch - b.batch);
  return [...lines.values()];
}

/** Lines as changes of their means from their own smallest batch size, over batch size / that one. */
export function changesOf(lines) {
  return lines.map(({ label, points }) => ({
    label,
    points: points.map((point) => ({ ...point, batch: point.batch / points[0].batch, mean: point.mean - points[0].mean })),
  }));
}

/** The published figures by batch size as a line. */
export function publishedLine(label, byBatch) {
  const points = Object.entries(byBatch).map(([batch, mean]) => ({ batch: Number(batch), mean, sd: null, count: 1 }));
  return { label, points: points.sort((a, b) => a.batch - b.batch) };
}

/** Lines on one axis, for a chart: x, and for each line its means and their ends, null where it has no point. */
export function alignedOf(lines) {
  const xs = [...new Set(lines.flatMap((line) => line.points.map((point) => point.batch)))].sort((a, b) => a - b);
  const series = lines.map(({ label, points }) => {
    const byX = new Map(points.map((point) => [point.batch, point]));
    const column = (read) => xs.map((x) => (byX.has(x) ? read(byX.get(x)) : null));
    const values = column(({ mean }) => mean);
    if (points.every(({ sd }) => sd === null)) return { label, values };
    const end = (sign) => column(({ mean, sd }) => (sd === null ? null : mean + sign * sd));
    return { label, values, low: end(-1), high: end(1) };
  });
  return { xs, series };
}
