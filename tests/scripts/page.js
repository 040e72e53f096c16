/* A page without a browser for tests of the scripts: its window, a fetch that answers from a table, an event source. */
import { GlobalWindow } from "happy-dom";

/**
 * Make the globals that the scripts use. Import the scripts after it.
 * @param {object} [config] What the server says in the page's head.
 */
export function openPage(config = {}) {
  const window = new GlobalWindow({ url: "http://studio.test/deep/" });
  const nothing = { tabs: ["create", "edit", "gallery"], titles: {}, draws: { "text-to-image": "create", "image-to-image": "edit" }, makes: { "text-to-image": "Text to image", "image-to-image": "Image to image" }, capabilities: [], samplers: {}, styles: [], examples: [], anything: ["a"] };
  /** @type {any} */
  const there = {
    window, document: window.document, location: window.location, history: window.history, localStorage: window.localStorage,
    matchMedia: () => ({ matches: false, addEventListener() {} }), MutationObserver: window.MutationObserver, Event: window.Event,
    HTMLElement: window.HTMLElement, HTMLInputElement: window.HTMLInputElement, requestAnimationFrame: (/** @type {() => void} */ run) => setTimeout(run, 0), cancelAnimationFrame: clearTimeout,
    studio: { config: { ...nothing, ...config }, waiting: [], called: [] },
  };
  for (const [name, value] of Object.entries(there)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  return window;
}

/**
 * Answer the scripts' requests: "GET /api/v1/jobs" -> JSON, or a function of the body. Gives the list of what was asked.
 * @param {Record<string, any>} table
 */
export function answer(table) {
  /** @type {string[]} */
  const asked = [];
  globalThis.fetch = /** @type {any} */ (
    async (/** @type {string} */ url, /** @type {any} */ { method = "GET", body } = {}) => {
      const key = `${method} ${url.replace(/^.*\/api\/v1/, "")}`;
      asked.push(key);
      const found = table[key];
      const data = typeof found === "function" ? found(body && JSON.parse(body)) : found;
      const status = data?.error ? 422 : data === undefined ? 404 : 200;
      return new Response(JSON.stringify(data ?? { error: "There is nothing at this address." }), { status });
    }
  );
  return asked;
}

/** Let what was rendered or answered settle. */
export const settle = (milliseconds = 20) => new Promise((done) => setTimeout(done, milliseconds));
