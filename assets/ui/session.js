/* What the drawing tabs share: the picture and job on the stage, the pictures of the session, the forms' values. */
import { api, Refusal } from "./api.js";
import { config, draws } from "./config.js";
import { active, begun, fetchJob, isActive, jobs, learn } from "./events.js";
import { computed, effect, signal, untracked } from "./html.js";
import { changes, fromAsset, getItem, items, know } from "./library.js";
import { go, route } from "./route.js";
import { announce } from "./say.js";
import { made, outcomeWords } from "./job.js";

const SHOWN = 60;

/** Id of the job on the stage; a picture that was picked is shown before it. */
export const shownJob = signal("");
/** Ids of the newest pictures, newest first. */
export const latest = signal(/** @type {readonly string[]} */ ([]));
/** Whether the studio was asked what there is. */
export const ready = signal(false);
/** What the forms hold, by tab and request field. */
export const forms = signal(/** @type {Record<string, Record<string, any>>} */ ({}));
/** What was wrong with the last request, under the prompt. */
export const problem = signal(/** @type {{words: string, field: string} | null} */ (null));

/** The job on the stage, unless a picture is. */
export const job = computed(() => (route.value.picture ? undefined : jobs.value.get(shownJob.value)));
/** The picture that a tool works on: the one on the stage, or what the job on it was made from. */
export const source = computed(() => {
  if (route.value.picture) return route.value.picture;
  const shown = job.value;
  if (!shown) return "";
  if (shown.request.picture) return String(shown.request.picture);
  return shown.asset_ids.length === 1 ? /** @type {string} */ (shown.asset_ids[0]) : "";
});

/** Ids of a job's pictures that are not deleted. */
export const kept = (/** @type {import("./events.js").Job} */ { asset_ids }) =>
  asset_ids.filter((id) => !items.value.get(id)?.deleted_at && items.value.get(id) !== null);

/** Jobs under way that draw, in line. */
export const line = computed(() => active.value.filter((each) => draws.has(each.capability)));

/** Put a job on the stage. */
export function showJob(/** @type {string} */ id) {
  shownJob.value = id;
  go({ picture: "" });
}

/** Put a picture on the stage. */
export const showPicture = (/** @type {string} */ id) => go({ picture: id });

async function look() {
  const page = await api(`/gallery?limit=${SHOWN}`);
  const found = page.assets.map(fromAsset);
  know(found);
  latest.value = found.map((/** @type {import("./library.js").Item} */ each) => each.id);
}

/** After a reload: the job under way, else the newest that has something to show. */
async function resume() {
  const now = line.value[0];
  if (now) return void (shownJob.value = now.id);
  for (const each of await api("/jobs?limit=50")) {
    if (!draws.has(each.capability) || (!isActive(each) && !each.asset_ids.length)) continue;
    learn(each);
    await Promise.all(each.asset_ids.map(getItem));
    if (!isActive(each) && !kept(each).length) continue;
    shownJob.value = each.id;
    return;
  }
}

const quietly = (/** @type {Promise<unknown>} */ work) =>
  work.catch((error) => {
    if (!(error instanceof Refusal)) throw error; // the chip in the header says that there is no connection
  });

/** Follow what happens to the user's drawings. */
export function startSession() {
  effect(() => {
    if (!begun.value) return;
    untracked(() => quietly(look().then(() => ready.value || resume()).then(() => (ready.value = true))));
  });
  effect(() => {
    changes.value;
    if (untracked(() => begun.value)) quietly(look());
  });
  let before = "";
  effect(() => {
    const now = [...jobs.value.values()].filter((each) => draws.has(each.capability)).map((each) => each.asset_ids.length).join();
    if (now === before) return;
    before = now;
    if (untracked(() => ready.value)) quietly(look());
  });
  // What begins is shown, unless something was picked or another job of this window is still under way.
  effect(() => {
    const [first] = line.value;
    const shown = jobs.value.get(untracked(() => shownJob.value));
    if (first && !isActive(shown) && ready.value && first.id !== shown?.id) untracked(() => (shownJob.value = first.id));
  });
  /** @type {Map<string, string>} */
  const told = new Map();
  effect(() => {
    for (const each of jobs.value.values()) {
      if (!draws.has(each.capability)) continue;
      const before = told.get(each.id);
      told.set(each.id, each.status);
      if (before === each.status || (before === undefined && !isActive(each))) continue;
      announce(announcement(each));
      if (!isActive(each)) quietly(fetchJob(each.id));
    }
  });
}

/** @param {import("./events.js").Job} each */
function announcement(each) {
  if (each.status === "queued") return "Waiting in line.";
  if (each.status === "running") return "Drawing.";
  return each.status === "done" ? `Finished: ${made(each)}.` : outcomeWords(each, made(each));
}

/** The tab that offers what made a picture; the first drawing tab for those of other tools. */
export const tabOf = (/** @type {string | undefined} */ capability) => config.draws[capability ?? ""] ?? Object.values(config.draws)[0] ?? "";
