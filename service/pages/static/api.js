// The public REST routes: JSON in and out, refusals as `Problem`, the CSRF token on whatever may change something.

const meta = (name) => document.querySelector(`meta[name="${name}"]`).content;
const rights = new Set(meta("rights").split(" "));

export const may = (right) => rights.has(right);

/** A refusal (RFC 9457). `path` names the setting that it is about, `status` is 0 where no answer came. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `The service answered ${status}.`);
    this.status = status;
    this.code = body.code;
    this.path = body.path ?? null;
  }
}

const TOO_MANY = 429;

/** Whether asking again may help: no answer came, the service made an error, or it was asked too often. */
export const mayPass = ({ status }) => !(status >= 400 && status < 500) || status === TOO_MANY;

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { detail: "The service does not answer. This page tries again by itself." });
  }
  if (answer.status === 401) {
    location.assign(`/ui/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
  }
  if (!answer.ok) {
    const isProblem = (answer.headers.get("content-type") || "").includes("json");
    throw new Problem(answer.status, isProblem ? await answer.json() : {});
  }
  return answer;
}

const JSON_HEADERS = { Accept: "application/json" };

export async function getJson(path, signal) {
  return (await ask(path, { headers: JSON_HEADERS, signal })).json();
}

/** The text of an answer, and its headers. */
export async function getText(path, signal) {
  const answer = await ask(path, { signal });
  return { text: await answer.text(), headers: answer.headers };
}

/** Send a change; the answer's JSON, or null where it has none. headers: beside those of every change. */
export async function send(method, path, body, { signal, headers } = {}) {
  const all = { ...JSON_HEADERS, "X-CSRF-Token": meta("csrf-token"), ...headers };
  if (body !== undefined) all["Content-Type"] = "application/json";
  const answer = await ask(path, { method, headers: all, body: JSON.stringify(body), signal });
  return answer.status === 204 ? null : answer.json();
}
