// The network, run by ONNX Runtime: on the graphics processor where the browser lets us, else by WebAssembly.

import { cropBox, preprocess } from "./preprocess.js";
import { softmax, verdictOf } from "./verdict.js";

/** @typedef {typeof import("onnxruntime-web")} Runtime */
/** @typedef {import("onnxruntime-web").InferenceSession} Session */
/** @typedef {"webgpu" | "wasm"} Backend */

/**
 * How strongly each place of the picture speaks for a label.
 * @typedef {object} Heatmap
 * @property {Float32Array} values rows * columns of them
 * @property {number} rows
 * @property {number} columns
 * @property {import("./resample.js").Box} box the part of the picture that it covers, in shares of its sides
 */

/**
 * What the model says about one picture.
 * @typedef {object} Answer
 * @property {string[]} labels
 * @property {number[]} probabilities in the order of the labels
 * @property {string} label the most probable one
 * @property {string} verdict a label, `neither` or `unsure`
 * @property {number | null} neitherScore
 * @property {Heatmap | null} heatmap for `label`
 */

const OUTPUTS = ["logits", "neither_score", "heatmap"];
const MAX_THREADS = 4;
const GPU_WITHIN_MS = 30_000; // drivers may hang

export class Classifier {
  /**
   * @param {Runtime} runtime
   * @param {Session} session
   * @param {import("./verdict.js").Metadata} metadata
   * @param {Backend} backend
   */
  constructor(runtime, session, metadata, backend) {
    this.runtime = runtime;
    this.session = session;
    this.metadata = metadata;
    this.backend = backend;
    this.outputs = session.outputNames.filter((name) => OUTPUTS.includes(name));
  }

  /**
   * @param {import("./resample.js").Rgb} picture
   * @returns {Promise<Answer>}
   */
  async classify(picture) {
    const { labels, preprocessing } = this.metadata;
    const found = await this.run(preprocess(picture, preprocessing));
    const probabilities = softmax(/** @type {Float32Array} */ (found.logits.data));
    const neitherScore = found.neither_score ? Number(found.neither_score.data[0]) : null;
    const top = probabilities.indexOf(Math.max(...probabilities));
    return {
      labels,
      probabilities,
      label: labels[top],
      verdict: verdictOf(probabilities, neitherScore, this.metadata),
      neitherScore,
      heatmap: found.heatmap ? heatmapOf(found.heatmap, top, picture, preprocessing) : null,
    };
  }

  /** @param {Float32Array} values */
  run(values) {
    const side = this.metadata.preprocessing.input_size;
    const pixels = new this.runtime.Tensor("float32", values, [1, 3, side, side]);
    return this.session.run({ pixel_values: pixels }, this.outputs);
  }
}

/**
 * @param {Uint8Array} network the ONNX file
 * @param {import("./verdict.js").Metadata} metadata
 * @returns {Promise<Classifier>} one that has run once
 */
export async function createClassifier(network, metadata) {
  if (await hasGpu()) {
    try {
      return await within(GPU_WITHIN_MS, start("webgpu", network, metadata));
    } catch (error) {
      console.warn("WebGPU does not run this network; WebAssembly does it instead.", error);
    }
  }
  return start("wasm", network, metadata);
}

/** WebGPU comes with the build of ONNX Runtime that needs stack switching, which is the smaller one. */
async function hasGpu() {
  if (!("gpu" in navigator) || !("Suspending" in WebAssembly)) return false;
  /** @typedef {{ info?: { isFallbackAdapter?: boolean } }} Adapter one in software is slower than WebAssembly */
  const gpu = /** @type {{ requestAdapter(): Promise<Adapter | null> }} */ (navigator.gpu);
  const adapter = await gpu.requestAdapter().catch(() => null);
  return adapter !== null && !adapter.info?.isFallbackAdapter;
}

/**
 * @template T
 * @param {number} ms
 * @param {Promise<T>} work
 * @returns {Promise<T>}
 */
function within(ms, work) {
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error(`not ready within ${ms} ms`)), ms));
  return /** @type {Promise<T>} */ (Promise.race([work, late]));
}

/**
 * @param {Backend} backend
 * @param {Uint8Array} network
 * @param {import("./verdict.js").Metadata} metadata
 */
async function start(backend, network, metadata) {
  const folder = new URL("./ort/", import.meta.url).href;
  /** @type {Runtime} */
  const runtime = await import(`${folder}${backend === "webgpu" ? "ort.jspi.min.js" : "ort.wasm.min.js"}`);
  runtime.env.wasm.wasmPaths = folder;
  runtime.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(MAX_THREADS, navigator.hardwareConcurrency) : 1;
  runtime.env.logLevel = "error";
  const session = await runtime.InferenceSession.create(network, { executionProviders: [backend] });
  const classifier = new Classifier(runtime, session, metadata, backend);
  await classifier.run(new Float32Array(3 * metadata.preprocessing.input_size ** 2));
  return classifier;
}

/**
 * @param {import("onnxruntime-web").Tensor} heatmap of shape (1, labels, rows, columns)
 * @param {number} label
 * @param {import("./resample.js").Rgb} picture
 * @param {import("./preprocess.js").Preprocessing} spec
 * @returns {Heatmap}
 */
function heatmapOf(heatmap, label, { width, height }, spec) {
  const [, , rows, columns] = heatmap.dims;
  const [left, top, right, bottom] = cropBox(width, height, spec);
  const start = label * rows * columns;
  return {
    values: /** @type {Float32Array} */ (heatmap.data).slice(start, start + rows * columns),
    rows,
    columns,
    box: [left / width, top / height, right / width, bottom / height],
  };
}
