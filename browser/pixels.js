// From a picture file or a camera's frame to pixels, upright, without alpha channel or colour profile.

import { reduce } from "./resample.js";

/** @typedef {import("./resample.js").Rgb} Rgb */

/** What is not a picture, or one too large; `message` names the sentence for it. */
export class PictureError extends Error {}

const MAX_PIXELS = 64_000_000;
const STRIP_PIXELS = 4_000_000; // phones limit the size of one canvas
const DECODED_SIDE = 512; // as in catdog/images/decode.py
const JPEG = [0xff, 0xd8, 0xff];

/**
 * Large JPEGs are averaged down by 2, 4 or 8, as the app's decoder does.
 * @param {Blob | ImageBitmap} picture a frame is closed afterwards
 * @returns {Promise<Rgb>}
 */
export async function readPixels(picture) {
  const bitmap = picture instanceof Blob ? await decode(picture) : picture;
  try {
    if (bitmap.width * bitmap.height > MAX_PIXELS) throw new PictureError("too_large");
    return pixelsOf(bitmap, picture instanceof Blob && (await isJpeg(picture)) ? reduction(bitmap) : 1);
  } finally {
    bitmap.close();
  }
}

/** @param {Blob} file */
async function decode(file) {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    throw new PictureError("unreadable");
  }
}

/** @param {Blob} file */
async function isJpeg(file) {
  const start = new Uint8Array(await file.slice(0, JPEG.length).arrayBuffer());
  return JPEG.every((byte, index) => start[index] === byte);
}

/** @param {ImageBitmap} bitmap */
function reduction({ width, height }) {
  const scale = Math.floor(Math.min(width, height) / DECODED_SIDE);
  return [8, 4, 2].find((factor) => scale >= factor) ?? 1;
}

/**
 * @param {ImageBitmap} bitmap transparent pixels show white
 * @param {number} factor
 * @returns {Rgb}
 */
function pixelsOf(bitmap, factor) {
  const [width, height] = [Math.ceil(bitmap.width / factor), Math.ceil(bitmap.height / factor)];
  const data = new Uint8Array(width * height * 3);
  const rows = factor * Math.max(1, Math.floor(STRIP_PIXELS / bitmap.width / factor));
  for (let top = 0; top < bitmap.height; top += rows) {
    const strip = stripOf(bitmap, top, Math.min(rows, bitmap.height - top));
    data.set(reduce(strip.data, strip.width, strip.height, factor).data, (top / factor) * width * 3);
  }
  return { width, height, data };
}

/**
 * @param {ImageBitmap} bitmap
 * @param {number} top
 * @param {number} height
 */
function stripOf(bitmap, top, height) {
  const canvas = new OffscreenCanvas(bitmap.width, height).getContext("2d", { willReadFrequently: true });
  if (!canvas) throw new PictureError("too_large");
  canvas.fillStyle = "white";
  canvas.fillRect(0, 0, bitmap.width, height);
  canvas.drawImage(bitmap, 0, -top);
  return canvas.getImageData(0, 0, bitmap.width, height);
}

/**
 * A small copy without metadata, to be kept or sent: what the app itself keeps of a photo.
 * @param {Rgb} picture its longer side at most 512 pixels
 * @returns {Promise<Blob>} a JPEG
 */
export async function encode({ width, height, data }) {
  const rgba = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) rgba.data[i * 4 + c] = data[i * 3 + c];
    rgba.data[i * 4 + 3] = 255;
  }
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d")?.putImageData(rgba, 0, 0);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
}
