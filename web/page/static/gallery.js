// Several photos at once: a list with what the model says of each, in an order of one's choice, correctable, and as CSV.
import { clear, explanation, post } from "./answer.js";
import { find, onChange, say, undo } from "./feedback.js";
import { bringIntoView, decodes, element, fit, fromBase64, place } from "./photo.js";
import { Failure, sentence, texts } from "./server.js";

const MOST = 50;
const AT_ONCE = 2; // the server has as many cores as it has; more would wait there
const TRIES = 5;

let round = 0;
let gallery = null;

onChange((undone) => gallery?.recheck(undone));

// The list is brought into view, and again when what is above it has become shorter.
const above = new ResizeObserver(() => bringIntoView(document.querySelector("#several section"), "start"));

/** Classify photos and show them, the most certain first. */
export async function classifyAll(files) {
  const words = await texts();
  const mine = ++round;
  const photos = files.slice(0, MOST).map((file) => ({ file, name: file.name }));
  const list = new Gallery(photos, words, files.length > MOST ? words.several_too_many.replace("{n}", MOST) : "");
  gallery = list;
  const waiting = [...photos];
  const work = async () => {
    for (let photo = waiting.shift(); photo && mine === round; photo = waiting.shift()) {
      Object.assign(photo, await classify(photo));
      if (mine === round) list.add(photo);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  if (mine === round) list.finish();
}

async function classify({ file }) {
  const picture = await fit(file);
  const preview = picture === file && !(await decodes(file));
  for (let attempt = 1; ; attempt++) {
    try {
      const said = await post(picture, "upload", { preview, consent: false });
      const shown = said.preview ? fromBase64(said.preview) : picture;
      const { request_id: id } = said;
      return { ...said, said, picture: shown, id, request: id, source: "upload", problem: undefined };
    } catch (problem) {
      const waits = problem instanceof Failure && ["rate_limited", "busy", "no_model"].includes(problem.code);
      if (!waits || attempt === TRIES) return { picture, problem: await sentence(problem), passes: problem.passes };
      await new Promise((done) => setTimeout(done, 1000 * (problem.waitS || 1)));
    }
  }
}

class Gallery {
  constructor(photos, words, note) {
    this.photos = photos;
    this.words = words;
    this.shown = [];
    this.filter = "";
    this.count = element("p", { role: "status" });
    this.progress = element("progress", { max: photos.length, value: 0, "aria-label": words.several_title });
    this.list = element("ul");
    this.csv = element("a", { download: "labels.csv", class: "button", hidden: true }, words.several_csv);
    const close = element("button", { type: "button", class: "button", onclick: () => this.close() }, words.several_close);
    this.heading = element("h2", { tabindex: "-1" }, words.several_title);
    const head = element("div", { class: "head" }, this.heading, this.csv, close);
    this.filters = element("div", { class: "filters", role: "group" });
    this.order = element(
      "select",
      { "aria-label": words.several_order, onchange: () => this.arrange() },
      element("option", { value: "-1" }, words.several_sure_first),
      element("option", { value: "1" }, words.several_unsure_first),
    );
    this.tools = element("div", { class: "tools", hidden: true }, this.filters, this.order);
    this.section = element("section", {}, head, note && element("p", { class: "problem", role: "alert" }, note), this.count, this.progress, this.tools, this.list);
    place("several").replaceChildren(this.section);
    this.heading.focus({ preventScroll: true });
    above.observe(document.getElementById("stage"));
    this.tellProgress();
  }

  add(photo) {
    this.shown.push(photo);
    photo.card = this.cardOf(photo);
    this.arrange();
    this.tellProgress();
  }

  /** Put the cards in order, and show those that the filter lets through. */
  arrange() {
    const sign = Number(this.order.value);
    this.shown.sort((a, b) => (a.problem ? 1 : 0) - (b.problem ? 1 : 0) || sign * (a.confidence - b.confidence) || 0);
    this.list.append(...this.shown.map(({ card }) => card));
    for (const { card, verdict } of this.shown) card.hidden = this.filter !== "" && verdict !== this.filter;
  }

  /** A button per answer, with how many there are. */
  drawFilters() {
    const counts = new Map();
    for (const { verdict, headline } of this.shown)
      if (verdict) counts.set(verdict, [headline, (counts.get(verdict)?.[1] ?? 0) + 1]);
    const entries = [["", [this.words.several_all, this.shown.length]], ...counts];
    const buttons = entries.map(([verdict, [text, count]]) =>
      element(
        "button",
        { type: "button", class: "button", "aria-pressed": String(verdict === this.filter), "data-filter": verdict, onclick: () => this.show(verdict) },
        `${text} (${count})`,
      ),
    );
    this.filters.replaceChildren(...buttons);
  }

  show(verdict) {
    this.filter = verdict;
    for (const each of this.filters.children) each.setAttribute("aria-pressed", String(each.dataset.filter === verdict));
    this.arrange();
  }

  tellProgress() {
    const { several_progress } = this.words;
    this.progress.value = this.shown.length;
    this.count.textContent = several_progress.replace("{done}", this.shown.length).replace("{all}", this.photos.length);
  }

  finish() {
    above.disconnect();
    this.progress.hidden = true;
    this.csv.hidden = this.tools.hidden = false;
    this.drawFilters();
    this.writeCsv();
  }

  cardOf(photo) {
    const image = element("img", { alt: photo.name, loading: "lazy" });
    image.src = URL.createObjectURL(photo.picture);
    const enlarge = element("button", { type: "button", class: "enlarge", onclick: () => this.enlarge(photo) }, image);
    image.addEventListener("error", () => {
      URL.revokeObjectURL(image.src);
      enlarge.remove(); // what browsers do not show, such as HEIC
    });
    const name = element("span", { class: "file" }, photo.name);
    if (photo.problem) return element("li", { class: "problem" }, enlarge, element("p", {}, photo.problem), name, this.againOf(photo));
    const headline = element("p", {}, element("b", {}, photo.headline), ` ${photo.percent}`);
    return element("li", { "data-verdict": photo.verdict }, enlarge, headline, name, this.choicesOf(photo));
  }

  /** What failed for now can be tried again. */
  againOf(photo) {
    if (!photo.passes) return "";
    const again = element("button", { type: "button", class: "button", onclick: () => this.again(photo, again) }, this.words.try_again);
    return element("div", { class: "correct" }, again);
  }

  async again(photo, button) {
    const [before, hadFocus] = [photo.card, document.activeElement === button];
    button.disabled = true;
    Object.assign(photo, await classify(photo));
    URL.revokeObjectURL(before.querySelector("img")?.src);
    photo.card = this.cardOf(photo);
    before.replaceWith(photo.card);
    if (hadFocus) photo.card.querySelector("select, .correct button")?.focus({ preventScroll: true });
    this.arrange();
    this.drawFilters();
    this.writeCsv();
  }

  /** The photo over the page, with what spoke for the answer. */
  async enlarge(photo) {
    const image = element("img", { alt: photo.name, src: URL.createObjectURL(photo.picture) });
    const figure = element("div", { class: "figure" }, image);
    const caption = element("p", {}, photo.problem ?? `${photo.headline} ${photo.percent}`);
    const close = element("button", { type: "button", class: "button", "aria-label": this.words.close, title: this.words.close, onclick: () => dialog.close() }, "✕");
    const dialog = element("dialog", { id: "enlarged", "aria-label": photo.name }, close, figure, caption);
    dialog.addEventListener("close", () => {
      URL.revokeObjectURL(image.src);
      dialog.remove();
    });
    if (!photo.problem && photo.said.ask.includes('id="why"')) {
      const why = async () => {
        try {
          const map = await explanation(photo);
          figure.append(element("img", { src: map.layer, alt: map.alt }));
          caption.textContent = map.caption;
          button.remove();
        } catch (problem) {
          caption.textContent = await sentence(problem);
        }
      };
      const button = element("button", { type: "button", class: "button", onclick: why }, this.words.why);
      dialog.append(button);
    }
    this.section.append(dialog);
    dialog.showModal();
  }

  choicesOf(photo) {
    const options = photo.choices.map(([value, text]) => element("option", { value }, text));
    const first = element("option", { value: "", selected: true }, this.words.several_correct);
    const said = element("span", { class: "said", role: "status" });
    const select = element("select", { "aria-label": `${this.words.several_correct}: ${photo.name}` }, first, ...options);
    const back = element("button", { type: "button", class: "button", hidden: true }, this.words.take_back);
    select.addEventListener("change", () => select.value && this.told(photo, said, back, () => this.correct(photo, select)));
    back.addEventListener("click", () => this.told(photo, said, back, () => this.takeBack(photo)));
    photo.parts = { select, said, back };
    return element("div", { class: "correct" }, select, said, back);
  }

  /** Do something about what was said of a photo, and tell how it went. */
  async told(photo, said, back, action) {
    try {
      said.textContent = await action();
      said.classList.remove("problem");
    } catch (problem) {
      said.textContent = await sentence(problem);
      said.classList.add("problem");
      photo.parts.select.value = photo.corrected ?? ""; // so that it can be chosen again
    }
    back.hidden = photo.corrected === undefined;
    this.writeCsv();
  }

  async correct(photo, select) {
    const { value } = select;
    const { status, stored } = await say(photo, value, select.selectedOptions[0].textContent);
    Object.assign(photo, { corrected: value, status });
    if (status !== "waiting") return this.words.several_kept;
    return stored ? this.words.will_be_sent : this.words.will_be_sent_from_here;
  }

  async takeBack(photo) {
    await undo(photo.id);
    return this.words.taken_back;
  }

  /** What was said is saved, has failed, is taken back or forgotten: in "My answers", in another tab, or later. */
  recheck(undone) {
    for (const photo of this.shown.filter(({ corrected }) => corrected !== undefined)) {
      const { select, said, back } = photo.parts;
      const before = photo.status;
      photo.status = find(photo.id)?.status;
      if (photo.status === before) continue;
      said.classList.toggle("problem", photo.status === "failed");
      if (photo.status === "saved") said.textContent = this.words.several_kept;
      if (photo.status === "failed") said.textContent = this.words.not_saved;
      if (photo.status) continue;
      photo.corrected = undefined;
      select.value = "";
      back.hidden = true;
      said.textContent = undone === photo.id ? this.words.taken_back : "";
    }
    this.writeCsv();
  }

  writeCsv() {
    const labels = Object.keys(this.shown.find((photo) => photo.probabilities)?.probabilities ?? {});
    const columns = ["file", "verdict", "label", "confidence", ...labels.map((label) => `p_${label}`), "corrected_label", "problem"];
    const rows = this.shown.map((photo) => [
      photo.name, photo.verdict, photo.label, photo.confidence,
      ...labels.map((label) => photo.probabilities?.[label]), photo.corrected, photo.problem,
    ]);
    const text = [columns, ...rows].map((row) => row.map(cell).join(",")).join("\r\n");
    URL.revokeObjectURL(this.csv.href);
    // The mark at the start tells Excel that this is UTF-8.
    this.csv.href = URL.createObjectURL(new Blob([`\uFEFF${text}\r\n`], { type: "text/csv" }));
  }

  close() {
    round++;
    gallery = null;
    above.disconnect();
    for (const image of this.list.querySelectorAll("img")) URL.revokeObjectURL(image.src);
    this.section.remove();
    clear();
  }
}

/** One CSV field (RFC 4180). A name that a spreadsheet would take for a formula gets an apostrophe. */
function cell(value) {
  const plain = String(value ?? "");
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(plain) ? `'${plain}` : plain;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
