/* Numbers, durations and jobs as words for people. */

/** `1 picture`, `1,200 pictures`. */
export const many = (/** @type {number} */ count, /** @type {string} */ word) =>
  `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

/** A share of 1 as `7.3 %`. */
export function percent(/** @type {number} */ share) {
  if (share >= 0.9995) return "100 %";
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
}

/** Seconds into a clip as `1:04.5`. */
export const clock = (/** @type {number} */ seconds) =>
  `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;

/** A length of time: `0.8 s`, `40 s`, `3 min`, `1 h 5 min`. */
export function duration(/** @type {number} */ seconds) {
  if (seconds < 10) return `${Math.max(seconds, 0.1).toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Bytes: `61 MB`, `4.3 GB`. */
export function bytes(/** @type {number} */ count) {
  if (count >= 1e9) return `${(count / 1e9).toFixed(1)} GB`;
  if (count >= 1e6) return `${Math.round(count / 1e6)} MB`;
  return count >= 1e3 ? `${Math.round(count / 1e3)} kB` : `${Math.round(count)} bytes`;
}

/** A moment of the API as `25 November 2026, 09:05` of this computer. */
export function moment(/** @type {string} */ iso) {
  const at = new Date(/[zZ]|[+-]\d\d:\d\d$/.test(iso) ? iso : `${iso}Z`);
  const date = at.toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" });
  return `${date}, ${at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })}`;
}

/** A name short enough for a label. */
export const short = (/** @type {string} */ text, length = 60) =>
  text.length <= length ? text : `${text.slice(0, length - 1).trimEnd()}…`;
