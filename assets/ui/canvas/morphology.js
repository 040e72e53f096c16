/* Growing, shrinking and softening a mask. Distances are exact and Euclidean (Felzenszwalb & Huttenlocher 2012), in
   columns first and then in rows, inside the rectangle where anything can change. */
import { clipped, grown, isEmpty, NOTHING } from "./geometry.js";

/** @typedef {import("./raster.js").Bitmap} Bitmap */
/** @typedef {import("./geometry.js").Rect} Rect */

/** The rectangle around everything above 0. @param {Bitmap} bitmap @returns {Rect} */
export function marked({ data, width, height }) {
  let [left, right, top, bottom] = [width, 0, -1, 0];
  for (let y = 0; y < height; y += 1) {
    const row = data.subarray(y * width, (y + 1) * width);
    const first = row.findIndex(Boolean);
    if (first < 0) continue;
    if (top < 0) top = y;
    bottom = y + 1;
    left = Math.min(left, first);
    right = Math.max(right, row.findLastIndex(Boolean) + 1);
  }
  return top < 0 ? NOTHING : { left, top, right, bottom };
}

/**
 * The same with every edge moved outwards by `pixels` (inwards where negative); corners become round. What lies at the
 * edge of the picture is not eaten from there. `touch` is called with the rectangle before it changes.
 * @param {Bitmap} bitmap @param {number} pixels @param {(rect: Rect) => void} touch @returns {Rect}
 */
export function spread(bitmap, pixels, touch) {
  const { data, width } = bitmap;
  const by = Math.abs(Math.round(pixels));
  const there = marked(bitmap);
  if (isEmpty(there) || !by) return NOTHING;
  const box = clipped(grown(there, pixels > 0 ? by : 0), bitmap);
  touch(box);
  // To the nearest pixel that wins: a marked one when growing, a free one when shrinking. One more around the box, so
  // that what is free just outside it counts.
  const field = clipped(grown(box, 1), bitmap);
  const far = distances(bitmap, field, pixels > 0);
  const span = field.right - field.left;
  for (let y = box.top; y < box.bottom; y += 1) {
    for (let x = box.left; x < box.right; x += 1) {
      const at = y * width + x;
      const away = /** @type {number} */ (far[(y - field.top) * span + x - field.left]);
      const cover = Math.round(255 * Math.min(Math.max(by + 0.5 - away, 0), 1));
      const now = /** @type {number} */ (data[at]);
      data[at] = pixels > 0 ? Math.max(now, cover) : Math.min(now, 255 - cover);
    }
  }
  return box;
}

/** Distance of each pixel of a rectangle to the nearest one in it that is marked (at least 128), or that is not. @param {Bitmap} bitmap @param {Rect} box @param {boolean} set @returns {Float32Array} */
export function distances({ data, width }, box, set) {
  const [across, down] = [box.right - box.left, box.bottom - box.top];
  const none = across + down + 1;
  const far = new Float32Array(across * down);
  for (let y = 0; y < down; y += 1) {
    for (let x = 0, at = (box.top + y) * width + box.left; x < across; x += 1, at += 1) {
      const wins = /** @type {number} */ (data[at]) >= 128 === set;
      far[y * across + x] = wins ? 0 : y ? Math.min(/** @type {number} */ (far[(y - 1) * across + x]) + 1, none) : none;
    }
  }
  for (let y = down - 2; y >= 0; y -= 1) {
    for (let x = 0; x < across; x += 1) {
      const at = y * across + x;
      far[at] = Math.min(/** @type {number} */ (far[at]), /** @type {number} */ (far[at + across]) + 1);
    }
  }
  const [squares, places, bounds] = [new Float64Array(across), new Int32Array(across), new Float64Array(across + 1)];
  for (let y = 0; y < down; y += 1) envelope(far.subarray(y * across, (y + 1) * across), squares, places, bounds);
  return far;
}

/** One row: the lower envelope of the parabolas over its columns' distances. @param {Float32Array} row @param {Float64Array} squares @param {Int32Array} places @param {Float64Array} bounds */
function envelope(row, squares, places, bounds) {
  const count = row.length;
  for (let x = 0; x < count; x += 1) squares[x] = /** @type {number} */ (row[x]) ** 2;
  const square = (/** @type {number} */ at) => /** @type {number} */ (squares[at]);
  let top = 0;
  places[0] = 0;
  bounds[0] = -Infinity;
  bounds[1] = Infinity;
  for (let x = 1; x < count; x += 1) {
    const meeting = (/** @type {number} */ last) => (square(x) + x * x - square(last) - last * last) / (2 * x - 2 * last);
    let meet = meeting(/** @type {number} */ (places[top]));
    while (top > 0 && meet <= /** @type {number} */ (bounds[top])) meet = meeting(/** @type {number} */ (places[--top]));
    top += 1;
    places[top] = x;
    bounds[top] = meet;
    bounds[top + 1] = Infinity;
  }
  for (let x = 0, at = 0; x < count; x += 1) {
    while (/** @type {number} */ (bounds[at + 1]) < x) at += 1;
    const place = /** @type {number} */ (places[at]);
    row[x] = Math.sqrt((x - place) ** 2 + square(place));
  }
}

/**
 * Soften every edge over about `pixels` to each side: three means in a row, which are near a Gaussian of a standard
 * deviation of half of it. The picture goes on as it is at its edges.
 * @param {Bitmap} bitmap @param {number} pixels @param {(rect: Rect) => void} touch @returns {Rect}
 */
export function feather(bitmap, pixels, touch) {
  const by = Math.round(pixels);
  const there = marked(bitmap);
  if (isEmpty(there) || by < 1) return NOTHING;
  const box = clipped(grown(there, by + 1), bitmap);
  touch(box);
  const { data, width } = bitmap;
  const [across, down] = [box.right - box.left, box.bottom - box.top];
  const line = new Float32Array(Math.max(across, down));
  const sums = new Float64Array(line.length + 1);
  const radius = by / 3;
  for (let y = box.top; y < box.bottom; y += 1) soften(data, y * width + box.left, 1, across, radius, line, sums);
  for (let x = box.left; x < box.right; x += 1) soften(data, box.top * width + x, width, down, radius, line, sums);
  return box;
}

/** Three means of one row or column. @param {Uint8Array} data @param {number} start @param {number} step @param {number} count @param {number} radius @param {Float32Array} line @param {Float64Array} sums */
function soften(data, start, step, count, radius, line, sums) {
  for (let at = 0; at < count; at += 1) line[at] = /** @type {number} */ (data[start + at * step]);
  const last = count - 1;
  const [lane, edge] = [Math.floor(radius), radius - Math.floor(radius)];
  const all = 2 * radius + 1;
  for (let turn = 0; turn < 3; turn += 1) {
    for (let at = 0; at < count; at += 1) sums[at + 1] = /** @type {number} */ (sums[at]) + /** @type {number} */ (line[at]);
    const [first, end] = [/** @type {number} */ (line[0]), /** @type {number} */ (line[last])];
    const value = (/** @type {number} */ at) =>
      at < 0 ? first : at > last ? end : /** @type {number} */ (sums[at + 1]) - /** @type {number} */ (sums[at]);
    for (let at = 0; at < count; at += 1) {
      const [from, to] = [at - lane, at + lane];
      const inside = /** @type {number} */ (sums[Math.min(to, last) + 1]) - /** @type {number} */ (sums[Math.max(from, 0)]);
      const beyond = Math.max(-from, 0) * first + Math.max(to - last, 0) * end;
      line[at] = (inside + beyond + edge * (value(from - 1) + value(to + 1))) / all;
    }
  }
  for (let at = 0; at < count; at += 1) data[start + at * step] = Math.round(/** @type {number} */ (line[at]));
}
