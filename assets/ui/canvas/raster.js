/* Shapes drawn into a mask, pixel by pixel with soft edges. A mask is one byte a pixel, 255 where the picture changes.

   A shape raises what is there to its own value and never above it (erasing lowers it), so that a stroke that crosses
   itself is not harder there, and drawing the same again changes nothing. The centre of a pixel is at half coordinates. */
import { around, clipped, grown, isEmpty, NOTHING, union } from "./geometry.js";

/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {import("./geometry.js").Rect} Rect */
/** @typedef {{width: number, height: number, data: Uint8Array}} Bitmap */
/** @typedef {Point & {radius: number}} Dab */

const SUBROWS = 4;

/** Draw coverage 0 to 255 into a pixel. @param {Uint8Array} data @param {number} at @param {number} cover @param {boolean} erase */
function put(data, at, cover, erase) {
  if (erase) {
    if (255 - cover < /** @type {number} */ (data[at])) data[at] = 255 - cover;
  } else if (cover > /** @type {number} */ (data[at])) data[at] = cover;
}

/**
 * A stroke of the brush from one dab to another: every pixel by its distance from the line between them, so however
 * far apart they are there is no gap. Gives what may have changed.
 * @param {Bitmap} bitmap
 * @param {Dab} from
 * @param {Dab} to
 * @param {{hardness: number, erase: boolean}} brush `hardness` is the part of the radius that is full, 0 to 1.
 * @returns {Rect}
 */
export function stroke(bitmap, from, to, { hardness, erase }) {
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  const pieces = Math.max(Math.ceil(length / Math.max(from.radius + to.radius, 8)), 1);
  if (pieces > 1) {
    // A long one in pieces, so that the rectangles around them hold little else.
    let [last, all] = [from, /** @type {Rect} */ (NOTHING)];
    for (let piece = 1; piece <= pieces; piece += 1) {
      const t = piece / pieces;
      const next = { x: from.x + (to.x - from.x) * t, y: from.y + (to.y - from.y) * t, radius: from.radius + (to.radius - from.radius) * t };
      const part = stroke(bitmap, last, next, { hardness, erase });
      all = union(all, part);
      last = next;
    }
    return all;
  }
  const { data, width } = bitmap;
  const most = Math.max(from.radius, to.radius);
  const box = clipped(grown(around([from, to]), most + 1), bitmap);
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const square = dx * dx + dy * dy;
  const slope = to.radius - from.radius;
  const [full, inner] = [erase ? 0 : 255, Math.min(hardness, 1)];
  for (let y = box.top; y < box.bottom; y += 1) {
    const py = y + 0.5 - from.y;
    for (let x = box.left, at = y * width + box.left; x < box.right; x += 1, at += 1) {
      if (data[at] === full) continue; // drawn already: most of what a stroke passes
      const px = x + 0.5 - from.x;
      const along = square ? Math.min(Math.max((px * dx + py * dy) / square, 0), 1) : 0;
      const radius = from.radius + slope * along;
      const ox = px - along * dx;
      const oy = py - along * dy;
      const far = ox * ox + oy * oy;
      if (far >= (radius + 0.5) * (radius + 0.5)) continue;
      const core = Math.min(radius * inner, radius - 0.5);
      if (core > 0 && far <= core * core) data[at] = full;
      else put(data, at, Math.round(255 * softness(Math.sqrt(far), radius, hardness)), erase);
    }
  }
  return box;
}

/** How much of the brush is at a distance from its centre, 0 to 1: full inside, a smooth fall, at least one pixel wide. @param {number} far @param {number} radius @param {number} hardness */
function softness(far, radius, hardness) {
  const outer = radius + 0.5;
  const inner = Math.min(radius * hardness, radius - 0.5);
  if (far <= inner) return 1;
  const t = Math.min(Math.max((outer - far) / (outer - inner), 0), 1);
  return hardness >= 1 ? t : t * t * (3 - 2 * t);
}

/**
 * Fill a closed shape, however it crosses itself. Rows are sampled four times, columns exactly.
 * @param {Bitmap} bitmap
 * @param {readonly Point[]} points
 * @param {boolean} [erase]
 * @returns {Rect}
 */
export function polygon(bitmap, points, erase = false) {
  const { data, width } = bitmap;
  const box = clipped(around(points), bitmap);
  if (isEmpty(box) || points.length < 3) return NOTHING;
  const row = new Float32Array(box.right - box.left);
  for (let y = box.top; y < box.bottom; y += 1) {
    row.fill(0);
    for (let sub = 0; sub < SUBROWS; sub += 1) {
      for (const [from, to] of spans(points, y + (sub + 0.5) / SUBROWS)) cover(row, from - box.left, to - box.left, 1 / SUBROWS);
    }
    for (let x = 0, at = y * width + box.left; x < row.length; x += 1, at += 1) {
      const value = /** @type {number} */ (row[x]);
      if (value > 0) put(data, at, Math.round(255 * Math.min(value, 1)), erase);
    }
  }
  return box;
}

/** Where a row at height `y` is inside the shape: pairs from, to. @param {readonly Point[]} points @param {number} y */
function spans(points, y) {
  /** @type {[number, number][]} */
  const crossings = [];
  for (let at = 0; at < points.length; at += 1) {
    const a = /** @type {Point} */ (points[at]);
    const b = /** @type {Point} */ (points[(at + 1) % points.length]);
    if (a.y <= y === b.y <= y) continue;
    crossings.push([a.x + ((y - a.y) / (b.y - a.y)) * (b.x - a.x), a.y < b.y ? 1 : -1]);
  }
  crossings.sort((one, other) => one[0] - other[0]);
  /** @type {[number, number][]} */
  const found = [];
  let [turns, from] = [0, 0];
  for (const [x, turn] of crossings) {
    if (turns === 0) from = x;
    turns += turn;
    if (turns === 0) found.push([from, x]);
  }
  return found;
}

/** Add `share` to the pixels from one place of a row to another, parts of pixels in part. @param {Float32Array} row @param {number} from @param {number} to @param {number} share */
function cover(row, from, to, share) {
  const [start, end] = [Math.max(from, 0), Math.min(to, row.length)];
  for (let x = Math.floor(start); x < end; x += 1) {
    row[x] = /** @type {number} */ (row[x]) + share * (Math.min(end, x + 1) - Math.max(start, x));
  }
}

/** The corners of a rectangle between two points, on whole pixels: its edges are sharp. @param {Point} one @param {Point} other @returns {Point[]} */
export function corners(one, other) {
  const box = around([one, other]);
  const [left, top, right, bottom] = [Math.round(box.left), Math.round(box.top), Math.round(box.right), Math.round(box.bottom)];
  return [{ x: left, y: top }, { x: right, y: top }, { x: right, y: bottom }, { x: left, y: bottom }];
}

/** An ellipse inside the rectangle between two points, as a polygon that is off by less than 1/100 pixel. @param {Point} one @param {Point} other @returns {Point[]} */
export function ellipse(one, other) {
  const [cx, cy] = [(one.x + other.x) / 2, (one.y + other.y) / 2];
  const [rx, ry] = [Math.abs(other.x - one.x) / 2, Math.abs(other.y - one.y) / 2];
  const parts = Math.max(Math.ceil(Math.PI / Math.acos(1 - Math.min(0.01 / Math.max(rx, ry, 0.1), 0.5))), 12);
  return Array.from({ length: parts }, (_, at) => {
    const turn = (2 * Math.PI * at) / parts;
    return { x: cx + rx * Math.cos(turn), y: cy + ry * Math.sin(turn) };
  });
}

/**
 * Fill the area around a pixel that is less than half marked (`erase`: more), as far as it is of one piece; then the
 * soft edge around it up to its height, never down its other side.
 * @param {Bitmap} bitmap
 * @param {Point} point
 * @param {(rect: Rect) => void} touch Called with what changes before it does.
 * @param {boolean} [erase]
 * @returns {Rect}
 */
export function flood({ data, width, height }, point, touch, erase = false) {
  const level = (/** @type {number} */ at) => (erase ? 255 - /** @type {number} */ (data[at]) : /** @type {number} */ (data[at]));
  const [x0, y0] = [Math.floor(point.x), Math.floor(point.y)];
  if (x0 < 0 || y0 < 0 || x0 >= width || y0 >= height || level(y0 * width + x0) >= 128) return NOTHING;
  const box = { left: x0, top: y0, right: x0 + 1, bottom: y0 + 1 };
  const fill = (/** @type {number} */ left, /** @type {number} */ right, /** @type {number} */ y) => {
    touch({ left, top: y, right, bottom: y + 1 });
    data.fill(erase ? 0 : 255, y * width + left, y * width + right);
    Object.assign(box, union(box, { left, top: y, right, bottom: y + 1 }));
  };
  const seeds = [y0 * width + x0];
  const edge = /** @type {number[]} */ ([]);
  while (seeds.length) {
    const seed = /** @type {number} */ (seeds.pop());
    if (level(seed) >= 128) continue;
    const y = Math.floor(seed / width);
    const row = y * width;
    let [left, right] = [seed - row, seed - row + 1];
    while (left > 0 && level(row + left - 1) < 128) left -= 1;
    while (right < width && level(row + right) < 128) right += 1;
    fill(left, right, y);
    if (left > 0) edge.push(row + left - 1);
    if (right < width) edge.push(row + right);
    for (const next of [y - 1, y + 1]) {
      if (next < 0 || next >= height) continue;
      for (let at = next * width + left, before = false; at < next * width + right; at += 1) {
        const now = level(at) < 128;
        if (now && !before) seeds.push(at);
        else if (!now && level(at) < 255) edge.push(at);
        before = now;
      }
    }
  }
  while (edge.length) {
    const at = /** @type {number} */ (edge.pop());
    const here = level(at);
    if (here === 255) continue;
    const [x, y] = [at % width, Math.floor(at / width)];
    fill(x, x + 1, y);
    for (const [next, there] of [[at - 1, x > 0], [at + 1, x < width - 1], [at - width, y > 0], [at + width, y < height - 1]]) {
      if (there && level(Number(next)) >= here) edge.push(Number(next));
    }
  }
  return box;
}
