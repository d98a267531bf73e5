// The photo and its answer as one picture, drawn and saved here: nothing is uploaded.

import { download } from "./corrections.js";
import { sureness } from "./texts.js";

const WIDTH = 800;
const MARGIN = 32;
const FOOT = 190;

/**
 * @param {HTMLImageElement} photo as the page shows it
 * @param {import("./classifier.js").Answer} answer
 * @param {import("./texts.js").Texts} texts
 */
export async function saveAsPicture(photo, answer, texts) {
  await photo.decode();
  const canvas = document.createElement("canvas");
  const height = Math.round((photo.naturalHeight / photo.naturalWidth) * WIDTH);
  [canvas.width, canvas.height] = [WIDTH, height + FOOT];
  const context = canvas.getContext("2d");
  if (!context) return;
  const inside = WIDTH - 2 * MARGIN;
  context.fillStyle = "#fff7ed";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(photo, 0, 0, WIDTH, height);
  context.fillStyle = "#431407";
  context.font = "800 56px system-ui, sans-serif";
  context.fillText(texts.verdicts[answer.verdict], MARGIN, height + 72, inside);
  context.font = "28px system-ui, sans-serif";
  context.fillText(sureness(answer, texts), MARGIN, height + 114, inside);
  context.fillStyle = "#e7e5e4";
  context.fillRect(MARGIN, height + 140, inside, 18);
  context.fillStyle = "#f97316";
  context.fillRect(MARGIN, height + 140, inside * Math.max(...answer.probabilities), 18);
  const blob = await new Promise((/** @type {BlobCallback} */ done) => canvas.toBlob(done));
  if (blob) download(blob, "answer.png");
}
