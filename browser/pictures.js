// Where pictures come from, besides the camera: files, drops, the clipboard, addresses.

import { Problem } from "./engine.js";

/** @typedef {(pictures: Blob[]) => void} Take what to do with what came; none if it was something else */

const ADDRESS = /^https?:\/\/\S+$/i;
const NAMES = /\.(jpe?g|jfif|jpe|pjpe?g|jif|png|apng|webp|avif|gif|bmp|hei[cf]s?|hif)$/i;

/** @param {FileList | null | undefined} files */
function picturesIn(files) {
  return [...(files ?? [])].filter(({ type, name }) => type.startsWith("image/") || (!type && NAMES.test(name)));
}

/**
 * @param {HTMLInputElement} input
 * @param {Take} take
 */
export function takeFiles(input, take) {
  input.addEventListener("change", () => {
    const files = [...(input.files ?? [])];
    input.value = ""; // the same file may be chosen again
    if (files.length) take(files);
  });
}

/**
 * Pictures may be dropped anywhere on the page, else the browser would leave it to show them.
 * @param {HTMLElement} zone what is marked while one is over the page
 * @param {Take} take
 */
export function takeDrops(zone, take) {
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      zone.classList.toggle("over", kind === "dragenter" || kind === "dragover");
    });
  }
  document.addEventListener("drop", (event) => {
    if (event.dataTransfer?.files.length) take(picturesIn(event.dataTransfer.files));
  });
}

/**
 * Pictures may be pasted anywhere on the page, and addresses of pictures.
 * @param {Take} take
 * @param {(address: string) => void} takeAddress
 */
export function takePastes(take, takeAddress) {
  document.addEventListener("paste", (event) => {
    const text = event.clipboardData?.getData("text/plain").trim() ?? "";
    if (event.clipboardData?.files.length) {
      event.preventDefault();
      take(picturesIn(event.clipboardData.files));
    } else if (ADDRESS.test(text) && !(event.target instanceof HTMLInputElement)) takeAddress(text);
  });
}

/** For phones, which have no keys for it. */
export async function readClipboard() {
  const items = await navigator.clipboard.read().catch(() => []);
  for (const item of items) {
    const type = item.types.find((each) => each.startsWith("image/"));
    if (type) return item.getType(type);
  }
  throw new Problem("paste_nothing");
}

/**
 * @param {string} address
 * @returns {Promise<Blob>}
 */
export async function fetchPicture(address) {
  if (!/^https?:\/\//i.test(address) || !URL.canParse(address)) throw new Problem("bad_address");
  const response = await fetch(address, { credentials: "omit", cache: "no-store" }).catch(() => null);
  if (!response?.ok) throw new Problem("not_fetched");
  const picture = await response.blob().catch(() => null);
  if (!picture) throw new Problem("not_fetched");
  if (picture.type.startsWith("text/")) throw new Problem("no_picture_there");
  return picture;
}
