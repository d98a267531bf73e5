// Pillow's image resampling, to the bit: Image.resize() of 8-bit pictures with a filter and a box.
//
// Browsers scale pictures each in their own way; the network was trained and judged on Pillow's. The method, as Pillow
// documents and tests it: separable convolution, first along rows, then along columns; the filter is stretched by the
// scale where a picture is made smaller (antialiasing); weights are normalised in double precision, then rounded to
// integers of 22 fractional bits; each pass rounds to 8 bits.

/**
 * Pixels without alpha.
 * @typedef {{ width: number, height: number, data: Uint8Array | Uint8ClampedArray }} Rgb
 * `data` has width * height * 3 values, row by row.
 */

/** @typedef {"nearest" | "bilinear" | "bicubic" | "lanczos"} Interpolation */

/**
 * Left, top, right, bottom in pixels of the source; fractions are meant.
 * @typedef {[number, number, number, number]} Box
 */

const CHANNELS = 3;
const FRACTION_BITS = 22;
const ONE = 2 ** FRACTION_BITS;
const HALF = ONE / 2;

/** @type {Record<Exclude<Interpolation, "nearest">, { support: number, weight: (x: number) => number }>} */
const FILTERS = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, weight: cubic },
  lanczos: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

/**
 * Scale a part of a picture.
 * @param {Rgb} source
 * @param {number} width of the result
 * @param {number} height of the result
 * @param {Box} box the part of the source, within it
 * @param {Interpolation} interpolation
 * @returns {Rgb}
 */
export function resize(source, width, height, box, interpolation) {
  // Pillow takes the box in single precision.
  const [left, top, right, bottom] = box.map(Math.fround);
  if (interpolation === "nearest") return nearest(source, width, height, [left, top, right, bottom]);
  let result = source;
  if (width !== source.width || left !== 0 || right !== width) {
    result = alongRows(result, taps(source.width, left, right, width, interpolation));
  }
  if (height !== source.height || top !== 0 || bottom !== height) {
    result = alongColumns(result, taps(source.height, top, bottom, height, interpolation));
  }
  return result;
}

/**
 * Average blocks of `factor` x `factor` pixels, like a decoder that reads a JPEG at a reduced scale.
 * @param {Uint8ClampedArray} rgba width * height * 4 values
 * @param {number} width
 * @param {number} height
 * @param {number} factor blocks at the right and lower edge may be smaller
 * @returns {Rgb}
 */
export function reduce(rgba, width, height, factor) {
  const [across, down] = [Math.ceil(width / factor), Math.ceil(height / factor)];
  const data = new Uint8Array(across * down * CHANNELS);
  if (factor === 1) return { width, height, data: withoutAlpha(rgba, data) };
  for (let y = 0, out = 0; y < down; y++) {
    const rows = Math.min(factor, height - y * factor);
    for (let x = 0; x < across; x++) {
      const columns = Math.min(factor, width - x * factor);
      for (let c = 0; c < CHANNELS; c++, out++) {
        let sum = 0;
        for (let j = 0; j < rows; j++) {
          const start = ((y * factor + j) * width + x * factor) * 4 + c;
          for (let i = 0; i < columns; i++) sum += rgba[start + i * 4];
        }
        data[out] = Math.round(sum / (rows * columns));
      }
    }
  }
  return { width: across, height: down, data };
}

/**
 * @param {Uint8ClampedArray} rgba
 * @param {Uint8Array} rgb what is filled
 */
function withoutAlpha(rgba, rgb) {
  for (let from = 0, to = 0; to < rgb.length; from++) {
    rgb[to++] = rgba[from++];
    rgb[to++] = rgba[from++];
    rgb[to++] = rgba[from++];
  }
  return rgb;
}

/**
 * Which source pixels make each result pixel, and with which weights.
 * @typedef {{ first: number, weights: Int32Array }} Taps
 */

/**
 * @param {number} size of the source along this axis
 * @param {number} from
 * @param {number} to
 * @param {number} count of result pixels
 * @param {Exclude<Interpolation, "nearest">} interpolation
 * @returns {Taps[]}
 */
function taps(size, from, to, count, interpolation) {
  const filter = FILTERS[interpolation];
  const scale = Math.fround(to - from) / count;
  const stretch = Math.max(scale, 1);
  const support = filter.support * stretch;
  return Array.from({ length: count }, (_, index) => {
    const center = from + (index + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const last = Math.min(size, Math.trunc(center + support + 0.5));
    const weights = new Float64Array(last - first);
    for (let i = 0; i < weights.length; i++) weights[i] = filter.weight((i + first - center + 0.5) * (1 / stretch));
    return { first, weights: asIntegers(weights) };
  });
}

/**
 * @param {Float64Array} weights
 * @returns {Int32Array} the same with the sum 1, in units of 2^-22
 */
function asIntegers(weights) {
  let sum = 0;
  for (const weight of weights) sum += weight;
  return Int32Array.from(weights, (weight) => {
    const share = sum === 0 ? weight : weight / sum;
    return Math.trunc((share < 0 ? -0.5 : 0.5) + share * ONE);
  });
}

/**
 * @param {Rgb} source
 * @param {Taps[]} columns
 * @returns {Rgb}
 */
function alongRows({ width, height, data: pixels }, columns) {
  const data = new Uint8ClampedArray(columns.length * height * CHANNELS);
  for (let y = 0, out = 0; y < height; y++) {
    for (const { first, weights } of columns) {
      // Sums stay below 2^31, and a clamped array takes care of its bounds.
      let [red, green, blue] = [HALF, HALF, HALF];
      for (let i = 0, at = (y * width + first) * CHANNELS; i < weights.length; i++, at += CHANNELS) {
        const weight = weights[i];
        red = (red + pixels[at] * weight) | 0;
        green = (green + pixels[at + 1] * weight) | 0;
        blue = (blue + pixels[at + 2] * weight) | 0;
      }
      data[out++] = red >> FRACTION_BITS;
      data[out++] = green >> FRACTION_BITS;
      data[out++] = blue >> FRACTION_BITS;
    }
  }
  return { width: columns.length, height, data };
}

/**
 * @param {Rgb} source
 * @param {Taps[]} rows
 * @returns {Rgb}
 */
function alongColumns({ width, data: pixels }, rows) {
  const stride = width * CHANNELS;
  const data = new Uint8ClampedArray(rows.length * stride);
  const sums = new Int32Array(stride);
  rows.forEach(({ first, weights }, row) => {
    sums.fill(HALF);
    for (let i = 0, at = first * stride; i < weights.length; i++) {
      const weight = weights[i];
      for (let x = 0; x < stride; x++) sums[x] += pixels[at++] * weight;
    }
    for (let x = 0, out = row * stride; x < stride; x++) data[out++] = sums[x] >> FRACTION_BITS;
  });
  return { width, height: rows.length, data };
}

/**
 * @param {Rgb} source
 * @param {number} width
 * @param {number} height
 * @param {Box} box
 * @returns {Rgb}
 */
function nearest(source, width, height, [left, top, right, bottom]) {
  const columns = steps(left, Math.fround(right - left) / width, width);
  const rows = steps(top, Math.fround(bottom - top) / height, height);
  const data = new Uint8Array(width * height * CHANNELS);
  let out = 0;
  for (const y of rows) {
    for (const x of columns) {
      const at = (y * source.width + x) * CHANNELS;
      for (let c = 0; c < CHANNELS; c++) data[out++] = source.data[at + c];
    }
  }
  return { width, height, data };
}

/**
 * @param {number} from
 * @param {number} scale
 * @param {number} count
 * @returns {Int32Array} source pixels; added up step by step, for Pillow's rounding is in that sum
 */
function steps(from, scale, count) {
  const found = new Int32Array(count);
  for (let index = 0, at = from + scale * 0.5; index < count; index++, at += scale) found[index] = Math.floor(at);
  return found;
}

/** @param {number} x */
function cubic(x) {
  const [a, d] = [-0.5, Math.abs(x)];
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
}

/** @param {number} x */
function sinc(x) {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}
