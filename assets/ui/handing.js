/* Pictures on their way from one tab to another. */
import { signal } from "./html.js";
import { go } from "./route.js";

/** Tools of the Understand tab that take any picture, in the order in which they are offered. */
export const TOOLS = /** @type {const} */ ([
  ["sort", "Sort"],
  ["ask", "Ask"],
  ["caption", "Caption"],
  ["check", "Check"],
  ["measure", "Measure"],
]);

/** Pictures that wait for a tool of the Understand tab. */
export const wanted = signal(/** @type {{tool: string, ids: readonly string[]} | null} */ (null));
/** Pictures that the gallery is to look for others like. */
export const like = signal(/** @type {readonly string[]} */ ([]));

const MOST_LIKE = 4;

/** Open a tool of the Understand tab with these pictures. */
export function handOver(/** @type {string} */ tool, /** @type {readonly string[]} */ ids) {
  wanted.value = { tool, ids };
  go({ tab: "understand" });
}

/** Open the gallery with pictures like these, beside those that were asked for before. */
export function findLike(/** @type {readonly string[]} */ ids) {
  like.value = [...new Set([...like.value, ...ids])].slice(-MOST_LIKE);
  go({ tab: "gallery" });
}
