/* Check: a list of yes/no questions looks through a batch; every picture lands in one of three lanes. */
import { api, tried } from "./api.js";
import { askName, Button, Tool as ToolButton } from "./controls.js";
import { html, signal } from "./html.js";
import { Picture } from "./pictures.js";
import { Bar, Doubt, Framed, inspect, SaveAsBoard, Some } from "./records.js";
import { toast } from "./say.js";
import { Field, Fold, ModelField, Tool } from "./tool.js";
import { many, percent } from "./words.js";

/** @typedef {{key: number, question: string, want: boolean}} Row */
/** @typedef {{name: string, questions: {question: string, want: boolean}[]}} List */

const LANES = /** @type {const} */ ([["pass", "Pass", "Every answer is as wanted"], ["look", "Look", "Not sure enough"], ["fail", "Fail", "A wanted answer is unlikely"]]);
const worst = (/** @type {any} */ record) => Math.min(...record.checks.map((/** @type {any} */ each) => each.ok));
/** A picture that the model cannot judge is one to look at. */
const laneOf = (/** @type {any} */ record) => (record.outside_world ? "look" : record.lane);

export class Check extends Tool {
  name = "check";
  words = "Check";
  icon = /** @type {const} */ ("check");
  capability = "checklist";
  feature = "vqa";
  skill = "answer questions";
  verb = "Check";
  keys = 1;
  rows = signal(/** @type {readonly Row[]} */ ([{ key: 0, question: "", want: true }]));
  lists = signal(/** @type {readonly List[]} */ ([]));
  saved = signal("");
  passAt = signal(80);
  failAt = signal(20);

  /** @param {number} key @param {Partial<Row>} change */
  change(key, change) {
    this.rows.value = this.rows.value.map((row) => (row.key === key ? { ...row, ...change } : row));
  }

  addRow() {
    const key = this.keys++;
    this.rows.value = [...this.rows.value, { key, question: "", want: true }];
    this.focusRow(key);
  }

  focusRow(/** @type {number} */ key) {
    requestAnimationFrame(() => /** @type {HTMLElement | null} */ (document.querySelector(`.checks [data-key="${key}"] input`))?.focus());
  }

  removeRow(/** @type {number} */ key) {
    const at = this.rows.value.findIndex((row) => row.key === key);
    this.setRows(this.rows.value.filter((row) => row.key !== key));
    const near = this.rows.value[Math.min(at, this.rows.value.length - 1)];
    if (near) this.focusRow(near.key);
  }

  setRows(/** @type {readonly {question: string, want: boolean, key?: number}[]} */ rows) {
    const some = rows.length ? rows : [{ question: "", want: true }];
    this.rows.value = some.map(({ question, want, key }) => ({ question, want, key: key ?? this.keys++ }));
  }

  questions() {
    return this.rows.value.map(({ question, want }) => ({ question: question.trim(), want })).filter((each) => each.question);
  }

  fields() {
    const enter = (/** @type {KeyboardEvent} */ event, /** @type {number} */ at) => {
      if (event.key !== "Enter" || event.ctrlKey || event.metaKey || event.isComposing) return;
      event.preventDefault();
      const next = this.rows.value[at + 1];
      if (next) this.focusRow(next.key);
      else this.addRow();
    };
    const lists = this.lists.value;
    const slider = (/** @type {string} */ label, /** @type {import("./html.js").Signal<number>} */ value) =>
      html`<label class="field range"><span>${label}<output>${value.value} %</output></span><input type="range" min="0" max="100" step="5" value=${value.value} aria-label=${label}
        onInput=${(/** @type {any} */ event) => (value.value = Number(event.target.value))} /></label>`;
    return html`<div class="field checks-field"><span>Yes/no questions</span>
        <ol class="checks">${this.rows.value.map((row, at) => html`<li key=${row.key} data-key=${row.key} data-want=${row.want ? "yes" : "no"}>
          <input type="text" maxlength="500" value=${row.question} placeholder="Is the product whole?" aria-label="Yes or no question" onKeyDown=${(/** @type {KeyboardEvent} */ event) => enter(event, at)}
            onInput=${(/** @type {any} */ event) => this.change(row.key, { question: event.target.value })} />
          <button type="button" class="want" title="The answer a good picture gives" aria-label=${`Wanted answer: ${row.want ? "yes" : "no"}`} onClick=${() => this.change(row.key, { want: !row.want })}>${row.want ? "Yes" : "No"}</button>
          <${ToolButton} icon="close" label="Remove this question" onClick=${() => this.removeRow(row.key)} /></li>`)}</ol>
        <div class="row-start"><${Button} icon="plus" onClick=${() => this.addRow()}>Add question<//><${Button} onClick=${() => this.save()}>Save list<//></div></div>
      <div class="checks-saved"><${Field} label="Saved lists"><select aria-label="Saved checklist" value=${this.saved.value} onChange=${(/** @type {any} */ event) => this.load(event.target.value)}>
          <option value="">${lists.length ? "Choose a list" : "None yet"}</option>${lists.map((each) => html`<option key=${each.name} value=${each.name}>${each.name}</option>`)}</select><//>
        <${ToolButton} icon="trash" label="Delete this list" onClick=${() => this.forget()} /></div>
      <${Fold} title="Where the lanes begin">${slider("Passes from", this.passAt)}${slider("Fails up to", this.failAt)}
        <small>The least likely of the wanted answers decides. Between the two, somebody should look.</small><//>
      <${ModelField} tool=${this} />`;
  }

  configure() {
    this.listSaved();
  }

  async listSaved(chosen = "") {
    const lists = await tried(() => api("/checklists"));
    if (!lists) return;
    this.lists.value = lists;
    this.saved.value = chosen;
  }

  load(/** @type {string} */ name) {
    this.saved.value = name;
    const list = this.lists.value.find((each) => each.name === name);
    if (list) this.setRows(list.questions);
  }

  async save() {
    const questions = this.questions();
    if (!questions.length) return this.shell.say("Write at least one yes/no question, such as: is there any text?");
    const name = await askName("Save this checklist", "Name", this.saved.value);
    if (!name || (await tried(() => api("/checklists", { body: { name, questions } }))) === null) return;
    toast(`Saved the checklist ${name}.`);
    this.listSaved(name);
  }

  async forget() {
    const name = this.saved.value;
    const list = this.lists.value.find((each) => each.name === name);
    if (!list) return toast("Choose a saved list first.");
    if ((await tried(() => api(`/checklists/${encodeURIComponent(name)}`, { method: "DELETE" }))) === null) return;
    const run = async () => (await tried(() => api("/checklists", { body: { name, questions: list.questions } }))) && this.listSaved(name);
    toast(`The checklist ${name} is gone.`, { action: "Undo", run });
    this.listSaved();
  }

  request() {
    return { pictures: this.shell.chosen.ids.value, questions: this.questions(), pass_at: this.passAt.value / 100, fail_at: this.failAt.value / 100 };
  }

  /** @param {import("./tool.js").Job} job */
  async recall({ request }) {
    if (!this.questions().length) this.setRows(request.questions || []);
    this.passAt.value = Math.round(100 * (request.pass_at ?? 0.8));
    this.failAt.value = Math.round(100 * (request.fail_at ?? 0.2));
    await this.shell.remember(request.pictures);
  }

  /** @returns {[string, string]} */
  emptyWords() {
    return ["Let a checklist look through the batch", "Write yes/no questions and the answer you want. Every picture lands in one of three lanes: pass, look, fail."];
  }

  /** @param {import("./tool.js").Job} job @param {readonly any[]} records */
  summary(job, records) {
    return `${many(records.length, "picture")}, ${many((job.request.questions || []).length, "question")} each`;
  }

  /** @param {import("./tool.js").Job} job @param {readonly any[]} records */
  results(job, records) {
    const good = records.filter((each) => !each.error);
    const { pass_at: pass = 0.8, fail_at: fail = 0.2 } = job.request;
    const tone = (/** @type {number} */ ok) => (ok >= pass ? "pass" : ok <= fail ? "fail" : "look");
    return html`<div class="lanes">${LANES.map(([lane, words, why]) => {
      const inside = good.filter((each) => laneOf(each) === lane).sort((a, b) => worst(a) - worst(b));
      const open = (/** @type {any} */ record) => inspect(inside, record, (each) => html`<${Detail} record=${each} tone=${tone} />`);
      return html`<section key=${lane} class="lane" data-lane=${lane} aria-label=${words}>
        <header><h3>${words}<span>${inside.length.toLocaleString("en")}</span></h3>${inside.length > 0 && html`<${SaveAsBoard} ids=${inside.map((each) => each.picture)} name=${words} />`}</header>
        <p class="lane-why">${why}</p>
        <${Some} of=${inside} class="lane-cards" draw=${(/** @type {any} */ record) => html`<button key=${record.picture} type="button" class="lane-card" title=${record.name} onClick=${() => open(record)}>
          <span class="lane-picture"><${Picture} id=${record.picture} /></span>
          <span class="lane-checks">${record.outside_world
            ? html`<span class="doubted">Not of this model's world: it cannot tell.</span>`
            : record.checks.slice(0, 4).map((/** @type {any} */ each, /** @type {number} */ at) => html`<span key=${at} class="lane-check" data-lane=${tone(each.ok)}><span>${each.question}</span><b>${percent(each.ok)}</b></span>`)}</span></button>`} />
      </section>`;
    })}</div>`;
  }
}

/** @param {{record: any, tone: (ok: number) => string}} props */
function Detail({ record, tone }) {
  const lane = laneOf(record);
  const doubted = record.outside_world;
  return html`<${Framed} id=${record.picture} alt=${record.name} />
    <div class="inspect-side"><p class="inspect-top" data-lane=${lane}>${LANES.find(([each]) => each === lane)?.[1]}</p>
      ${doubted && html`<${Doubt} records=${[record]} />`}
      <ul class="answers">${record.checks.map((/** @type {any} */ each, /** @type {number} */ at) => html`<li key=${at} data-lane=${doubted ? "look" : tone(each.ok)}><p>${each.question}</p>
        ${!doubted && html`<span class="table-share"><${Bar} share=${each.yes} />yes ${percent(each.yes)}</span>`}<small>wanted: ${each.want ? "yes" : "no"}</small></li>`)}</ul></div>`;
}
