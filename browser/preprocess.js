// From pixels to the network's input, exactly as catdog/model/preprocessing.py does it: crop, rounding, scaling.

import { resize } from "./resample.js";

/**
 * The metadata's `preprocessing`, in timm's terms.
 * @typedef {object} Preprocessing
 * @property {number} input_size
 * @property {number[]} mean
 * @property {number[]} std
 * @property {import("./resample.js").Interpolation} interpolation
 * @property {number} crop_pct
 * @property {"center" | "squash"} crop_mode
 */

/**
 * @param {import("./resample.js").Rgb} picture
 * @param {Preprocessing} spec
 * @returns {Float32Array} of shape (3, side, side)
 */
export function preprocess(picture, spec) {
  const side = spec.input_size;
  const { data } = resize(picture, side, side, cropBox(picture.width, picture.height, spec), spec.interpolation);
  const area = side * side;
  const values = new Float32Array(3 * area);
  for (let c = 0; c < 3; c++) {
    const normalised = normalisedLevels(spec.mean[c], spec.std[c]);
    for (let i = 0; i < area; i++) values[c * area + i] = normalised[data[i * 3 + c]];
  }
  return values;
}

/**
 * The part of a picture that the network sees.
 *
 * `center` scales the shorter side to the input size divided by `crop_pct` and cuts the middle out; `squash` takes the
 * picture whatever its shape.
 * @param {number} width
 * @param {number} height
 * @param {Preprocessing} spec
 * @returns {import("./resample.js").Box}
 */
export function cropBox(width, height, spec) {
  const side = spec.input_size;
  const short = Math.floor(side / spec.crop_pct);
  const center = spec.crop_mode === "center";
  const scaledWidth = center && width > height ? Math.trunc((short * width) / height) : short;
  const scaledHeight = center && height > width ? Math.trunc((short * height) / width) : short;
  const [left, top] = [halfEven((scaledWidth - side) / 2), halfEven((scaledHeight - side) / 2)];
  const [across, down] = [width / scaledWidth, height / scaledHeight];
  // Rounding may exceed the picture.
  return [left * across, top * down, Math.min((left + side) * across, width), Math.min((top + side) * down, height)];
}

/**
 * @param {number} mean
 * @param {number} std
 * @returns {Float32Array} what each of the 256 levels becomes, with numpy's single precision at each step
 */
function normalisedLevels(mean, std) {
  const single = Math.fround;
  const scale = single(1 / single(255 * single(std)));
  const offset = single(-single(mean) / single(std));
  return Float32Array.from({ length: 256 }, (_, level) => single(level * scale) + offset);
}

/** @param {number} x Python rounds halves to the even neighbour */
function halfEven(x) {
  const rounded = Math.round(x);
  return Math.abs(x % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
