/* What the page tells in passing: toasts, and what a screen reader is told. */
import { html, render, signal, useEffect, useRef } from "./html.js";

/**
 * @typedef {object} Note
 * @property {number} id
 * @property {string} words
 * @property {boolean} bad
 * @property {string} action
 * @property {(() => unknown) | null} run
 */

/** @type {import("./html.js").Signal<Note[]>} */
const notes = signal([]);
const spoken = signal("");
let made = 0;

/**
 * A note that goes away by itself; with an action it stays longer, and while it has the focus.
 * @param {string} words
 * @param {{bad?: boolean, action?: string, run?: (() => unknown) | null, seconds?: number}} [options]
 */
export function toast(words, { bad = false, action = "", run = null, seconds = action ? 12 : 7 } = {}) {
  const note = { id: (made += 1), words, bad, action, run };
  notes.value = [...notes.value.filter((each) => each.words !== words), note].slice(-4);
  const leave = () => {
    const shown = document.querySelector(`[data-note="${note.id}"]`);
    if (shown?.matches(":focus-within, :hover")) setTimeout(leave, 1000);
    else drop(note.id);
  };
  setTimeout(leave, seconds * 1000);
}

const drop = (/** @type {number} */ id) => (notes.value = notes.value.filter((each) => each.id !== id));

/** Tell a screen reader, politely. */
export function announce(/** @type {string} */ words) {
  if (words) spoken.value = words;
}

function Toasts() {
  const own = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    own.current?.hidePopover?.(); // and again: above a window that was opened meanwhile
    if (notes.value.length) own.current?.showPopover?.();
  }, [notes.value]);
  return html`<div id="toasts" ref=${own} popover="manual" role="region" aria-label="Messages">
    ${notes.value.map(
      (note) => html`<div key=${note.id} data-note=${note.id} class=${note.bad ? "note-toast bad" : "note-toast"}
        role=${note.bad ? "alert" : "status"}>
        <span>${note.words}</span>
        ${note.action &&
        html`<button type="button" onClick=${() => (drop(note.id), note.run?.())}>${note.action}</button>`}
      </div>`,
    )}
  </div>`;
}

const Spoken = () => html`<div class="sr-only" id="live-region" role="status" aria-live="polite">${spoken.value}</div>`;

/** Put both into the page. */
export function startSaying() {
  const place = document.createElement("div");
  place.className = "say";
  document.body.append(place);
  render(html`<${Toasts} /><${Spoken} />`, place);
}
