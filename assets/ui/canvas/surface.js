/* The picture with its mask over it on the screen: what is seen of it, and what is drawn when. Everything that is new is
   drawn in the next animation frame, which is that of the pointer event that asked for it. */
import { fitted, held, NOTHING, isEmpty, toPicture, toScreen, union, whole, zoomed } from "./geometry.js";
import { rgb, show } from "./screen.js";

/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {import("./geometry.js").View} View */
/** @typedef {import("./mask.js").Mask} Mask */

/** Device pixels that the mask's canvas has at most; beyond that it is drawn coarser and enlarged. */
const MOST = 2_500_000;
/** Screen pixels that one pixel of the picture has at most. */
const NEAREST = 32;
const SVG = "http://www.w3.org/2000/svg";

export class Surface {
  /**
   * @param {HTMLElement} root Holds an `img`, a `canvas` and an `svg`, each laid over the other.
   * @param {Mask} mask
   */
  constructor(root, mask) {
    this.root = root;
    this.mask = mask;
    this.picture = /** @type {HTMLImageElement} */ (root.querySelector("img"));
    this.canvas = /** @type {HTMLCanvasElement} */ (root.querySelector("canvas"));
    this.guide = /** @type {SVGSVGElement} */ (root.querySelector("svg"));
    this.context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    this.box = { width: 0, height: 0 };
    /** @type {View} From pixels of the picture to CSS pixels of the box. */
    this.view = { scale: 1, x: 0, y: 0 };
    this.whole = true; // follows the box until it is zoomed or moved
    this.colour = "#ff2d78";
    this.dirty = /** @type {import("./geometry.js").Rect} */ (NOTHING);
    this.moved = true;
    this.frame = 0;
    /** Work of others that belongs into the next frame, before it is drawn. @type {() => void} */
    this.before = () => {};
    /** What is drawn over the mask, in pixels of the picture: the brush, and a shape under way. @type {{brush: (Point & {radius: number}) | null, points: readonly Point[]}} */
    this.over = { brush: null, points: [] };
    /** Called when the view has changed. @type {() => void} */
    this.viewed = () => {};
    mask.drawn = (rect) => this.redraw(rect);
    this.watcher = new ResizeObserver(() => this.resize());
    this.watcher.observe(root);
    this.resize();
  }

  close() {
    this.watcher.disconnect();
    cancelAnimationFrame(this.frame);
    this.mask.drawn = () => {};
  }

  resize() {
    const { clientWidth, clientHeight } = this.root;
    if (!clientWidth || !clientHeight) return; // the tab is not open
    this.box = { width: clientWidth, height: clientHeight };
    const ratio = Math.min(devicePixelRatio || 1, Math.sqrt(MOST / (clientWidth * clientHeight)));
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    if (this.whole) this.view = fitted(this.mask, this.box);
    this.look(this.view, this.whole);
  }

  /** Show another part. @param {View} view @param {boolean} [whole] Whether it follows the box. */
  look(view, whole = false) {
    this.whole = whole;
    this.view = held(view, this.mask, this.box);
    this.moved = true;
    this.ask();
    this.viewed();
  }

  fit() {
    this.look(fitted(this.mask, this.box), true);
  }

  /** @param {number} times @param {Point} [at] Of the box; its middle where not given. */
  zoom(times, at = { x: this.box.width / 2, y: this.box.height / 2 }) {
    const least = Math.min(fitted(this.mask, this.box).scale, 1) / 2;
    this.look(zoomed(this.view, times, at, [least, NEAREST]));
  }

  /** @param {number} x @param {number} y In CSS pixels. */
  pan(x, y) {
    this.look({ ...this.view, x: this.view.x + x, y: this.view.y + y });
  }

  /** Move the view so that a point of the picture is to be seen. @param {Point} point */
  reveal(point) {
    const at = toScreen(this.view, point);
    const off = (/** @type {number} */ value, /** @type {number} */ size) => (value < 0 ? -value + size / 4 : value > size ? size - value - size / 4 : 0);
    const [x, y] = [off(at.x, this.box.width), off(at.y, this.box.height)];
    if (x || y) this.pan(x, y);
  }

  /** Where a pointer is on the picture. @param {{clientX: number, clientY: number}} event @returns {Point} */
  at(event) {
    return toPicture(this.view, this.inBox(event));
  }

  /** Where a pointer is in the box. @param {{clientX: number, clientY: number}} event @returns {Point} */
  inBox({ clientX, clientY }) {
    const { left, top } = this.root.getBoundingClientRect();
    return { x: clientX - left - this.root.clientLeft, y: clientY - top - this.root.clientTop };
  }

  /** @param {import("./geometry.js").Rect} rect Of the mask. */
  redraw(rect) {
    this.dirty = union(this.dirty, rect);
    this.ask();
  }

  /** @param {string} colour */
  paintWith(colour) {
    this.colour = colour;
    this.redraw(whole(this.mask));
  }

  /** Draw in the next frame. */
  ask() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.before();
      this.draw();
    });
  }

  draw() {
    const { view, mask, context } = this;
    if (this.moved) {
      this.picture.style.transform = `translate(${view.x}px,${view.y}px) scale(${view.scale})`;
      this.picture.style.imageRendering = view.scale > 3 ? "pixelated" : "";
      context.clearRect(0, 0, this.canvas.width, this.canvas.height);
      this.dirty = whole(mask);
      this.moved = false;
    }
    if (!isEmpty(this.dirty)) {
      const ratio = this.canvas.width / this.box.width;
      show(context, mask.bitmap, { scale: view.scale * ratio, x: view.x * ratio, y: view.y * ratio }, this.dirty, rgb(this.colour));
      this.dirty = NOTHING;
    }
    this.#drawGuide();
  }

  #drawGuide() {
    const { brush, points } = this.over;
    const parts = [];
    if (brush) {
      const { x, y } = toScreen(this.view, brush);
      const r = String(Math.max(brush.radius * this.view.scale, 1.5));
      for (const kind of ["guide-dark", "guide-light"]) parts.push(node("circle", { class: kind, cx: String(x), cy: String(y), r }));
    }
    if (points.length > 1) {
      const line = points.map((each) => toScreen(this.view, each)).map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
      for (const kind of ["guide-dark", "guide-light guide-dashed"]) parts.push(node("polygon", { class: kind, points: line }));
    }
    this.guide.replaceChildren(...parts);
  }
}

/** @param {string} name @param {Record<string, string>} attributes */
function node(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
