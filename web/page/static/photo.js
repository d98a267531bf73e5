// The photo's place on the page, and photos made small enough to travel.
import { texts } from "./server.js";

const LONGEST_SIDE = 1024;
const SHORTEST_SIDE = 512; // what is kept of a photo that is corrected
const SMALL_BYTES = 60_000; // little more than a second on slow 3G: such a file travels as it is
const QUALITY = 0.82;

/** The photo as it is sent: upright and of about `most` bytes; as it is where this browser cannot decode it, such as HEIC. */
export async function fit(file, most = SMALL_BYTES) {
  if (file.size <= most) return file;
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    return file;
  }
  const canvas = scaled(bitmap, bitmap.width, bitmap.height, LONGEST_SIDE);
  bitmap.close();
  const small = await encoded(canvas, QUALITY);
  if (!small || small.size <= most) return small && small.size < file.size ? small : file;
  const side = 0.9 * Math.max(canvas.width, canvas.height) * Math.sqrt(most / small.size); // details weigh more in a smaller one
  const smaller = await encoded(scaled(canvas, canvas.width, canvas.height, Math.max(SHORTEST_SIDE, side)), QUALITY);
  return smaller.size < file.size ? smaller : file;
}

/** Whether this browser can decode a picture. */
export async function decodes(picture) {
  try {
    (await createImageBitmap(picture)).close();
    return true;
  } catch {
    return false;
  }
}

/** A picture, a canvas or a frame of a video as a JPEG, its longer side at most `side` pixels. */
export function drawn(source, width, height, side, quality) {
  return encoded(scaled(source, width, height, side), quality);
}

function scaled(source, width, height, side) {
  const scale = Math.min(1, side / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // what transparent pictures lie on
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas;
}

function encoded(canvas, quality) {
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", quality));
}

/** A small copy as a `data:` address, for the list of answers; empty where the browser cannot show the picture. */
export async function thumbnail(picture, side = 96) {
  const image = new Image();
  image.src = URL.createObjectURL(picture);
  try {
    await image.decode();
    return await asDataUrl(await drawn(image, image.naturalWidth, image.naturalHeight, side, 0.7));
  } catch {
    return "";
  } finally {
    URL.revokeObjectURL(image.src);
  }
}

export function asDataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(blob);
  });
}

export function fromBase64(text, type = "image/jpeg") {
  return new Blob([Uint8Array.from(atob(text), (each) => each.charCodeAt(0))], { type });
}

const part = (selector) => document.querySelector(`#photo ${selector}`);

/** Show a picture at once, as the browser has it. Resolves to whether it can. */
export async function show(picture, mark = "") {
  const hadFocus = part("label").contains(document.activeElement) || document.activeElement === document.body;
  const image = element("img", { alt: part("input").getAttribute("aria-label"), src: URL.createObjectURL(picture) + mark });
  replaceImage(image);
  part("label").hidden = true;
  part("#remove").hidden = false;
  if (hadFocus) part("#remove").focus({ preventScroll: true });
  try {
    await image.decode();
    return true;
  } catch {
    image.remove();
    return false;
  }
}

/** Back to the drop zone. */
export function hide() {
  const hadFocus = part("#remove") === document.activeElement;
  replaceImage();
  part("#remove").hidden = true;
  part("label").hidden = false;
  progress(null);
  if (hadFocus) part("input").focus({ preventScroll: true });
}

function replaceImage(...images) {
  const before = part("img");
  if (before) URL.revokeObjectURL(before.src.split("#")[0]);
  part("#shown").replaceChildren(...images);
  document.getElementById("heat").replaceChildren();
}

/** How far sending is, in [0, 1]; 1 waits for the answer; null is done. */
export async function progress(share) {
  const place = part("#sending");
  place.hidden = share === null;
  if (share === null) return;
  const bar = place.querySelector("progress");
  if (share < 1) bar.value = share;
  else bar.removeAttribute("value");
  const words = await texts().catch(() => ({}));
  place.querySelector("span").textContent = (share < 1 ? words.sending : words.looking) ?? "";
}

/** Scroll until a part of the page is at the start or the end of what is seen: gently, where movement is welcome. */
export function bringIntoView(element, block) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  element?.scrollIntoView({ block, behavior: still ? "instant" : "smooth" });
}

/** Say something that went wrong in a strip under the photo; an empty text takes it away. `again` repeats it. */
export function tell(text, again, label) {
  let strip = document.getElementById("told");
  if (!strip) {
    strip = element("div", { id: "told", role: "alert" });
    document.getElementById("ways").after(strip);
  }
  strip.replaceChildren();
  if (!text) return;
  strip.append(element("span", {}, text));
  if (again) strip.append(element("button", { type: "button", class: "button", onclick: again }, label));
}

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** A place of the page that scripts fill; Gradio never touches what is in it. */
export function place(id) {
  return document.querySelector(`#${id} .place`);
}
