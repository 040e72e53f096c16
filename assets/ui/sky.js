/* The map of the gallery: every picture at its place on a plane, to fly over. */
import { html, useEffect, useRef } from "./html.js";
import { thumbnail } from "./library.js";

/** @typedef {{id: string, x: number, y: number}} Point Both from -1 to 1. */
/** @typedef {{choose: (id: string) => void, open: (id: string) => void}} Does */

const DETAILED = 600; // pictures that are drawn as such; the others are dots
const MARGIN = 84;

class Sky {
  /** @param {HTMLCanvasElement} canvas @param {Does} does */
  constructor(canvas, does) {
    this.canvas = canvas;
    this.does = does;
    this.points = /** @type {readonly Point[]} */ ([]);
    this.pictures = /** @type {Map<string, HTMLImageElement>} */ (new Map());
    this.view = { x: 0, y: 0, zoom: 1 };
    this.chosen = "";
    this.asked = false;
    this.listen();
    this.watch = new ResizeObserver(() => this.draw());
    this.watch.observe(canvas);
  }

  listen() {
    const { canvas } = this;
    let from = /** @type {[number, number] | null} */ (null);
    let moved = false;
    canvas.addEventListener("pointerdown", (event) => {
      from = [event.clientX, event.clientY];
      moved = false;
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!from) return;
      const [dx, dy] = [event.clientX - from[0], event.clientY - from[1]];
      if (!moved && Math.hypot(dx, dy) < 4) return;
      moved = true;
      from = [event.clientX, event.clientY];
      this.move(dx, dy);
    });
    canvas.addEventListener("pointerup", (event) => {
      if (from && !moved) this.pick(event);
      from = null;
    });
    canvas.addEventListener("dblclick", () => this.chosen && this.does.open(this.chosen));
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoom(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
      },
      { passive: false },
    );
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const steps = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    const step = steps[/** @type {keyof typeof steps} */ (event.key)];
    if (step) this.move(step[0] ?? 0, step[1] ?? 0);
    else if (event.key === "+" || event.key === "=") this.zoom(1.25);
    else if (event.key === "-") this.zoom(0.8);
    else if (event.key === "0") this.reset();
    else if (event.key === "Enter" && this.chosen) this.does.open(this.chosen);
    else return;
    event.preventDefault();
  }

  /** @param {readonly Point[]} points */
  set(points) {
    this.points = points;
    this.draw();
  }

  reset() {
    this.view = { x: 0, y: 0, zoom: 1 };
    this.draw();
  }

  move(/** @type {number} */ dx, /** @type {number} */ dy) {
    this.view.x += dx;
    this.view.y += dy;
    this.draw();
  }

  /** @param {number} factor */
  zoom(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const zoom = Math.min(Math.max(this.view.zoom * factor, 0.6), 60);
    const grown = zoom / this.view.zoom;
    const [cx, cy] = [x - this.canvas.clientWidth / 2, y - this.canvas.clientHeight / 2];
    this.view = { zoom, x: cx - (cx - this.view.x) * grown, y: cy - (cy - this.view.y) * grown };
    this.draw();
  }

  /** Where a point is on the canvas, in CSS pixels. @param {Point} point @returns {[number, number]} */
  at(point) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const { x, y, zoom } = this.view;
    return [width / 2 + x + point.x * zoom * (width / 2 - MARGIN), height / 2 + y - point.y * zoom * (height / 2 - MARGIN)];
  }

  side() {
    return Math.min(Math.max(26, (560 / Math.sqrt(this.points.length + 4)) * Math.sqrt(this.view.zoom)), 150);
  }

  /** @param {PointerEvent} event */
  pick(event) {
    const side = this.side();
    const hit = [...this.points].reverse().find((point) => {
      const [x, y] = this.at(point);
      return Math.abs(event.offsetX - x) < side / 2 && Math.abs(event.offsetY - y) < side / 2;
    });
    this.chosen = hit?.id || "";
    if (hit) this.does.choose(hit.id);
    this.draw();
  }

  draw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.paint();
    });
  }

  paint() {
    const { canvas } = this;
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width) return;
    const ratio = window.devicePixelRatio || 1;
    if (canvas.width !== width * ratio) canvas.width = width * ratio;
    if (canvas.height !== height * ratio) canvas.height = height * ratio;
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const side = this.side();
    const accent = getComputedStyle(canvas).getPropertyValue("--accent");
    const near = this.points.filter((point) => {
      const [x, y] = this.at(point);
      return x > -side && y > -side && x < width + side && y < height + side;
    });
    const detailed = new Set(near.slice(-DETAILED));
    for (const point of near) {
      const [x, y] = this.at(point);
      const image = detailed.has(point) ? this.picture(point.id) : null;
      const [w, h] = image?.complete && image.naturalWidth ? fitted(image, side) : [0, 0];
      if (image && w) {
        pen.save();
        pen.beginPath();
        pen.roundRect(x - w / 2, y - h / 2, w, h, Math.min(side / 8, 10));
        pen.clip();
        pen.drawImage(image, x - w / 2, y - h / 2, w, h);
        pen.restore();
      } else {
        pen.fillStyle = accent;
        pen.beginPath();
        pen.arc(x, y, 3, 0, 7);
        pen.fill();
      }
      if (point.id === this.chosen) {
        pen.strokeStyle = accent;
        pen.lineWidth = 3;
        pen.beginPath();
        pen.roundRect(x - w / 2 - 3, y - h / 2 - 3, w + 6, h + 6, 12);
        pen.stroke();
      }
    }
  }

  picture(/** @type {string} */ id) {
    let image = this.pictures.get(id);
    if (!image) {
      image = new Image();
      image.onload = () => this.draw();
      image.src = thumbnail(id);
      this.pictures.set(id, image);
    }
    return image;
  }
}

/** Width and height of a whole picture in a square. @param {HTMLImageElement} image @param {number} side @returns {[number, number]} */
function fitted(image, side) {
  const scale = side / Math.max(image.naturalWidth, image.naturalHeight);
  return [image.naturalWidth * scale, image.naturalHeight * scale];
}

/** @param {{points: readonly Point[]} & Does} props */
export function SkyMap({ points, choose, open }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const sky = useRef(/** @type {Sky | null} */ (null));
  useEffect(() => {
    if (!canvas.current) return;
    const made = (sky.current = new Sky(canvas.current, { choose, open }));
    return () => made.watch.disconnect();
  }, []);
  useEffect(() => sky.current?.set(points), [points]);
  return html`<div class="sky"><canvas ref=${canvas} tabindex="0" role="application"
    aria-label="Map of the gallery: arrow keys fly, plus and minus come closer and go back, 0 shows all"></canvas></div>`;
}
