// The card with the answer: web/page/html.py in the browser.

import { formatPercent, kindOf, sureness } from "./texts.js";

/**
 * @param {string} tag
 * @param {string} className
 * @param {(Node | string)[]} children
 */
function element(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

/**
 * A card with one sentence.
 * @param {string} text
 * @param {"waiting" | "problem" | "thanks"} kind
 */
export function messageCard(text, kind) {
  return element("div", `message ${kind}`, element("p", "", text));
}

/**
 * The label in words, and a bar per label.
 * @param {import("./classifier.js").Answer} answer
 * @param {import("./texts.js").Texts} texts
 */
export function answerCard(answer, texts) {
  const order = answer.labels.map((label, index) => ({ label, probability: answer.probabilities[index] }));
  order.sort((a, b) => b.probability - a.probability);
  const card = element(
    "div",
    `answer ${kindOf(answer.verdict)}`,
    element("p", "verdict", texts.verdicts[answer.verdict]),
    element("p", "sureness", sureness(answer, texts)),
    element("ul", "bars", ...order.map((each, index) => bar(each, index === 0, texts))),
  );
  card.dataset.verdict = answer.verdict;
  return card;
}

/**
 * @param {{ label: string, probability: number }} each
 * @param {boolean} top
 * @param {import("./texts.js").Texts} texts
 */
function bar({ label, probability }, top, texts) {
  const filled = element("span", "fill");
  filled.style.width = `${(100 * probability).toFixed(2)}%`;
  const track = element("span", "track", filled);
  track.setAttribute("aria-hidden", "true");
  return element(
    "li",
    top ? "top" : "other",
    element("span", "name", texts.names[label]),
    track,
    element("span", "value", formatPercent(probability, texts)),
  );
}
