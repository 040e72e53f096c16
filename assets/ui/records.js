/* Answers about pictures, drawn: a bar, a cell, a large view to step through, what a model doubts. */
import { newBoard } from "./boards.js";
import { ask, Button, Dialog, Tool } from "./controls.js";
import { html, useSignal } from "./html.js";
import { Icon } from "./icons.js";
import { items } from "./library.js";
import { Picture } from "./pictures.js";
import { go } from "./route.js";
import { toast } from "./say.js";
import { many, percent } from "./words.js";

/** @typedef {import("./html.js").Children} Children */

export const ROWS = 200; // drawn at once in a pile, a lane or a table
const DOUBT = "This model knows only its own drawn world, and this picture does not look like one of it: do not trust its answer.";

/** @param {{share: number, label?: string}} props */
export const Bar = ({ share, label = percent(share) }) =>
  html`<span class="bar-track" role="img" aria-label=${label}><i style=${`width:${Math.min(Math.max(100 * share, 0), 100)}%`}></i></span>`;

/** The picture of a record as a button. @param {{record: any, badge?: string, open: () => void}} props */
export const RecordCell = ({ record, badge = "", open }) =>
  html`<button type="button" class="thumb" title=${record.name} aria-label=${`${record.name}${badge ? `, ${badge}` : ""}`} onClick=${open}>
    <${Picture} id=${record.picture || record.clip} />${badge && html`<span class="thumb-badge">${badge}</span>`}</button>`;

/** A large picture in a frame of its own shape, so that what is laid over it fits. @param {{id: string, alt: string, children?: Children}} props */
export function Framed({ id, alt, children }) {
  const { width, height } = items.value.get(id) ?? { width: 1, height: 1 };
  return html`<div class="inspect-picture" style=${`--ratio:${(width || 1) / (height || 1)}`}><${Picture} id=${id} large alt=${alt} />${children}</div>`;
}

/** What a model of a small world says of pictures that are not of it. @param {{records: readonly any[], of?: number}} props */
export function Doubt({ records, of = 1 }) {
  const words = records[0]?.doubt || DOUBT;
  const count = of > 1 ? `${many(records.length, "picture")} of ${of.toLocaleString("en")}: ` : "";
  return html`<p class="doubt"><${Icon} name="alert" /><span>${count}${words} <button type="button" class="link" onClick=${toModels}>Get a model of the real world</button></span></p>`;
}

function toModels() {
  /** @type {HTMLDialogElement | null} */ (document.querySelector("dialog[open]"))?.dispatchEvent(new Event("cancel", { cancelable: true }));
  go({ tab: "models" });
}

/** @param {{records: readonly any[]}} props */
export function Unreadable({ records }) {
  const bad = records.filter((each) => each.error);
  if (!bad.length) return null;
  return html`<details class="skipped"><summary><${Icon} name="alert" />${many(bad.length, "picture")} could not be read; the rest went on</summary>
    <ul>${bad.map((each, at) => html`<li key=${at}><b>${each.name}</b><span>${each.error}</span></li>`)}</ul></details>`;
}

/** The first of many, then a button that shows the others. @param {{of: readonly any[], class: string, draw: (each: any, at: number) => Children}} props */
export function Some({ of, class: kind, draw }) {
  const all = useSignal(false);
  const box = html`<div class=${kind}>${(all.value ? of : of.slice(0, ROWS)).map(draw)}</div>`;
  if (of.length <= ROWS || all.value) return box;
  return html`<div class="some">${box}<${Button} onClick=${() => (all.value = true)}>Show ${(of.length - ROWS).toLocaleString("en")} more<//></div>`;
}

/** @param {{of: readonly any[], columns: number, draw: (each: any) => Children}} props */
export function Rows({ of, columns, draw }) {
  const all = useSignal(false);
  return html`<tbody>${(all.value ? of : of.slice(0, ROWS)).map(draw)}
    ${of.length > ROWS && !all.value && html`<tr><td colspan=${columns}><${Button} onClick=${() => (all.value = true)}>Show ${(of.length - ROWS).toLocaleString("en")} more<//></td></tr>`}</tbody>`;
}

/** A table that scrolls sideways where it must, with the keyboard too. @param {{label: string, head: Children, children?: Children}} props */
export const Table = ({ label, head, children }) =>
  html`<div class="table-box" role="region" aria-label=${label} tabindex="0"><table class="table"><thead><tr>${head}</tr></thead>${children}</table></div>`;

/** @param {{ids: string[], name: string}} props */
export const SaveAsBoard = ({ ids, name }) => html`<button type="button" class="link" onClick=${() => newBoard(ids, name)}>Save as board</button>`;

/**
 * One record large, the others with the arrow keys; `draw` gives what stands inside.
 * @param {readonly any[]} records @param {any} first @param {(record: any) => Children} draw
 */
export const inspect = (records, first, draw) =>
  ask((/** @type {(answer: null) => void} */ done) => html`<${Inspector} records=${records} first=${records.indexOf(first)} draw=${draw} done=${() => done(null)} />`);

/** @param {{records: readonly any[], first: number, draw: (record: any) => Children, done: () => void}} props */
function Inspector({ records, first, draw, done }) {
  const at = useSignal(first);
  const record = records[at.value];
  const turn = (/** @type {number} */ step) => (at.value = (at.value + step + records.length) % records.length);
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || /** @type {Element} */ (event.target).closest("[role=radiogroup], input")) return;
    event.preventDefault();
    turn(step);
  };
  return html`<${Dialog} label="One picture" class="box-wide inspector" close=${done} onKeyDown=${onKeyDown}>
    <header><h2>${record.name}</h2>
      ${records.length > 1 && html`<span class="inspect-place"><${Tool} icon="left" label="Previous picture" onClick=${() => turn(-1)} />${at.value + 1} of ${records.length}
        <${Tool} icon="right" label="Next picture" onClick=${() => turn(1)} /></span>`}
      <${Tool} icon="close" label="Close" onClick=${done} /></header>
    <div class="inspect">${draw(record)}</div>
  <//>`;
}

export async function copy(/** @type {string} */ text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.");
  } catch {
    toast("This browser does not allow copying here.", { bad: true });
  }
}
