// The question before an alias moves: both versions with their figures side by side.

import { send } from "./api.js";
import { byId, fill, say } from "./dom.js";
import { number, time } from "./format.js";
import { wideTable } from "./wide_table.js";

const FIGURES = { test_auc: "test AUC", test_log_loss: "test log loss", test_normalised_entropy: "test normalised entropy", test_calibration_ratio: "test calibration ratio" };

/** Ask, and move the alias; resolves to whether it was moved. tag: what the alias must still be at, if it is there. */
export function askToMove({ model, path, alias, version, tag }) {
  const dialog = byId("move");
  const go = byId("move-go");
  const force = byId("force");
  const from = model.aliases[alias];
  const [now, next] = [from, version].map((wanted) => model.versions.find((of) => of.version === wanted));
  const isRefused = alias === "latest" && next.verdict?.refused.length > 0;
  byId("move-title").textContent = now
    ? `Move ${alias} of ${model.name} from version ${from} to version ${version}?`
    : `Point ${alias} of ${model.name} at version ${version}?`;
  byId("move-refused").textContent = isRefused ? `Its gates refused it (${next.verdict.refused.join(" ")}). Move all the same.` : "";
  byId("move-force").hidden = !isRefused;
  force.checked = false;
  fill(byId("move-figures"), compared(now, next));
  say(byId("move-error"), "");
  go.textContent = now ? `Move from ${from} to ${version}` : `Point it at ${version}`;
  go.disabled = false;

  return new Promise((resolve) => {
    go.onclick = async () => {
      go.disabled = true;
      try {
        const headers = tag ? { "If-Match": tag } : {};
        await send("PUT", `${path}/aliases/${encodeURIComponent(alias)}`, { version, force: force.checked }, { headers });
        dialog.close("moved");
      } catch (problem) {
        say(byId("move-error"), problem.message);
        go.disabled = false;
      }
    };
    dialog.onclose = () => resolve(dialog.returnValue === "moved");
    dialog.returnValue = "";
    dialog.showModal();
  });
}

function compared(now, next) {
  const versions = [now, next].filter(Boolean);
  const rows = Object.entries(FIGURES).map(([figure, title]) => [title, ...versions.map((of) => number(of.metrics[figure]))]);
  rows.push(["published", ...versions.map((of) => time(of.created_at))]);
  const titles = ["figure", ...(now ? [`version ${now.version} (now)`] : []), `version ${next.version}`];
  return wideTable("Both versions", titles, rows, [1, 2]);
}
