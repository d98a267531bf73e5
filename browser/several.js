// Several photos at once: a list with what the model says of each. One that is pressed is shown large, to explain and correct.

import { elements } from "./elements.js";
import { problemText } from "./ask.js";
import { fill, formatPercent, kindOf } from "./texts.js";

const MOST = 50;

export class Several {
  /**
   * @param {import("./texts.js").Texts} texts
   * @param {import("./engine.js").Engine} engine
   * @param {(picture: Blob) => unknown} look shows one photo
   */
  constructor(texts, engine, look) {
    this.texts = texts;
    this.engine = engine;
    this.look = look;
    this.round = 0;
  }

  close() {
    this.round++;
    for (const image of elements.several.querySelectorAll("img")) URL.revokeObjectURL(image.src);
    elements.several.replaceChildren();
  }

  /** @param {Blob[]} pictures */
  async show(pictures) {
    const round = ++this.round;
    const { app } = this.texts;
    const [section, title, count, list] = ["section", "h2", "p", "ul"].map((tag) => document.createElement(tag));
    title.textContent = app.several_title;
    title.tabIndex = -1;
    count.role = "status";
    section.append(title, count, list);
    elements.several.replaceChildren(section);
    title.focus({ preventScroll: true });
    section.scrollIntoView({ block: "start" });
    const chosen = pictures.slice(0, MOST);
    for (const [index, picture] of chosen.entries()) {
      const card = await this.card(picture);
      if (round !== this.round) return;
      list.append(card);
      count.textContent = fill(app.several_progress, { done: index + 1, all: chosen.length });
    }
    if (pictures.length > MOST) count.textContent = fill(app.several_too_many, { n: MOST });
  }

  /** @param {Blob} picture */
  async card(picture) {
    const [item, words, name] = ["li", "p", "span"].map((tag) => document.createElement(tag));
    name.className = "file";
    name.textContent = picture instanceof File ? picture.name : "";
    try {
      const answer = await this.engine.classify(picture);
      const headline = document.createElement("b");
      headline.textContent = this.texts.verdicts[answer.verdict];
      const isLabel = kindOf(answer.verdict) === "label";
      words.append(headline, isLabel ? ` ${formatPercent(Math.max(...answer.probabilities), this.texts)}` : "");
      item.append(this.button(picture, name.textContent), words, name);
    } catch (problem) {
      item.className = "problem";
      words.textContent = problemText(problem, this.texts);
      item.append(words, name);
    }
    return item;
  }

  /**
   * @param {Blob} picture
   * @param {string} name
   */
  button(picture, name) {
    const [button, image] = [document.createElement("button"), document.createElement("img")];
    Object.assign(image, { src: URL.createObjectURL(picture), alt: name, loading: "lazy" });
    Object.assign(button, { type: "button", className: "enlarge" });
    button.append(image);
    button.addEventListener("click", () => {
      this.look(picture);
      elements.photo.scrollIntoView({ block: "start" });
    });
    return button;
  }
}
