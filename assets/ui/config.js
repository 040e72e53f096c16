/* What the server says once about this studio, in the page's head; and the places that Gradio makes for our parts. */

/**
 * @typedef {object} Config
 * @property {string[]} tabs Ids of the tabs in their order; the drawing ones first.
 * @property {Record<string, string>} titles Tab id -> its words.
 * @property {Record<string, string>} draws Capability that makes pictures -> the tab that offers it.
 * @property {Record<string, string>} makes Every capability that makes pictures -> its words.
 * @property {string[]} capabilities Names of all that this studio can do.
 * @property {Record<string, string>} samplers Sampler id -> its name.
 * @property {{name: string, words: string, preview: string}[]} styles Prompt styles with a preview, relative to here.
 * @property {{prompt: string, preview: string}[]} examples Prompts that an empty stage offers.
 * @property {string[]} anything Prompts for models that draw anything.
 */
/** @typedef {(element: HTMLElement, server: Record<string, (data: object) => Promise<any>>) => void} Mount */
/**
 * @typedef {object} Left What the page's head left before any module was read.
 * @property {Config} config
 * @property {[string, HTMLElement, any][]} waiting
 * @property {(name: string, element: HTMLElement, server?: any) => void} mount
 * @property {(name: string, ...given: any[]) => unknown} call What Gradio's events tell the scripts.
 * @property {[string, ...any[]][]} called
 */

/** @type {Left} */
const left = /** @type {any} */ (globalThis).studio;

/** @type {Config} */
const nothing = { tabs: [], titles: {}, draws: {}, makes: {}, capabilities: [], samplers: {}, styles: [], examples: [], anything: [] };

export const config = left?.config ?? nothing;

/** Capabilities that make pictures. */
export const draws = new Set(Object.keys(config.makes));

/**
 * Fill the places that are there already, and those that Gradio draws later; hear what its events tell.
 * @param {Record<string, Mount>} mounts
 * @param {Record<string, (...given: any[]) => unknown>} listeners
 */
export function startMounting(mounts, listeners) {
  left.mount = (name, element, server) => mounts[name]?.(element, server);
  left.call = (name, ...given) => listeners[name]?.(...given);
  for (const place of left.waiting.splice(0)) left.mount(...place);
  for (const told of left.called.splice(0)) left.call(...told);
}
