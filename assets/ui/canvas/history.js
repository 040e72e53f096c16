/* Undo and redo of a mask by tiles: before an action changes a tile its bytes are kept, packed. Undoing an action swaps
   the tiles with what is there, so that one copy serves both ways; untouched tiles cost nothing. */
import { clipped, union, NOTHING } from "./geometry.js";

/** @typedef {import("./raster.js").Bitmap} Bitmap */
/** @typedef {import("./geometry.js").Rect} Rect */
/** @typedef {{id: number, name: string, tiles: Map<number, Uint8Array>}} Step Tile number -> its packed bytes on the other side of the action. */

/** Pixels a side. */
export const TILE = 128;
/** Actions that can be undone. */
export const STEPS = 50;

/** Bytes as runs (value, length in sevens of bits), or as they are where that is shorter. @param {Uint8Array} bytes @returns {Uint8Array} */
export function pack(bytes) {
  const out = new Uint8Array(bytes.length + 1);
  let to = 1;
  for (let at = 0; at < bytes.length; ) {
    const value = /** @type {number} */ (bytes[at]);
    let end = at + 1;
    while (end < bytes.length && bytes[end] === value) end += 1;
    if (to + 6 > out.length) {
      out[0] = 0;
      out.set(bytes, 1);
      return out;
    }
    out[to++] = value;
    let length = end - at;
    for (; length > 127; length >>>= 7) out[to++] = (length & 127) | 128;
    out[to++] = length;
    at = end;
  }
  out[0] = 1;
  return out.slice(0, to);
}

/** What `pack` was given. @param {Uint8Array} packed @param {number} size @returns {Uint8Array} */
export function unpack(packed, size) {
  if (packed[0] === 0) return packed.slice(1, size + 1);
  const bytes = new Uint8Array(size);
  let to = 0;
  for (let at = 1; at < packed.length && to < size; ) {
    const value = /** @type {number} */ (packed[at++]);
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const part = packed[at++] ?? 0;
      length |= (part & 127) << shift;
      if (!(part & 128)) break;
    }
    bytes.fill(value, to, (to += length));
  }
  return bytes;
}

/** The tiles of a bitmap. */
export class Tiles {
  /** @param {Bitmap} bitmap */
  constructor(bitmap) {
    this.bitmap = bitmap;
    this.across = Math.ceil(bitmap.width / TILE);
    this.count = this.across * Math.ceil(bitmap.height / TILE);
  }

  /** Where a tile lies. @param {number} tile @returns {Rect} */
  rect(tile) {
    const [left, top] = [(tile % this.across) * TILE, Math.floor(tile / this.across) * TILE];
    return clipped({ left, top, right: left + TILE, bottom: top + TILE }, this.bitmap);
  }

  /** Numbers of the tiles that a rectangle touches. @param {Rect} rect */
  *over(rect) {
    const { left, top, right, bottom } = clipped(rect, this.bitmap);
    for (let y = Math.floor(top / TILE); y * TILE < bottom; y += 1) {
      for (let x = Math.floor(left / TILE); x * TILE < right; x += 1) yield y * this.across + x;
    }
  }

  /** A tile's bytes, row by row. @param {number} tile @returns {Uint8Array} */
  read(tile) {
    const { left, top, right, bottom } = this.rect(tile);
    const bytes = new Uint8Array((right - left) * (bottom - top));
    for (let y = top, to = 0; y < bottom; y += 1, to += right - left) {
      bytes.set(this.bitmap.data.subarray(y * this.bitmap.width + left, y * this.bitmap.width + right), to);
    }
    return bytes;
  }

  /** @param {number} tile @param {Uint8Array} bytes */
  write(tile, bytes) {
    const { left, top, right, bottom } = this.rect(tile);
    for (let y = top, from = 0; y < bottom; y += 1, from += right - left) {
      this.bitmap.data.set(bytes.subarray(from, from + right - left), y * this.bitmap.width + left);
    }
  }

  /** How many bytes a tile has. @param {number} tile */
  size(tile) {
    const { left, top, right, bottom } = this.rect(tile);
    return (right - left) * (bottom - top);
  }
}

/** The last `STEPS` actions on one bitmap. */
export class History {
  /** @param {Bitmap} bitmap */
  constructor(bitmap) {
    this.tiles = new Tiles(bitmap);
    /** @type {Step[]} Oldest first. */
    this.past = [];
    /** @type {Step[]} The next to do again last. */
    this.future = [];
    /** @type {Map<number, Uint8Array>} Tiles of the action under way as they were before it. */
    this.open = new Map();
    this.last = 0;
  }

  /** Keep what is in a rectangle before the action under way changes it. @param {Rect} rect */
  touch(rect) {
    for (const tile of this.tiles.over(rect)) if (!this.open.has(tile)) this.open.set(tile, this.tiles.read(tile));
  }

  /** The action is over. Gives the tiles that it changed; one that changed nothing is no step. @param {string} name @returns {number[]} */
  commit(name) {
    /** @type {Map<number, Uint8Array>} */
    const changed = new Map();
    for (const [tile, before] of this.open) {
      const now = this.tiles.read(tile);
      if (before.some((value, at) => value !== now[at])) changed.set(tile, pack(before));
    }
    this.open.clear();
    if (!changed.size) return [];
    this.past = [...this.past, { id: (this.last += 1), name, tiles: changed }].slice(-STEPS);
    this.future = [];
    return [...changed.keys()];
  }

  /** Take back the action under way. @returns {Rect} */
  cancel() {
    let all = /** @type {Rect} */ (NOTHING);
    for (const [tile, before] of this.open) {
      this.tiles.write(tile, before);
      all = union(all, this.tiles.rect(tile));
    }
    this.open.clear();
    return all;
  }

  /** Undo the last action; null where there is none. @returns {{step: Step, rect: Rect} | null} */
  undo() {
    const step = this.past.pop();
    if (!step) return null;
    this.future.push(step);
    return { step, rect: this.#swap(step) };
  }

  /** Do the action again that was undone last. @returns {{step: Step, rect: Rect} | null} */
  redo() {
    const step = this.future.pop();
    if (!step) return null;
    this.past.push(step);
    return { step, rect: this.#swap(step) };
  }

  /** @param {Step} step */
  #swap(step) {
    let all = /** @type {Rect} */ (NOTHING);
    for (const [tile, other] of step.tiles) {
      const now = pack(this.tiles.read(tile));
      this.tiles.write(tile, unpack(other, this.tiles.size(tile)));
      step.tiles.set(tile, now);
      all = union(all, this.tiles.rect(tile));
    }
    return all;
  }
}
