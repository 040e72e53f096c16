/* The strip under the stage: what is being drawn and what waits, then the newest pictures or those of a board. */
import { api, tried } from "./api.js";
import { Roving } from "./controls.js";
import { html, signal, useEffect } from "./html.js";
import { JobCell } from "./job.js";
import { getItem, items, remove, star } from "./library.js";
import { openLarge, Thumb } from "./pictures.js";
import { go, route } from "./route.js";
import { latest, line, showJob, shownJob, showPicture } from "./session.js";

/** @typedef {{id: string, name: string, count: number}} Board */

const boards = signal(/** @type {Board[]} */ ([]));
const board = signal("");
const onBoard = signal(/** @type {readonly string[]} */ ([]));

async function choose(/** @type {string} */ id) {
  board.value = id;
  const found = id ? await tried(() => api(`/boards/${id}`)) : null;
  if (board.value === id) onBoard.value = found?.pictures ?? [];
}

async function lookAtBoards() {
  const found = await api("/boards").catch(() => null);
  if (found) boards.value = found;
}

/** Which pictures lie on the strip. */
function Which() {
  useEffect(() => void lookAtBoards(), []);
  return html`<label class="which"><span class="sr-only">Pictures shown below</span>
    <select value=${board.value} onFocus=${lookAtBoards} onChange=${(/** @type {any} */ event) => choose(event.target.value)}>
      <option value="">Newest</option>
      ${boards.value.map((each) => html`<option key=${each.id} value=${each.id}>${each.name}</option>`)}
    </select></label>`;
}

export function Filmstrip() {
  const { picture } = route.value;
  const chosen = board.value ? onBoard.value : latest.value;
  const there = chosen.filter((id) => items.value.get(id) !== null && !items.value.get(id)?.deleted_at);
  const ids = picture && !there.includes(picture) && !board.value ? [picture, ...there] : there;
  useEffect(() => onBoard.value.slice(0, 60).forEach(getItem), [onBoard.value]);
  const keys = async (/** @type {KeyboardEvent} */ event, /** @type {string} */ id) => {
    if (event.key === "Delete" && items.value.get(id)) {
      event.preventDefault();
      const near = ids[ids.indexOf(id) + 1] ?? ids[ids.indexOf(id) - 1];
      if (!(await remove([id]))) return;
      if (picture === id) go({ picture: "" });
      requestAnimationFrame(() => /** @type {HTMLElement | null} */ (document.querySelector(`#filmstrip [data-cell="${near}"]`))?.focus());
    } else if (event.key.toLowerCase() === "s") star(id);
  };
  return html`<div class="film-head"><${Which} />
      ${line.value.length > 1 && html`<span class="film-line">${line.value.length} in line</span>`}
      <button type="button" class="link" onClick=${() => go({ tab: "gallery" })}>Open gallery</button></div>
    <${Roving} label="Pictures of this session" class="film" keys=${keys}>
      ${line.value.map(
        (job) => html`<${JobCell} key=${job.id} job=${job} open=${() => showJob(job.id)} current=${!picture && shownJob.value === job.id} />`,
      )}
      ${ids.slice(0, 120).map((id) => html`<${Thumb} key=${id} id=${id} open=${showPicture} current=${picture === id} large=${() => openLarge(id, ids)} />`)}
      ${!ids.length && !line.value.length && html`<p class="film-none">What you draw is kept here.</p>`}
    <//>`;
}
