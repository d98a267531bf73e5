// The page's side of the worker: a promise for each question.

/** A failure that `message`, a name in texts.json, puts into words. */
export class Problem extends Error {}

export class Engine {
  constructor() {
    /** @type {Map<number, { resolve: (result: any) => void, reject: (problem: Problem) => void }>} */
    this.waiting = new Map();
    this.asked = 0;
    /** @type {Promise<import("./classifier.js").Backend>} what runs the network, once it is there */
    this.ready = this.expect(0);
    /** @type {Worker | null} */
    this.worker = null;
  }

  /** Load the network; questions may come before. */
  start() {
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.worker.addEventListener("message", ({ data }) => this.take(data));
    this.worker.addEventListener("error", () => this.take({ id: 0, problem: "not_loaded" }));
  }

  /**
   * @param {Blob | ImageBitmap} picture
   * @returns {Promise<import("./classifier.js").Answer>}
   */
  classify(picture) {
    return this.ask("classify", picture);
  }

  /**
   * @param {Blob} picture
   * @returns {Promise<Blob>} a small JPEG without metadata
   */
  copy(picture) {
    return this.ask("copy", picture);
  }

  /**
   * @param {"classify" | "copy"} task
   * @param {Blob | ImageBitmap} picture
   * @returns {Promise<any>}
   */
  async ask(task, picture) {
    await this.ready;
    const id = ++this.asked;
    const reply = this.expect(id);
    this.worker?.postMessage({ id, task, picture }, picture instanceof Blob ? [] : [picture]);
    return reply;
  }

  /**
   * @param {number} id
   * @returns {Promise<any>}
   */
  expect(id) {
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  /** @param {import("./worker.js").Reply} reply */
  take({ id, result, problem }) {
    const asker = this.waiting.get(id);
    this.waiting.delete(id);
    if (problem) asker?.reject(new Problem(problem));
    else asker?.resolve(result);
  }
}
