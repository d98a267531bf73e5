// One photo: sent, answered, explained, and what the person says about the answer.
import { find, onChange, rememberAudit, say, undo } from "./feedback.js";
import { bringIntoView, element, fit, fromBase64, hide, place, progress, show, tell } from "./photo.js";
import { ask, askEach, Failure, sentence, texts } from "./server.js";

let round = 0;
let current = null; // the photo that the answer on the page is about

/** Whether visitors let a photo be kept at random. */
function consents() {
  return document.querySelector("#audit input")?.checked ?? false;
}

/** Send a photo to be classified; where this browser cannot show it, a preview comes back. */
export function post(photo, source, { preview = false, consent = consents(), onProgress } = {}) {
  const query = new URLSearchParams({ source, consent, preview });
  return ask(`./page/photo?${query}`, { body: photo, type: photo.type || "application/octet-stream", onProgress });
}

/** Show a photo and answer it; the answer before it can no longer be confirmed. `sent` is its answer, if it is on its way. */
export async function answer(file, source = "upload", then, sent) {
  const mine = begin();
  const address = document.querySelector("#url :is(input, textarea)");
  if (address) address.value = ""; // it belongs to another picture
  const shows = show(file);
  progress(sent ? 1 : 0);
  const photo = await fit(file);
  const preview = !(await shows);
  if (mine !== round) return;
  const onProgress = (share) => mine === round && progress(share);
  await finish(mine, { picture: photo, source, file }, () => sent ?? post(photo, source, { preview, onProgress }));
  if (mine === round && current) then?.();
}

/** Fetch the picture at an address, on the server, and answer it. */
export async function answerUrl(url) {
  const mine = begin();
  hide();
  progress(1);
  await finish(mine, { source: "url", url }, () => ask(`./page/url?consent=${consents()}`, { json: { url } }));
}

/** Back to the beginning. */
export async function clear() {
  round++;
  current = null;
  hide();
  tell("");
  settle();
  const words = await texts();
  place("answer").replaceChildren(card(words.waiting, "waiting"));
  place("ask").replaceChildren();
}

function begin() {
  tell("");
  place("answer").classList.add("old");
  place("ask").classList.add("old");
  place("ask").inert = true;
  return ++round;
}

function settle() {
  progress(null);
  for (const id of ["answer", "ask"]) place(id).classList.remove("old");
  place("ask").inert = false;
}

async function finish(mine, photo, asking) {
  try {
    const said = await asking();
    if (mine === round) await present(photo, said);
  } catch (problem) {
    if (mine === round) await complain(photo, problem);
  }
}

async function present(photo, said) {
  if (said.preview) {
    photo.picture = fromBase64(said.preview);
    show(photo.picture, "#preview");
  }
  current = { ...photo, id: said.request_id, request: said.request_id, said, receipt: said.audit_receipt };
  place("answer").innerHTML = said.card;
  place("ask").innerHTML = said.ask;
  settle();
  if (said.audit_receipt) {
    const words = await texts();
    await rememberAudit(current, words.audited);
    thank(words.audited);
  }
  follow();
}

/** Say why there is no answer. What may pass can be tried again, and the photo stays; else the place is free again. */
async function complain(photo, problem) {
  const words = await texts().catch(() => ({}));
  const text = await sentence(problem);
  current = null;
  settle();
  place("ask").replaceChildren();
  if (problem instanceof Failure && problem.passes) {
    const again = () => (photo.url ? answerUrl(photo.url) : answer(photo.file, photo.source));
    place("answer").replaceChildren(card(words.waiting ?? "", "waiting"));
    tell(text, again, words.try_again);
    return;
  }
  hide();
  place("answer").replaceChildren(card(text, "problem"));
}

function card(text, kind) {
  return element("div", { class: `message ${kind}` }, element("p", {}, text));
}

function thank(text, kind = "thanks") {
  document.getElementById("thanks")?.replaceChildren(text ? card(text, kind) : "");
  const take = document.getElementById("take-back");
  if (take) take.hidden = !current || !find(current.id);
  if (text) follow();
}

/** A new answer is brought into view, down to the buttons under it; and so are the choices, and the thanks for one. */
function follow() {
  const [shown, asked] = [document.querySelector("#answer .answer"), document.getElementById("ask")];
  requestAnimationFrame(() => {
    const isSeen = !shown || (shown.getBoundingClientRect().top >= 0 && asked.getBoundingClientRect().bottom <= innerHeight);
    if (!isSeen) bringIntoView(asked, "end");
  });
}

/** "Wrong label": open the choices. */
export function openChoices() {
  const [choices, wrong] = [document.getElementById("choices"), document.getElementById("wrong")];
  choices.hidden = false;
  wrong.setAttribute("aria-expanded", "true");
  (choices.querySelector(":checked") ?? choices.querySelector("input")).focus({ preventScroll: true });
  follow();
}

export function agree() {
  if (current) send(current.said.verdict);
}

/** Say what the photo shows. */
export async function send(label) {
  const photo = current;
  if (!photo) return;
  const words = await texts();
  const text = Object.fromEntries(photo.said.choices)[label];
  try {
    const told = await say(photo, label, text);
    if (photo === current) thank(thanks(told, label, text, words), told.status === "waiting" ? "waiting-note" : "thanks");
    if (told.status !== "waiting") tell("");
  } catch (problem) {
    const reason = await sentence(problem);
    if (photo !== current) return;
    thank(reason, "problem");
    choose(null); // so that it can be chosen again
  }
}

function thanks({ status, created, stored }, label, text, words) {
  if (status === "waiting") return stored ? words.will_be_sent : words.will_be_sent_from_here;
  if (status === "received") return words.being_saved;
  if (!created) return words.thanks_again;
  if (label === "unsure") return words.thanks_unsure;
  return label === current.said.verdict ? words.thanks_right : words.thanks_wrong.replace("{label}", text);
}

function choose(label) {
  for (const each of document.querySelectorAll("#choices input")) each.checked = each.value === label;
}

/** When something that was said is saved, has failed, is taken back or forgotten, the photo's own line says so too. */
onChange(async (undone) => {
  const [photo, focused] = [current, document.activeElement];
  if (!photo) return;
  const before = photo.status ?? "";
  const status = find(photo.id)?.status ?? "";
  photo.status = status;
  if (before === status || !before) return;
  const words = await texts();
  if (photo !== current) return;
  if (!status) return forgotten(undone === photo.id ? words.taken_back : "", focused);
  if (!["waiting", "received"].includes(before)) return;
  if (status === "saved") thank(words.saved);
  if (status === "received") thank(words.being_saved);
  if (status === "failed") thank(words.not_saved, "problem");
});

function forgotten(text, focused) {
  current.receipt = null;
  choose(null);
  thank(text);
  if (focused?.id !== "take-back") return;
  (document.getElementById("wrong") ?? document.querySelector("#choices input"))?.focus({ preventScroll: true });
}

export async function takeBack() {
  const photo = current;
  if (!photo) return;
  try {
    await undo(photo.id);
  } catch (problem) {
    const reason = await sentence(problem);
    if (photo === current) thank(reason, "problem");
  }
}

/** Why: lay the heat map over the photo, or take it away. */
export async function explain() {
  const [photo, heat, why] = [current, document.getElementById("heat"), document.getElementById("why")];
  if (!photo || !heat) return;
  if (heat.hasChildNodes()) {
    heat.replaceChildren();
    return why.setAttribute("aria-pressed", "false");
  }
  try {
    const map = await explanation(photo);
    if (photo !== current) return;
    const caption = element("figcaption", {}, map.caption);
    heat.replaceChildren(element("figure", {}, element("img", { src: map.layer, alt: map.alt }), caption));
    why.setAttribute("aria-pressed", "true");
    tell("");
  } catch (problem) {
    tell(await sentence(problem));
  }
}

/** Where the server finds its reasons for an answer. Where it has forgotten the photo, it gets it again. */
export async function explanation(photo) {
  try {
    return await askEach("./page/why", { json: { request_id: photo.request } });
  } catch (problem) {
    if (!(problem instanceof Failure) || problem.code !== "unknown_request") throw problem;
  }
  const again = await post(photo.picture, photo.source, { consent: false });
  photo.request = again.request_id;
  return askEach("./page/why", { json: { request_id: photo.request } });
}

/** The photo and its answer as one picture, drawn and saved here: nothing is uploaded. */
export async function savePicture() {
  const image = document.querySelector("#photo img");
  if (!current || !image?.naturalWidth) return;
  const [width, side] = [800, 32];
  const height = Math.round((image.naturalHeight / image.naturalWidth) * width);
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height + 190;
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff7ed";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, width, height);
  context.fillStyle = "#431407";
  context.font = "800 56px system-ui, sans-serif";
  context.fillText(current.said.headline, side, height + 72, width - 2 * side);
  context.font = "28px system-ui, sans-serif";
  context.fillText(document.querySelector("#answer .sureness")?.textContent ?? "", side, height + 114, width - 2 * side);
  context.fillStyle = "#e7e5e4";
  context.fillRect(side, height + 140, width - 2 * side, 18);
  context.fillStyle = "#f97316";
  context.fillRect(side, height + 140, (width - 2 * side) * current.said.confidence, 18);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  const link = element("a", { href: URL.createObjectURL(blob), download: "answer.png" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
