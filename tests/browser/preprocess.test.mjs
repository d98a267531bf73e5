// The browser's preprocessing against what Python made of the same pictures: every value, to the bit.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import test from "node:test";

import { preprocess } from "../../browser/preprocess.js";
import { reduce } from "../../browser/resample.js";

const vectors = readFileSync(new URL("preprocessing.jsonl", import.meta.url), "utf8").trim().split("\n").map(JSON.parse);

/** The picture of vectors.py. */
function generated(width, height) {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) {
    const noise = Math.imul(i, 2654435761) >>> 24;
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / (3 * width))];
    data[i] = ((((x >> 4) + (y >> 4)) % 2) * 160 + (noise >> 2) + (x >> 3)) % 256;
  }
  return { width, height, data };
}

for (const { width, height, spec, sha256 } of vectors) {
  test(`${width} x ${height}, ${spec.interpolation}, ${spec.crop_mode} at ${spec.crop_pct}`, () => {
    const values = preprocess(generated(width, height), spec);
    assert.equal(createHash("sha256").update(new Uint8Array(values.buffer)).digest("hex"), sha256);
  });
}

test("reducing averages blocks, smaller ones at the edges too", () => {
  const grey = (levels) => Uint8ClampedArray.from(levels.flatMap((level) => [level, level, level, 255]));
  const { width, height, data } = reduce(grey([0, 10, 50, 20, 30, 70]), 3, 2, 2);
  assert.deepEqual([width, height, [...data]], [2, 1, [15, 15, 15, 60, 60, 60]]);
});
