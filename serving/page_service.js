// What the page asks of the service, and the clock that it asks with.

const titles = new Map();

async function answerOf(response) {
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error || `the service answered with status ${response.status}`);
  return answer;
}

export async function get(path, fields = []) {
  return answerOf(await fetch(`${path}?${new URLSearchParams(fields)}`));
}

export async function post(path, body) {
  const started = performance.now();
  const response = await fetch(path, {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body),
  });
  const answer = await answerOf(response);
  return {answer, milliseconds: performance.now() - started};
}

// Attributes of items by id; each item is asked for once.
export async function itemsOf(ids) {
  const unknown = ids.filter((id) => !titles.has(id));
  if (unknown.length) {
    const found = await get("/page/items", unknown.map((id) => ["id", id]));
    for (const id of unknown) titles.set(id, found[id] || {});
  }
  return new Map(ids.map((id) => [id, titles.get(id)]));
}

// A log of the past has its own present: the page's clock runs on from its end, so that what is done here comes
// after all that is known. It goes on over reloads, for else a second visit would lie before the first one's events.
export class Clock {
  constructor({now, moment}) {
    this.isPast = moment !== null;
    const start = Date.parse(moment ?? now);
    const stored = JSON.parse(localStorage.getItem("clock") || "null");
    const ahead = this.isPast && stored && stored.start === start ? Date.now() + stored.offset - start : -1;
    this.offset = ahead >= 0 && ahead < 24 * 3600 * 1000 ? stored.offset : start - Date.now();
    if (this.isPast) localStorage.setItem("clock", JSON.stringify({start, offset: this.offset}));
  }

  now() {
    return new Date(Date.now() + this.offset);
  }

  set(moment) {
    this.isPast = true;
    this.offset = moment.getTime() - Date.now();
  }

  // The context of a request: the moment is said only where it is not the service's own.
  context() {
    return this.isPast ? {timestamp: this.now().toISOString()} : {};
  }
}
