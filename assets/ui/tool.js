/* What the tools of the Understand tab share: a job with its records, the model, the frame of the results. */
import { address, api, Refusal, tried } from "./api.js";

import { isActive } from "./events.js";
import { batch, html, signal } from "./html.js";
import { Icon } from "./icons.js";
import { follow, Headline } from "./job.js";
import { getItems } from "./library.js";
import { go } from "./route.js";
import { announce } from "./say.js";
import { many } from "./words.js";
import { Doubt, Unreadable } from "./records.js";

/** @typedef {import("./events.js").Job} Job */
/** @typedef {import("./chooser.js").Chosen} Chosen */
/** @typedef {import("./html.js").Children} Children */
/** @typedef {{id: string, name: string, summary: string, licence: string, commercial: boolean, badge: string, available: boolean}} Offered */
/** @typedef {{models: Record<string, {models: Offered[], default: string}>, templates: string[], vocabulary: string[]}} Config */
/**
 * @typedef {object} Shell What a tool knows of the tab around it.
 * @property {Chosen} chosen
 * @property {(words: string) => void} say
 * @property {(ids: readonly string[] | undefined) => Promise<void>} remember Chooses the pictures of an earlier job, where nothing is chosen.
 */

const REDRAW = 700; // milliseconds between two drawings of a growing result
const narrow = matchMedia("(max-width: 900px)");

/** @param {string} id @param {string} capability @returns {Job} */
const begun = (id, capability) => ({
  id, capability, family: "", request: {}, status: "queued", created_at: "", attempt: 1, step: 0, steps: 0, message: "", error: null,
  seconds: null, notes: [], asset_ids: [], results: 0, position: null, eta_seconds: null,
});

export class Tool {
  /* Filled by each tool. */
  name = "";
  words = "";
  icon = /** @type {import("./icons.js").IconName} */ ("sort");
  capability = "";
  feature = "";
  /** What a model does for it: "No model on this computer can ...". */
  skill = "";
  verb = "";

  /** @param {Shell} shell */
  constructor(shell) {
    this.shell = shell;
    this.job = signal(/** @type {Job | null} */ (null));
    this.records = signal(/** @type {readonly any[]} */ ([]));
    this.offered = signal(/** @type {readonly Offered[]} */ ([]));
    this.model = signal("");
    this.turn = 0;
    this.touched = false;
    this.sending = false;
    this.stage = /** @type {HTMLElement | null} */ (null);
  }

  /** The fields of the form. @returns {Children} */
  fields() {
    return null;
  }

  /** @returns {object} */
  request() {
    return {};
  }

  /** @param {Job} _job @param {readonly any[]} _records @returns {Children} */
  results(_job, _records) {
    return null;
  }

  /** What stands on the stage. @returns {Children} */
  view() {
    const [job, records] = [this.job.value, this.records.value];
    const bare = !job || (!records.length && !isActive(job) && job.status !== "failed");
    return bare ? html`<${Empty} tool=${this} />` : html`<${Shown} tool=${this} job=${job} records=${records} />`;
  }

  /** Title and text of a stage without results. @returns {[string, string]} */
  emptyWords() {
    return ["", ""];
  }

  /** Once, when the studio has told what there is. @param {Config} _config */
  configure(_config) {}

  /** Fill the form as `job` was asked; false when its results do not belong on the page now. @param {Job} _job @returns {Promise<boolean | void>} */
  async recall(_job) {}

  /** @returns {Chosen[]} */
  choosers() {
    return [this.shell.chosen];
  }

  route() {
    return this.capability;
  }

  capabilities() {
    return [this.capability];
  }

  /** Ids of pictures that the results show. @param {Job} _job @param {readonly any[]} records @returns {string[]} */
  named(_job, records) {
    return records.map((each) => each.picture || each.clip).filter(Boolean);
  }

  /** @param {Job} _job @param {readonly any[]} records */
  summary(_job, records) {
    return many(records.length, "picture");
  }

  /** Buttons beside the outcome. @param {Job} job @param {readonly any[]} records @returns {Children} */
  tools(job, records) {
    return records.length > 0 && !isActive(job) && html`<a class="button" href=${address(`/jobs/${job.id}/results?format=csv`)} download=${`${job.capability}-${job.id.slice(0, 6)}.csv`}>
      <${Icon} name="download" />CSV</a>`;
  }

  get running() {
    return isActive(this.job.value);
  }

  /** @param {Config} config */
  offer(config) {
    const offer = config.models[this.feature] || { models: [], default: "" };
    const kept = this.model.value;
    batch(() => {
      this.offered.value = offer.models;
      this.model.value = offer.models.some((/** @type {Offered} */ each) => each.id === kept && each.available) ? kept : offer.default;
    });
  }

  async run() {
    if (this.running || this.sending) return;
    this.shell.say("");
    this.sending = true;
    try {
      const request = { ...this.request(), ...(this.model.value ? { model: this.model.value } : {}) };
      const { id } = await api(`/${this.route()}`, { body: request });
      if (narrow.matches) this.stage?.scrollIntoView({ block: "start" });
      this.attach(id);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.shell.say(error.message);
    } finally {
      this.sending = false;
    }
  }

  async cancel() {
    const job = this.job.value;
    if (job && this.running) await tried(() => api(`/jobs/${job.id}`, { method: "DELETE" }));
  }

  /** Show a job from its beginning, and follow it. @param {string} id */
  async attach(id) {
    const turn = (this.turn += 1);
    batch(() => {
      this.job.value = begun(id, this.route());
      this.records.value = [];
    });
    let drawn = 0;
    let quarter = 0;
    const show = (/** @type {Job} */ job, /** @type {any[]} */ records) => {
      const over = !isActive(job);
      const grown = records.length !== this.records.value.length && (over || performance.now() - drawn > REDRAW);
      if (grown) drawn = performance.now();
      batch(() => {
        this.job.value = job;
        if (grown) this.records.value = records;
      });
      if (grown || over) tried(() => getItems(this.named(job, records)));
      const now = job.steps && !over ? Math.floor((4 * job.step) / job.steps) : 0;
      if (now > quarter) announce(`${(quarter = now) * 25} %`);
    };
    try {
      const end = await follow(id, show, () => turn === this.turn);
      if (!end) return;
      announce(end.status === "failed" ? `That did not work. ${end.error}` : end.status === "cancelled" ? "Cancelled." : "Finished.");
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (turn !== this.turn) return;
      this.job.value = null;
      this.shell.say(error.message);
    }
  }

  /** After a reload: the newest job of this tool that is under way or has answers. */
  async restore() {
    const jobs = await Promise.all(this.capabilities().map((name) => api(`/jobs?capability=${name}&limit=3`)));
    const mine = /** @type {Job[]} */ (jobs.flat()).filter((job) => isActive(job) || job.results).sort((a, b) => b.created_at.localeCompare(a.created_at))[0];
    // What was begun meanwhile stays as it is.
    const free = () => mine && !this.job.value && !this.sending && (!this.touched || isActive(mine));
    if (!mine || !free()) return;
    if (this.offered.value.some((each) => each.id === mine.request.model && each.available)) this.model.value = mine.request.model;
    if ((await this.recall(mine)) !== false && free()) this.attach(mine.id);
  }
}

/** The choice of a model, and what it may be used for. @param {{tool: Tool}} props */
export function ModelField({ tool }) {
  const all = tool.offered.value;
  const model = all.find((each) => each.id === tool.model.value && each.available);
  return html`<div class="model-field"><label class="field"><span>Model</span>
      <select name="model" value=${tool.model.value} onChange=${(/** @type {any} */ event) => (tool.model.value = event.target.value)}>
        ${all.map((each) => html`<option key=${each.id} value=${each.id} disabled=${!each.available}>${each.available ? each.name : `${each.name} (not on this computer)`}</option>`)}
      </select></label>
    <p class="model-line">${model
      ? html`<span class=${model.commercial ? "badge badge-ok" : "badge badge-no"} title=${model.licence}>${model.badge}</span>${model.summary && html`<small>${model.summary}</small>`}`
      : html`<span>No model on this computer can ${tool.skill}. </span><button type="button" class="link" onClick=${() => go({ tab: "models" })}>Fetch one on the Models tab</button>`}</p>
  </div>`;
}

/** The results of a tool. @param {{tool: Tool, open: boolean}} props */
export function Stage({ tool, open }) {
  const job = tool.job.value;
  return html`<div ref=${(/** @type {HTMLElement | null} */ node) => (tool.stage = node)} class="tool-stage" data-tool=${tool.name} hidden=${!open}
    data-status=${job?.status ?? "none"} data-job=${job?.id}>${open && tool.view()}</div>`;
}

/** @param {{tool: Tool}} props */
export function Empty({ tool }) {
  const [title, text] = tool.emptyWords();
  return html`<div class="empty"><div class="empty-tool"><${Icon} name=${tool.icon} /></div><h2>${title}</h2><p>${text}</p></div>`;
}

/** @param {{tool: Tool, job: Job, records: readonly any[]}} props */
function Shown({ tool, job, records }) {
  const made = job.status === "cancelled" ? `${many(records.length, "answer")}` : tool.summary(job, records);
  const doubted = records.filter((each) => each.outside_world);
  return html`<${Headline} job=${job} made=${made}>${records.length > 0 && html`<div class="tool-tools">${tool.tools(job, records)}</div>`}<//>
    ${job.notes.length > 0 && html`<div class="note">${job.notes.map((note) => html`<p key=${note}>${note}</p>`)}</div>`}
    ${doubted.length > 0 && html`<${Doubt} records=${doubted} of=${records.length} />`}
    ${records.length ? tool.results(job, records) : isActive(job) && html`<div class="waiting-room" aria-hidden="true"></div>`}
    <${Unreadable} records=${records} />`;
}

/** A label over a field, with a hint under it. @param {{label: string, hint?: string, children?: Children}} props */
export const Field = ({ label, hint = "", children }) => html`<label class="field"><span>${label}</span>${children}${hint && html`<small>${hint}</small>`}</label>`;

/** @param {{title: string, children?: Children}} props */
export const Fold = ({ title, children }) => html`<details class="fold"><summary>${title}</summary><div class="fold-body">${children}</div></details>`;

/** A value of a signal in a text area. @param {{value: import("./html.js").Signal<string>, label: string, [name: string]: any}} props */
export const Area = ({ value, label, ...more }) =>
  html`<textarea rows="4" spellcheck=${false} aria-label=${label} value=${value.value} onInput=${(/** @type {any} */ event) => (value.value = event.target.value)} ...${more}></textarea>`;

