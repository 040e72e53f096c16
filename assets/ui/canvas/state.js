/* What the canvas is set to, which mask is open, and what can be done with it from outside: rail, keys, options. */
import { address, api, Refusal, tried } from "../api.js";
import { config } from "../config.js";
import { follow } from "../job.js";
import { batch, computed, signal } from "../html.js";
import { getItem, original, remove } from "../library.js";
import { route } from "../route.js";
import { announce, toast } from "../say.js";
import { forms, source } from "../session.js";
import { fromAlpha, fromPicture, toPng } from "./files.js";
import { open } from "./store.js";

/** @typedef {import("./mask.js").Mask} Mask */
/** @typedef {"brush" | "eraser" | "rectangle" | "ellipse" | "lasso" | "fill" | "select"} ToolName */

/** What is done with the marked part. "redraw" needs no mask. */
export const MODES = ["replace", "remove", "add", "background", "restore"];

/** The tools, with the key that takes each. @type {readonly {name: ToolName, words: string, key: string, hint: string}[]} */
export const TOOLS = [
  { name: "brush", words: "Brush", key: "B", hint: "Paint what shall change. With Alt it erases." },
  { name: "eraser", words: "Eraser", key: "E", hint: "Take away what was painted." },
  { name: "rectangle", words: "Rectangle", key: "R", hint: "Drag from corner to corner. With Alt the other way." },
  { name: "ellipse", words: "Ellipse", key: "O", hint: "Drag from corner to corner. With Alt the other way." },
  { name: "lasso", words: "Lasso", key: "L", hint: "Draw around it. With Alt the other way." },
  { name: "fill", words: "Fill", key: "G", hint: "Click inside an outline. With Alt the other way." },
  ...(config.capabilities.includes("segment") ? [/** @type {const} */ ({ name: "select", words: "Select a thing", key: "S", hint: "Click on a thing to mark all of it. With Alt the other way." })] : []),
];

export const tool = signal(/** @type {ToolName} */ ("brush"));
/** Of the brush, in pixels of the picture. */
export const size = signal(40);
/** Part of the brush that is full, in per cent. */
export const hardness = signal(80);
/** Whether shapes and fill take away what is marked. */
export const taking = signal(false);
/** What grow, shrink and feather go by, in pixels of the picture. */
export const reach = signal(8);
export const colour = signal("#ff2d78");
/** What the line under the picture says of the last action, until the tool is changed. */
export const told = signal("");
/** The mask on the stage. */
export const mask = signal(/** @type {Mask | null} */ (null));
/** Counts the actions, so that what depends on the mask is drawn again. */
export const turn = signal(0);
/** What is being looked for: "subject" or "background"; empty for nothing. */
export const finding = signal("");

/** Which of the modes the tab Edit is in; empty where it draws the whole picture again. */
export const mode = computed(() => {
  const chosen = String(forms.value.edit?.mode ?? "");
  return route.value.tab === "edit" && MODES.includes(chosen) ? chosen : "";
});
/** Whether the mask of the picture on the stage can be painted. */
export const painting = computed(() => Boolean(mode.value && route.value.picture));

/** What finds the subject of a picture here, if anything does. */
export const finder = ["cut-out", "cutout"].find((each) => config.capabilities.includes(each)) ?? "";

/** @type {Map<string, Promise<Mask>>} */
const masks = new Map();

/** The mask of a picture, the same one every time. Null where the picture is gone. @param {string} id @returns {Promise<Mask | null>} */
export async function maskOf(id) {
  const item = await getItem(id);
  if (!item?.width || !item.height || item.kind === "clip") return null;
  const there = masks.get(id) ?? open(id, item.width, item.height).then((opened) => {
    const keep = opened.changed;
    opened.changed = (tiles) => {
      keep(tiles);
      turn.value += 1;
    };
    return opened;
  });
  masks.delete(id);
  masks.set(id, there); // the newest is last
  for (const old of masks.keys()) if (masks.size > 3 && old !== id) masks.delete(old);
  return there;
}

/** Say what was done, on the line and to a screen reader. */
export function tell(/** @type {string} */ words) {
  told.value = words;
  announce(words);
}

/** Take a tool. */
export function take(/** @type {ToolName} */ name) {
  const taken = TOOLS.find((each) => each.name === name);
  batch(() => {
    tool.value = name;
    told.value = "";
  });
  if (taken) announce(`${taken.words}. ${taken.hint}`);
}

/** The brush one notch larger or smaller: by a sixth, at least a pixel. @param {1 | -1} by */
export function resize(by) {
  const step = Math.max(1, Math.round(size.value / 6));
  size.value = Math.min(Math.max(size.value + by * step, 1), 1000);
  tell(`Brush ${size.value} px`);
}

export function undo() {
  const name = mask.value?.undo();
  if (name !== undefined) tell(name ? `Undone: ${name}` : "Nothing to undo");
}
export function redo() {
  const name = mask.value?.redo();
  if (name !== undefined) tell(name ? `Done again: ${name}` : "Nothing to do again");
}

/** Do something to the open mask and say it. @param {string} words @param {(mask: Mask) => void} change */
export function change(words, change) {
  const open = mask.value;
  if (!open) return;
  const before = turn.value;
  change(open);
  tell(turn.value === before ? "That changes nothing here" : words);
}

/** Put the mask in a file into the open one. */
export async function load(/** @type {Blob} */ file, words = "Mask loaded") {
  const open = mask.value;
  if (!open) return;
  const bytes = await tried(() => fromPicture(file, open.width, open.height));
  if (!bytes) return;
  open.load("loading a mask", bytes);
  tell(words);
}

/** Save the open mask as a file. */
export async function save() {
  const open = mask.value;
  if (!open) return;
  const blob = await tried(() => toPng(open.bitmap));
  if (!blob) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `mask-${open.width}x${open.height}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  tell("Mask saved");
}

/** Mark what a picture is of, or what is behind it. @param {"subject" | "background"} what */
export const find = (what) =>
  look(what, finder, {}, fromAlpha, (_now, found) => (what === "subject" ? found : 255 - found));

/** Mark the thing at a point of the picture, or take it away. @param {import("./geometry.js").Point} point @param {boolean} taken */
export function select(point, taken) {
  const open = mask.value;
  if (!open || point.x < 0 || point.y < 0 || point.x >= open.width || point.y >= open.height) return;
  const points = [[point.x / open.width, point.y / open.height]];
  // The picture of a mask has a watermark like every picture: what is nearly black or white was so.
  const clean = (/** @type {number} */ found) => (found < 16 ? 0 : found > 239 ? 255 : found);
  look("thing", "segment", { points }, fromPicture, (now, found) => (taken ? Math.min(now, 255 - clean(found)) : Math.max(now, clean(found))));
}

/**
 * Let the studio find something, and draw it into the open mask.
 * @param {string} what @param {string} capability @param {object} more Of the request.
 * @param {(file: Blob, width: number, height: number) => Promise<Uint8Array>} read
 * @param {(now: number, found: number) => number} merge
 */
async function look(what, capability, more, read, merge) {
  const [open, id] = [mask.value, route.value.picture];
  if (!open || finding.value) return;
  finding.value = what;
  tell(`Looking for the ${what}`);
  try {
    const { id: asked } = await api(`/${capability}`, { body: { picture: id, ...more } });
    const job = await follow(asked, () => {});
    if (job?.status !== "done") throw new Refusal(job?.error || "The search was stopped.");
    const [made] = job.asset_ids;
    if (!made || !(await getItem(made))) throw new Refusal("Nothing was found that stands out from the rest.");
    const found = await read(await (await fetch(original(made))).blob(), open.width, open.height);
    await remove([made], { quiet: true }); // it was made for its outline alone
    const { data } = open.bitmap;
    open.load(`selecting the ${what}`, found.map((value, at) => merge(/** @type {number} */ (data[at]), value)));
    tell(`The ${what} is marked`);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    told.value = "";
    toast(error.message, { bad: true });
  } finally {
    finding.value = "";
  }
}

/** Id of the mask that was handed in last, for the form. */
export let handedIn = "";

/**
 * Hand the mask of the picture that is worked on to the studio. Gives what is wrong, in one sentence; "" where it is
 * right, or no mask is needed.
 */
export async function handIn() {
  handedIn = "";
  if (!mode.value || !source.value) return "";
  const open = await maskOf(source.value);
  if (!open) return "The picture is gone: pick another one in the strip below.";
  open.end();
  if (open.empty && mode.value === "background" && finder) return ""; // the studio finds it itself
  if (open.empty) return "Nothing is marked yet: paint over what shall change.";
  try {
    const file = await toPng(open.bitmap);
    handedIn = (await api("/uploads?purpose=mask&name=mask.png", { raw: file })).id;
    return "";
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return error.message;
  }
}

/** Bring a mask back that a picture was made with. @param {string} picture @param {string} id */
export async function bringBack(picture, id) {
  const open = await maskOf(picture);
  const answer = open && (await fetch(address(`/uploads/${id}`)));
  if (!open || !answer?.ok) return void toast("The mask that it was made with is gone.", { bad: true });
  const blob = await answer.blob();
  const bytes = await tried(() => fromPicture(blob, open.width, open.height));
  if (bytes) open.load("bringing a mask back", bytes);
}
