// Before Gradio has laid the page out: a photo is shown where it was chosen, sent, and its answer told in a line.
import { post } from "./answer.js";
import { element, fit } from "./photo.js";
import { sentence, texts } from "./server.js";

const EARLY_BYTES = 30_000; // it shares the network with the rest of the page

/** Show a photo in the first view and send it. Resolves to its answer, for the page to show once it is there. */
export function answerEarly(file, source) {
  const image = element("img", { alt: "", src: URL.createObjectURL(file) });
  const told = element("output");
  document.querySelector("#first label").replaceChildren(document.querySelector("#first input"), image, told);
  const shown = image.decode().then(
    () => true,
    () => image.remove(),
  );
  const sent = send(file, source, shown);
  tell(told, sent);
  return sent;
}

async function send(file, source, shown) {
  const photo = await fit(file, EARLY_BYTES);
  return post(photo, source, { preview: !(await shown) });
}

async function tell(told, sent) {
  try {
    told.textContent = (await texts()).sending;
    const { headline, percent } = await sent;
    told.textContent = `${headline} ${percent}`;
  } catch (problem) {
    told.textContent = await sentence(problem);
  }
}
