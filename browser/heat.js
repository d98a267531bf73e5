// The heat map over the photo: where the network found reasons for its label; dark where it does not look.

const LONGER_SIDE = 512;
const STRONGEST_ALPHA = 200; // of 255: the photo must stay visible
const UNSEEN = "rgb(0 0 0 / 55%)";
// As in web/service/heatmap.py: dark violet to bright yellow, readable with any colour vision and on light and dark photos.
const RAMP = [[48, 10, 90], [150, 30, 110], [235, 100, 50], [255, 230, 90]];

/**
 * Draw a heat map on a canvas of the photo's shape.
 * @param {HTMLCanvasElement} canvas
 * @param {import("./classifier.js").Heatmap} heatmap
 * @param {number} aspect width by height of the photo
 */
export function drawHeatmap(canvas, { values, rows, columns, box }, aspect) {
  canvas.width = Math.round(aspect >= 1 ? LONGER_SIDE : LONGER_SIDE * aspect);
  canvas.height = Math.round(aspect >= 1 ? LONGER_SIDE / aspect : LONGER_SIDE);
  const small = new OffscreenCanvas(columns, rows);
  const cells = new ImageData(columns, rows);
  const strongest = Math.max(...values, Number.EPSILON);
  values.forEach((value, index) => {
    const strength = Math.max(0, value / strongest);
    cells.data.set([...colour(strength), STRONGEST_ALPHA * strength], index * 4);
  });
  small.getContext("2d")?.putImageData(cells, 0, 0);
  const context = canvas.getContext("2d");
  if (!context) return;
  context.imageSmoothingQuality = "high";
  const [left, top, right, bottom] = [box[0] * canvas.width, box[1] * canvas.height, box[2] * canvas.width, box[3] * canvas.height];
  context.fillStyle = UNSEEN;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.clearRect(left, top, right - left, bottom - top);
  context.drawImage(small, left, top, right - left, bottom - top);
}

/** @param {number} strength in [0, 1] */
function colour(strength) {
  const at = strength * (RAMP.length - 1);
  const below = Math.min(Math.floor(at), RAMP.length - 2);
  return RAMP[below].map((level, channel) => level + (at - below) * (RAMP[below + 1][channel] - level));
}
