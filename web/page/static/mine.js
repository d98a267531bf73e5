// "My answers": what this browser remembers of what was said, with a way to undo each.
import { answers, clearAnswers, onChange, undo } from "./feedback.js";
import { element, place } from "./photo.js";
import { sentence, texts } from "./server.js";

/** Show the list, now and whenever it changes. */
export async function showMine() {
  const words = await texts();
  onChange(() => draw(words));
  draw(words);
}

function draw(words) {
  const list = answers();
  const open = place("mine").querySelector("details")?.open ?? false;
  const focused = place("mine").contains(document.activeElement);
  if (!list.length) return place("mine").replaceChildren();
  const summary = element("summary", {}, `${words.mine_title} (${list.length})`);
  const problem = element("p", { class: "problem", role: "alert" });
  const clear = element("button", { type: "button", class: "button", onclick: clearAnswers }, words.mine_clear);
  const items = list.map((said) => itemOf(said, words, problem));
  const details = element("details", {}, summary, element("p", { class: "note" }, words.mine_note), problem, element("ul", {}, ...items), clear);
  details.open = open;
  place("mine").replaceChildren(details);
  if (focused) summary.focus({ preventScroll: true });
}

function itemOf(said, words, problem) {
  const image = said.thumb ? element("img", { src: said.thumb, alt: "", width: 48, height: 48 }) : "";
  const label = words.answers[said.label] ?? said.text; // in the page's language now, whichever it was said in
  const text = said.label ? words.mine_said.replace("{label}", label) : words.audited;
  const status = element("small", {}, words[`mine_${said.status}`] ?? "");
  const take = async () => {
    try {
      await undo(said.id);
    } catch (reason) {
      problem.textContent = await sentence(reason);
    }
  };
  const button = element("button", { type: "button", class: "button", "aria-label": `${words.mine_undo}: ${text}`, onclick: take }, words.mine_undo);
  return element("li", { "data-status": said.status }, image, element("span", {}, text, status), button);
}
