/* The grid of the gallery: one stop for Tab; arrow keys go about, Space marks, Enter opens, S stars, Delete deletes. */
import { CARRIED } from "./boards.js";
import { html, useEffect, useLayoutEffect, useRef, useSignal } from "./html.js";
import { Icon } from "./icons.js";
import { items, star } from "./library.js";
import { labelOf, Picture } from "./pictures.js";
import { route } from "./route.js";
import * as shelf from "./shelf.js";
import { clock } from "./words.js";

/**
 * @typedef {object} Does
 * @property {(id: string) => unknown} open Show it large.
 * @property {(id: string) => unknown} choose Select it.
 * @property {(ids: string[]) => unknown} drop Delete.
 */

/** @param {Does} props */
export function Grid({ open, choose, drop }) {
  const own = useRef(/** @type {HTMLElement | null} */ (null));
  const columns = useSignal(1);
  const stop = useSignal(""); // the cell that Tab reaches
  const last = useRef(/** @type {{id: string, at: number} | null} */ (null)); // the one with the focus
  const anchor = useRef("");
  const ids = shelf.ids.value;
  const { picture } = route.value;
  const reached = [stop.value, picture].find((id) => ids.includes(id)) ?? ids[0] ?? "";

  useEffect(() => {
    const node = /** @type {HTMLElement} */ (own.current);
    const count = () => (columns.value = getComputedStyle(node).gridTemplateColumns.split(" ").length);
    const watch = new ResizeObserver(count);
    watch.observe(node);
    const leave = (/** @type {Event} */ event) => !node.contains(/** @type {Node} */ (event.target)) && (last.current = null);
    document.addEventListener("pointerdown", leave);
    document.addEventListener("focusin", leave);
    return () => {
      watch.disconnect();
      document.removeEventListener("pointerdown", leave);
      document.removeEventListener("focusin", leave);
    };
  }, []);
  // A cell that went away, or into another row, gives the focus to the one in its place.
  useLayoutEffect(() => {
    if (!last.current || (document.activeElement && document.activeElement !== document.body)) return;
    const { id, at } = last.current;
    const next = ids.includes(id) ? id : ids[Math.min(at, ids.length - 1)];
    if (next) focus(next);
  }, [ids, columns.value]);

  const focus = (/** @type {string} */ id) => /** @type {HTMLElement | null} */ (own.current?.querySelector(`[data-id="${id}"]`))?.focus();
  const onFocusIn = (/** @type {FocusEvent} */ event) => {
    const id = cellOf(event)?.dataset.id;
    if (!id) return;
    last.current = { id, at: ids.indexOf(id) };
    stop.value = id;
  };
  const range = (/** @type {string} */ id) => {
    const [from = 0, to = 0] = [ids.indexOf(anchor.current || picture), ids.indexOf(id)].sort((a, b) => a - b);
    shelf.mark(ids.slice(Math.max(from, 0), to + 1));
  };
  const onClick = (/** @type {MouseEvent} */ event) => {
    const id = cellOf(event)?.dataset.id;
    if (!id) return;
    const tick = /** @type {Element} */ (event.target).closest(".tick");
    if (event.shiftKey && (anchor.current || picture)) return range(id);
    anchor.current = id;
    if (event.ctrlKey || event.metaKey || tick || shelf.marking.value || shelf.marked.value.size) return shelf.turnMark(id);
    choose(id);
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    const id = cellOf(event)?.dataset.id;
    if (!id || event.altKey) return;
    const at = ids.indexOf(id);
    const all = event.ctrlKey || event.metaKey;
    if (all) {
      if (event.key.toLowerCase() !== "a") return;
      shelf.mark(ids);
    } else if (event.key === " ") (event.shiftKey ? range(id) : shelf.turnMark(id), (anchor.current = id));
    else if (event.key === "Enter") open(id);
    else if (event.key.toLowerCase() === "s") star(id);
    else if (event.key === "Delete" || event.key === "Backspace") drop(shelf.marked.value.has(id) ? [...shelf.marked.value] : [id]);
    else if (event.key === "Escape" && (shelf.marked.value.size || shelf.marking.value)) shelf.unmark();
    else {
      const wide = columns.value;
      const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: wide, ArrowUp: -wide, Home: -at, End: ids.length - 1 - at, PageDown: 3 * wide, PageUp: -3 * wide };
      const step = steps[/** @type {keyof typeof steps} */ (event.key)];
      if (step === undefined) return;
      const next = ids[Math.min(Math.max(at + step, 0), ids.length - 1)];
      if (next) focus(next);
      if (event.key === "End") shelf.more();
    }
    event.preventDefault();
  };
  const onDragStart = (/** @type {DragEvent} */ event) => {
    const id = cellOf(event)?.dataset.id;
    if (!id || !event.dataTransfer) return;
    event.dataTransfer.setData(CARRIED, JSON.stringify(shelf.marked.value.has(id) ? [...shelf.marked.value] : [id]));
    event.dataTransfer.effectAllowed = "copy";
  };
  const rows = Array.from({ length: Math.ceil(ids.length / columns.value) }, (_, row) => ids.slice(row * columns.value, (row + 1) * columns.value));
  const marking = shelf.marking.value || shelf.marked.value.size > 0;
  return html`<div ref=${own} class=${marking ? "grid is-marking" : "grid"} role="grid" aria-label="Pictures" aria-multiselectable="true" onClick=${onClick} onKeyDown=${onKeyDown}
    onFocusIn=${onFocusIn} onDragStart=${onDragStart} onDblClick=${(/** @type {MouseEvent} */ event) => {
      const id = cellOf(event)?.dataset.id;
      if (id && !marking) open(id);
    }}>
    ${rows.map((row, at) => html`<div key=${at} role="row" class="grid-row">${row.map((id) => html`<${Cell} key=${id} id=${id} reached=${id === reached} current=${id === picture} />`)}</div>`)}
  </div>`;
}

const cellOf = (/** @type {Event} */ event) => /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-id]"));

/** @param {{id: string, reached: boolean, current: boolean}} props */
function Cell({ id, reached, current }) {
  const item = items.value.get(id);
  const marked = shelf.marked.value.has(id);
  const words = item ? labelOf(item) : "picture";
  const score = shelf.scores.value.get(id) ?? item?.parameters.clip_score;
  const badge = item?.from === "upload" ? (item.kind === "clip" ? clock(shelf.moments.value.get(id) ?? 0) : "uploaded") : typeof score === "number" ? score.toFixed(1) : "";
  const kind = ["thumb", item?.starred && "starred", marked && "marked"].filter(Boolean).join(" ");
  return html`<div role="gridcell" class=${kind} data-id=${id} tabindex=${reached ? 0 : -1} draggable="true" title=${words}
    aria-label=${item?.starred ? `${words}, starred` : words} aria-selected=${String(marked)} aria-current=${current ? "true" : undefined}>
    <${Picture} id=${id} /><span class="thumb-star"><${Icon} name="star" /></span><span class="tick"></span>
    ${badge && html`<span class="thumb-badge" title=${typeof score === "number" && item?.from !== "upload" ? "CLIP score" : undefined}>${badge}</span>`}
  </div>`;
}
