// Showing one photo on the page: it goes the way of a file that was chosen in Gradio's own drop zone.

/** The words of these scripts, in the visitor's language. */
export const texts = fetch("./page/texts.json").then((answer) => answer.json());

export function show(file) {
  const input = document.querySelector("#photo input[type=file]");
  if (!input) return;
  const transfer = new DataTransfer();
  transfer.items.add(file);
  input.files = transfer.files;
  input.dispatchEvent(new CustomEvent("change", { bubbles: true, detail: "script" }));
}

/** Take the photo away, with its answer. */
export function clear() {
  document.querySelector("#photo .icon-button")?.click();
}

/** Scroll until a part of the page is at the start or the end of what is seen: gently, where movement is welcome. */
export function bringIntoView(part, block) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  part.scrollIntoView({ block, behavior: still ? "instant" : "smooth" });
}

/** Say something that went wrong, or must be known, in a strip over the photo; an empty text takes it away. */
export function tell(text) {
  let strip = document.getElementById("told");
  if (!strip) {
    strip = document.createElement("p");
    strip.id = "told";
    strip.setAttribute("role", "alert");
    document.getElementById("ways").after(strip);
  }
  strip.textContent = text;
}

/** Why there is no answer, in the visitor's language where there is a sentence for it. */
export function problemOf({ error, detail }, words) {
  return words[`problem_${error}`] ?? detail ?? words.unexpected;
}

/** A frame of a video as a JPEG, its longer side at most `side` pixels. */
export async function frameOf(video, side, quality) {
  const scale = Math.min(1, side / Math.max(video.videoWidth, video.videoHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(video.videoWidth * scale));
  canvas.height = Math.max(1, Math.round(video.videoHeight * scale));
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", quality));
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
