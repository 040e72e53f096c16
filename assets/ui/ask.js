/* Ask: a talk about one or more pictures. */
import { act } from "./bridge.js";
import { Button } from "./controls.js";
import { isActive } from "./events.js";
import { batch, html, signal, useEffect, useLayoutEffect, useRef } from "./html.js";
import { Icon } from "./icons.js";
import { Progress } from "./job.js";
import { items } from "./library.js";
import { Picture } from "./pictures.js";
import { Bar, copy, Doubt } from "./records.js";
import { announce, toast } from "./say.js";
import { Area, Empty, Field, ModelField, Tool } from "./tool.js";
import { percent } from "./words.js";

/**
 * @typedef {object} Turn
 * @property {string} question
 * @property {string} [answer]
 * @property {number} [confidence]
 * @property {string} [error]
 * @property {readonly string[]} [notes]
 * @property {boolean} [outside_world]
 * @property {string} [doubt]
 */

const MOST = 8; // pictures that one question may be about
const narrow = matchMedia("(max-width: 900px)");

export class Ask extends Tool {
  name = "ask";
  words = "Ask";
  icon = /** @type {const} */ ("ask");
  capability = "ask";
  feature = "vqa";
  skill = "answer questions";
  verb = "Ask";
  question = signal("");
  suggested = signal(/** @type {readonly string[]} */ ([]));
  turns = signal(/** @type {readonly Turn[]} */ ([]));
  about = signal(/** @type {readonly string[]} */ ([]));
  recalled = /** @type {Turn | null} */ (null);
  field = /** @type {HTMLElement | null} */ (null);

  fields() {
    const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Enter" || event.shiftKey || event.ctrlKey || event.metaKey || event.isComposing) return;
      event.preventDefault();
      this.run();
    };
    return html`<div ref=${(/** @type {HTMLElement | null} */ node) => (this.field = node?.querySelector("textarea") ?? null)} onKeyDown=${onKeyDown}>
        <${Field} label="Question"><${Area} value=${this.question} label="Question" rows="2" maxlength="500" placeholder="What is in the picture?" spellcheck=${true} /><//></div>
      <div class="chips suggested" role="group" aria-label="Suggested questions">${this.suggested.value.map(
        (words) => html`<button key=${words} type="button" class="chip" onClick=${() => ((this.question.value = words), this.run())}>${words}</button>`,
      )}</div>
      <${ModelField} tool=${this} />`;
  }

  configure() {
    this.suggest();
  }

  /** The chosen pictures changed: a talk is about the pictures it began with. */
  chosen() {
    const ids = this.shell.chosen.ids.value;
    const still = this.about.value.filter((id) => ids.includes(id));
    const about = still.length ? still : ids.slice(0, 1);
    if (about.join() !== this.about.value.join()) this.turnTo(about);
  }

  turnTo(/** @type {readonly string[]} */ about) {
    if (this.running) this.cancel();
    this.turn += 1;
    batch(() => {
      this.about.value = about;
      this.turns.value = [];
      this.job.value = null;
      this.records.value = [];
    });
    this.suggest();
  }

  answered() {
    return this.turns.value.filter((each) => each.answer).map(({ question, answer }) => ({ question, answer }));
  }

  async suggest() {
    const answer = await act("suggestions", { history: this.answered().map((each) => [each.question, each.answer]), pictures: this.about.value });
    if (answer) this.suggested.value = answer.questions;
  }

  request() {
    return { pictures: this.about.value, question: this.question.value.trim(), history: this.answered().slice(-20) };
  }

  async attach(/** @type {string} */ id) {
    const again = this.recalled;
    /** @type {Turn} */
    let turn = again || { question: this.question.value.trim() };
    this.recalled = null;
    this.turns.value = [...this.turns.value, turn];
    this.question.value = "";
    await super.attach(id);
    if (!this.turns.value.includes(turn)) return;
    const [record] = this.records.value;
    const job = this.job.value;
    const before = turn;
    turn = record
      ? { ...turn, answer: record.answer, confidence: record.confidence, outside_world: record.outside_world, doubt: record.doubt }
      : { ...turn, error: job?.error || (job?.status === "cancelled" ? "Cancelled." : "No answer came.") };
    turn.notes = job?.notes || [];
    if (!record && !this.question.value && job?.status === "failed") this.question.value = turn.question;
    this.turns.value = this.turns.value.map((each) => (each === before ? turn : each));
    this.suggest();
    announce(turn.answer || turn.error || "");
    if (!again && this.field?.getClientRects().length && !narrow.matches) this.field.focus({ preventScroll: true });
  }

  /** @param {import("./tool.js").Job} job */
  async recall({ request }) {
    await this.shell.remember(request.pictures);
    const ids = this.shell.chosen.ids.value;
    if (!request.pictures.every((/** @type {string} */ id) => ids.includes(id))) return false;
    batch(() => {
      this.about.value = request.pictures;
      this.turns.value = (request.history || []).map((/** @type {Turn} */ each) => ({ ...each }));
    });
    this.recalled = { question: request.question };
  }

  named() {
    return [...this.about.value];
  }

  /** @returns {[string, string]} */
  emptyWords() {
    return ["Ask about a picture", "Choose one or more pictures, then ask in plain words. Questions can build on the answers before."];
  }

  toggle(/** @type {string} */ id) {
    const now = this.about.value;
    const about = now.includes(id) ? now.filter((each) => each !== id) : [...now, id];
    if (!about.length) return;
    if (about.length > MOST) return toast(`A question can be about at most ${MOST} pictures.`, { bad: true });
    this.turnTo(about);
  }

  view() {
    const chosen = this.shell.chosen.items.value;
    if (!chosen.length && !this.about.value.length) return html`<${Empty} tool=${this} />`;
    return html`<${Talk} tool=${this} chosen=${chosen} />`;
  }
}

/** @param {{tool: Ask, chosen: readonly import("./library.js").Item[]}} props */
function Talk({ tool, chosen }) {
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  const turns = tool.turns.value;
  const about = tool.about.value;
  useLayoutEffect(() => void (list.current && (list.current.scrollTop = list.current.scrollHeight)), [turns]);
  useEffect(() => void tool.chosen(), [chosen]);
  const text = () => turns.map((each) => `${each.question}\n${each.answer || each.error || ""}`).join("\n\n");
  return html`<div class="ask"><div class="ask-side">
      <div class="ask-pictures" data-count=${Math.min(about.length, 4)}>${about.map((id) => html`<${Picture} key=${id} id=${id} large alt=${items.value.get(id)?.name ?? "picture"} />`)}</div>
      ${chosen.length > 1 &&
      html`<div class="ask-strip" role="group" aria-label="Pictures asked about" tabindex="0">${chosen.slice(0, 40).map(
        (item) => html`<button key=${item.id} type="button" class="thumb" aria-pressed=${String(about.includes(item.id))} title=${item.name} aria-label=${`Ask about ${item.name}`}
          onClick=${() => tool.toggle(item.id)}><${Picture} id=${item.id} /><span class="tick"></span></button>`,
      )}</div>`}</div>
    <div class="ask-main">
      ${turns.length
        ? html`<ol class="talk" ref=${list} aria-label="Conversation" tabindex="0">${turns.map((turn, at) => html`<${Bubbles} key=${at} turn=${turn} job=${tool.job.value} />`)}</ol>
          <div class="ask-tools"><${Button} icon="copy" onClick=${() => copy(text())}>Copy<//><${Button} icon="plus" onClick=${() => tool.turnTo(about)}>New conversation<//></div>`
        : html`<p class="talk-hint">${chosen.length > 1 ? "Choose which pictures the question is about, then ask." : "Ask a question, or press one of the suggestions."}</p>`}
    </div></div>`;
}

/** @param {{turn: Turn, job: import("./tool.js").Job | null}} props */
function Bubbles({ turn, job }) {
  const answer =
    turn.answer !== undefined
      ? html`<div class="answer"><p>${turn.answer}</p>${turn.outside_world
          ? html`<${Doubt} records=${[turn]} />`
          : turn.confidence !== undefined && turn.confidence !== null && html`<span class="sure" title="How likely the model found its own words"><${Bar} share=${turn.confidence} />${percent(turn.confidence)} sure</span>`}</div>`
      : turn.error
        ? html`<div class="answer failed" role="alert"><${Icon} name="alert" />${turn.error}</div>`
        : html`<div class="answer pending">${isActive(job) ? html`<${Progress} job=${job} />` : html`<span class="spinner"></span>Looking`}</div>`;
  return html`<li><p class="question">${turn.question}</p>${answer}${(turn.notes || []).map((note) => html`<p key=${note} class="note">${note}</p>`)}</li>`;
}
