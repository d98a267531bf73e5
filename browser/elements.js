// The page's elements, and the words on those that always say the same.

/**
 * @template {HTMLElement} E
 * @param {string} id
 * @param {new () => E} kind
 * @returns {E}
 */
function find(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`index.html has no ${kind.name} #${id}`);
  return found;
}

export const elements = {
  tagline: find("tagline", HTMLElement),
  photo: find("photo", HTMLElement),
  dropText: find("drop-text", HTMLElement),
  file: find("file", HTMLInputElement),
  preview: find("preview", HTMLImageElement),
  video: find("camera", HTMLVideoElement),
  heat: find("heat", HTMLElement),
  heatMap: find("heat-map", HTMLCanvasElement),
  heatCaption: find("heat-caption", HTMLElement),
  choose: find("choose", HTMLButtonElement),
  startCamera: find("start-camera", HTMLButtonElement),
  snap: find("snap", HTMLButtonElement),
  stopCamera: find("stop-camera", HTMLButtonElement),
  paste: find("paste", HTMLButtonElement),
  why: find("why", HTMLButtonElement),
  url: find("url", HTMLFormElement),
  address: find("address", HTMLInputElement),
  examples: find("examples", HTMLElement),
  several: find("several", HTMLElement),
  about: find("about", HTMLElement),
  answer: find("answer", HTMLElement),
  ask: find("ask", HTMLElement),
  question: find("question", HTMLElement),
  right: find("right", HTMLButtonElement),
  wrong: find("wrong", HTMLButtonElement),
  choices: find("choices", HTMLFieldSetElement),
  thanks: find("thanks", HTMLElement),
  takeBack: find("take-back", HTMLButtonElement),
  savePicture: find("save-picture", HTMLButtonElement),
  consent: find("consent", HTMLElement),
  kept: find("kept", HTMLElement),
  keptText: find("kept-text", HTMLElement),
  export: find("export", HTMLButtonElement),
  delete: find("delete", HTMLButtonElement),
  foot: find("foot", HTMLElement),
  language: find("language", HTMLSelectElement),
};

/** @param {import("./texts.js").Texts} texts */
export function nameElements({ app, own }) {
  const { paste, preview, file, address } = elements;
  document.title = app.title;
  document.documentElement.lang = app.language;
  for (const heading of document.querySelectorAll("h1")) heading.textContent = app.title;
  const words = /** @type {const} */ ([
    [elements.tagline, app.tagline], [elements.dropText, own.drop], [elements.choose, own.choose_photo],
    [elements.startCamera, app.camera], [elements.snap, app.camera_snap], [elements.stopCamera, app.camera_close],
    [paste, app.paste], [elements.why, app.why], [elements.question, app.question], [elements.right, app.right],
    [elements.wrong, app.wrong], [elements.takeBack, app.take_back], [elements.savePicture, app.save_picture], [elements.export, own.export],
    [elements.delete, own.delete],
  ]); // prettier-ignore
  for (const [element, text] of words) element.textContent = text;
  preview.alt = own.preview;
  elements.heatMap.setAttribute("aria-label", app.why_alt);
  file.setAttribute("aria-label", app.photo);
  address.setAttribute("aria-label", app.url);
  address.placeholder = app.url_placeholder;
  elements.language.setAttribute("aria-label", app.language_switch);
  paste.hidden = !("read" in (navigator.clipboard ?? {}));
}
