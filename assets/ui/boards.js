/* Boards: pictures that are kept together. The list beside the gallery, what can be dropped on it, adding to a board. */
import { api, tried } from "./api.js";
import { ask, askName, Button, Dialog, Tool } from "./controls.js";
import { html, signal, useEffect, useSignal } from "./html.js";
import { Icon } from "./icons.js";
import { announce, toast } from "./say.js";
import { many, short } from "./words.js";

/** @typedef {{id: string, name: string, count: number}} Board */

/** What is dragged from a grid onto a board. */
export const CARRIED = "application/x-studio-pictures";

export const boards = signal(/** @type {readonly Board[]} */ ([]));
/** Counts up when the pictures of a board changed. */
export const filled = signal(0);

export async function lookAtBoards() {
  const found = await api("/boards").catch(() => null);
  if (found) boards.value = found;
}

/** Put pictures on a board. @param {Board} board @param {readonly string[]} ids */
export async function addTo(board, ids) {
  const done = await tried(() => api(`/boards/${board.id}/add`, { body: { pictures: ids } }));
  if (!done) return false;
  const there = ids.length - done.changed;
  toast(`${many(done.changed, "picture")} added to ${board.name}.${there ? ` ${there} ${there === 1 ? "was" : "were"} there already.` : ""}`);
  filled.value += 1;
  await lookAtBoards();
  return true;
}

/** Take pictures off a board; they stay in the gallery. @param {string} id @param {readonly string[]} ids */
export async function takeFrom(id, ids) {
  const done = await tried(() => api(`/boards/${id}/remove`, { body: { pictures: ids } }));
  if (!done) return false;
  toast(`${many(done.changed, "picture")} taken off the board.`, { action: "Undo", run: () => addTo({ id, name: "the board", count: 0 }, ids) });
  filled.value += 1;
  await lookAtBoards();
  return true;
}

/** Ask for a name and begin a board with pictures. @param {readonly string[]} ids @param {string} [name] @returns {Promise<Board | null>} */
export async function newBoard(ids, name = "") {
  const title = ids.length ? `Save ${many(ids.length, "picture")} as a board` : "New board";
  const chosen = await askName(title, "Name of the board", name);
  if (!chosen) return null;
  const board = await tried(() => api("/boards", { body: { name: chosen, pictures: ids } }));
  if (board) toast(ids.length ? `Saved the board ${board.name} with ${many(ids.length, "picture")}.` : `The board ${board.name} is ready: drop pictures on it.`);
  await lookAtBoards();
  return board;
}

/** Choose a board for pictures, or begin one. @param {readonly string[]} ids @returns {Promise<boolean>} */
export async function addToBoard(ids) {
  await lookAtBoards();
  if (!boards.value.length) return Boolean(await newBoard(ids));
  const chosen = await ask((/** @type {(answer: Board | "new" | null) => void} */ done) =>
    html`<${Dialog} label="Add to a board" class="box-small" close=${() => done(null)}>
      <div class="ask-name"><h2>${`Add ${many(ids.length, "picture")} to a board`}</h2>
        <div class="choices">${boards.value.map(
          (board) => html`<${Button} key=${board.id} icon="board" onClick=${() => done(board)}><span>${board.name}</span><small>${board.count}</small><//>`,
        )}</div>
        <div class="row-end"><${Button} onClick=${() => done(null)}>Cancel<//><${Button} main icon="plus" onClick=${() => done("new")}>New board<//></div>
      </div>
    <//>`,
  );
  if (!chosen) return false;
  return chosen === "new" ? Boolean(await newBoard(ids)) : addTo(chosen, ids);
}

/** @param {Board} board @param {(id: string) => void} open */
async function rename(board, open) {
  const name = await askName("Rename the board", "Name", board.name);
  if (name && (await tried(() => api(`/boards/${board.id}`, { method: "PATCH", body: { name } })))) await lookAtBoards();
  open(board.id);
}

/** @param {Board} board @param {(id: string) => void} open */
async function drop(board, open) {
  const inside = await tried(() => api(`/boards/${board.id}`));
  if (!inside || !(await tried(() => api(`/boards/${board.id}`, { method: "DELETE" })))) return;
  const again = async () => {
    if (await tried(() => api("/boards", { body: { name: board.name, pictures: inside.pictures } }))) await lookAtBoards();
  };
  toast(`The board ${board.name} is gone. Its pictures were left alone.`, { action: "Undo", run: again });
  await lookAtBoards();
  open("");
}

/**
 * The boards beside the gallery: one is open or none, and pictures can be dropped on each.
 * @param {{open: string, choose: (id: string) => void}} props
 */
export function Boards({ open, choose }) {
  const over = useSignal("");
  useEffect(() => void lookAtBoards(), []);
  const carried = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes(CARRIED);
  const take = (/** @type {DragEvent} */ event, /** @type {Board | null} */ board) => {
    over.value = "";
    if (!event.dataTransfer || !carried(event)) return;
    event.preventDefault();
    const ids = JSON.parse(event.dataTransfer.getData(CARRIED));
    if (board) addTo(board, ids);
    else newBoard(ids);
  };
  const target = (/** @type {string} */ id, /** @type {Board | null} */ board) => ({
    class: over.value === id ? "board over" : "board",
    onDragOver: (/** @type {DragEvent} */ event) => carried(event) && (event.preventDefault(), (over.value = id)),
    onDragLeave: () => over.value === id && (over.value = ""),
    onDrop: (/** @type {DragEvent} */ event) => take(event, board),
  });
  const current = boards.value.find((each) => each.id === open);
  const go = (/** @type {string} */ id, /** @type {string} */ words) => (choose(id), announce(words));
  return html`<nav class="boards" aria-label="Boards">
    <h3>Boards</h3>
    <ul>
      <li><button type="button" class="board" aria-current=${open ? undefined : "true"} onClick=${() => go("", "All pictures")}>
        <${Icon} name="grid" /><span>All pictures</span></button></li>
      ${boards.value.map(
        (board) => html`<li key=${board.id}><button type="button" ...${target(board.id, board)} data-board=${board.id} title=${board.name}
          aria-current=${board.id === open ? "true" : undefined} onClick=${() => go(board.id, `Board ${board.name}`)}>
          <${Icon} name="board" /><span>${short(board.name, 40)}</span><small>${board.count}<span class="sr-only"> pictures</span></small></button></li>`,
      )}
      <li><button type="button" ...${target("new", null)} onClick=${async () => (await newBoard([])) && announce("Board made")}>
        <${Icon} name="plus" /><span>New board</span></button></li>
    </ul>
    ${current &&
    html`<div class="board-tools"><${Tool} icon="pencil" label=${`Rename ${current.name}`} onClick=${() => rename(current, choose)} />
      <${Tool} icon="trash" label=${`Delete the board ${current.name}`} onClick=${() => drop(current, choose)} /></div>`}
    <p class="boards-hint">Drag pictures onto a board to add them.</p>
  </nav>`;
}
