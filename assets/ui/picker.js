/* A window for choosing pictures: of the gallery, handed in, or all of a board. */
import { api, tried } from "./api.js";
import { ask, askName, Button, Dialog, Roving, Segments, Tool } from "./controls.js";
import { html, useEffect, useSignal } from "./html.js";
import { Icon } from "./icons.js";
import { fromAsset, fromUpload, getItem, items, know } from "./library.js";
import { Picture } from "./pictures.js";
import { toast } from "./say.js";
import { many } from "./words.js";

/** @typedef {import("./library.js").Item} Item */
/** @typedef {{id: string, name: string, count: number}} Board */
/** @typedef {{single?: boolean, clips?: boolean}} Options `single` takes one picture at once. */

/**
 * Chosen items; empty when the window was closed without choosing.
 * @param {Options} [options]
 * @returns {Promise<Item[]>}
 */
export const pick = (options = {}) =>
  ask((/** @type {(chosen: Item[]) => void} */ done) => html`<${Picker} ...${options} done=${done} />`);

/** All pictures of a board. @returns {Promise<Item[] | null>} */
export async function boardItems(/** @type {string} */ id) {
  const board = await tried(() => api(`/boards/${id}`));
  if (!board) return null;
  const found = await Promise.all(board.pictures.map(getItem));
  return found.filter((item) => item && !item.deleted_at);
}

/** @param {Options & {done: (chosen: Item[]) => void}} props */
function Picker({ single = false, clips = false, done }) {
  const tab = useSignal(clips ? "uploads" : "gallery");
  const text = useSignal("");
  const found = useSignal(/** @type {Item[]} */ ([]));
  const following = useSignal(/** @type {string | null} */ (null));
  const boards = useSignal(/** @type {Board[]} */ ([]));
  const chosen = useSignal(/** @type {readonly string[]} */ ([]));
  const word = clips ? "clip" : "picture";

  const load = async (/** @type {string | null} */ before) => {
    if (tab.value === "boards") return void (boards.value = (await tried(() => api("/boards"))) ?? []);
    if (tab.value === "uploads") {
      const uploads = await tried(() => api("/uploads?limit=500"));
      found.value = (uploads ?? []).map(fromUpload).filter((/** @type {Item} */ each) => each.kind === word);
      following.value = null;
      return know(found.value);
    }
    const query = new URLSearchParams({ limit: "60", text: text.value, ...(before ? { before } : {}) });
    const page = await tried(() => api(`/gallery?${query}`));
    if (!page) return;
    const next = page.assets.map(fromAsset);
    know(next);
    found.value = before ? [...found.value, ...next] : next;
    following.value = page.next;
  };
  useEffect(() => {
    found.value = [];
    const timer = setTimeout(() => load(null), text.value ? 200 : 0);
    return () => clearTimeout(timer);
  }, [tab.value, text.value]);

  const items_ = (/** @type {readonly string[]} */ ids) => ids.map((id) => items.value.get(id)).filter((item) => item !== null && item !== undefined);
  const turn = (/** @type {string} */ id) => {
    if (single || clips) return done(items_([id]));
    chosen.value = chosen.value.includes(id) ? chosen.value.filter((each) => each !== id) : [...chosen.value, id];
  };
  const whole = async (/** @type {Board} */ board) => {
    const all = await boardItems(board.id);
    if (all) done(all);
  };
  const title = `Choose ${single ? `a ${word}` : `${word}s`}`;
  return html`<${Dialog} label=${title} close=${() => done([])}>
    <header><h2>${title}</h2>
      ${!clips &&
      html`<${Segments} label="Where from" value=${tab.value} choose=${(/** @type {string} */ next) => (tab.value = next)}
        choices=${[["gallery", "Gallery"], ["uploads", "Uploads"], ...(single ? [] : [["boards", "Boards"]])]} />`}
      ${tab.value === "gallery" &&
      html`<span class="search"><${Icon} name="search" /><input type="search" placeholder="Words of the prompt" aria-label="Search prompts" autocomplete="off"
        value=${text.value} onInput=${(/** @type {any} */ event) => (text.value = event.target.value)} /></span>`}
      <${Tool} icon="close" label="Close" onClick=${() => done([])} /></header>
    <div class="picker-body">
      ${tab.value === "boards"
        ? html`<${BoardList} boards=${boards.value} use=${whole} reload=${() => load(null)} />`
        : html`<${Roving} label=${title} class="grid picker-grid">${found.value.map(
            (item) => html`<button key=${item.id} type="button" class="thumb" data-cell=${item.id} aria-pressed=${single ? undefined : String(chosen.value.includes(item.id))}
              aria-label=${item.name} title=${item.name} onClick=${() => turn(item.id)}><${Picture} id=${item.id} /><span class="tick"></span></button>`,
          )}<//>
          ${!found.value.length && html`<p class="picker-none">${tab.value === "gallery" ? "No pictures here." : "Nothing was handed in yet: drop files on the page."}</p>`}`}
      ${following.value && html`<${Button} onClick=${() => load(following.value)}>Show more<//>`}
    </div>
    ${!single &&
    !clips &&
    html`<footer><output aria-live="polite">${chosen.value.length > 0 && `${many(chosen.value.length, word)} chosen`}</output>
      <${Button} onClick=${() => done([])}>Cancel<//>
      <${Button} main disabled=${!chosen.value.length} onClick=${() => done(items_(chosen.value))}>${chosen.value.length ? `Use ${many(chosen.value.length, word)}` : "Use"}<//></footer>`}
  <//>`;
}

/** @param {{boards: Board[], use: (board: Board) => void, reload: () => void}} props */
function BoardList({ boards, use, reload }) {
  const rename = async (/** @type {Board} */ board) => {
    const name = await askName("Rename the board", "Name", board.name);
    if (name && (await tried(() => api(`/boards/${board.id}`, { method: "PATCH", body: { name } })))) reload();
  };
  const drop = async (/** @type {Board} */ board) => {
    await tried(() => api(`/boards/${board.id}`, { method: "DELETE" }));
    toast(`The board ${board.name} is gone. Its pictures were left alone.`);
    reload();
  };
  if (!boards.length) return html`<p class="picker-none">No boards yet. Choose pictures or a folder, then press Save as board.</p>`;
  return html`<ul class="board-list">${boards.map(
    (board) => html`<li key=${board.id}><${Icon} name="board" /><b>${board.name}</b><span>${many(board.count, "picture")}</span>
      <${Tool} icon="pencil" label=${`Rename ${board.name}`} onClick=${() => rename(board)} /><${Tool} icon="trash" label=${`Delete ${board.name}`} onClick=${() => drop(board)} />
      <${Button} disabled=${!board.count} onClick=${() => use(board)}>Use<//></li>`,
  )}</ul>`;
}
