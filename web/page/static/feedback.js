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

/** Call back whenever the list has changed, here or in another tab; with the id of an answer that was just taken back here. */
export function onChange(listener) {
  listeners.add(listener);
}
window.addEventListener("storage", ({ key }) => {
  if (key !== STORE && key !== null) return;
  keepReceipts();
  changed();
});

function changed(undone) {
  for (const listener of listeners) listener(undone);
}

/** The list, where this browser keeps nothing for the page: in some private windows, and where its store is full. */
let inMemory = null;

/** @returns {Said[]} newest first */
export function answers() {
  if (inMemory) return inMemory;
  try {
    const found = JSON.parse(localStorage.getItem(STORE) ?? "[]");
    return found.filter((each) => typeof each?.id === "string" && Array.isArray(each.receipts));
  } catch {
    return [];
  }
}

/** Write the list: to the browser's store, else for as long as this page is open. */
function write(list, undone) {
  const kept = list.filter((each, index) => index < MOST || each.status === "waiting");
  inMemory = store(kept) ? null : kept;
  changed(undone);
}

/** Where there is no room, the oldest that is not waiting goes, but never the newest. Returns whether it is stored. */
function store(list) {
  for (let rest = list; ; ) {
    try {
      localStorage.setItem(STORE, JSON.stringify(rest));
      return true;
    } catch {
      const oldest = rest.findLastIndex((each) => each.status !== "waiting");
      if (oldest < 1) return false;
      rest = rest.toSpliced(oldest, 1);
    }
  }
}

function update(id, changes) {
  write(answers().map((each) => (each.id === id ? { ...each, ...changes } : each)));
}

/** Receipts that the server gave to this tab, by the answer's id. */
const given = new Map();

/** A tab that writes the list before it has seen another's receipts drops them; without them nothing can be undone. */
function keepReceipts() {
  const list = answers();
  const lost = ({ id, receipts }) => (given.get(id) ?? []).filter((receipt) => !receipts.includes(receipt));
  if (!list.some((each) => lost(each).length)) return;
  write(list.map((each) => ({ ...each, receipts: [...each.receipts, ...lost(each)] })));
}

/** Put an answer first, in place of what was said of the same photo. */
function put(said) {
  write([said, ...answers().filter(({ id }) => id !== said.id)]);
}

/** One request after another: what was said last must arrive last, and be taken back only once it has arrived. */
let line = Promise.resolve();
function inTurn(work) {
  const done = line.then(work);
  line = done.catch(() => undefined);
  return done;
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
 * @returns {Promise<{ status: string, created: boolean, stored: boolean }>} `stored`: the browser has it, should this page be closed
 * @throws {Failure} the server refuses it
 */
export function say(photo, label, text) {
  return inTurn(() => sayNow(photo, label, text));
}

async function sayNow(photo, label, text) {
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
    put({ ...said, picture });
    retryLater();
    return { status: "waiting", created: true, stored: inMemory === null };
  }
}

/** Send what was said; where the server has forgotten the prediction, with the picture. */
async function send(said, picture) {
  const told = await deliver(said, picture);
  if (told.receipt) given.set(said.id, [...(given.get(said.id) ?? []), told.receipt]);
  const now = find(said.id); // another tab may have sent it too, and has the receipt then
  const receipts = [...new Set([...(now?.receipts ?? []), ...said.receipts, ...(told.receipt ? [told.receipt] : [])])];
  if (now && now.turn > said.turn) update(said.id, { receipts }); // something else was said there meanwhile
  else {
    const { picture: _, ...kept } = said;
    put({ ...kept, request: told.request_id, row: told.id, status: told.status, receipts });
  }
  if (told.status === "received") lookLater();
  return { status: told.status, created: told.receipt !== null, stored: inMemory === null };
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
export function undo(id) {
  return inTurn(() => undoNow(id));
}

async function undoNow(id) {
  const said = find(id);
  if (!said) return;
  for (const receipt of said.receipts) {
    try {
      await askEach("./feedback", { method: "DELETE", json: { receipt } });
    } catch (problem) {
      if (!(problem instanceof Failure) || problem.code !== "unknown_request") throw problem; // else it is gone already
    }
  }
  given.delete(id);
  write(answers().filter((each) => each.id !== id), id);
}

/** Remember a photo that was kept at random, with its sender's consent, so that this can be undone. */
export async function rememberAudit(photo, text) {
  const entry = { id: photo.id, request: photo.request, label: "", text, status: "saved", receipts: [photo.receipt] };
  put({ ...entry, thumb: await thumbnail(photo.picture), turn: 0 });
}

let sending = false;

/** Send what waits, oldest first. */
export async function sendWaiting() {
  if (sending) return;
  sending = true;
  try {
    for (const { id } of answers().filter(isWaiting).reverse()) {
      try {
        await inTurn(() => sendAgain(id));
      } catch (problem) {
        if (!(problem instanceof Failure)) throw problem;
        if (problem.passes) return retryLater();
        update(id, { status: "failed", picture: undefined });
      }
    }
  } finally {
    sending = false;
  }
}

async function sendAgain(id) {
  const said = find(id); // as it is now
  if (said && isWaiting(said)) await send(said, said.picture ? fromBase64(said.picture) : null);
}

function isWaiting({ status }) {
  return status === "waiting";
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
