// What is said about a picture, by the rules of the model's metadata: catdog/model/model.py in JavaScript.

/**
 * The parts of `metadata.json` that are used here.
 * @typedef {object} Metadata
 * @property {string[]} labels in the order of the logits
 * @property {import("./preprocess.js").Preprocessing} preprocessing
 * @property {{ neither?: { max_score: number } | null, unsure?: { min_confidence: number } | null }} verdict
 */

export const NEITHER = "neither";
export const UNSURE = "unsure";

/**
 * @param {ArrayLike<number>} logits
 * @returns {number[]} probabilities: in [0, 1], with sum 1
 */
export function softmax(logits) {
  const values = Array.from(logits);
  const largest = Math.max(...values);
  const exponentials = values.map((value) => Math.exp(Math.fround(value - largest)));
  const sum = exponentials.reduce((total, value) => total + value, 0);
  return exponentials.map((value) => value / sum);
}

/**
 * @param {number[]} probabilities
 * @param {number | null} neitherScore larger is less like the labels
 * @param {Metadata} metadata
 * @returns {string} the top label, `neither` or `unsure`
 */
export function verdictOf(probabilities, neitherScore, { labels, verdict: { neither, unsure } }) {
  const confidence = Math.max(...probabilities);
  if (neither && neitherScore !== null && neitherScore > neither.max_score) return NEITHER;
  if (unsure && confidence < unsure.min_confidence) return UNSURE;
  return labels[probabilities.indexOf(confidence)];
}
