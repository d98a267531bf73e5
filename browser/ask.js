// The question whether the answer is right, and what becomes of the person's answer.

import { messageCard } from "./answer-view.js";
import { asBase64, download, Drawer, Feedback, NotSentError } from "./corrections.js";
import { elements } from "./elements.js";
import { Problem } from "./engine.js";
import { fill } from "./texts.js";

/**
 * `page.json`, which the build writes.
 * @typedef {object} Page
 * @property {string} network path of the ONNX file
 * @property {string} model_id
 * @property {string} model_revision
 * @property {string} app_version
 * @property {string | null} feedback address of the app that takes corrections
 */

/**
 * A picture with its answer.
 * @typedef {object} Shown
 * @property {Blob} picture
 * @property {import("./classifier.js").Answer} answer
 * @property {string} requestId
 */

const UNSURE = "unsure";

export class Ask {
  /**
   * @param {import("./texts.js").Texts} texts
   * @param {Page} page
   * @param {{ current: () => Promise<Shown | null>, copy: (picture: Blob) => Promise<Blob> }} pictures
   */
  constructor(texts, page, pictures) {
    this.texts = texts;
    this.page = page;
    this.pictures = pictures;
    this.drawer = new Drawer();
    this.feedback = page.feedback ? new Feedback(page.feedback) : null;
    this.verdict = "";
    /** @type {(() => Promise<void>) | null} takes the last answer back */
    this.undo = null;
    elements.right.addEventListener("click", () => this.say(null));
    elements.wrong.addEventListener("click", () => this.offer());
    elements.takeBack.addEventListener("click", () => this.takeBack());
    elements.export.addEventListener("click", () => this.export());
    elements.delete.addEventListener("click", () => this.deleteKept());
    const { consent_send, consent_keep } = texts.own;
    const consent = page.feedback ? fill(consent_send, { feedback: new URL(page.feedback).host }) : consent_keep;
    elements.consent.firstElementChild?.replaceChildren(consent);
    this.showKept().catch((problem) => this.complain(problem));
  }

  /** @param {import("./classifier.js").Answer | null} answer a new one; null while there is none */
  show(answer) {
    const unsure = answer?.verdict === UNSURE;
    this.undo = null;
    this.verdict = answer?.verdict ?? "";
    elements.ask.hidden = answer === null;
    for (const element of [elements.question, elements.right, elements.wrong]) element.hidden = unsure;
    elements.choices.hidden = !unsure;
    elements.takeBack.hidden = true;
    elements.thanks.replaceChildren();
    if (answer) this.fillChoices(answer.verdict);
  }

  /** The buttons are in view, and as much as can be of what is above them. */
  bringIntoView() {
    const buttons = elements.right.hidden ? elements.choices : elements.right.parentElement;
    buttons?.scrollIntoView({ block: "nearest" });
  }

  /** @param {string} verdict */
  fillChoices(verdict) {
    const { app, choices } = this.texts;
    elements.choices.querySelector("legend")?.replaceChildren(verdict === UNSURE ? app.choose_unsure : app.choose);
    const offered = Object.keys(choices).filter((answer) => answer !== verdict || answer === UNSURE);
    elements.choices.querySelector(".wrap")?.replaceChildren(...offered.map((answer) => this.choice(answer)));
  }

  /** @param {string} answer */
  choice(answer) {
    const [label, radio] = [document.createElement("label"), document.createElement("input")];
    Object.assign(radio, { type: "radio", name: "choice", value: answer });
    radio.addEventListener("change", () => {
      for (const each of elements.choices.querySelectorAll("label")) each.classList.toggle("selected", each === label);
      this.say(answer);
    });
    label.append(radio, this.texts.choices[answer]);
    return label;
  }

  /** "Wrong label": a live picture is held first, since it is that one that the answer is about. */
  async offer() {
    if (!(await this.pictures.current())) return;
    elements.choices.hidden = false;
    elements.choices.scrollIntoView({ block: "nearest" });
  }

  /** @param {string | null} label what the person says it is; null agrees */
  async say(label) {
    const said = label ?? this.verdict; // before a live picture is held, whose answer may be another
    const shown = await this.pictures.current();
    if (!shown) return;
    try {
      this.thank(await this.deliver(shown, said));
    } catch (problem) {
      this.uncheck(); // so that it can be chosen again
      this.complain(problem);
    }
  }

  /**
   * @param {Shown} shown
   * @param {string} label
   * @returns {Promise<string>} what to say
   */
  async deliver(shown, label) {
    const { own, choices } = this.texts;
    const copy = await this.pictures.copy(shown.picture);
    if (!this.feedback) {
      await this.keep(shown, copy, label);
      return fill(own.thanks_kept, { label: choices[label] });
    }
    try {
      return await this.send(this.feedback, shown, copy, label);
    } catch (error) {
      if (!(error instanceof NotSentError)) throw error;
      await this.keep(shown, copy, label);
      return fill(own.not_sent, { reason: this.reason(error) });
    }
  }

  /**
   * @param {Feedback} feedback
   * @param {Shown} shown
   * @param {Blob} copy
   * @param {string} label
   * @returns {Promise<string>} what to say
   */
  async send(feedback, { requestId, answer }, copy, label) {
    const { app, choices } = this.texts;
    const receipt = await feedback.send(copy, label, `${requestId}:${label}`);
    await this.drawer.remove(requestId); // an earlier try may have been kept
    await this.showKept();
    if (!receipt) return app.thanks_again;
    this.undo = () => feedback.takeBack(receipt);
    if (label === UNSURE) return app.thanks_unsure;
    return label === answer.verdict ? app.thanks_right : fill(app.thanks_wrong, { label: choices[label] });
  }

  /** @param {NotSentError} error */
  reason(error) {
    return error.message || fill(this.texts.own.no_connection, { feedback: new URL(this.page.feedback ?? "").host });
  }

  /**
   * @param {Shown} shown
   * @param {Blob} copy
   * @param {string} label
   */
  async keep({ answer, requestId }, copy, label) {
    const { model_id, model_revision, app_version } = this.page;
    await this.drawer.keep({
      schema_version: 1,
      request_id: requestId,
      created_at: new Date().toISOString(),
      image: await asBase64(copy),
      labels: answer.labels,
      probabilities: answer.probabilities,
      verdict: answer.verdict,
      neither_score: answer.neitherScore,
      corrected_label: label,
      model_id,
      model_revision,
      app_version,
    });
    this.undo = async () => {
      await this.drawer.remove(requestId);
      await this.showKept();
    };
    await this.showKept();
  }

  async takeBack() {
    try {
      await this.undo?.();
    } catch (problem) {
      return this.complain(problem);
    }
    this.undo = null;
    this.uncheck();
    this.thank(this.texts.app.taken_back);
  }

  uncheck() {
    for (const radio of elements.choices.querySelectorAll("input")) radio.checked = false;
    for (const label of elements.choices.querySelectorAll("label")) label.classList.remove("selected");
  }

  async export() {
    try {
      download(await this.drawer.export(), `corrections-${new Date().toISOString().slice(0, 10)}.jsonl`);
    } catch (problem) {
      this.complain(problem);
    }
  }

  async deleteKept() {
    try {
      await this.drawer.clear();
      await this.showKept();
      this.undo = null;
      this.thank(this.texts.own.kept_deleted);
    } catch (problem) {
      this.complain(problem);
    }
  }

  async showKept() {
    const count = await this.drawer.count();
    const { kept_one, kept_many } = this.texts.own;
    elements.kept.hidden = count === 0;
    elements.keptText.textContent = count === 1 ? kept_one : fill(kept_many, { count });
  }

  /** @param {string} text */
  thank(text) {
    elements.thanks.replaceChildren(messageCard(text, "thanks"));
    elements.thanks.scrollIntoView({ block: "nearest" });
    elements.takeBack.hidden = this.undo === null;
  }

  /** @param {unknown} error */
  complain(error) {
    const text = error instanceof NotSentError ? this.reason(error) : problemText(error, this.texts);
    elements.thanks.replaceChildren(messageCard(text, "problem"));
  }
}

/**
 * @param {unknown} error
 * @param {import("./texts.js").Texts} texts
 */
export function problemText(error, { app, own }) {
  if (!(error instanceof Problem)) console.error(error);
  return (error instanceof Problem && (own[error.message] ?? app[error.message])) || app.unexpected;
}
