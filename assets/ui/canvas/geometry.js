/* Rectangles of whole pixels, and the way between the picture and the screen. */

/** @typedef {{x: number, y: number}} Point */
/** @typedef {{left: number, top: number, right: number, bottom: number}} Rect In whole pixels; right and bottom are the first outside. */
/** @typedef {{scale: number, x: number, y: number}} View A point of the picture is at `scale * point + (x, y)` of the screen. */
/** @typedef {{width: number, height: number}} Size */

/** @type {Readonly<Rect>} */
export const NOTHING = { left: 0, top: 0, right: 0, bottom: 0 };

export const isEmpty = (/** @type {Rect} */ rect) => rect.right <= rect.left || rect.bottom <= rect.top;

/** The smallest rectangle around both. @param {Rect} one @param {Rect} other @returns {Rect} */
export function union(one, other) {
  if (isEmpty(one)) return other;
  if (isEmpty(other)) return one;
  return {
    left: Math.min(one.left, other.left), top: Math.min(one.top, other.top),
    right: Math.max(one.right, other.right), bottom: Math.max(one.bottom, other.bottom),
  };
}

/** What of a rectangle lies inside a picture. @param {Rect} rect @param {Size} size @returns {Rect} */
export const clipped = (rect, { width, height }) => ({
  left: Math.max(Math.floor(rect.left), 0), top: Math.max(Math.floor(rect.top), 0),
  right: Math.min(Math.ceil(rect.right), width), bottom: Math.min(Math.ceil(rect.bottom), height),
});

/** The whole of a picture. @param {Size} size @returns {Rect} */
export const whole = ({ width, height }) => ({ left: 0, top: 0, right: width, bottom: height });

/** A rectangle with `by` pixels more on each side. @param {Rect} rect @param {number} by @returns {Rect} */
export const grown = (rect, by) => ({ left: rect.left - by, top: rect.top - by, right: rect.right + by, bottom: rect.bottom + by });

/** The rectangle around points. @param {readonly Point[]} points @returns {Rect} */
export function around(points) {
  const xs = points.map((each) => each.x);
  const ys = points.map((each) => each.y);
  return points.length ? { left: Math.min(...xs), top: Math.min(...ys), right: Math.max(...xs), bottom: Math.max(...ys) } : NOTHING;
}

/** Where a point of the screen is on the picture. @param {View} view @param {Point} point @returns {Point} */
export const toPicture = ({ scale, x, y }, point) => ({ x: (point.x - x) / scale, y: (point.y - y) / scale });

/** Where a point of the picture is on the screen. @param {View} view @param {Point} point @returns {Point} */
export const toScreen = ({ scale, x, y }, point) => ({ x: point.x * scale + x, y: point.y * scale + y });

/** The view that shows all of a picture, centred, with a margin; small pictures are enlarged. @param {Size} picture @param {Size} box @returns {View} */
export function fitted(picture, box) {
  const margin = Math.min(12, box.width / 20, box.height / 20);
  const scale = Math.max(Math.min((box.width - 2 * margin) / picture.width, (box.height - 2 * margin) / picture.height), 1e-3);
  return { scale, x: (box.width - picture.width * scale) / 2, y: (box.height - picture.height * scale) / 2 };
}

/** Zoomed by `times` so that the picture's point under `at` (of the screen) stays there. @param {View} view @param {number} times @param {Point} at @param {[number, number]} limits Least and greatest scale. @returns {View} */
export function zoomed(view, times, at, limits) {
  const scale = Math.min(Math.max(view.scale * times, limits[0]), limits[1]);
  const grow = scale / view.scale;
  return { scale, x: at.x - (at.x - view.x) * grow, y: at.y - (at.y - view.y) * grow };
}

/** The view moved back where less than 48 pixels of the picture would be left to see. @param {View} view @param {Size} picture @param {Size} box @returns {View} */
export function held(view, picture, box) {
  const left = 48;
  const [width, height] = [picture.width * view.scale, picture.height * view.scale];
  const within = (/** @type {number} */ at, /** @type {number} */ size, /** @type {number} */ room) =>
    Math.min(Math.max(at, Math.min(left, room) - size), room - Math.min(left, size));
  return { scale: view.scale, x: within(view.x, width, box.width), y: within(view.y, height, box.height) };
}
