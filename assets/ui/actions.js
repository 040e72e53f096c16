/* What can be done with a picture. Each part of the page adds what it can do; wherever a picture is picked, all of it
   is offered. */
import { signal } from "./html.js";

/** @typedef {import("./library.js").Item} Item */
/**
 * @typedef {object} Action
 * @property {string} name
 * @property {string} words
 * @property {import("./icons.js").IconName} icon
 * @property {(item: Item) => boolean} can
 * @property {(id: string) => unknown} run
 */

const known = signal(/** @type {readonly Action[]} */ ([]));

/** Offer something for every picture that it can be done with; `first` before what is offered already. */
export const offer = (/** @type {readonly Action[]} */ added, { first = false } = {}) =>
  (known.value = first ? [...added, ...known.value] : [...known.value, ...added]);

export const actionsFor = (/** @type {Item | null | undefined} */ item) =>
  item && !item.deleted_at && !item.missing ? known.value.filter((each) => each.can(item)) : [];
