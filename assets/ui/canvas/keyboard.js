/* The canvas without a pointer: keys take tools, undo, zoom; arrows move the brush, space and Enter paint. */
import { $ } from "../gradio.js";
import { outline } from "./hand.js";
import { hardness, mask, redo, resize, select, size, take, taking, tell, tool, TOOLS, undo } from "./state.js";

/** @typedef {import("./hand.js").Hand} Hand */
/** @typedef {import("./geometry.js").Point} Point */

const TEXT = "textarea, input:not([type=radio], [type=checkbox], [type=range], [type=button], [type=color]), select, [role=listbox], [contenteditable]";
const ARROWS = /** @type {Record<string, [number, number]>} */ ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] });

export class Keyboard {
  /** @param {Hand} hand */
  constructor(hand) {
    this.hand = hand;
    this.surface = hand.surface;
    /** Where the brush is that the arrows move; null while a pointer is used. @type {Point | null} */
    this.at = null;
    this.painting = false;
    const { root } = this.surface;
    const stop = new AbortController();
    this.stop = stop;
    const options = { signal: stop.signal };
    // Before the page's own keys, so that Escape takes back a stroke and does not cancel a job.
    document.addEventListener("keydown", (event) => this.press(event), { ...options, capture: true });
    document.addEventListener("keyup", (event) => this.lift(event), options);
    root.addEventListener("pointermove", () => this.leave(), options);
    root.addEventListener("focus", () => root.matches(":focus-visible") && !this.hand.down.size && this.show(), options);
    root.addEventListener("blur", () => this.leave(), options);
    window.addEventListener("blur", () => this.rest(), options);
  }

  close() {
    this.rest();
    this.stop.abort();
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const target = /** @type {Element} */ (event.target);
    if ($("dialog[open]") || target.closest?.(TEXT) || !(target === document.body || target.closest("#stage, #rail"))) return;
    const own = target === this.surface.root;
    const done = event.ctrlKey || event.metaKey ? this.command(event) : !event.altKey && (this.letter(event) || ((own || target === document.body) && this.spaced(event)) || (own && this.travel(event)));
    if (!done) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {KeyboardEvent} event */
  command({ key, shiftKey }) {
    const name = key.toLowerCase();
    if (name === "z" && !shiftKey) undo();
    else if (name === "y" || name === "z") redo();
    else return false;
    return true;
  }

  /** @param {KeyboardEvent} event */
  letter({ key }) {
    const taken = TOOLS.find((each) => each.key.toLowerCase() === key.toLowerCase());
    if (taken) take(taken.name);
    else if (key === "[" || key === "]") resize(key === "]" ? 1 : -1);
    else if (key === "+" || key === "=") this.surface.zoom(1.25, this.middle());
    else if (key === "-") this.surface.zoom(0.8, this.middle());
    else if (key === "0") this.surface.fit();
    else if (key === "Escape") return this.hand.cancel();
    else return false;
    if (this.at) this.show();
    return true;
  }

  /** The space bar: held it moves the view with the pointer; with the keyboard's brush it paints. @param {KeyboardEvent} event */
  spaced({ key }) {
    if (key !== " ") return false;
    if (this.at) this.paint();
    else this.hand.space = true;
    this.surface.root.classList.toggle("can-pan", this.hand.space);
    return true;
  }

  /** @param {KeyboardEvent} event */
  travel({ key, shiftKey }) {
    const way = ARROWS[key];
    if (!way && key !== "Enter") return false;
    if (!this.at) this.show();
    const at = /** @type {Point} */ (this.at);
    if (!way) {
      this.paint();
      if (tool.value === "brush" || tool.value === "eraser") this.rest();
      return true;
    }
    const step = shiftKey ? 1 : Math.max(1, Math.round(size.value / 4));
    const { width, height } = this.surface.mask;
    this.at = { x: Math.min(Math.max(at.x + way[0] * step, 0.5), width - 0.5), y: Math.min(Math.max(at.y + way[1] * step, 0.5), height - 0.5) };
    this.surface.reveal(this.at);
    if (this.painting) this.surface.mask.move({ ...this.at, radius: size.value / 2 });
    this.show();
    tell(`${Math.round(this.at.x)}, ${Math.round(this.at.y)}${this.marked() ? ", marked" : ""}`);
    return true;
  }

  /** Put the brush down, or set a corner. */
  paint() {
    const at = /** @type {Point} */ (this.at);
    const name = tool.value;
    if (name === "brush" || name === "eraser") {
      if (this.painting) return; // the key repeats while it is held
      this.painting = true;
      this.surface.mask.begin({ ...at, radius: size.value / 2 }, { hardness: hardness.value / 100, erase: name === "eraser" });
      return tell(name === "eraser" ? "Erased" : "Painted");
    }
    if (name === "fill") {
      this.surface.mask.flood(at, taking.value);
      return tell(taking.value ? "Emptied" : "Filled");
    }
    if (name === "select") return select(at, taking.value);
    const { points } = this.hand;
    const last = points.at(-1);
    const same = last && Math.hypot(last.x - at.x, last.y - at.y) < 0.5;
    if (!points.length) tell(name === "lasso" ? "First point. Press again at each corner, twice at the last" : "First corner. Move and press again");
    if (name === "lasso" ? same && points.length > 2 : points.length === 1 && !same) {
      if (name !== "lasso") points.push(at);
      this.hand.finish(taking.value);
      return tell(taking.value ? "Taken away" : "Marked");
    }
    if (!same) points.push(at);
    this.show();
  }

  /** @param {KeyboardEvent} event */
  lift({ key }) {
    if (key === " ") this.rest();
  }

  /** Lift the brush, let go of the view. */
  rest() {
    if (this.painting) this.surface.mask.end();
    this.painting = false;
    this.hand.space = false;
    this.surface.root.classList.remove("can-pan");
  }

  /** Draw the brush where the arrows moved it: at first in the middle of what is seen. */
  show() {
    const { box, view } = this.surface;
    this.at ??= { x: Math.round((box.width / 2 - view.x) / view.scale), y: Math.round((box.height / 2 - view.y) / view.scale) };
    const brush = tool.value === "brush" || tool.value === "eraser";
    this.surface.over.brush = { ...this.at, radius: brush ? size.value / 2 : 3 / view.scale };
    const { points } = this.hand;
    if (!brush && points.length) this.surface.over.points = outline(tool.value, [...points, this.at]);
    this.surface.ask();
  }

  /** A pointer is used again, or something else has the focus. */
  leave() {
    if (!this.at) return;
    this.rest();
    this.at = null;
    this.surface.over.brush = null;
    this.surface.ask();
  }

  middle() {
    const { view } = this.surface;
    return this.at ? { x: this.at.x * view.scale + view.x, y: this.at.y * view.scale + view.y } : undefined;
  }

  marked() {
    const at = /** @type {Point} */ (this.at);
    const open = /** @type {import("./mask.js").Mask} */ (mask.value ?? this.surface.mask);
    return /** @type {number} */ (open.bitmap.data[Math.floor(at.y) * open.width + Math.floor(at.x)]) >= 128;
  }
}
