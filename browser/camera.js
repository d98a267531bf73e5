// The camera, and live mode: one frame after another is classified while it runs.

import { Problem } from "./engine.js";

const REAR = { video: { facingMode: "environment" }, audio: false };

export class Camera {
  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.video = video;
    /** @type {MediaStream | null} */
    this.stream = null;
  }

  get isOn() {
    return this.stream !== null;
  }

  async start() {
    if (!window.isSecureContext) throw new Problem("camera_insecure");
    try {
      this.stream = await navigator.mediaDevices.getUserMedia(REAR);
    } catch (error) {
      const name = error instanceof DOMException ? error.name : "";
      if (name === "NotReadableError" || name === "AbortError") throw new Problem("camera_in_use");
      throw new Problem(name === "NotAllowedError" ? "camera_refused" : "camera_missing");
    }
    this.video.srcObject = this.stream;
    await this.video.play();
  }

  stop() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
  }

  /** @returns {Promise<Blob>} the frame that is on, without loss */
  async snap() {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [this.video.videoWidth, this.video.videoHeight];
    canvas.getContext("2d")?.drawImage(this.video, 0, 0);
    const blob = await new Promise((/** @type {BlobCallback} */ done) => canvas.toBlob(done));
    if (!blob) throw new Problem("camera_missing");
    return blob;
  }

  /**
   * Hand over frames until the camera stops; the next comes when the last is done with, so that none ever waits.
   * @param {(frame: ImageBitmap) => Promise<void>} look
   */
  async watch(look) {
    while (this.isOn) {
      await new Promise(requestAnimationFrame); // none come while the page is hidden
      if (this.isOn && this.video.videoWidth > 0) await look(await createImageBitmap(this.video));
    }
  }
}
