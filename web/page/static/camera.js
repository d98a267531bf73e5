// The camera: aim, see what the model says while aiming, take the photo.
import { answer, openChoices } from "./answer.js";
import { drawn, element, tell } from "./photo.js";
import { ask, Failure, sentence, texts } from "./server.js";

const LIVE_SIDE = 320;
const LIVE_QUALITY = 0.7;
const SNAPSHOT_SIDE = 1024;
const SHORTEST_GAP_MS = 110; // nine frames a second leave room in a limit of ten
const LONGEST_GAP_MS = 4000;

const PROBLEMS = { NotAllowedError: "camera_refused", NotReadableError: "camera_in_use", AbortError: "camera_in_use" };

let camera = null;

window.addEventListener("popstate", () => camera?.close());

/** The camera makes room for a photo that comes another way. */
export function closeCamera() {
  camera?.close();
}

export async function openCamera() {
  const words = await texts();
  if (!window.isSecureContext || !navigator.mediaDevices) return tell(words.camera_insecure);
  if (camera) return;
  camera = new Camera(words);
  await camera.start();
}

class Camera {
  facing = "environment"; // the rear camera, where there are two
  live = true;
  gapMs = SHORTEST_GAP_MS;

  constructor(words) {
    this.words = words;
    this.video = element("video", { playsinline: true, muted: true, "aria-label": words.camera });
    this.video.muted = true;
    this.answer = element("p", { class: "live-answer" });
    this.bar = element("span");
    const button = (name, press, text = words[`camera_${name}`]) =>
      element("button", { type: "button", "data-camera": name, onclick: press, "aria-label": text, title: text });
    this.liveButton = element(
      "button",
      { type: "button", "data-camera": "live", "aria-pressed": "true", onclick: () => this.toggleLive() },
      words.camera_live,
    );
    this.panel = element(
      "section",
      { id: "camera", "aria-label": words.camera, onkeydown: (event) => event.key === "Escape" && this.close() },
      this.video,
      element("div", { class: "live" }, this.answer, element("span", { class: "track", "aria-hidden": "true" }, this.bar)),
      button("close", () => this.close()),
      element(
        "div",
        { class: "controls" },
        button("switch", () => this.switch()),
        button("snap", () => this.snap()),
        element("div", { class: "right" }, this.liveButton, element(
          "button", { type: "button", "data-camera": "wrong", onclick: () => this.snap(true) }, words.wrong,
        )),
      ),
    );
  }

  async start() {
    tell("");
    if (!history.state?.camera) history.pushState({ camera: true }, ""); // "Back" closes the camera, not the page
    const video = { facingMode: this.facing, width: { ideal: 1280 } };
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video });
      if (camera !== this) return this.stop(); // closed while the browser asked for permission
    } catch (problem) {
      if (!(problem instanceof DOMException)) throw problem;
      if (camera !== this) return;
      this.close();
      tell(this.words[PROBLEMS[problem.name] ?? "camera_missing"]);
      return;
    }
    document.getElementById("frame").append(this.panel);
    this.video.srcObject = this.stream;
    this.panel.classList.toggle("mirrored", this.stream.getVideoTracks()[0].getSettings().facingMode === "user");
    await this.video.play();
    this.panel.querySelector("[data-camera=snap]").focus({ preventScroll: true });
    this.panel.scrollIntoView({ block: "nearest" });
    this.watch();
  }

  /** One frame after another, never two at a time; slower where the server is busy or has a limit. */
  async watch() {
    const stream = this.stream;
    while (camera === this && this.live && this.stream === stream) {
      const began = performance.now();
      if (!document.hidden && this.video.videoWidth) await this.look();
      await new Promise((done) => setTimeout(done, Math.max(0, this.gapMs - (performance.now() - began))));
    }
  }

  async look() {
    try {
      const body = await drawn(this.video, this.video.videoWidth, this.video.videoHeight, LIVE_SIDE, LIVE_QUALITY);
      this.say(await ask("./page/frame", { body, type: "image/jpeg" }));
      this.gapMs = Math.max(SHORTEST_GAP_MS, this.gapMs * 0.9);
    } catch (problem) {
      this.gapMs = Math.min(LONGEST_GAP_MS, this.gapMs * 2);
      const busy = problem instanceof Failure && ["rate_limited", "busy"].includes(problem.code);
      this.answer.textContent = busy ? this.words.camera_slow : await sentence(problem);
      this.drawBar(null);
    }
  }

  say({ headline, percent, confidence, verdict, label }) {
    if (!this.live) return;
    this.frames = (this.frames ?? 0) + 1;
    this.panel.dataset.frames = this.frames;
    this.answer.replaceChildren(element("b", {}, headline), ` ${percent}`);
    this.drawBar(verdict === label ? confidence : null);
  }

  /** A bar is for the label that is named. */
  drawBar(confidence) {
    this.bar.closest(".live")?.classList.toggle("unnamed", confidence === null);
    this.bar.style.width = `${100 * (confidence ?? 0)}%`;
  }

  toggleLive() {
    this.live = !this.live;
    this.liveButton.setAttribute("aria-pressed", String(this.live));
    this.panel.classList.toggle("still", !this.live);
    if (this.live) this.watch();
  }

  async switch() {
    this.facing = this.facing === "environment" ? "user" : "environment";
    this.stop();
    await this.start();
  }

  /** Take the photo; with `isWrong`, ask at once what it really is. */
  async snap(isWrong = false) {
    if (!this.video.videoWidth) return;
    const blob = await drawn(this.video, this.video.videoWidth, this.video.videoHeight, SNAPSHOT_SIDE, 0.9);
    this.close();
    const open = () => document.getElementById("wrong")?.getAttribute("aria-expanded") === "false" && openChoices();
    answer(new File([blob], "snapshot.jpg", { type: "image/jpeg" }), "webcam", isWrong ? open : undefined);
  }

  stop() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
  }

  close() {
    this.stop();
    this.panel.remove();
    camera = null;
    if (history.state?.camera) history.back();
    document.querySelector("[data-way=camera]")?.focus({ preventScroll: true });
  }
}
