// What keeps a page up to date: asking again while somebody looks, and one stream of events that goes on where it was.

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 15_000;

/** Call `look` now and every `everyMs` while the page is visible; `stop()` ends it. Failures are `look`'s to show. */
export function repeat(look, everyMs) {
  let timer = null;
  let stopped = false;
  async function turn() {
    clearTimeout(timer);
    if (stopped || document.hidden) return;
    await look();
    clearTimeout(timer);
    if (!stopped) timer = setTimeout(turn, everyMs);
  }
  document.addEventListener("visibilitychange", turn);
  turn();
  return {
    now: turn,
    stop() {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", turn);
    },
  };
}

/** Call `turn` once, after `ms` at the earliest, when somebody looks. */
export function later(turn, ms) {
  return setTimeout(function look() {
    if (document.hidden) document.addEventListener("visibilitychange", look, { once: true });
    else turn();
  }, ms);
}

/**
 * The events of a job, each once and in order. A stream that breaks (a restart of the API too) is opened again after the
 * last event that came; a hidden page closes it, since a browser opens few connections to one host.
 * onEvent(type, data); onStatus("live" | "waiting" | "gone"); isOver(): no more events can come.
 */
export function followEvents(path, after, { onEvent, onStatus, isOver }) {
  let last = after;
  let source = null;
  let timer = null;
  let wait = FIRST_WAIT_MS;
  function close() {
    clearTimeout(timer);
    if (source) source.close();
    source = null;
  }
  function open() {
    close();
    if (document.hidden || isOver()) return;
    source = new EventSource(`${path}?after=${last}`);
    source.onopen = () => {
      wait = FIRST_WAIT_MS;
      onStatus("live");
    };
    source.onerror = () => {
      close();
      if (isOver()) return;
      onStatus("waiting");
      timer = setTimeout(open, wait);
      wait = Math.min(LONGEST_WAIT_MS, wait * 2);
    };
    for (const type of ["state", "progress", "metric", "log", "warning"]) {
      source.addEventListener(type, (event) => {
        const seq = Number(event.lastEventId);
        if (seq <= last) return;
        last = seq;
        onEvent(type, JSON.parse(event.data));
      });
    }
  }
  document.addEventListener("visibilitychange", open);
  open();
  return { reopen: open };
}
