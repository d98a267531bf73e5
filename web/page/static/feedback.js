// What a person says about answers: sent to the server, remembered in this browser, and waiting there while it cannot be sent.
import { asDataUrl, fromBase64, thumbnail } from "./photo.js";
import { ask, askEach, Failure } from "./server.js";

/**
 * @typedef {object} Said one photo that a person has said something about
 * @property {string} id of the prediction, as it was first made
 * @property {string} request of the prediction, as the server knows it now
 * @property {string} label what the person said
 * @property {string} text the same in words
 * @property {"waiting" | "received" | "saved" | "failed"} status
 * @property {string[]} receipts secrets that delete what the server keeps
 * @property {string} [row] id of the row whose status may change
 * @property {string} thumb a small picture
 * @property {string} [picture] the picture in base64, while it waits
 * @property {string} [source] where it came from
 * @property {number} turn counts what was said of it, so that each is sent once
 */

const STORE = "catdog.answers";
const MOST = 100;
const COPY_SIDE_BYTES = 400_000;
const RETRY_MS = 15_000;
const STATUS_MS = 2_000;

const listeners = new Set();

/** Call back whenever the list has changed, here or in another tab. */
export function onChange(listener) {
  listeners.add(listener);
}
window.addEventListener("storage", ({ key }) => key === STORE && changed());

function changed() {
  for (const listener of listeners) listener();
}

/** @returns {Said[]} newest first */
export function answers() {
  try {
    const found = JSON.parse(localStorage.getItem(STORE) ?? "[]");
    return Array.isArray(found) ? found : [];
  } catch {
    return [];
  }
}

/** Write the list; where the browser has no room, the oldest that is not waiting goes. Returns whether it is kept. */
function write(list) {
  let rest = list.filter((each, index) => index < MOST || each.status === "waiting");
  for (;;) {
    try {
      localStorage.setItem(STORE, JSON.stringify(rest));
      changed();
      return true;
    } catch {
      const oldest = rest.findLastIndex((each) => each.status !== "waiting");
      if (oldest < 0) return false;
      rest = rest.toSpliced(oldest, 1);
    }
  }
}

function update(id, changes) {
  return write(answers().map((each) => (each.id === id ? { ...each, ...changes } : each)));
}

function forget(id) {
  write(answers().filter((each) => each.id !== id));
}

/** Empty the list; what waits is given up. */
export function clearAnswers() {
  write([]);
}

export function find(id) {
  return answers().find((each) => each.id === id);
}

/**
 * Say what a photo shows.
 * @param {{ id: string, request: string, picture: Blob, source: string, receipt?: string | null }} photo
 * @param {string} label
 * @param {string} text the label in words
 * @returns {Promise<{ status: string, created: boolean }>}
 * @throws {Failure} it can be neither sent nor kept
 */
export async function say(photo, label, text) {
  const before = find(photo.id);
  const said = {
    id: photo.id,
    request: before?.request ?? photo.request,
    label,
    text,
    status: "waiting",
    receipts: before?.receipts ?? (photo.receipt ? [photo.receipt] : []),
    thumb: before?.thumb ?? (await thumbnail(photo.picture)),
    source: photo.source,
    turn: (before?.turn ?? 0) + 1,
  };
  try {
    return await send(said, photo.picture);
  } catch (problem) {
    if (!(problem instanceof Failure) || problem.code !== "unreachable") throw problem;
    const picture = photo.picture.size <= COPY_SIDE_BYTES ? (await asDataUrl(photo.picture)).split(",")[1] : undefined;
    if (!write([{ ...said, picture }, ...answers().filter(({ id }) => id !== said.id)])) throw problem;
    retryLater();
    return { status: "waiting", created: true };
  }
}

/** Send what was said; where the server has forgotten the prediction, with the picture. */
async function send(said, picture) {
  const told = await deliver(said, picture);
  const receipts = told.receipt ? [...said.receipts, told.receipt] : said.receipts;
  const { picture: _, ...kept } = said;
  const entry = { ...kept, request: told.request_id, row: told.id, status: told.status, receipts };
  write([entry, ...answers().filter(({ id }) => id !== said.id)]);
  if (told.status === "received") lookLater();
  return { status: told.status, created: told.receipt !== null };
}

async function deliver({ id, request, label, source, turn }, picture) {
  try {
    return await ask("./feedback", { json: { request_id: request, label } });
  } catch (problem) {
    if (!(problem instanceof Failure) || problem.code !== "unknown_request" || !picture) throw problem;
  }
  const form = new FormData();
  form.set("file", picture, "photo.jpg");
  form.set("label", label);
  form.set("source", source);
  form.set("idempotency_key", `${id}:${label}:${turn}`);
  return ask("./feedback", { body: form });
}

/** Take back all that was said of a photo. */
export async function undo(id) {
  const said = find(id);
  if (!said) return;
  for (const receipt of said.receipts) {
    try {
      await askEach("./feedback", { method: "DELETE", json: { receipt } });
    } catch (problem) {
      if (!(problem instanceof Failure) || problem.code !== "unknown_request") throw problem; // else it is gone already
    }
  }
  forget(id);
}

/** Remember a photo that was kept at random, with its sender's consent, so that this can be undone. */
export async function rememberAudit(photo, text) {
  const entry = { id: photo.id, request: photo.request, label: "", text, status: "saved", receipts: [photo.receipt] };
  write([{ ...entry, thumb: await thumbnail(photo.picture), turn: 0 }, ...answers()]);
}

let sending = false;

/** Send what waits, oldest first. */
export async function sendWaiting() {
  if (sending) return;
  sending = true;
  try {
    for (const said of answers().filter(({ status }) => status === "waiting").reverse()) {
      try {
        await send(said, said.picture ? fromBase64(said.picture) : null);
      } catch (problem) {
        if (!(problem instanceof Failure)) throw problem;
        if (problem.passes) return retryLater();
        update(said.id, { status: "failed", picture: undefined });
      }
    }
  } finally {
    sending = false;
  }
}

let retry;
function retryLater() {
  clearTimeout(retry);
  retry = setTimeout(sendWaiting, RETRY_MS);
}

let looking;
function lookLater() {
  clearTimeout(looking);
  looking = setTimeout(lookAtStatus, STATUS_MS);
}

/** Ask what has become of answers that the server has received but not saved yet. */
async function lookAtStatus() {
  const open = answers().filter(({ status }) => status === "received");
  for (const { id, row } of open) {
    try {
      const { status } = await askEach(`./feedback/${encodeURIComponent(row)}`, { method: "GET" });
      if (status !== "received") update(id, { status });
    } catch (problem) {
      if (!(problem instanceof Failure)) throw problem;
      if (problem.code === "unknown_request") update(id, { status: "failed" });
    }
  }
  if (answers().some(({ status }) => status === "received")) lookLater();
}

window.addEventListener("online", sendWaiting);
sendWaiting();
lookLater();
