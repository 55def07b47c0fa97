// Pixels of the images that the page shows or is likely to show next, fetched a few at a time, the most wanted first.

const AT_ONCE = 3;
const ARRAYS = { float32: Float32Array, uint16: Uint16Array, int16: Int16Array };

export class Pictures {
  #pixels = new Map();
  #wanted = [];
  #loading = new Map();
  #gone = new Set();
  #changed;

  constructor(changed) {
    this.#changed = changed;
  }

  /** Pixels of one entry of a stack; null as long as they are not here. */
  of(entry) {
    return this.#pixels.get(nameOf(entry)) ?? null;
  }

  /** Which entries are wanted, the most wanted first; others are forgotten. */
  want(entries) {
    this.#wanted = entries.map(nameOf);
    const kept = new Set(this.#wanted);
    for (const name of this.#pixels.keys()) if (!kept.has(name)) this.#pixels.delete(name);
    for (const [name, loading] of this.#loading) if (!kept.has(name)) loading.abort();
    this.#load();
  }

  /** The server was started anew: its numbers mean other images now. */
  forget() {
    this.#pixels.clear();
    this.#gone.clear();
    this.want([]);
  }

  #load() {
    const missing = this.#wanted.filter((name) => !this.#pixels.has(name) && !this.#loading.has(name) && !this.#gone.has(name));
    for (const name of missing.slice(0, AT_ONCE - this.#loading.size)) this.#fetch(name);
  }

  async #fetch(name) {
    const loading = new AbortController();
    this.#loading.set(name, loading);
    let isSettled = true;
    try {
      const answer = await fetch(`pictures/${name}`, { signal: loading.signal });
      if (answer.ok) {
        const Values = ARRAYS[answer.headers.get("X-Pixel-Type")];
        this.#pixels.set(name, new Values(await answer.arrayBuffer()));
        this.#changed();
      } else if (answer.status === 404) this.#gone.add(name);
      else isSettled = false;
    } catch {
      isSettled = false; // aborted, or the connection is lost: asked for again with the next news
    }
    this.#loading.delete(name);
    if (isSettled) this.#load();
  }
}

const nameOf = (entry) => `${entry.picture.number}/${entry.z}`;
