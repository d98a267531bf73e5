// Several photos at once: a list with what the model says of each, sorted by confidence, correctable in place, and as CSV.
import { bringIntoView, clear, element, problemOf, tell, texts } from "./photo.js";

const MOST = 50;
const AT_ONCE = 2; // the server has as many cores as it has; more would wait there
const TRIES = 5;

let round = 0;

// The list is brought into view, and again when what is above it has become shorter.
const above = new ResizeObserver(() => bringIntoView(document.querySelector("#several section"), "start"));

/** Classify photos and show them in the order of confidence, the most certain first. */
export async function classifyAll(files) {
  const words = await texts;
  const mine = ++round;
  const photos = files.slice(0, MOST).map((file) => ({ file, name: file.name }));
  clear();
  const gallery = new Gallery(photos, words);
  if (files.length > MOST) tell(words.several_too_many.replace("{n}", MOST));
  const waiting = [...photos];
  const work = async () => {
    for (let photo = waiting.shift(); photo && mine === round; photo = waiting.shift()) {
      Object.assign(photo, await classify(photo.file, words));
      gallery.add(photo);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  if (mine === round) gallery.finish();
}

async function classify(file, words) {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    let answer;
    try {
      answer = await fetch("./page/photo", { method: "POST", body: file, headers: { "Content-Type": "image/*" } });
    } catch (problem) {
      if (!(problem instanceof TypeError)) throw problem;
      return { problem: words.unexpected };
    }
    const said = await answer.json();
    if (answer.ok) return said;
    if (answer.status !== 429 && answer.status !== 503) return { problem: problemOf(said, words) };
    await new Promise((done) => setTimeout(done, 1000 * Number(answer.headers.get("Retry-After") ?? 1)));
  }
  return { problem: words.unexpected };
}

class Gallery {
  constructor(photos, words) {
    this.photos = photos;
    this.words = words;
    this.shown = [];
    this.count = element("p", { role: "status" });
    this.progress = element("progress", { max: photos.length, value: 0, "aria-label": words.several_title });
    this.list = element("ul");
    this.csv = element("a", { download: "labels.csv", class: "button", hidden: true }, words.several_csv);
    const close = element("button", { type: "button", class: "button", onclick: () => this.close() }, words.several_close);
    this.heading = element("h2", { tabindex: "-1" }, words.several_title);
    const head = element("div", { class: "head" }, this.heading, this.csv, close);
    this.section = element("section", {}, head, this.count, this.progress, this.list);
    document.getElementById("several").replaceChildren(this.section);
    this.heading.focus({ preventScroll: true });
    above.observe(document.getElementById("stage"));
    this.tellProgress();
  }

  add(photo) {
    this.shown.push(photo);
    this.shown.sort((a, b) => (b.confidence ?? -1) - (a.confidence ?? -1));
    photo.card = this.cardOf(photo);
    this.list.insertBefore(photo.card, this.shown[this.shown.indexOf(photo) + 1]?.card ?? null);
    this.tellProgress();
  }

  tellProgress() {
    const { several_progress } = this.words;
    this.progress.value = this.shown.length;
    this.count.textContent = several_progress.replace("{done}", this.shown.length).replace("{all}", this.photos.length);
  }

  finish() {
    above.disconnect();
    this.progress.hidden = true;
    this.csv.hidden = false;
    this.writeCsv();
  }

  cardOf(photo) {
    const image = element("img", { alt: photo.name, loading: "lazy" });
    image.src = URL.createObjectURL(photo.file);
    image.addEventListener("error", () => {
      URL.revokeObjectURL(image.src);
      image.remove(); // what browsers do not show, such as HEIC
    });
    const name = element("span", { class: "file" }, photo.name);
    if (photo.problem) return element("li", { class: "problem" }, image, element("p", {}, photo.problem), name);
    const headline = element("p", {}, element("b", {}, photo.headline), ` ${photo.percent}`);
    return element("li", { "data-verdict": photo.verdict }, image, headline, name, this.choicesOf(photo));
  }

  choicesOf(photo) {
    const options = photo.choices.map(([value, text]) => element("option", { value }, text));
    const first = element("option", { value: "", selected: true }, this.words.several_correct);
    const said = element("span", { class: "said", role: "status" });
    const select = element("select", { "aria-label": `${this.words.several_correct}: ${photo.name}` }, first, ...options);
    select.addEventListener("change", () => this.correct(photo, select, said));
    return element("div", { class: "correct" }, select, said);
  }

  async correct(photo, select, said) {
    if (!select.value) return;
    const body = JSON.stringify({ request_id: photo.request_id, label: select.value });
    const answer = await fetch("./feedback", { method: "POST", body, headers: { "Content-Type": "application/json" } });
    said.textContent = answer.ok ? this.words.several_kept : problemOf(await answer.json(), this.words);
    said.classList.toggle("problem", !answer.ok);
    if (answer.ok) photo.corrected = select.value;
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
    this.csv.href = URL.createObjectURL(new Blob([`${text}\r\n`], { type: "text/csv" }));
  }

  close() {
    round++;
    above.disconnect();
    for (const image of this.list.querySelectorAll("img")) URL.revokeObjectURL(image.src);
    this.section.remove();
  }
}

/** One CSV field (RFC 4180). A name that a spreadsheet would take for a formula gets an apostrophe. */
function cell(value) {
  const plain = String(value ?? "");
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(plain) ? `'${plain}` : plain;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
