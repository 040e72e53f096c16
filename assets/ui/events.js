/* What happens in the studio, told once: one stream of server-sent events for all of the user's jobs and the worker.
   Nothing here polls. A window that nobody looks at holds no stream. */
import { address, api, Refusal } from "./api.js";
import { batch, computed, signal } from "./html.js";

/**
 * @typedef {object} Job What the API tells of a job.
 * @property {string} id
 * @property {string} capability
 * @property {string} family
 * @property {Record<string, any>} request
 * @property {"queued" | "running" | "done" | "failed" | "cancelled"} status
 * @property {string} created_at
 * @property {number} attempt
 * @property {number} step
 * @property {number} steps
 * @property {string} message
 * @property {string | null} error
 * @property {number | null} seconds
 * @property {string[]} notes
 * @property {string[]} asset_ids
 * @property {number} results
 * @property {number | null} position
 * @property {number | null} eta_seconds
 */
/** @typedef {{status: string, device: string, message: string}} Worker */

const RETRY = 3000; // milliseconds

/** Every job that was heard of, by id. */
export const jobs = signal(/** @type {ReadonlyMap<string, Job>} */ (new Map()));
/** The picture so far of running jobs, as data URIs by job id. */
export const previews = signal(/** @type {ReadonlyMap<string, string>} */ (new Map()));
/** The worker; `lost` while the studio does not answer. */
export const worker = signal(/** @type {Worker} */ ({ status: "starting", device: "", message: "" }));
/** How often the stream began: what was fetched before may be old. */
export const begun = signal(0);

export const isActive = (/** @type {Job | null | undefined} */ job) =>
  job?.status === "queued" || job?.status === "running";

/** Jobs under way: what is running first, then in order of their place in line. */
export const active = computed(() =>
  [...jobs.value.values()]
    .filter(isActive)
    .sort(
      (a, b) =>
        Number(b.status === "running") - Number(a.status === "running") ||
        (a.position ?? 0) - (b.position ?? 0) ||
        a.created_at.localeCompare(b.created_at),
    ),
);

/**
 * Keep what was told of a job. A stream tells the request once only, and what is over does not begin again.
 * @param {Job} job @param {string | null} [preview]
 */
export function learn(job, preview = null) {
  const before = jobs.value.get(job.id);
  if (before && !isActive(before) && isActive(job)) return;
  const request = Object.keys(job.request ?? {}).length || !before ? job.request : before.request;
  batch(() => {
    jobs.value = new Map(jobs.value).set(job.id, { ...job, request });
    const known = previews.value.has(job.id);
    if (preview || (known && !isActive(job))) {
      const next = new Map(previews.value);
      if (preview && isActive(job)) next.set(job.id, preview);
      else next.delete(job.id);
      previews.value = next;
    }
  });
}

/** Ask for a job that no event may tell of: one that is over, or that began before this page. */
export async function fetchJob(/** @type {string} */ id) {
  const job = await api(`/jobs/${id}`);
  learn(job);
  return /** @type {Job} */ (jobs.value.get(id));
}

/** After a gap: jobs under way now, and how those that were under way before it ended. */
async function catchUp() {
  const before = active.value.map((job) => job.id);
  const now = /** @type {Job[]} */ (await api("/jobs?active=true&limit=200"));
  batch(() => now.forEach((job) => learn(job)));
  const there = new Set(now.map((job) => job.id));
  await Promise.all(before.filter((id) => !there.has(id)).map(fetchJob));
}

/** @type {EventSource | null} */
let source = null;
let timer = 0;

function listen() {
  clearTimeout(timer);
  if (source || document.hidden) return;
  const stream = (source = new EventSource(address("/events")));
  stream.addEventListener("open", async () => {
    try {
      await catchUp();
      begun.value += 1;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
    }
  });
  stream.addEventListener("job", (event) => {
    const { job, preview } = JSON.parse(event.data);
    learn(job, preview);
  });
  stream.addEventListener("worker", (event) => (worker.value = JSON.parse(event.data)));
  stream.addEventListener("error", () => {
    worker.value = { status: "lost", device: "", message: "" };
    if (stream.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    source = null;
    timer = window.setTimeout(listen, RETRY);
  });
}

/** Listen for as long as somebody looks at the page. */
export function startListening() {
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      source?.close();
      source = null;
    } else listen();
  });
  window.addEventListener("pagehide", () => source?.close());
  listen();
}
