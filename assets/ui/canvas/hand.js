/* Pointers over the picture: mouse, pen and fingers become strokes and shapes; two fingers, the middle button or a held
   space bar move the view. */
import { corners, ellipse } from "./raster.js";
import { hardness, select, size, taking, tell, tool } from "./state.js";

/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {import("./surface.js").Surface} Surface */

const ERASER = 32; // of `PointerEvent.buttons`: the other end of a pen

export class Hand {
  /** @param {Surface} surface */
  constructor(surface) {
    this.surface = surface;
    this.mask = surface.mask;
    /** Pointers that are down, where they were last. @type {Map<number, Point>} */
    this.down = new Map();
    /** @type {"" | "stroke" | "shape" | "pan" | "pinch"} */
    this.doing = "";
    /** Moves since the last frame. @type {PointerEvent[]} */
    this.moves = [];
    /** @type {Point[]} Of the shape under way: its two corners, or all of a lasso. */
    this.points = [];
    this.taking = false;
    /** Whether the space bar is held to move the view. */
    this.space = false;
    surface.before = () => this.flush();
    const { root } = surface;
    const stop = new AbortController();
    this.stop = stop;
    const on = (/** @type {string} */ name, /** @type {(event: any) => void} */ run, passive = true) => root.addEventListener(name, run, { signal: stop.signal, passive });
    on("pointerdown", (event) => this.press(event));
    on("pointermove", (event) => this.move(event));
    on("pointerup", (event) => this.lift(event));
    on("pointercancel", (event) => this.lose(event));
    on("pointerleave", () => this.hover(null));
    on("wheel", (event) => this.wheel(event), false);
    on("contextmenu", (event) => event.preventDefault(), false);
    window.addEventListener("pagehide", () => this.mask.end(), { signal: stop.signal });
  }

  close() {
    this.stop.abort();
    this.cancel();
  }

  /** The brush for an event: a pen's pressure makes it narrower. @param {PointerEvent} event */
  dab(event) {
    const pressed = event.pointerType === "pen" && event.pressure > 0 ? 0.15 + 0.85 * event.pressure : 1;
    return { ...this.surface.at(event), radius: (size.value / 2) * pressed };
  }

  /** @param {PointerEvent} event */
  press(event) {
    this.surface.root.focus({ preventScroll: true });
    this.down.set(event.pointerId, this.surface.inBox(event));
    this.surface.root.setPointerCapture(event.pointerId);
    if (this.down.size === 2 && event.pointerType === "touch") {
      this.cancel(); // what the first finger began was the start of this
      this.doing = "pinch";
      return;
    }
    if (this.down.size > 1 || this.doing) return;
    if (event.button === 1 || this.space) this.doing = "pan";
    else if (event.button === 0 || event.button === 5) this.begin(event);
    this.surface.root.classList.toggle("is-panning", this.doing === "pan");
  }

  /** @param {PointerEvent} event */
  begin(event) {
    const name = tool.value;
    const brush = name === "brush" || name === "eraser";
    this.taking = Boolean(event.buttons & ERASER) || event.altKey !== (!brush && taking.value);
    if (brush) {
      this.doing = "stroke";
      this.mask.begin(this.dab(event), { hardness: hardness.value / 100, erase: name === "eraser" || this.taking });
      this.hover(event);
    } else if (name === "fill") {
      this.mask.flood(this.surface.at(event), this.taking);
      tell(this.taking ? "Emptied" : "Filled");
    } else if (name === "select") {
      select(this.surface.at(event), this.taking);
    } else {
      this.doing = "shape";
      this.points = [this.surface.at(event)];
    }
  }

  /** @param {PointerEvent} event */
  move(event) {
    if (this.doing === "pan" || this.doing === "pinch") return this.drag(event);
    this.moves.push(event);
    this.surface.ask();
  }

  /** Everything that the pointer did since the last frame. */
  flush() {
    for (const event of this.moves.splice(0)) {
      if (this.doing && this.down.has(event.pointerId)) {
        const parts = event.getCoalescedEvents?.() ?? [];
        for (const part of parts.length ? parts : [event]) this.go(part);
      }
      if (event.pointerType !== "touch") this.hover(event);
    }
  }

  /** @param {PointerEvent} event */
  go(event) {
    if (this.doing === "stroke") return this.mask.move(this.dab(event));
    const at = this.surface.at(event);
    if (tool.value !== "lasso") this.points = [/** @type {Point} */ (this.points[0]), at];
    else if (Math.hypot(at.x - /** @type {Point} */ (this.points.at(-1)).x, at.y - /** @type {Point} */ (this.points.at(-1)).y) * this.surface.view.scale >= 1) this.points.push(at);
    this.surface.over.points = outline(tool.value, this.points);
  }

  /** Move the view with one pointer, or move and zoom it with two. @param {PointerEvent} event */
  drag(event) {
    const before = this.down.get(event.pointerId);
    if (!before) return;
    const now = this.surface.inBox(event);
    const other = [...this.down].find(([id]) => id !== event.pointerId)?.[1];
    this.down.set(event.pointerId, now);
    if (this.doing === "pan") return this.surface.pan(now.x - before.x, now.y - before.y);
    if (!other) return;
    const apart = (/** @type {Point} */ point) => Math.max(Math.hypot(point.x - other.x, point.y - other.y), 1);
    this.surface.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
    this.surface.zoom(apart(now) / apart(before), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
  }

  /** @param {PointerEvent} event */
  lift(event) {
    this.flush();
    this.down.delete(event.pointerId);
    if (this.doing === "stroke") this.mask.end();
    if (this.doing === "shape") this.finish(this.taking);
    if (this.doing === "pinch" && this.down.size) return; // the other finger does not paint
    this.doing = "";
    this.surface.root.classList.remove("is-panning");
  }

  /** Fill the shape under way. @param {boolean} taking */
  finish(taking) {
    const points = outline(tool.value, this.points);
    this.points = [];
    this.surface.over.points = [];
    this.surface.ask();
    if (points.length > 2) this.mask.shape(tool.value, points, taking);
  }

  /** @param {PointerEvent} event */
  lose(event) {
    this.cancel();
    this.down.delete(event.pointerId);
  }

  /** Take back what is under way. Gives whether there was something. */
  cancel() {
    const was = this.doing === "stroke" || this.points.length > 0;
    this.moves = [];
    if (this.doing === "stroke") this.mask.cancel();
    this.points = [];
    this.surface.over.points = [];
    this.surface.ask();
    this.doing = "";
    return was;
  }

  /** Show the brush under the pointer. @param {PointerEvent | null} event */
  hover(event) {
    const brush = tool.value === "brush" || tool.value === "eraser";
    this.surface.over.brush = event && brush && !this.space ? this.dab(event) : null;
    this.surface.ask();
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    if (event.shiftKey) return this.surface.pan(-(event.deltaY || event.deltaX), 0);
    // A pinch on a touchpad comes as a wheel with the control key, in small steps.
    this.surface.zoom(Math.exp(-Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY) * (event.ctrlKey ? 0.01 : 0.002), 0.3)), this.surface.inBox(event));
  }
}

/** What a tool makes of its points. @param {string} name @param {readonly Point[]} points @returns {readonly Point[]} */
export function outline(name, points) {
  if (name === "lasso") return points;
  const [one, other] = points;
  if (!one || !other) return [];
  return name === "ellipse" ? ellipse(one, other) : corners(one, other);
}
