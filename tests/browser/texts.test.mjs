// Words around numbers, and the choice of a language.

import assert from "node:assert/strict";
import test from "node:test";

import { chooseLanguage, formatPercent } from "../../browser/texts.js";
import { softmax, verdictOf } from "../../browser/verdict.js";

const percent = { highest: 99.9, lowest: 0.1, above: "> 99,9 %", below: "< 0,1 %", other: "{percent} %" };
const german = { app: { decimal_point: "," }, percent };

test("percentages claim no certainty and use the language's decimal point", () => {
  const shown = [1, 0.9994, 0.5, 0.012, 0.0001].map((probability) => formatPercent(probability, german));
  assert.deepEqual(shown, ["> 99,9 %", "> 99,9 %", "50,0 %", "1,2 %", "< 0,1 %"]);
});

test("the visitor's first known language is chosen, else English", () => {
  const languages = { en: "English", de: "Deutsch" };
  assert.equal(chooseLanguage(languages, ["fr", "de-AT", "en"]), "Deutsch");
  assert.equal(chooseLanguage(languages, ["fr"]), "English");
});

test("probabilities of large logits are finite and add up", () => {
  assert.deepEqual(softmax([1000, 1000]), [0.5, 0.5]);
});

test("neither is asked first, then unsure; rules that are missing never fire", () => {
  const metadata = { labels: ["cat", "dog"], verdict: { neither: { max_score: 2 }, unsure: { min_confidence: 0.8 } } };
  assert.equal(verdictOf([0.6, 0.4], 2.1, metadata), "neither");
  assert.equal(verdictOf([0.6, 0.4], 2, metadata), "unsure");
  assert.equal(verdictOf([0.2, 0.8], null, metadata), "dog");
  assert.equal(verdictOf([0.6, 0.4], 9, { labels: ["cat", "dog"], verdict: { neither: null, unsure: null } }), "cat");
});
