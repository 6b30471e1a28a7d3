// One model: versions with their figures, where aliases point and who moved them; promote and roll back.

import { getJson, getText, may } from "./api.js";
import { byId, el, fill, say } from "./dom.js";
import { number, time } from "./format.js";
import { repeat } from "./live.js";
import { showVersion } from "./model_version.js";
import { askToMove } from "./alias_move.js";
import { refill, wideTable } from "./wide_table.js";

const EVERY_MS = 15_000;
const LATEST = "latest";

const { name } = byId("model").dataset;
const path = `/v1/models/${encodeURIComponent(name)}`;
const point = byId("point");
let model = null;
let histories = new Map();
let looked = "";

point?.addEventListener("submit", (event) => {
  event.preventDefault();
  move(point.elements.alias.value, Number(point.elements.at.value));
});
const looking = repeat(look, EVERY_MS);

/** all: also the aliases' moves where no alias seems to have moved; one may have come back. */
async function look({ all = false } = {}) {
  try {
    const [found, traffic] = await Promise.all([getJson(path), getJson(`${path}/traffic`)]);
    const haveMoved = all || JSON.stringify(found.aliases) !== JSON.stringify(model?.aliases);
    const moves = haveMoved ? await Promise.all(Object.keys(found.aliases).map(historyOf)) : [...histories.values()];
    const news = JSON.stringify([found, traffic, moves]);
    say(byId("status"), "");
    if (news === looked) return;
    looked = news;
    model = found;
    histories = new Map(moves.map((of) => [of.alias, of]));
    show(traffic);
    await showVersion(model, wantedVersion());
  } catch (problem) {
    say(byId("status"), problem.message);
  }
}

/** An alias's moves, newest first, and the tag that a move of it must name. */
async function historyOf(alias) {
  const { text, headers } = await getText(`${path}/aliases/${encodeURIComponent(alias)}`);
  return { ...JSON.parse(text), tag: headers.get("etag") };
}

function wantedVersion() {
  const wish = Number(new URLSearchParams(location.search).get("version"));
  const versions = model.versions.map((of) => of.version);
  return versions.includes(wish) ? wish : model.aliases[LATEST] ?? versions[0];
}

function show(traffic) {
  refill(byId("aliases"), aliasTable());
  refill(byId("versions"), versionTable());
  refill(byId("history"), historyTable());
  say(byId("traffic"), trafficText(traffic), "note");
  if (point) {
    const { at } = point.elements;
    const before = at.value;
    const live = liveVersions();
    fill(at, live.map((version) => el("option", { value: version }, String(version))));
    if (live.includes(Number(before))) at.value = before;
  }
}

const liveVersions = () =>
  model.model_version_status.filter((of) => of.state === "AVAILABLE").map((of) => Number(of.version));

function aliasTable() {
  const rows = Object.entries(model.aliases).map(([alias, version]) => {
    const [newest] = histories.get(alias).moves;
    const back = newest.from_version;
    const canGoBack = may("models:write") && liveVersions().includes(back) && back !== version;
    return [
      el("b", {}, alias),
      versionLink(version),
      time(newest.at),
      by(newest),
      canGoBack ? el("button", { type: "button", onclick: () => move(alias, back) }, `Roll ${alias} back to ${back}…`) : "",
    ];
  });
  if (!rows.length) return el("p", { class: "empty" }, "No alias points anywhere: the gates refused every version. Point one at a version.");
  return wideTable("Aliases", ["alias", "version", "since", "moved by", "change"], rows, [1]);
}

function versionTable() {
  const titles = ["version", "published", "test AUC", "test log loss", "calibrated ECE", "gates", "aliases", "change"];
  return wideTable("Versions, newest first", titles, model.versions.map(versionRow), [0, 2, 3, 4]);
}

function versionRow(of) {
  const aliases = Object.keys(model.aliases).filter((alias) => model.aliases[alias] === of.version);
  const isLive = liveVersions().includes(of.version);
  const canPromote = may("models:write") && isLive && model.aliases[LATEST] !== of.version;
  const promote = () => move(LATEST, of.version);
  return [
    versionLink(of.version),
    time(of.created_at),
    number(of.metrics.test_auc),
    number(of.metrics.test_log_loss),
    number(of.metrics.test_calibrated_ece ?? of.metrics.test_ece, 3),
    gatesText(of.verdict),
    isLive ? aliases.join(", ") || "none" : "files removed",
    canPromote ? el("button", { type: "button", onclick: promote }, `Promote ${of.version}…`) : "",
  ];
}

const versionLink = (version) =>
  el("a", { href: `/ui/models/${encodeURIComponent(name)}?version=${version}`, "aria-label": `version ${version}` }, String(version));

function gatesText(verdict) {
  if (verdict?.refused.length) return el("span", { class: "tag unseen" }, "refused");
  if (verdict?.overruled.length) return el("span", { class: "tag missing" }, "overruled");
  return verdict ? "passed" : "not judged";
}

function historyTable() {
  const moves = [...histories.values()].flatMap((of) => of.moves.map((one) => ({ ...one, alias: of.alias })));
  const rows = moves.sort((a, b) => b.at.localeCompare(a.at)).map((of) => [
    time(of.at),
    of.alias,
    of.from_version === null ? `to ${of.to_version}` : `${of.from_version} to ${of.to_version}`,
    by(of),
  ]);
  return wideTable("Moves of aliases, newest first", ["when", "alias", "versions", "by"], rows);
}

function by({ job, caller, caller_name: name }) {
  if (job) return el("span", {}, "job ", el("a", { href: `/ui/jobs/${job}` }, job));
  if (!caller) return "local caller";
  return `key ${name ? `${name} (${caller})` : caller}`;
}

function trafficText({ split, shadow }) {
  const shares = split ? Object.entries(split.shares).map(([alias, share]) => `${alias} ${100 * share} %`).join(", ") : "";
  const parts = split ? [`Requests without a version: ${shares}${split.by ? `, by ${split.by}` : ", by chance"}.`] : [];
  if (shadow) parts.push(`${shadow.alias} scores ${100 * shadow.share} % of them as a shadow.`);
  return parts.join(" ");
}

async function move(alias, version) {
  await look({ all: true }); // the question names what is so now
  const isMoved = await askToMove({ model, path, alias, version, tag: histories.get(alias)?.tag });
  if (!isMoved) return;
  await looking.now();
  say(byId("status"), `${alias} points at version ${version}.`, "note");
}
