// What the page does beside Gradio: drops and pastes anywhere, several files at once, camera, examples.
import "./connection.js";
import { openCamera } from "./camera.js";
import { classifyAll } from "./gallery.js";
import { bringIntoView, show, tell, texts } from "./photo.js";

const LIVE_REGIONS = ["answer", "thanks"];

function take(files) {
  tell("");
  if (files.length === 1) show(files[0]);
  else if (files.length > 1) classifyAll(files);
}

// Files may be dropped anywhere. Gradio's zone would take but one, so it does not get to see them.
for (const kind of ["dragover", "drop"])
  document.addEventListener(
    kind,
    (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      event.stopPropagation();
      document.body.classList.toggle("dropping", kind === "dragover");
      if (kind === "drop") take([...event.dataTransfer.files]);
    },
    true,
  );
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});

// Several files that were chosen in Gradio's file dialog.
document.addEventListener(
  "change",
  (event) => {
    if (!event.target.matches?.("#photo input[type=file]")) return;
    const files = [...event.target.files];
    if (files.length < 2) return;
    event.stopImmediatePropagation();
    event.target.value = "";
    take(files);
  },
  true,
);

// A picture pasted anywhere on the page.
document.addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith("image/"));
  if (!files.length) return;
  event.preventDefault();
  take(files.length > 1 ? files : [new File([files[0]], "clipboard.png", { type: files[0].type })]);
});

async function paste() {
  try {
    for (const item of await navigator.clipboard.read()) {
      const type = item.types.find((each) => each.startsWith("image/"));
      if (type) return take([new File([await item.getType(type)], "clipboard.png", { type })]);
    }
  } catch (problem) {
    if (!(problem instanceof DOMException || problem instanceof TypeError)) throw problem;
  }
  tell((await texts).paste_nothing);
}

async function example(name) {
  const answer = await fetch(`./page/example/${name}`);
  if (!answer.ok) return tell((await texts).unexpected);
  take([new File([await answer.blob()], `example-${name}.jpg`, { type: "image/jpeg" })]);
}

document.addEventListener("click", (event) => {
  const way = event.target.closest?.("[data-way]")?.dataset.way;
  if (way === "camera") openCamera();
  if (way === "paste") paste();
  const wanted = event.target.closest?.("[data-example]")?.dataset.example;
  if (wanted) example(wanted);
});

let words; // none until they have come
texts.then((loaded) => {
  words = loaded;
  mend();
});

// Gradio builds the page some time after this script runs, and rebuilds parts of it.
function mend() {
  for (const id of LIVE_REGIONS) document.getElementById(id)?.setAttribute("aria-live", "polite");
  const input = document.querySelector("#photo input[type=file]");
  if (input && !input.multiple) input.multiple = true;
  const zone = document.querySelector("#photo button[aria-dropeffect]"); // named in English by Gradio
  const named = zone?.textContent.trim();
  if (named && zone.getAttribute("aria-label") !== named) zone.setAttribute("aria-label", named);
  const remove = document.querySelector("#photo .icon-button");
  if (remove && words && remove.getAttribute("aria-label") !== words.remove_photo) {
    remove.setAttribute("aria-label", words.remove_photo);
    remove.title = words.remove_photo;
  }
  const wrong = document.getElementById("wrong");
  const expanded = String(document.querySelector("#choices label") !== null);
  if (wrong && wrong.getAttribute("aria-expanded") !== expanded) wrong.setAttribute("aria-expanded", expanded);
  const photo = document.querySelector("#photo .image-frame img");
  const label = document.querySelector("#photo label")?.textContent.trim();
  if (photo && label && !photo.alt) photo.alt = label;
}

let followed = "";

// A new answer is brought into view, down to the buttons under it; and so are the choices, and the thanks for one.
function follow() {
  const answer = document.querySelector("#answer .answer");
  const ask = document.getElementById("ask");
  const parts = ["#choices label", "#thanks .message"].map((part) => document.querySelector(part) !== null);
  const now = answer && ask ? [answer.dataset.request, ...parts].join() : "";
  if (now === followed) return;
  followed = now;
  if (!now) return;
  requestAnimationFrame(() => {
    const isSeen = answer.getBoundingClientRect().top >= 0 && ask.getBoundingClientRect().bottom <= innerHeight;
    if (!isSeen) bringIntoView(ask, "end");
  });
}

new MutationObserver(() => {
  mend();
  follow();
}).observe(document.documentElement, { childList: true, subtree: true });
mend();
document.documentElement.lang = navigator.language.split("-")[0] === "de" ? "de" : "en";
