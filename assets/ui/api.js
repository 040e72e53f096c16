/* REST of the studio. Addresses are relative to where this file was served from, so the page works under any path. */
import { toast } from "./say.js";

/** Path under which the studio is reached, with a slash at its end: this file is `<root>ui/<version>/api.js`. */
export const root = new URL("../../", import.meta.url).pathname;

/** What the studio refused to do; the message is its one sentence, `field` the request's field at fault. */
export class Refusal extends Error {
  /** @param {string} message @param {{field?: string | null, status?: number}} [more] */
  constructor(message, { field = null, status = 0 } = {}) {
    super(message);
    this.field = field;
    this.status = status;
  }
}

/** Where `path` of the REST API is, for links, pictures and event streams. */
export const address = (/** @type {string} */ path) => `${root}api/v1${path}`;

/**
 * JSON of a route. A refusal is thrown as `Refusal`.
 * @param {string} path
 * @param {{method?: string, body?: unknown, raw?: Blob, signal?: AbortSignal}} [options] `raw` is sent as it is.
 * @returns {Promise<any>}
 */
export async function api(path, { method = "", body, raw, signal } = {}) {
  /** @type {RequestInit} */
  const init = { method: method || (body === undefined && raw === undefined ? "GET" : "POST"), signal };
  if (raw !== undefined) {
    init.headers = { "Content-Type": "application/octet-stream" };
    init.body = raw;
  } else if (body !== undefined) {
    init.headers = { "Content-Type": "application/json" };
    init.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(address(path), init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal("The studio does not answer. Is it still running?");
  }
  const data = await answer.json().catch(() => null);
  if (!answer.ok) {
    throw new Refusal(data?.error || "The studio could not do this; its log has the details.", {
      field: data?.field,
      status: answer.status,
    });
  }
  return data ?? {}; // 204 has no body
}

/**
 * Do `work`; say a refusal in a toast and give null.
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T | null>}
 */
export async function tried(work) {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    toast(error.message, { bad: true });
    return null;
  }
}
