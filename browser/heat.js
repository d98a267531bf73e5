// The heat map over the photo: where the network found reasons for its label.

const LONGER_SIDE = 512;
const COLOUR = [249, 115, 22]; // the page's own orange
const STRONGEST = 190; // of 255: the photo must stay visible

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
    cells.data.set([...COLOUR, STRONGEST * Math.max(0, value / strongest)], index * 4);
  });
  small.getContext("2d")?.putImageData(cells, 0, 0);
  const context = canvas.getContext("2d");
  if (!context) return;
  context.imageSmoothingQuality = "high";
  const [left, top, right, bottom] = [box[0] * canvas.width, box[1] * canvas.height, box[2] * canvas.width, box[3] * canvas.height];
  context.drawImage(small, left, top, right - left, bottom - top);
}
