// The page's sentences. Those that the app has too are written by the build from web/i18n/texts.py.

/**
 * @typedef {object} Texts
 * @property {Record<string, string>} app sentences of the app's page
 * @property {Record<string, string>} own sentences of this page alone
 * @property {Record<string, string>} names of the labels
 * @property {Record<string, string>} verdicts by label, `neither` and `unsure`
 * @property {Record<string, string>} choices what a person may answer, in that order
 * @property {Record<string, Record<string, string>>} sureness by kind of verdict and label, with {percent}
 * @property {Record<string, string>} why the caption of the heat map, by label
 * @property {Record<string, string>} examples what each example photo shows, by name
 * @property {string} about what the model is and how good it is, as HTML
 * @property {{ highest: number, lowest: number, above: string, below: string, other: string }} percent
 */

/**
 * The page's languages, and the first of them that the visitor likes; English if there is none.
 * @param {Record<string, Texts>} languages
 * @param {readonly string[]} wanted as browsers name them, best first
 */
export function chooseLanguage(languages, wanted) {
  const known = wanted.map((each) => each.split("-")[0].toLowerCase()).find((each) => each in languages);
  return languages[known ?? "en"];
}

const LANGUAGE = "catdog.language";

/** What visitors like: what they chose with the page's own switch, then what their browser says. */
export function wantedLanguages() {
  const chosen = [new URLSearchParams(location.search).get("lang"), stored()];
  return [...chosen.filter((each) => each !== null), ...navigator.languages];
}

function stored() {
  try {
    return localStorage.getItem(LANGUAGE);
  } catch {
    return null;
  }
}

/**
 * Show the page in another language, and remember that. Where the browser stores nothing, the address remembers it.
 * @param {string} language
 */
export function switchLanguage(language) {
  const address = new URL(location.href);
  address.searchParams.delete("lang");
  try {
    localStorage.setItem(LANGUAGE, language);
  } catch {
    address.searchParams.set("lang", language);
  }
  if (address.href === location.href) location.reload();
  else location.replace(address);
}

/**
 * @param {string} template
 * @param {Record<string, string | number>} values
 */
export function fill(template, values) {
  return template.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/**
 * A probability as a percentage; never a claim of certainty.
 * @param {number} probability
 * @param {Texts} texts
 */
export function formatPercent(probability, { app, percent }) {
  const value = 100 * probability;
  if (value > percent.highest) return percent.above;
  return value < percent.lowest ? percent.below : fill(percent.other, { percent: value.toFixed(1).replace(".", app.decimal_point) });
}

/**
 * How sure the model is, in words.
 * @param {import("./classifier.js").Answer} answer
 * @param {Texts} texts
 */
export function sureness(answer, texts) {
  const percent = formatPercent(Math.max(...answer.probabilities), texts);
  return fill(texts.sureness[kindOf(answer.verdict)][answer.label], { percent });
}

/** @param {string} verdict */
export function kindOf(verdict) {
  return verdict === "neither" || verdict === "unsure" ? verdict : "label";
}
