/* What is known of pictures: those of the gallery and those handed in, by id; stars, deletion, uploads, boards. */
import { address, api, Refusal, tried } from "./api.js";
import { signal } from "./html.js";
import { toast } from "./say.js";
import { many } from "./words.js";

/**
 * @typedef {object} Item A picture or clip.
 * @property {string} id
 * @property {string} name The start of its prompt, or its file's name.
 * @property {"gallery" | "upload"} from
 * @property {"picture" | "clip"} kind
 * @property {number} width
 * @property {number} height
 * @property {string} prompt
 * @property {boolean} starred
 * @property {number | null} seed
 * @property {string} capability
 * @property {string} family
 * @property {Record<string, any>} parameters
 * @property {string[]} notes
 * @property {string} created_at
 * @property {string | null} deleted_at
 * @property {boolean} missing
 * @property {number} bytes
 * @property {string} job_id
 * @property {string} format
 */

/** Everything known, by id; null for what is gone. */
export const items = signal(/** @type {ReadonlyMap<string, Item | null>} */ (new Map()));
/** Counts up when pictures were deleted or put back, so that lists look again. */
export const changes = signal(0);

/** @param {any} asset What the gallery tells. @returns {Item} */
export const fromAsset = (asset) => ({ ...asset, name: asset.prompt || "picture", from: "gallery", kind: "picture", format: "png" });

/** @param {any} upload What the library tells. @returns {Item} */
export const fromUpload = (upload) => ({
  starred: false, seed: null, prompt: "", capability: "", family: "", parameters: {}, notes: [], deleted_at: null, missing: false,
  job_id: "", ...upload, from: "upload",
});

export function know(/** @type {Item[]} */ found) {
  if (!found.length) return;
  const next = new Map(items.value);
  for (const item of found) next.set(item.id, item);
  items.value = next;
}

const wanted = new Set();
let asking = /** @type {Promise<unknown> | null} */ (null);

/** One item, fetched when it is not known, together with others that are wanted at the same moment. Null when there is none such. @param {string} id @returns {Promise<Item | null>} */
export async function getItem(id) {
  if (items.value.get(id) === undefined) {
    wanted.add(id);
    asking ??= Promise.resolve().then(() => {
      const ids = [...wanted];
      wanted.clear();
      asking = null;
      return tried(() => getItems(ids));
    });
    await asking;
  }
  return items.value.get(id) ?? null;
}

/**
 * Those of `ids` that are there, in their order; what is not known is asked for at once.
 * @param {readonly string[]} ids
 * @returns {Promise<Item[]>}
 */
export async function getItems(ids) {
  const missing = [...new Set(ids)].filter((id) => items.value.get(id) === undefined);
  for (let at = 0; at < missing.length; at += 1000) {
    const some = missing.slice(at, at + 1000);
    const found = await api("/pictures", { body: { pictures: some } });
    know([...found.assets.map(fromAsset), ...found.uploads.map(fromUpload)]);
    const gone = some.filter((id) => items.value.get(id) === undefined);
    if (gone.length) items.value = new Map([...items.value, ...gone.map((id) => /** @type {[string, null]} */ ([id, null]))]);
  }
  return ids.map((id) => items.value.get(id)).filter((item) => item !== null && item !== undefined);
}

const place = (/** @type {string} */ id) => (items.value.get(id)?.from === "upload" ? "uploads" : "assets");
/** Addresses of a picture's file and of its small version. */
export const original = (/** @type {string} */ id) => address(`/${place(id)}/${id}`);
export const thumbnail = (/** @type {string} */ id) => `${original(id)}/thumbnail`;

export async function star(/** @type {string} */ id, on = !items.value.get(id)?.starred) {
  const done = await tried(() => api("/gallery/star", { body: { ids: [id], on } }));
  const item = items.value.get(id);
  if (done && item) know([{ ...item, starred: on }]);
  return Boolean(done);
}

/** Delete pictures of either kind, with a way back; `quiet` where the page offers it in another place. */
export async function remove(/** @type {string[]} */ ids, { quiet = false } = {}) {
  const done = await tried(() => change(ids, "delete"));
  if (!done) return false;
  mark(ids, new Date().toISOString());
  if (quiet) return true;
  const words = ids.length === 1 ? "Deleted. It stays" : `${many(ids.length, "picture")} deleted. They stay`;
  toast(`${words} restorable for 30 days.`, { action: "Undo", run: () => putBack(ids) });
  return true;
}

export async function putBack(/** @type {string[]} */ ids) {
  if (!(await tried(() => change(ids, "restore")))) return false;
  mark(ids, null);
  toast(ids.length === 1 ? "The picture is back in the gallery." : `${many(ids.length, "picture")} are back in the gallery.`);
  return true;
}

/** @param {string[]} ids @param {"delete" | "restore"} what */
async function change(ids, what) {
  const uploads = ids.filter((id) => items.value.get(id)?.from === "upload");
  const assets = ids.filter((id) => !uploads.includes(id));
  for (let at = 0; at < assets.length; at += 500) {
    await api(`/gallery/${what}`, { body: { ids: assets.slice(at, at + 500) } });
  }
  if (what === "restore" && uploads.length) await api("/uploads/restore", { body: { ids: uploads } });
  else for (const id of uploads) await api(`/uploads/${id}`, { method: "DELETE" });
  return true;
}

function mark(/** @type {string[]} */ ids, /** @type {string | null} */ deleted_at) {
  know(ids.map((id) => items.value.get(id)).filter((item) => item !== null && item !== undefined).map((item) => ({ ...item, deleted_at })));
  changes.value += 1;
}

/** All files of a drop, folders walked. @param {DataTransfer} carrier @returns {Promise<File[]>} */
export async function droppedFiles(carrier) {
  const entries = [...carrier.items].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry !== null && entry !== undefined);
  if (!entries.length) return [...carrier.files];
  /** @type {File[]} */
  const files = [];
  const walk = async (/** @type {FileSystemEntry} */ entry) => {
    if (entry.isFile) {
      const file = await new Promise((done, fail) => /** @type {FileSystemFileEntry} */ (entry).file(done, fail));
      return void files.push(/** @type {File} */ (file));
    }
    const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
    for (;;) {
      const some = /** @type {FileSystemEntry[]} */ (await new Promise((done, fail) => reader.readEntries(done, fail)));
      if (!some.length) return;
      for (const each of some) await walk(each);
    }
  };
  for (const entry of entries) await walk(entry);
  return files;
}

/**
 * Hand files in, three at a time. Gives the uploads in order, and the files that were refused, each with why.
 * @param {File[]} files
 * @param {(done: number, all: number) => void} [report]
 */
export async function upload(files, report = () => {}) {
  /** @type {(Item | null)[]} */
  const found = new Array(files.length).fill(null);
  /** @type {{name: string, reason: string}[]} */
  const skipped = [];
  let at = 0;
  let done = 0;
  const lane = async () => {
    while (at < files.length) {
      const mine = at++;
      const file = /** @type {File} */ (files[mine]);
      try {
        found[mine] = fromUpload(await api(`/uploads?name=${encodeURIComponent(file.name)}`, { raw: file }));
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        skipped.push({ name: file.name, reason: error.message });
      }
      report((done += 1), files.length);
    }
  };
  await Promise.all([lane(), lane(), lane()]);
  const uploads = found.filter((item) => item !== null);
  know(uploads);
  return { items: uploads, skipped };
}
