// The page: pictures come in, answers come out. Nothing leaves the device but what `ask.js` sends after a press.

import { answerCard, messageCard } from "./answer-view.js";
import { Ask, problemText } from "./ask.js";
import { Camera } from "./camera.js";
import { elements, nameElements } from "./elements.js";
import { Engine, Problem } from "./engine.js";
import { drawHeatmap } from "./heat.js";
import { fetchPicture, readClipboard, takeDrops, takeFiles, takePastes } from "./pictures.js";
import { Several } from "./several.js";
import { saveAsPicture } from "./share.js";
import { chooseLanguage, fill, switchLanguage, wantedLanguages } from "./texts.js";

document.getElementById("not-started")?.remove();

const WORKER_WITHIN_MS = 30_000;

class Page {
  /**
   * @param {import("./texts.js").Texts} texts
   * @param {import("./ask.js").Page} page
   */
  constructor(texts, page) {
    this.texts = texts;
    this.engine = new Engine();
    this.camera = new Camera(elements.video);
    /** @type {Promise<import("./ask.js").Shown | null>} */
    this.shown = Promise.resolve(null);
    this.turn = 0;
    this.pushed = false; // whether the camera has an entry of its own in the history
    this.ask = new Ask(texts, page, {
      current: () => (this.camera.isOn ? this.snap() : this.shown),
      copy: (picture) => this.engine.copy(picture),
    });
    this.several = new Several(texts, this.engine, (picture) => this.look(picture));
    this.showExamples();
    this.showBackend(page);
  }

  connect() {
    const take = (/** @type {Blob[]} */ pictures) => this.take(pictures);
    takeFiles(elements.file, take);
    takeDrops(elements.photo, take);
    const takeAddress = (/** @type {string} */ address) => this.attempt(() => this.fetch(address));
    takePastes(take, takeAddress);
    elements.choose.addEventListener("click", () => elements.file.click());
    elements.paste.addEventListener("click", () => this.attempt(async () => this.look(await readClipboard())));
    elements.startCamera.addEventListener("click", () => this.attempt(() => this.live()));
    elements.snap.addEventListener("click", () => this.attempt(() => this.snap()));
    elements.stopCamera.addEventListener("click", () => this.clear());
    elements.why.addEventListener("click", () => this.toggleHeat());
    elements.savePicture.addEventListener("click", () => this.attempt(() => this.save()));
    elements.url.addEventListener("submit", (event) => {
      event.preventDefault();
      takeAddress(elements.address.value.trim());
    });
    window.addEventListener("pagehide", () => this.camera.stop());
    window.addEventListener("popstate", () => {
      this.pushed = false;
      if (this.camera.isOn) this.clear();
    });
  }

  /** @param {Blob[]} pictures */
  take(pictures) {
    this.several.close();
    if (pictures.length === 1) return void this.look(pictures[0]);
    this.clear();
    if (pictures.length) void this.several.show(pictures);
    else elements.answer.replaceChildren(messageCard(this.texts.app.not_a_picture, "problem"));
  }

  /** Pictures to try; one that is pressed is answered. */
  showExamples() {
    const { app, examples } = this.texts;
    const buttons = Object.entries(examples).map(([name, text]) => {
      const [button, image] = [document.createElement("button"), document.createElement("img")];
      Object.assign(image, { src: `examples/${name}.jpg`, alt: "", width: 72, height: 72, loading: "lazy" });
      Object.assign(button, { type: "button", ariaLabel: text });
      button.append(image);
      button.addEventListener("click", () => this.attempt(async () => this.look(await (await fetch(image.src)).blob())));
      return button;
    });
    const [heading, row] = [document.createElement("p"), document.createElement("div")];
    heading.textContent = app.examples;
    row.append(...buttons);
    if (buttons.length) elements.examples.firstElementChild?.replaceChildren(heading, row);
  }

  /**
   * Classify a picture and show what comes of it, unless another one came meanwhile.
   * @param {Blob} picture
   */
  look(picture) {
    const turn = this.begin();
    this.preview(picture);
    this.message(this.texts.own.looking);
    this.shown = this.classify(picture, turn);
    return this.shown;
  }

  /**
   * @param {Blob} picture
   * @param {number} turn
   * @returns {Promise<import("./ask.js").Shown | null>}
   */
  async classify(picture, turn) {
    try {
      const answer = await this.engine.classify(picture);
      if (turn !== this.turn) return null;
      this.present(answer);
      return { picture, answer, requestId: requestId() };
    } catch (problem) {
      if (turn === this.turn) this.complain(problem);
      return null;
    }
  }

  /** @param {string} address */
  async fetch(address) {
    this.clear();
    if (!address) return;
    const { turn } = this;
    this.message(this.texts.own.looking);
    try {
      const picture = await fetchPicture(address);
      if (turn === this.turn) this.look(picture);
    } catch (problem) {
      if (turn === this.turn) throw problem;
    }
  }

  async live() {
    this.clear();
    const { turn } = this;
    await this.camera.start();
    if (turn !== this.turn) return this.camera.stop();
    history.pushState({ camera: true }, ""); // "Back" closes the camera, not the page
    this.pushed = true;
    this.arrange();
    this.message(this.texts.own.looking);
    elements.answer.setAttribute("aria-live", "off"); // an answer a frame is too much to listen to
    await this.camera.watch(async (frame) => {
      const answer = await this.engine.classify(frame);
      if (turn === this.turn) this.present(answer);
    });
  }

  /** Hold the camera's picture: that one is classified and may be corrected. */
  async snap() {
    const picture = await this.camera.snap();
    return this.look(picture);
  }

  /** Save the photo and its answer as a picture; a live picture is held first. */
  async save() {
    const shown = await (this.camera.isOn ? this.snap() : this.shown);
    if (shown) await saveAsPicture(elements.preview, shown.answer, this.texts);
  }

  /** Back to the beginning. */
  clear() {
    this.begin();
    this.shown = Promise.resolve(null);
    elements.preview.removeAttribute("src");
    this.arrange();
    this.message(this.texts.app.waiting);
  }

  /** Whatever is under way is about another picture from now on. */
  begin() {
    this.camera.stop();
    if (this.pushed) history.back();
    this.pushed = false;
    this.ask.show(null);
    elements.why.hidden = true;
    elements.answer.setAttribute("aria-live", "polite");
    elements.answer.classList.remove("live");
    return ++this.turn;
  }

  /** @param {Blob} picture */
  preview(picture) {
    URL.revokeObjectURL(elements.preview.src);
    elements.preview.src = URL.createObjectURL(picture);
    this.arrange();
  }

  /** Show what there is: the camera, a photo, or the place for one. */
  arrange() {
    const { isOn } = this.camera;
    const hasPhoto = elements.preview.hasAttribute("src") && !isOn;
    elements.video.hidden = !isOn;
    elements.preview.hidden = !hasPhoto;
    elements.heat.hidden = true;
    elements.why.setAttribute("aria-pressed", "false");
    elements.photo.classList.toggle("filled", isOn || hasPhoto);
    for (const button of [elements.snap, elements.stopCamera]) button.hidden = !isOn;
    for (const button of [elements.choose, elements.startCamera]) button.hidden = isOn;
  }

  /** @param {import("./classifier.js").Answer} answer */
  present(answer) {
    const { isOn } = this.camera;
    const isSame = elements.answer.querySelector(".answer")?.getAttribute("data-verdict") === answer.verdict;
    elements.answer.classList.toggle("live", isOn);
    elements.answer.replaceChildren(answerCard(answer, this.texts));
    if (!isOn || !isSame || elements.ask.hidden) this.ask.show(answer);
    elements.why.hidden = isOn || answer.heatmap === null;
    this.heatmap = answer.heatmap;
    elements.heatCaption.textContent = this.texts.why[answer.label];
    if (!isOn) this.ask.bringIntoView();
  }

  async toggleHeat() {
    const { heat, heatMap, preview, why } = elements;
    const { turn, heatmap } = this;
    if (heat.hidden && heatmap) {
      await preview.decode().catch(() => undefined); // it has no size before; it fails where another photo came
      if (turn !== this.turn) return;
      drawHeatmap(heatMap, heatmap, preview.naturalWidth / preview.naturalHeight);
    }
    heat.hidden = !heat.hidden;
    why.setAttribute("aria-pressed", String(!heat.hidden));
  }

  /**
   * Do what a press asked for; if it fails, say why.
   * @param {() => Promise<unknown>} action
   */
  async attempt(action) {
    try {
      await action();
    } catch (problem) {
      this.complain(problem);
    }
  }

  /** @param {unknown} problem */
  complain(problem) {
    this.camera.stop();
    this.arrange();
    this.ask.show(null);
    elements.answer.replaceChildren(messageCard(problemText(problem, this.texts), "problem"));
  }

  /** @param {string} text */
  message(text) {
    elements.answer.replaceChildren(messageCard(text, "waiting"));
  }

  /** @param {import("./ask.js").Page} page */
  async showBackend({ model_id, model_revision }) {
    const { app, own, about } = this.texts;
    elements.about.firstElementChild?.insertAdjacentHTML("beforeend", about);
    const model = fill(app.model, { model_id, revision: model_revision.slice(0, 18) });
    const line = elements.foot.firstElementChild;
    line?.replaceChildren(`${model} · ${own.privacy}`);
    if (!elements.answer.hasChildNodes()) this.message(own.loading);
    try {
      const backend = await this.engine.ready;
      document.documentElement.dataset.backend = backend;
      line?.replaceChildren(`${model}, ${fill(own.backend, { backend: own[backend] })} · ${own.privacy}`);
      if (this.turn === 0) this.message(app.waiting);
    } catch (problem) {
      this.complain(problem);
    }
  }
}

/** Let the service worker keep what is loaded from now on; without one the page works too, but not offline. */
async function register() {
  if (!("serviceWorker" in navigator)) return;
  const controlled = new Promise((done) => navigator.serviceWorker.addEventListener("controllerchange", done));
  try {
    const { installing } = await navigator.serviceWorker.register("sw.js");
    if (!installing || navigator.serviceWorker.controller) return;
    const failed = new Promise((done) =>
      installing.addEventListener("statechange", () => installing.state === "redundant" && done(null)),
    );
    const late = new Promise((done) => setTimeout(done, WORKER_WITHIN_MS));
    await Promise.race([controlled, failed, late]);
  } catch (error) {
    console.warn("Not offline:", error);
  }
}

function followColours() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => {
    for (const root of [document.documentElement, document.body]) root.classList.toggle("dark", dark.matches);
  };
  dark.addEventListener("change", follow);
  follow();
}

/** A name for a prediction; `crypto.randomUUID` is there only over https. */
function requestId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {string} path */
async function load(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Problem("not_loaded");
  return response.json();
}

/** The switch between languages, each by its own name. */
function fillSwitch() {
  for (const { app } of /** @type {import("./texts.js").Texts[]} */ (Object.values(languages))) {
    const option = new Option(app.own_name, app.language, false, app.language === texts.app.language);
    option.lang = app.language;
    elements.language.append(option);
  }
  elements.language.addEventListener("change", () => switchLanguage(elements.language.value));
}

followColours();
const [languages, page] = await Promise.all([load("texts.json"), load("page.json")]);
const texts = chooseLanguage(languages, wantedLanguages());
nameElements(texts);
fillSwitch();
const here = new Page(texts, page);
here.connect();
await register();
here.engine.start();
