// Several photos at once: a list with what the model says of each. One that is pressed is shown large, to explain and correct.

import { elements } from "./elements.js";
import { problemText } from "./ask.js";
import { fill, formatPercent, kindOf } from "./texts.js";

const MOST = 50;

/**
 * A photo of the list.
 * @typedef {object} Listed
 * @property {HTMLElement} card
 * @property {string} verdict empty where there is no answer
 * @property {number} confidence
 */

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
    this.filter = "";
    /** @type {Listed[]} */
    this.listed = [];
    this.list = document.createElement("ul");
    this.order = document.createElement("select");
    this.filters = document.createElement("div");
    this.tools = document.createElement("div");
    this.fillTools();
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
    const [section, title, count] = ["section", "h2", "p"].map((tag) => document.createElement(tag));
    title.textContent = app.several_title;
    title.tabIndex = -1;
    count.role = "status";
    this.listed = [];
    this.filter = "";
    this.tools.hidden = true;
    this.list.replaceChildren();
    section.append(title, ...this.note(pictures.length), count, this.tools, this.list);
    elements.several.replaceChildren(section);
    title.focus({ preventScroll: true });
    section.scrollIntoView({ block: "start" });
    const chosen = pictures.slice(0, MOST);
    for (const [index, picture] of chosen.entries()) {
      const listed = await this.classify(picture);
      if (round !== this.round) return;
      this.listed.push(listed);
      this.arrange();
      count.textContent = fill(app.several_progress, { done: index + 1, all: chosen.length });
    }
    this.drawFilters();
    this.tools.hidden = false;
  }

  /**
   * What to say at once where there are too many.
   * @param {number} count
   */
  note(count) {
    if (count <= MOST) return [];
    const note = document.createElement("p");
    Object.assign(note, { className: "problem", role: "alert" });
    note.textContent = fill(this.texts.app.several_too_many, { n: MOST });
    return [note];
  }

  /** Put the cards in order, and show those that the filter lets through. */
  arrange() {
    const sign = Number(this.order.value);
    this.listed.sort((a, b) => Number(!a.verdict) - Number(!b.verdict) || sign * (a.confidence - b.confidence));
    this.list.append(...this.listed.map(({ card }) => card));
    for (const { card, verdict } of this.listed) card.hidden = this.filter !== "" && verdict !== this.filter;
  }

  fillTools() {
    const { app } = this.texts;
    const options = [new Option(app.several_sure_first, "-1"), new Option(app.several_unsure_first, "1")];
    this.order.append(...options);
    this.order.setAttribute("aria-label", app.several_order);
    this.order.addEventListener("change", () => this.arrange());
    this.tools.className = "tools";
    this.filters.className = "filters";
    this.filters.role = "group";
    this.tools.append(this.filters, this.order);
  }

  /** A button per answer, with how many there are. */
  drawFilters() {
    /** @type {Map<string, number>} */
    const counts = new Map();
    for (const { verdict } of this.listed) if (verdict) counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
    const all = this.filterButton("", this.texts.app.several_all, this.listed.length);
    const each = [...counts].map(([verdict, count]) => this.filterButton(verdict, this.texts.verdicts[verdict], count));
    this.filters.replaceChildren(all, ...each);
  }

  /**
   * @param {string} verdict
   * @param {string} text
   * @param {number} count
   */
  filterButton(verdict, text, count) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "button", textContent: `${text} (${count})` });
    button.setAttribute("aria-pressed", String(verdict === this.filter));
    button.addEventListener("click", () => {
      this.filter = verdict;
      for (const other of this.filters.children) other.setAttribute("aria-pressed", String(other === button));
      this.arrange();
    });
    return button;
  }

  /**
   * @param {Blob} picture
   * @returns {Promise<Listed>}
   */
  async classify(picture) {
    const [card, words, name] = ["li", "p", "span"].map((tag) => document.createElement(tag));
    name.className = "file";
    name.textContent = picture instanceof File ? picture.name : "";
    try {
      const { verdict, probabilities } = await this.engine.classify(picture);
      const confidence = Math.max(...probabilities);
      const headline = document.createElement("b");
      headline.textContent = this.texts.verdicts[verdict];
      words.append(headline, kindOf(verdict) === "label" ? ` ${formatPercent(confidence, this.texts)}` : "");
      card.append(this.button(picture, name.textContent), words, name);
      return { card, verdict, confidence };
    } catch (problem) {
      card.className = "problem";
      words.textContent = problemText(problem, this.texts);
      card.append(words, name);
      return { card, verdict: "", confidence: 0 };
    }
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
