/* Masks and their undo in the browser's own database, so that a reload goes on where it was. An action writes the tiles
   that it changed and its step, in one transaction; never the whole mask. */
import { createStore, promisifyRequest } from "../vendor/idb-keyval.js";
import { pack, unpack } from "./history.js";
import { Mask } from "./mask.js";

/** @typedef {import("./history.js").Step} Step */
/** @typedef {{width: number, height: number, past: number[], future: number[], writer: string, used: number}} About */

/** Pictures whose masks are kept; the one that was used longest ago goes first. */
const KEPT = 24;

const writer = `${Date.now()}-${Math.random()}`;
const masks = createStore("studio.masks", "masks");

const tileKey = (/** @type {string} */ id, /** @type {number} */ tile) => [id, "tile", tile];
const stepKey = (/** @type {string} */ id, /** @type {number} */ step) => [id, "step", step];
const aboutKey = (/** @type {string} */ id) => [id, "about"];
/** Everything of one picture: keys are arrays, which are in order. */
const all = (/** @type {string} */ id) => IDBKeyRange.bound([id], [id, []]);

/** The mask of a picture as it was kept, or a new one. @param {string} id @param {number} width @param {number} height @returns {Promise<Mask>} */
export async function open(id, width, height) {
  const mask = new Mask(width, height);
  const keeper = new Keeper(id, mask);
  try {
    await masks("readonly", async (store) => {
      const [keys, values] = await Promise.all([promisifyRequest(store.getAllKeys(all(id))), promisifyRequest(store.getAll(all(id)))]);
      fill(mask, keys, values);
    });
  } catch {
    /* no database, or no leave to use it: the mask lasts as long as the page */
  }
  mask.changed = (tiles) => keeper.keep(tiles);
  return mask;
}

/** @param {Mask} mask @param {readonly IDBValidKey[]} keys @param {readonly any[]} values */
function fill(mask, keys, values) {
  const about = /** @type {About | undefined} */ (values[keys.findIndex((key) => /** @type {any[]} */ (key)[1] === "about")]);
  if (!about || about.width !== mask.width || about.height !== mask.height) return;
  /** @type {Map<number, Step>} */
  const steps = new Map();
  keys.forEach((key, at) => {
    const [, what, number] = /** @type {[string, string, number]} */ (key);
    if (what === "tile") mask.tiles.write(number, unpack(values[at], mask.tiles.size(number)));
    else if (what === "step") steps.set(number, values[at]);
  });
  const known = (/** @type {number[]} */ ids) => ids.map((each) => steps.get(each)).filter((step) => step !== undefined);
  mask.history.past = known(about.past);
  mask.history.future = known(about.future);
  mask.history.last = Math.max(0, ...about.past, ...about.future);
}

/** Writes one mask, in the order of its actions. */
class Keeper {
  /** @param {string} id @param {Mask} mask */
  constructor(id, mask) {
    this.id = id;
    this.mask = mask;
    /** @type {Promise<unknown>} */
    this.last = Promise.resolve();
  }

  /** Write what an action changed. @param {readonly number[]} changed */
  keep(changed) {
    const { past, future } = this.mask.history;
    const tiles = new Map(changed.map((tile) => [tile, pack(this.mask.tiles.read(tile))]));
    const steps = [past.at(-1), future.at(-1)].filter((step) => step !== undefined).map((step) => ({ ...step, tiles: new Map(step.tiles) }));
    /** @type {About} */
    const about = {
      width: this.mask.width, height: this.mask.height, past: past.map((step) => step.id), future: future.map((step) => step.id), writer, used: Date.now(),
    };
    this.last = this.last.then(() => this.#write(about, tiles, steps)).catch(() => {});
  }

  /** @param {About} about @param {Map<number, Uint8Array>} tiles @param {Step[]} steps */
  #write(about, tiles, steps) {
    const { id, mask } = this;
    return masks("readwrite", async (store) => {
      const before = /** @type {About | undefined} */ (await promisifyRequest(store.get(aboutKey(id))));
      if (before?.writer !== writer) {
        // Another window or an earlier load wrote last: all of it is written anew, never half of each.
        store.delete(all(id));
        for (let tile = 0; tile < mask.tiles.count; tile += 1) store.put(pack(mask.tiles.read(tile)), tileKey(id, tile));
        for (const step of [...mask.history.past, ...mask.history.future]) store.put(step, stepKey(id, step.id));
        about = { ...about, past: mask.history.past.map((step) => step.id), future: mask.history.future.map((step) => step.id) };
      } else {
        const there = new Set([...about.past, ...about.future]);
        for (const step of [...before.past, ...before.future]) if (!there.has(step)) store.delete(stepKey(id, step));
        for (const [tile, bytes] of tiles) store.put(bytes, tileKey(id, tile));
        for (const step of steps) store.put(step, stepKey(id, step.id));
      }
      store.put(about, aboutKey(id));
      if (!before) await forget(store);
      await promisifyRequest(store.transaction);
    });
  }
}

/** Drop the masks used longest ago where there are too many. @param {IDBObjectStore} store */
async function forget(store) {
  const keys = /** @type {[string, string][]} */ (await promisifyRequest(store.getAllKeys()));
  const ids = keys.filter(([, what]) => what === "about").map(([id]) => id);
  if (ids.length <= KEPT) return;
  const abouts = await Promise.all(ids.map((id) => promisifyRequest(store.get(aboutKey(id)))));
  const oldest = ids.map((id, at) => ({ id, used: Number(abouts[at]?.used) || 0 })).sort((one, other) => one.used - other.used);
  for (const { id } of oldest.slice(0, ids.length - KEPT)) store.delete(all(id));
}
