/* What the gallery shows: what is asked for, the pictures that answer it, those that are marked. */
import { api, tried } from "./api.js";
import { filled } from "./boards.js";
import { begun, jobs, worker } from "./events.js";
import { like } from "./handing.js";
import { batch, computed, effect, signal, untracked } from "./html.js";
import { changes, fromAsset, getItems, items, know, putBack, remove } from "./library.js";
import { route } from "./route.js";
import { announce } from "./say.js";
import { many } from "./words.js";

/** @typedef {import("./library.js").Item} Item */
/** @typedef {"grid" | "twins" | "map"} View */

const PAGE = 60;
const HITS = 120;
const MOST_HITS = 500; // among which those of a board are looked for
const DELAY = { words: 180, meaning: 450 };
const DAYS = { "Any time": 0, Today: 1, "Last 7 days": 7, "Last 30 days": 30 };
const SCORE_JOBS = 5;

export const PERIODS = Object.keys(DAYS);
export const unfiltered = { capability: "", family: "", period: "Any time", starred: false, deleted: false };

export const text = signal("");
export const mode = signal(/** @type {"meaning" | "words"} */ ("meaning"));
export const filters = signal(unfiltered);
export const view = signal(/** @type {View} */ ("grid"));
/** Id of the open board; empty for all pictures. */
export const board = signal("");

/** Ids of what is shown, in order. */
export const ids = signal(/** @type {readonly string[]} */ ([]));
export const total = signal(0);
export const next = signal(/** @type {string | null} */ (null));
export const note = signal("");
/** How far the search is with new pictures; empty when it knows them all. */
export const behind = signal("");
export const busy = signal(false);
/** Whether anything was asked for yet. */
export const loaded = signal(false);
/** Second of a clip at which the search found it, by id. */
export const moments = signal(/** @type {ReadonlyMap<string, number>} */ (new Map()));
/** Measured by the newest jobs, by id. */
export const scores = signal(/** @type {ReadonlyMap<string, number>} */ (new Map()));
export const groups = signal(/** @type {readonly (readonly string[])[]} */ ([]));
export const points = signal(/** @type {readonly {id: string, x: number, y: number}[]} */ ([]));

export const marked = signal(/** @type {ReadonlySet<string>} */ (new Set()));
/** Whether a tap marks instead of opening. */
export const marking = signal(false);
/** What was deleted last here, and can be brought back beside the grid. */
export const undoable = signal(/** @type {readonly string[]} */ ([]));

/** What to search for by meaning, or null for plain pages. " -words" is taken away from it. */
export const question = computed(() => {
  if (mode.value !== "meaning" || filters.value.deleted) return null;
  const [words = "", ...unlike] = ` ${text.value.trim()}`.split(/\s[-−](?=\S)/);
  const asked = { text: words.trim(), unlike: unlike.join(" ").trim(), like: like.value };
  return asked.text || asked.unlike || asked.like.length ? asked : null;
});
export const narrowed = computed(() => {
  const { capability, family, period, starred } = filters.value;
  return Boolean(text.value.trim() || question.value || capability || family || starred || period !== "Any time");
});

/** Midnight of today for 1, that many days back for more; empty for 0. */
function since() {
  const days = DAYS[/** @type {keyof typeof DAYS} */ (filters.value.period)];
  if (!days) return "";
  const day = new Date();
  day.setHours(0, 0, 0, 0);
  day.setDate(day.getDate() - days + 1);
  return day.toISOString();
}

let turn = 0;

/** Ask again for what is shown. */
export async function load() {
  const mine = (turn += 1);
  busy.value = true;
  const found = await tried(() => ({ grid: pictures, twins, map }[view.value]()));
  if (mine !== turn) return;
  batch(() => {
    busy.value = false;
    loaded.value = true;
    if (!found) return;
    total.value = found.total;
    next.value = found.next ?? null;
    note.value = found.note ?? "";
    if (found.ids) ids.value = found.ids;
    if (found.moments) moments.value = found.moments;
    if (found.groups) groups.value = found.groups;
    if (found.points) points.value = found.points;
    const there = new Set(found.ids ?? []);
    if ([...marked.value].some((id) => !there.has(id))) marked.value = new Set([...marked.value].filter((id) => there.has(id)));
  });
}

/**
 * @typedef {object} Answer
 * @property {number} total
 * @property {string[]} [ids]
 * @property {string | null} [next]
 * @property {string} [note]
 * @property {Map<string, number>} [moments]
 * @property {string[][]} [groups]
 * @property {{id: string, x: number, y: number}[]} [points]
 */

/** @returns {Promise<Answer>} */
function pictures() {
  if (question.value) return search(question.value);
  return board.value ? onBoard() : page(null);
}

/** A page of the gallery, newest first. @param {string | null} before @returns {Promise<Answer>} */
async function page(before) {
  const { capability, family, starred, deleted } = filters.value;
  const query = new URLSearchParams({ limit: String(PAGE), text: text.value.trim().slice(0, 200) });
  const from = since();
  if (before) query.set("before", before);
  if (capability) query.set("capability", capability);
  if (family) query.set("model", family);
  if (starred) query.set("starred", "true");
  if (deleted) query.set("deleted", "true");
  if (from) query.set("since", from);
  const found = await api(`/gallery?${query}`);
  const shown = found.assets.map(fromAsset);
  know(shown);
  return { ids: shown.map((/** @type {Item} */ each) => each.id), total: found.total, next: found.next };
}

const passes = (/** @type {Item} */ item) => {
  const { capability, family, starred } = filters.value;
  const from = since();
  const words = mode.value === "words" ? text.value.trim().toLowerCase() : "";
  return (!capability || item.capability === capability) && (!family || item.family === family) && (!starred || item.starred) &&
    (!from || Date.parse(item.created_at) >= Date.parse(from)) && (!words || item.prompt.toLowerCase().includes(words)) && !item.deleted_at;
};

/** @returns {Promise<Answer>} */
async function onBoard() {
  const found = await api(`/boards/${board.value}`);
  const shown = (await getItems(found.pictures)).filter(passes).map((item) => item.id);
  return { ids: shown, total: shown.length };
}

/** @param {{text: string, unlike: string, like: readonly string[]}} asked @returns {Promise<Answer>} */
async function search(asked) {
  const { capability, family, starred } = filters.value;
  const body = {
    ...asked, limit: board.value ? MOST_HITS : HITS, capability: capability || null, family: family || null,
    starred: starred || null, since: since() || null,
  };
  const found = await api("/search", { body });
  let hits = /** @type {{id: string, time: number}[]} */ (found.hits);
  if (board.value) {
    const inside = new Set((await api(`/boards/${board.value}`)).pictures);
    hits = hits.filter((hit) => inside.has(hit.id));
  }
  const there = new Set((await getItems(hits.map((hit) => hit.id))).filter((item) => !item.deleted_at).map((item) => item.id));
  hits = hits.filter((hit) => there.has(hit.id));
  return { ids: hits.map((hit) => hit.id), total: hits.length, note: found.note, moments: new Map(hits.map((hit) => [hit.id, hit.time])) };
}

/** @returns {Promise<Answer>} */
async function twins() {
  const found = /** @type {string[][]} */ (await api("/search/duplicates"));
  await getItems(found.flat());
  return { groups: found, total: found.length };
}

/** @returns {Promise<Answer>} */
async function map() {
  const found = await api("/search/map");
  const there = new Set((await getItems(found.map((/** @type {Item} */ each) => each.id))).map((item) => item.id));
  const shown = found.filter((/** @type {Item} */ each) => there.has(each.id));
  return { points: shown, total: shown.length };
}

let growing = false;

/** The next page. */
export async function more() {
  if (!next.value || growing || view.value !== "grid" || question.value || board.value) return;
  growing = true;
  const mine = turn;
  const found = await tried(() => page(next.value));
  growing = false;
  if (!found || mine !== turn) return;
  const there = new Set(ids.value);
  batch(() => {
    ids.value = [...ids.value, ...(found.ids ?? []).filter((id) => !there.has(id))];
    total.value = found.total;
    next.value = found.next ?? null;
  });
}

/* -- marked ones -- */

export function mark(/** @type {readonly string[]} */ some, on = true) {
  const now = new Set(marked.value);
  for (const id of some) {
    if (on) now.add(id);
    else now.delete(id);
  }
  marked.value = now;
  announce(now.size ? `${many(now.size, "picture")} selected` : "Nothing selected");
}
export const turnMark = (/** @type {string} */ id) => mark([id], !marked.value.has(id));
export const unmark = () => batch(() => ((marked.value = new Set()), (marking.value = false)));

/** Delete, with the way back beside the grid. */
export async function drop(/** @type {string[]} */ some) {
  if (!some.length || !(await remove(some, { quiet: true }))) return false;
  undoable.value = some;
  announce(`${many(some.length, "picture")} deleted. Control Z brings ${some.length === 1 ? "it" : "them"} back.`);
  return true;
}

export async function undo() {
  const some = [...undoable.value];
  undoable.value = [];
  if (some.length) await putBack(some);
}

/* -- what happens meanwhile -- */

async function lookAtScores() {
  const measured = await api(`/jobs?capability=score&limit=${SCORE_JOBS}`).catch(() => []);
  const found = new Map();
  for (const job of measured) {
    for (const row of await api(`/jobs/${job.id}/results`).catch(() => [])) {
      if (typeof row.clip_score === "number" && !found.has(row.picture)) found.set(row.picture, row.clip_score);
    }
  }
  scores.value = found;
}

let asking = false;

async function lookBehind() {
  if (asking) return;
  asking = true;
  const state = await api("/search/status").catch(() => null);
  asking = false;
  if (!state) return;
  const before = behind.value;
  const left = state.total - state.embedded;
  behind.value = left > 0 ? `Looking at new pictures for the search: ${state.embedded.toLocaleString("en")} of ${state.total.toLocaleString("en")}` : state.note;
  if (before && left <= 0 && (question.value || view.value !== "grid")) load();
}

/** Follow what is asked for and what happens. */
export function startShelf() {
  const here = computed(() => route.value.tab === "gallery" && begun.value > 0);
  let stale = true;
  let timer = 0;
  const later = (/** @type {number} */ delay) => {
    if (!untracked(() => here.value)) return void (stale = true);
    clearTimeout(timer);
    timer = window.setTimeout(load, delay);
  };
  let typed = "";
  effect(() => {
    filters.value; view.value; board.value; like.value; mode.value;
    const delay = text.value === typed ? 0 : DELAY[mode.value];
    typed = text.value;
    untracked(() => later(delay));
  });
  effect(() => {
    if (!here.value) return;
    untracked(() => {
      if (stale) load();
      stale = false;
      lookAtScores();
    });
  });
  effect(() => {
    worker.value; begun.value;
    if (here.value) untracked(lookBehind);
  });
  effect(() => {
    if (!changes.value) return;
    untracked(() => {
      const gone = ids.value.filter((id) => items.value.get(id)?.deleted_at);
      if (!gone.length || filters.value.deleted) return later(0);
      const left = new Set(gone);
      batch(() => {
        ids.value = ids.value.filter((id) => !left.has(id));
        total.value -= gone.length;
        if (gone.some((id) => marked.value.has(id))) marked.value = new Set([...marked.value].filter((id) => !left.has(id)));
        groups.value = groups.value.map((group) => group.filter((id) => !left.has(id))).filter((group) => group.length > 1);
        points.value = points.value.filter((point) => !left.has(point.id));
      });
    });
  });
  effect(() => {
    if (filled.value && untracked(() => board.value)) untracked(() => later(0));
  });
  // What is drawn meanwhile comes in at the front.
  const drawn = computed(() => [...jobs.value.values()].reduce((sum, job) => sum + job.asset_ids.length, 0));
  effect(() => {
    if (!drawn.value) return;
    untracked(() => {
      if (view.value !== "grid" || question.value || board.value) return void (stale = stale || !here.value);
      if (!here.value) return void (stale = true);
      page(null).then((found) => {
        const there = new Set(ids.value);
        const fresh = (found.ids ?? []).filter((id) => !there.has(id) && !items.value.get(id)?.deleted_at);
        if (fresh.length) batch(() => ((ids.value = [...fresh, ...ids.value]), (total.value = found.total)));
      }, () => {});
    });
  });
}
