// Decoding and the network, away from the page's own thread, so that the page never stutters.

import { createClassifier } from "./classifier.js";
import { encode, PictureError, readPixels } from "./pixels.js";
import { resize } from "./resample.js";

/**
 * What the page asks for: `classify` answers with an Answer, `copy` with a small JPEG.
 * @typedef {{ id: number, task: "classify" | "copy", picture: Blob | ImageBitmap }} Question
 */

/**
 * What it gets; `id` 0 is the network's own start.
 * @typedef {object} Reply
 * @property {number} id
 * @property {any} [result]
 * @property {string} [problem] a name in texts.json
 */

const COPY_SIDE = 512;

/** @param {string} path below the page's folder */
async function load(path) {
  const response = await fetch(new URL(path, import.meta.url));
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response;
}

async function start() {
  const [page, metadata] = await Promise.all(["page.json", "metadata.json"].map(async (path) => (await load(path)).json()));
  return createClassifier(new Uint8Array(await (await load(page.network)).arrayBuffer()), metadata);
}

/**
 * @param {Question} question
 * @returns {Promise<any>}
 */
async function answer({ task, picture }) {
  const pixels = await readPixels(picture);
  if (task === "classify") return (await started).classify(pixels);
  const scale = Math.min(1, COPY_SIDE / Math.max(pixels.width, pixels.height));
  const [width, height] = [pixels.width, pixels.height].map((side) => Math.max(1, Math.round(side * scale)));
  return encode(resize(pixels, width, height, [0, 0, pixels.width, pixels.height], "bicubic"));
}

/** @param {Reply} message */
function reply(message) {
  self.postMessage(message);
}

/** @param {unknown} error */
function problemOf(error) {
  if (!(error instanceof PictureError)) console.error(error);
  return error instanceof PictureError ? error.message : "unexpected";
}

self.onmessage = async (/** @type {MessageEvent<Question>} */ { data }) => {
  try {
    reply({ id: data.id, result: await answer(data) });
  } catch (error) {
    reply({ id: data.id, problem: problemOf(error) });
  }
};

const started = start();
started.then(
  ({ backend }) => reply({ id: 0, result: backend }),
  (error) => {
    console.error(error);
    reply({ id: 0, problem: "not_loaded" });
  },
);
