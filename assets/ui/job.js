/* One view of a job, wherever it was asked for: where it stands, the picture so far, what is left, how to stop it. */
import { api, Refusal, tried } from "./api.js";
import { active, fetchJob, isActive, jobs, previews } from "./events.js";
import { effect, html } from "./html.js";
import { Button, Sentence, Tool } from "./controls.js";
import { duration, many } from "./words.js";

/** @typedef {import("./events.js").Job} Job */

/** `Step 7 of 16 · about 2 s left`, or where it stands in line. */
export function progressWords(/** @type {Job} */ job) {
  let words;
  if (job.status === "queued") words = (job.position || 1) === 1 ? "Starting next" : `Number ${job.position} in line`;
  else if (job.message) words = job.message;
  else words = job.step ? `Step ${job.step} of ${job.steps}` : "Getting the model ready";
  const known = job.eta_seconds !== null && (job.step > 0 || job.status === "queued");
  if (known) words += ` · about ${duration(/** @type {number} */ (job.eta_seconds))} left`;
  if (job.attempt > 1) words += ` · attempt ${job.attempt}`;
  return words;
}

/** Share of a job that is done, of 1. */
export const share = (/** @type {Job} */ job) => (job.steps ? Math.min(job.step / job.steps, 1) : 0);

/** How a job ended, in one sentence. `made` says what it has given: `3 pictures`; empty for nothing. */
export function outcomeWords(/** @type {Job} */ job, /** @type {string} */ made) {
  if (job.status === "failed") return `That did not work. ${job.error || "The reason is in the log."}`;
  if (job.status === "cancelled") return made ? `Cancelled. ${made} kept.` : "Cancelled before anything was finished.";
  return job.seconds ? `${made} in ${duration(job.seconds)}` : made;
}

const stopping = new Set();

/** Stop a job; what it has finished stays. */
export async function cancel(/** @type {string} */ id) {
  if (stopping.has(id)) return;
  stopping.add(id);
  if (!(await tried(() => api(`/jobs/${id}`, { method: "DELETE" })))) stopping.delete(id);
}

/** The bar of a job that is under way. @param {{job: Job}} props */
export function Progress({ job }) {
  const done = Math.round(100 * share(job));
  const words = progressWords(job);
  return html`<div class=${job.step ? "progress" : "progress waiting"} role="progressbar" aria-valuemin="0" aria-valuemax="100"
    aria-valuenow=${done} aria-label=${words}>
    <div class="progress-words"><span class="spinner" aria-hidden="true"></span><span>${words}</span>
      <b>${job.step ? `${done} %` : ""}</b></div>
    <div class="progress-track"><i style=${`width:${done}%`}></i></div>
  </div>`;
}

/**
 * The line above what a job gives: bar and Cancel while it is under way, else how it ended.
 * @param {{job: Job, made: string, children?: import("./html.js").Children}} props
 */
export function Headline({ job, made, children }) {
  if (isActive(job)) {
    return html`<div class="job-head"><${Progress} job=${job} />
      <${Button} class="stop" data-stop onClick=${() => cancel(job.id)} disabled=${stopping.has(job.id)}>Cancel<//></div>`;
  }
  return html`<div class="job-head">
    ${job.status === "failed"
      ? html`<${Sentence}><b>That did not work.</b> ${job.error || "The reason is in the log."}<//>`
      : html`<p class="outcome">${outcomeWords(job, made)}</p>`}
    ${children}
  </div>`;
}

/** What the studio noted about a job: a cut prompt, a setting left out. @param {{job: Job}} props */
export const Notes = ({ job }) =>
  job.notes?.length ? html`<div class="notes">${job.notes.map((note) => html`<p key=${note} class="note">${note}</p>`)}</div>` : null;

/** A job as one cell of a strip: its picture so far, its place, its own Cancel.
 * @param {{job: Job, open: () => void, current: boolean}} props */
export function JobCell({ job, open, current }) {
  const words = job.request.prompt || job.capability;
  const preview = previews.value.get(job.id);
  const running = job.status === "running";
  return html`<span class="job-cell" data-job=${job.id} data-status=${job.status}>
    <button type="button" class="thumb" data-cell=${job.id} aria-current=${current ? "true" : undefined} title=${words} onClick=${open}
      aria-label=${`${running ? "Drawing" : progressWords(job)}: ${words}`}>
      ${preview && html`<img src=${preview} alt="" />`}
      <span class="job-place">${running ? `${Math.round(100 * share(job))} %` : job.position ?? "…"}</span>
      <span class="job-words">${words}</span>
    </button>
    <${Tool} icon="close" label=${`Cancel: ${words}`} onClick=${() => cancel(job.id)} />
  </span>`;
}

/** Jobs under way that draw. `draws` names the capabilities that do. */
export const drawing = (/** @type {ReadonlySet<string>} */ draws) => active.value.filter((job) => draws.has(job.capability));

/**
 * Follow a job to its end: `show(job, records)` whenever something is new. Ends early when `wanted()` is false.
 * @param {string} id
 * @param {(job: Job, records: any[]) => unknown} show
 * @param {() => boolean} [wanted]
 * @returns {Promise<Job | null>}
 */
export async function follow(id, show, wanted = () => true) {
  /** @type {any[]} */
  let records = [];
  for (let job = await fetchJob(id); ; job = await next(id, job)) {
    if (!wanted()) return null;
    while (job.results > records.length) {
      const last = records.length ? records[records.length - 1].index : -1;
      const more = await tried(() => api(`/jobs/${id}/results?after=${last}&limit=500`));
      if (!more?.length) break;
      records = [...records, ...more];
    }
    if (!wanted()) return null;
    show(job, records);
    if (!isActive(job)) return job;
  }
}

/** The next news of a job after `seen`. @param {string} id @param {Job} seen @returns {Promise<Job>} */
function next(id, seen) {
  return new Promise((resolve, reject) => {
    const stop = effect(() => {
      const job = jobs.value.get(id);
      if (job === seen) return;
      queueMicrotask(() => stop());
      if (job) resolve(job);
      else reject(new Refusal("This job is gone."));
    });
  });
}

/** What a drawing job has given: `4 pictures`; of a cancelled one `1 finished picture`, empty for nothing. */
export function made(/** @type {Job} */ job, count = job.asset_ids.length) {
  if (job.status === "cancelled") return count ? many(count, "finished picture") : "";
  return many(count, "picture");
}
