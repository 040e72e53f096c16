/* One picture's mask and what can be done with it. Every action is one step of the history. */
import { clipped, grown, isEmpty, NOTHING, union, whole } from "./geometry.js";
import { History, Tiles } from "./history.js";
import { feather, marked, spread } from "./morphology.js";
import { flood, polygon, stroke } from "./raster.js";

/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {import("./geometry.js").Rect} Rect */
/** @typedef {import("./raster.js").Dab} Dab */
/** @typedef {{hardness: number, erase: boolean}} Brush */

export class Mask {
  /** As large as the picture, nothing marked. @param {number} width @param {number} height */
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.bitmap = { width, height, data: new Uint8Array(width * height) };
    this.history = new History(this.bitmap);
    this.tiles = new Tiles(this.bitmap);
    /** Called with what was drawn, at once. @type {(rect: Rect) => void} */
    this.drawn = () => {};
    /** Called after an action with the tiles that it changed. @type {(tiles: readonly number[]) => void} */
    this.changed = () => {};
    /** @type {{last: Dab, brush: Brush} | null} */
    this.stroke = null;
  }

  /** Whether nothing at all is marked. */
  get empty() {
    return !this.bitmap.data.some(Boolean);
  }

  /** How much is marked, 0 to 1. */
  get share() {
    let sum = 0;
    for (const value of this.bitmap.data) sum += value;
    return sum / (255 * this.bitmap.data.length);
  }

  /** Put the brush down. @param {Dab} dab @param {Brush} brush */
  begin(dab, brush) {
    this.end();
    this.stroke = { last: dab, brush };
    this.#draw(dab, dab, brush);
  }

  /** Move the brush that is down. @param {Dab} dab */
  move(dab) {
    if (!this.stroke) return;
    this.#draw(this.stroke.last, dab, this.stroke.brush);
    this.stroke.last = dab;
  }

  /** Lift the brush: the stroke is one action. */
  end() {
    if (!this.stroke) return;
    const { erase } = this.stroke.brush;
    this.stroke = null;
    this.#done(erase ? "erasing" : "brush stroke");
  }

  /** Take back the stroke under way. */
  cancel() {
    this.stroke = null;
    this.drawn(this.history.cancel());
  }

  /** @param {Dab} from @param {Dab} to @param {Brush} brush */
  #draw(from, to, brush) {
    const box = { left: Math.min(from.x, to.x), top: Math.min(from.y, to.y), right: Math.max(from.x, to.x), bottom: Math.max(from.y, to.y) };
    this.history.touch(grown(box, Math.max(from.radius, to.radius) + 2));
    this.drawn(stroke(this.bitmap, from, to, brush));
  }

  /** Fill a closed shape. @param {string} name @param {readonly Point[]} points @param {boolean} erase */
  shape(name, points, erase) {
    if (points.length < 3) return;
    this.end();
    this.history.touch(points.reduce((all, { x, y }) => union(all, { left: x - 1, top: y - 1, right: x + 1, bottom: y + 1 }), /** @type {Rect} */ (NOTHING)));
    this.drawn(polygon(this.bitmap, points, erase));
    this.#done(name);
  }

  /** Fill the area around a point. @param {Point} point @param {boolean} erase */
  flood(point, erase) {
    this.#act("fill", (touch) => flood(this.bitmap, point, touch, erase));
  }

  invert() {
    this.#all("invert", (data) => {
      for (let at = 0; at < data.length; at += 1) data[at] = 255 - /** @type {number} */ (data[at]);
    });
  }

  clear() {
    this.#act("clear", (touch) => {
      const box = marked(this.bitmap);
      if (!isEmpty(box)) touch(box);
      this.bitmap.data.fill(0);
      return box;
    });
  }

  /** Move every edge outwards, or inwards where negative. @param {number} pixels */
  spread(pixels) {
    this.#act(pixels > 0 ? "grow" : "shrink", (touch) => spread(this.bitmap, pixels, touch));
  }

  /** Soften every edge. @param {number} pixels */
  feather(pixels) {
    this.#act("feather", (touch) => feather(this.bitmap, pixels, touch));
  }

  /** Put another mask of this size in its place. @param {string} name @param {Uint8Array} bytes */
  load(name, bytes) {
    this.#all(name, (data) => data.set(bytes));
  }

  /** Name of the action that was undone, "" where there is none. */
  undo() {
    this.end();
    return this.#turned(this.history.undo());
  }

  redo() {
    this.end();
    return this.#turned(this.history.redo());
  }

  /** @param {{step: import("./history.js").Step, rect: Rect} | null} turned */
  #turned(turned) {
    if (!turned) return "";
    this.drawn(turned.rect);
    this.changed([...turned.step.tiles.keys()]);
    return turned.step.name;
  }

  /** @param {string} name @param {(data: Uint8Array) => void} change */
  #all(name, change) {
    this.#act(name, (touch) => {
      const box = whole(this.bitmap);
      touch(box);
      change(this.bitmap.data);
      return box;
    });
  }

  /** @param {string} name @param {(touch: (rect: Rect) => void) => Rect} change */
  #act(name, change) {
    this.end();
    this.drawn(change((rect) => this.history.touch(clipped(rect, this.bitmap))));
    this.#done(name);
  }

  /** @param {string} name */
  #done(name) {
    const tiles = this.history.commit(name);
    if (tiles.length) this.changed(tiles);
  }
}
