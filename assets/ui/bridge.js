/* The page's own server function: what only this page may ask of Python, such as loading a model. */
import { toast } from "./say.js";

/** @typedef {{act: (data: object) => Promise<any>}} Server */

/** @type {(server: Server) => void} */
let arrived;
/** @type {Promise<Server>} */
const server = new Promise((resolve) => (arrived = resolve));

/** Gradio has drawn the page and handed its function over. */
export const connect = (/** @type {any} */ bridge) => arrived(bridge);

/** What Python does for a tab: `ask("models")`. A refusal is in the answer as `error`. @returns {Promise<any>} */
export async function ask(/** @type {string} */ op, /** @type {object} */ data = {}) {
  try {
    return (await (await server).act({ op, ...data })) || {};
  } catch {
    return { error: "The studio does not answer. Is it still running?" };
  }
}

/** The same; a refusal is said in a toast, and null. @returns {Promise<any>} */
export async function act(/** @type {string} */ op, /** @type {object} */ data = {}) {
  const answer = await ask(op, data);
  if (!answer.error) return answer;
  toast(answer.error, { bad: true });
  return null;
}
