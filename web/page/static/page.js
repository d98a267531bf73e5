// The page: where photos come in, and what each button does. Gradio lays it out some time after this script runs.
import { agree, answer, answerUrl, clear, explain, openChoices, savePicture, send, takeBack } from "./answer.js";
import { closeCamera, openCamera } from "./camera.js";
import { answerEarly } from "./early.js";
import { classifyAll } from "./gallery.js";
import { showMine } from "./mine.js";
import { tell } from "./photo.js";
import { sentence, texts } from "./server.js";

const ADDRESS = /^https?:\/\/\S+$/i;
const ADDRESS_WITHOUT_SCHEME = /^[\w-]+(\.[\w-]+)+(:\d+)?(\/\S*)?$/;
const PICTURE = /^image\//;
const PICTURE_NAME = /\.(jpe?g|jfif|jpe|pjpe?g|jif|png|apng|webp|avif|gif|bmp|hei[cf]s?|hif)$/i;
const ARROW_PAUSE_MS = 700; // arrows pass over choices: the one that they stop at is meant

/** Answer what a person has chosen, dropped or pasted. On a slow network the page is not complete yet, but can begin. */
async function take(files, source = "upload") {
  const pictures = files.filter((file) => PICTURE.test(file.type) || (!file.type && PICTURE_NAME.test(file.name)));
  const sent = pictures.length === 1 && document.getElementById("first") ? answerEarly(pictures[0], source) : undefined;
  await ready;
  tell("");
  if (files.length && !pictures.length) return tell((await texts()).not_a_picture);
  closeCamera();
  if (pictures.length === 1) answer(pictures[0], source, undefined, sent);
  else if (pictures.length > 1) {
    clear();
    classifyAll(pictures);
  }
}

/** Answer the picture at an address: the server fetches it. */
async function takeAddress(text) {
  await ready;
  closeCamera();
  answerUrl(ADDRESS_WITHOUT_SCHEME.test(text) ? `https://${text}` : text);
}

/** A picture that is dragged here from a page comes as a file, or only as its address. */
async function takeDropped(transfer) {
  const files = [...transfer.files];
  const address = transfer.getData("text/uri-list").split(/\r?\n/).find((each) => each && !each.startsWith("#"));
  if (files.length || !address) return take(files);
  if (!address.startsWith(new URL("./", document.baseURI).href)) return takeAddress(address);
  const response = await fetch(address); // our own, such as an example
  const blob = await response.blob();
  take([new File([blob], "photo", { type: blob.type })]);
}

// Photos, and addresses of photos, may be dropped anywhere.
for (const kind of ["dragover", "drop"])
  document.addEventListener(
    kind,
    (event) => {
      const types = event.dataTransfer?.types ?? [];
      if (!types.includes("Files") && (!types.includes("text/uri-list") || event.target.closest?.("#url"))) return;
      event.preventDefault();
      event.stopPropagation();
      document.body.classList.toggle("dropping", kind === "dragover");
      if (kind === "drop") takeDropped(event.dataTransfer);
    },
    true,
  );
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});

// A picture pasted anywhere on the page, or the address of one.
document.addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  const text = event.clipboardData?.getData("text/plain").trim() ?? "";
  if (files.length) {
    event.preventDefault();
    take(files, "clipboard");
  } else if (ADDRESS.test(text)) {
    if (!event.target.closest?.("#url")) return takeAddress(text);
    setTimeout(() => takeAddress(event.target.value.trim())); // once the field has it
  }
});

async function paste() {
  const words = await texts();
  if (!navigator.clipboard?.read) return tell(words.paste_by_keys);
  try {
    for (const item of await navigator.clipboard.read()) {
      const type = item.types.find((each) => PICTURE.test(each));
      if (type) return take([new File([await item.getType(type)], "clipboard.png", { type })], "clipboard");
      if (!item.types.includes("text/plain")) continue;
      const text = (await (await item.getType("text/plain")).text()).trim();
      if (ADDRESS.test(text)) return takeAddress(text);
    }
  } catch (problem) {
    if (!(problem instanceof DOMException || problem instanceof TypeError)) throw problem;
  }
  tell(words.paste_nothing);
}

async function example(name) {
  try {
    const response = await fetch(`./page/example/${name}`);
    if (!response.ok) throw new TypeError(response.statusText);
    closeCamera();
    answer(new File([await response.blob()], `${name}.jpg`, { type: "image/jpeg" }));
  } catch {
    tell((await texts()).unreachable, () => example(name), (await texts()).try_again);
  }
}

const PRESSED = {
  remove: clear,
  right: agree,
  wrong: openChoices,
  why: explain,
  "take-back": takeBack,
  "save-picture": savePicture,
};

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("button");
  if (!button) return;
  if (button.dataset.way === "camera") openCamera();
  if (button.dataset.way === "paste") paste();
  if (button.dataset.example) example(button.dataset.example);
  PRESSED[button.id]?.();
});

let byArrow = false;
let pause;
document.addEventListener("keydown", (event) => {
  byArrow = event.key.startsWith("Arrow");
  const { target } = event;
  if (event.key === "Enter" && !event.isComposing && target.closest?.("#url")) {
    event.preventDefault();
    const address = target.value.trim();
    if (address) takeAddress(address);
  }
  if (event.key === "Enter" && target.matches?.("#choices input")) {
    clearTimeout(pause);
    send(target.value);
  }
});
document.addEventListener("pointerdown", () => {
  byArrow = false;
});

document.addEventListener("change", ({ target }) => {
  if (target.matches?.("#photo input[type=file], #first input[type=file]")) {
    const files = [...target.files];
    target.value = ""; // the same file may be chosen again
    take(files);
  } else if (target.matches?.("#choices input")) {
    clearTimeout(pause);
    if (byArrow) pause = setTimeout(() => target.checked && send(target.value), ARROW_PAUSE_MS);
    else send(target.value);
  } else if (target.id === "language") {
    const safe = location.protocol === "https:" ? "SameSite=None; Secure; Partitioned" : "SameSite=Lax";
    document.cookie = `catdog_language=${target.value}; path=${new URL("./", document.baseURI).pathname}; max-age=31536000; ${safe}`;
    location.reload();
  }
});

const chosen = document.querySelector("#first input")?.files ?? []; // before this script was there
// Gradio builds the page bit by bit: it is shown once all of it is there.
const ready = new Promise((done) => {
  const look = () => {
    if (!["#foot p", "#photo input", "#url :is(input, textarea)", "#mine .place", "#several .place"].every((part) => document.querySelector(part))) return;
    watching.disconnect();
    done();
  };
  const watching = new MutationObserver(look);
  watching.observe(document.documentElement, { childList: true, subtree: true });
  look();
});

if (chosen.length) take([...chosen]);

ready.then(async () => {
  const early = document.querySelector("#first input");
  document.documentElement.classList.add("ready");
  document.getElementById("first").remove();
  early.addEventListener("change", () => take([...early.files])); // its dialog may be open still
  try {
    await showMine();
  } catch (problem) {
    tell(await sentence(problem));
  }
});
