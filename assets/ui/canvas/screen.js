/* What of a mask is to be seen: drawn straight from its bytes into a canvas as large as the screen's part, never larger,
   and only where something changed. Nothing is ever read back from a canvas. */
import { clipped, isEmpty, toPicture } from "./geometry.js";

/** @typedef {import("./geometry.js").Rect} Rect */
/** @typedef {import("./geometry.js").View} View */
/** @typedef {import("./raster.js").Bitmap} Bitmap */

/** Device pixels that a stripe is wide: a power of two. */
const STRIPE = 8;

/**
 * Draw the pixels of the screen that show `rect` of the mask.
 * @param {CanvasRenderingContext2D} context Its canvas has device pixels.
 * @param {Bitmap} bitmap
 * @param {View} view From pixels of the mask to device pixels.
 * @param {Rect} rect Of the mask.
 * @param {readonly [number, number, number]} colour
 */
export function show(context, bitmap, view, rect, colour) {
  const { scale, x, y } = view;
  const box = clipped({ left: rect.left * scale + x - 1, top: rect.top * scale + y - 1, right: rect.right * scale + x + 1, bottom: rect.bottom * scale + y + 1 }, context.canvas);
  if (isEmpty(box)) return;
  const image = context.createImageData(box.right - box.left, box.bottom - box.top);
  sample(new Uint32Array(image.data.buffer), box, bitmap, view, colour);
  context.putImageData(image, box.left, box.top);
}

/**
 * The colour of every device pixel of a rectangle, as opaque as the mask is there: its pixel, or where several fall on
 * one the mean of four of them; in stripes, so that it is seen on any colour.
 * @param {Uint32Array} out @param {Rect} box @param {Bitmap} bitmap @param {View} view @param {readonly [number, number, number]} colour
 */
export function sample(out, box, { data, width, height }, view, colour) {
  const [words, alpha] = [new Uint8Array(4), new Uint8Array(4)];
  words.set(colour);
  alpha[3] = 1;
  const paint = /** @type {number} */ (new Uint32Array(words.buffer)[0]);
  const step = /** @type {number} */ (new Uint32Array(alpha.buffer)[0]);
  const parts = view.scale < 0.75 ? [0.25, 0.75] : [0.5];
  const across = box.right - box.left;
  const columns = parts.map((part) => Int32Array.from({ length: across }, (_, at) => {
    const { x } = toPicture(view, { x: box.left + at + part, y: 0 });
    return x < 0 || x >= width ? -1 : Math.floor(x);
  }));
  for (let row = box.top, to = 0; row < box.bottom; row += 1, to += across) {
    for (const part of parts) {
      const { y } = toPicture(view, { x: 0, y: row + part });
      if (y < 0 || y >= height) continue;
      const start = Math.floor(y) * width;
      for (const column of columns) {
        for (let at = 0; at < across; at += 1) {
          const from = /** @type {number} */ (column[at]);
          if (from >= 0) out[to + at] = /** @type {number} */ (out[to + at]) + /** @type {number} */ (data[start + from]);
        }
      }
    }
    const shift = parts.length === 2 ? 2 : 0;
    for (let at = to; at < to + across; at += 1) {
      const value = /** @type {number} */ (out[at]) >>> shift;
      const dark = (at - to + box.left + row) & STRIPE;
      out[at] = value ? paint + (dark ? value : (value * 3) >> 3) * step : 0;
    }
  }
}

/** `#rrggbb` as numbers. @param {string} colour @returns {[number, number, number]} */
export function rgb(colour) {
  const value = Number.parseInt(colour.slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}
