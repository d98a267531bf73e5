// What a person says about an answer: sent to the app where the page knows one, else kept in this browser.

import { Problem } from "./engine.js";

/**
 * One correction as `python -m feedback import` reads it; the names are those of a feedback row.
 * @typedef {object} Kept
 * @property {1} schema_version
 * @property {string} request_id
 * @property {string} created_at in UTC
 * @property {string} image the JPEG in base64
 * @property {string[]} labels
 * @property {number[]} probabilities
 * @property {string} verdict
 * @property {number | null} neither_score
 * @property {string} corrected_label
 * @property {string} model_id
 * @property {string} model_revision
 * @property {string} app_version
 */

const DATABASE = "catdog";
const STORE = "corrections";

/** Corrections in this browser's own database. */
export class Drawer {
  /** @param {Kept} correction another one for the same prediction takes its place */
  keep(correction) {
    return this.transact("readwrite", (store) => store.put(correction));
  }

  /** @param {string} requestId */
  remove(requestId) {
    return this.transact("readwrite", (store) => store.delete(requestId));
  }

  clear() {
    return this.transact("readwrite", (store) => store.clear());
  }

  /** @returns {Promise<number>} */
  count() {
    return this.transact("readonly", (store) => store.count());
  }

  /** @returns {Promise<Blob>} all of them, a line of JSON each */
  async export() {
    /** @type {Kept[]} */
    const corrections = await this.transact("readonly", (store) => store.getAll());
    corrections.sort((a, b) => a.created_at.localeCompare(b.created_at));
    return new Blob(corrections.map((each) => `${JSON.stringify(each)}\n`), { type: "application/jsonl" });
  }

  /**
   * @param {IDBTransactionMode} mode
   * @param {(store: IDBObjectStore) => IDBRequest} ask
   * @returns {Promise<any>} its result, once it is on the disk
   */
  async transact(mode, ask) {
    try {
      const database = await opened();
      return await new Promise((resolve, reject) => {
        const transaction = database.transaction(STORE, mode, { durability: "strict" });
        const request = ask(transaction.objectStore(STORE));
        transaction.oncomplete = () => resolve(request.result);
        transaction.onabort = () => reject(transaction.error);
      }).finally(() => database.close());
    } catch (error) {
      console.error(error);
      throw new Problem("not_kept");
    }
  }
}

/** @returns {Promise<IDBDatabase>} */
function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "request_id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** The app did not take a correction; `message` is its own sentence, empty if it cannot be reached. */
export class NotSentError extends Error {}

/** The app's REST API, as far as corrections go. */
export class Feedback {
  /** @param {string} address of the app */
  constructor(address) {
    this.address = new URL("feedback", address.endsWith("/") ? address : `${address}/`);
  }

  /**
   * @param {Blob} picture
   * @param {string} label
   * @param {string} key sending again under the same key adds nothing
   * @returns {Promise<string | null>} the receipt that takes it back
   */
  async send(picture, label, key) {
    const form = new FormData();
    form.set("file", picture, "photo.jpg");
    form.set("label", label);
    form.set("source", "browser");
    form.set("idempotency_key", key);
    return (await this.ask({ method: "POST", body: form })).receipt;
  }

  /** @param {string} receipt */
  async takeBack(receipt) {
    const headers = { "Content-Type": "application/json" };
    await this.ask({ method: "DELETE", headers, body: JSON.stringify({ receipt }) });
  }

  /**
   * @param {RequestInit} request
   * @returns {Promise<any>}
   */
  async ask(request) {
    const response = await fetch(this.address, { ...request, credentials: "omit" }).catch(() => null);
    const told = response && response.status !== 204 ? await response.json().catch(() => null) : {};
    if (!response || !told) throw new NotSentError();
    if (!response.ok) throw new NotSentError(told.detail ?? "");
    return told;
  }
}

/**
 * @param {Blob} blob
 * @returns {Promise<string>}
 */
export async function asBase64(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
