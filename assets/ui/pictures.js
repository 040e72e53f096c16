/* One viewer for every picture: open, step, zoom, compare, star, download, delete, and what can be done with it. */
import { actionsFor } from "./actions.js";
import { api } from "./api.js";
import { config } from "./config.js";
import { ask, Button, Dialog, Tool } from "./controls.js";
import { learnFamilies, names } from "./families.js";
import { html, useEffect, useRef, useSignal } from "./html.js";
import { Icon } from "./icons.js";
import { fromAsset, getItem, items, know, original, putBack, remove, star, thumbnail } from "./library.js";
import { announce, toast } from "./say.js";
import { bytes, moment, short } from "./words.js";

/** @typedef {import("./library.js").Item} Item */

const LABELS = {
  negative_prompt: "Negative prompt", strength: "Strength", steps: "Steps", guidance_scale: "Guidance", sampler: "Sampler",
  seed: "Seed", styles: "Styles", model_hash: "Model hash", upscaler: "Enlarged with", clip_score: "CLIP score",
  clip_model: "Scored by",
};

/** The same for pictures of one prompt: `a fox, seed 12`. */
export const labelOf = (/** @type {Item} */ item) =>
  item.seed === null ? item.name : `${short(item.name, 120)}, seed ${item.seed}`;

/**
 * A picture, or in its place why there is none.
 * @param {{id: string, large?: boolean, alt?: string}} props
 */
export function Picture({ id, large = false, alt = "" }) {
  const broken = useSignal("");
  const item = items.value.get(id);
  useEffect(() => void getItem(id), [id]);
  if (item === undefined) return html`<span class="unknown"></span>`; // where its file lies depends on what it is
  if (item === null) return html`<span class="lost" title="Deleted">Deleted</span>`;
  if (broken.value === id || item.missing) return html`<span class="lost"><${Icon} name="alert" />File missing</span>`;
  return html`<img src=${large ? original(id) : thumbnail(id)} alt=${alt} loading=${large ? "eager" : "lazy"} decoding="async"
    width=${large ? item.width || undefined : undefined} height=${large ? item.height || undefined : undefined}
    onError=${() => (broken.value = id)} />`;
}

/**
 * A picture as a button in a grid or strip.
 * @param {{id: string, open: (id: string) => void, large?: () => void, current?: boolean, badge?: string}} props
 */
export function Thumb({ id, open, large, current = false, badge = "" }) {
  const item = items.value.get(id);
  const words = item ? labelOf(item) : "picture";
  return html`<button type="button" class=${item?.starred ? "thumb starred" : "thumb"} data-id=${id} data-cell=${id} title=${words}
    aria-label=${words} aria-current=${current ? "true" : undefined} onClick=${() => open(id)} onDblClick=${large}>
    <${Picture} id=${id} /><span class="thumb-star"><${Icon} name="star" /></span>${badge && html`<span class="thumb-badge">${badge}</span>`}
  </button>`;
}

/** @param {{item: Item}} props */
export const Download = ({ item }) => {
  const href = item.from === "upload" ? `${original(item.id)}?download=1` : original(item.id);
  const name = item.from === "upload" ? item.name : `${item.capability}-${item.seed}-${item.id.slice(0, 6)}.png`;
  return html`<a class="tool" href=${href} download=${name} aria-label="Download the original" title="Download the original">
    <${Icon} name="download" /></a>`;
};

/**
 * Star, download, delete: what every picture has. `drop` deletes it in another way.
 * @param {{item: Item, removed?: () => void, drop?: () => unknown}} props
 */
export function PictureTools({ item, removed, drop = async () => (await remove([item.id])) && removed?.() }) {
  if (item.deleted_at) return html`<${Button} icon="undo" onClick=${() => putBack([item.id])}>Put back<//>`;
  return html`${item.from === "gallery" &&
  html`<${Tool} icon="star" label="Star" aria-pressed=${String(item.starred)} data-act="star" onClick=${() => star(item.id)} />`}
  ${!item.missing && html`<${Download} item=${item} />`}<${Tool} icon="trash" label="Delete" onClick=${drop} />`;
}

/** A button for each thing that can be done with a picture. @param {{item: Item, before?: () => void}} props */
export const PictureActions = ({ item, before }) =>
  html`<div class="picture-actions" role="group" aria-label="What to do with it">
    ${actionsFor(item).map(
      (each) => html`<button key=${each.name} type="button" class="chip" data-do=${each.name}
        onClick=${() => (before?.(), each.run(item.id))}><${Icon} name=${each.icon} />${each.words}</button>`,
    )}
  </div>`;

export async function copySeed(/** @type {number} */ seed) {
  try {
    await navigator.clipboard.writeText(String(seed));
    toast(`Copied seed ${seed}.`);
  } catch {
    toast("This browser does not allow copying here.", { bad: true });
  }
}

/**
 * Two pictures of one place over each other with a handle between them: a range, so that keys move it too.
 * @param {{before: string, after: string, words?: [string, string]}} props
 */
export function Compare({ before, after, words = ["Before", "After"] }) {
  const at = useSignal(50);
  const item = items.value.get(after);
  const ratio = item?.width && item.height ? item.width / item.height : 1;
  return html`<div class="compare" style=${`--at:${at.value}%;--ratio:${ratio}`}>
    <div class="compare-side"><${Picture} id=${after} large alt=${words[1]} /></div>
    <div class="compare-side compare-before"><${Picture} id=${before} large alt=${words[0]} /></div>
    <span class="compare-word" aria-hidden="true">${words[0]}</span><span class="compare-word compare-word-after" aria-hidden="true">${words[1]}</span>
    <span class="compare-line" aria-hidden="true"></span>
    <input type="range" min="0" max="100" step="1" value=${at.value} aria-label=${`How much of ${words[0].toLowerCase()} is shown`}
      aria-valuetext=${`${at.value} % ${words[0].toLowerCase()}`}
      onInput=${(/** @type {any} */ event) => (at.value = Number(event.target.value))} />
  </div>`;
}

/**
 * A picture that can be looked at closely: wheel, double click, + and - zoom, dragging moves, 0 shows all.
 * @param {{id: string, alt: string}} props
 */
export function Zoomable({ id, alt }) {
  const view = useSignal({ scale: 1, x: 0, y: 0 });
  const own = useRef(/** @type {HTMLElement | null} */ (null));
  const held = useRef(/** @type {{x: number, y: number} | null} */ (null));
  useEffect(() => void (view.value = { scale: 1, x: 0, y: 0 }), [id]);
  const zoom = (/** @type {number} */ times, point = { x: 0, y: 0 }) => {
    const { scale, x, y } = view.value;
    const next = Math.min(Math.max(scale * times, 1), 16);
    const grow = next / scale;
    view.value = next === 1 ? { scale: 1, x: 0, y: 0 } : { scale: next, x: point.x - (point.x - x) * grow, y: point.y - (point.y - y) * grow };
  };
  const point = (/** @type {MouseEvent} */ event) => {
    const box = /** @type {HTMLElement} */ (own.current).getBoundingClientRect();
    return { x: event.clientX - box.left - box.width / 2, y: event.clientY - box.top - box.height / 2 };
  };
  useEffect(() => {
    const onWheel = (/** @type {WheelEvent} */ event) => (event.preventDefault(), zoom(event.deltaY < 0 ? 1.25 : 0.8, point(event)));
    const node = own.current;
    node?.addEventListener("wheel", onWheel, { passive: false }); // Preact's own would be passive
    return () => node?.removeEventListener("wheel", onWheel);
  }, []);
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    const times = { "+": 1.25, "=": 1.25, "-": 0.8, 0: 0 }[event.key];
    if (times === undefined) return;
    event.preventDefault();
    zoom(times);
  };
  const onPointerDown = (/** @type {PointerEvent} */ event) => {
    if (view.value.scale === 1) return;
    held.current = { x: event.clientX - view.value.x, y: event.clientY - view.value.y };
    /** @type {Element} */ (event.currentTarget).setPointerCapture(event.pointerId);
  };
  const onPointerMove = (/** @type {PointerEvent} */ event) => {
    if (held.current) view.value = { ...view.value, x: event.clientX - held.current.x, y: event.clientY - held.current.y };
  };
  const { scale, x, y } = view.value;
  return html`<div class=${scale > 1 ? "zoomable is-near" : "zoomable"} ref=${own} tabindex="0" role="group" aria-label="Picture: plus and minus zoom, 0 shows all"
    onKeyDown=${onKeyDown} onPointerDown=${onPointerDown} onPointerMove=${onPointerMove} onPointerUp=${() => (held.current = null)}
    onDblClick=${(/** @type {MouseEvent} */ event) => zoom(scale > 1 ? 0 : 3, point(event))}>
    <div class="zoomed" style=${`transform:translate(${x}px,${y}px) scale(${scale})`}><${Picture} key=${id} id=${id} large alt=${alt} /></div>
  </div>`;
}

/** Everything known of a picture. @param {{item: Item, open: (id: string) => void}} props */
export function Details({ item, open }) {
  const line = useSignal(/** @type {{parents: Item[], children: Item[]} | null} */ (null));
  useEffect(() => {
    let wanted = true;
    line.value = null;
    learnFamilies();
    if (item.from === "gallery") {
      api(`/gallery/${item.id}/lineage`).then((found) => {
        const [parents, children] = [found.parents.map(relative), found.children.map(relative)];
        know([...parents, ...children]);
        if (wanted) line.value = { parents, children };
      }, () => {});
    }
    return () => void (wanted = false);
  }, [item.id]);
  const known = item.parameters;
  const model = known.model || item.family;
  /** @type {[string, string][]} */
  const rows = [];
  if (model) rows.push(["Model", names.value[model] ?? model]);
  if (item.width) rows.push(["Size", `${item.width} × ${item.height} px`]);
  for (const [key, label] of Object.entries(LABELS)) {
    const value = key === "sampler" ? (config.samplers[known[key]] ?? known[key]) : known[key];
    if (value !== undefined && value !== null && value !== "" && value.length !== 0) rows.push([label, [value].flat().join(", ")]);
  }
  if (item.created_at) rows.push([item.from === "upload" ? "Handed in" : "Made", moment(item.created_at)]);
  if (item.bytes) rows.push(["File", bytes(item.bytes)]);
  if (known.versions) rows.push(["Software", Object.entries(known.versions).map((pair) => pair.join(" ")).join(", ")]);
  return html`<dl>${rows.map(([label, value]) => html`<div key=${label}><dt>${label}</dt><dd>${value}</dd></div>`)}</dl>
    ${item.notes.map((note) => html`<p key=${note} class="note">${note}</p>`)}
    <${Relatives} title="Made from" of=${line.value?.parents} open=${open} />
    <${Relatives} title="Led to" of=${line.value?.children} open=${open} />`;
}

/** @param {any} found */
const relative = (found) => (found.parameters ? fromAsset(found) : found);

/** @param {{title: string, of: Item[] | undefined, open: (id: string) => void}} props */
const Relatives = ({ title, of, open }) =>
  of?.length
    ? html`<h3>${title}</h3><div class="lineage">${of.map((each) => html`<${Thumb} key=${each.id} id=${each.id} open=${open} />`)}</div>`
    : null;

/**
 * The large view. `ids` are those that the arrow keys step through.
 * @param {{id: string, ids: readonly string[], done: (id: string) => void}} props
 */
function Viewer({ id, ids, done }) {
  const shown = useSignal(id);
  const other = useSignal(""); // compared with
  const item = items.value.get(shown.value);
  useEffect(() => void getItem(shown.value).then((found) => found && announce(labelOf(found))), [shown.value]);
  const turn = (/** @type {number} */ step) => {
    if (ids.length < 2) return;
    shown.value = /** @type {string} */ (ids[(ids.indexOf(shown.value) + step + ids.length) % ids.length]);
    other.value = "";
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const ranged = event.target instanceof HTMLInputElement;
    if (event.key === "ArrowLeft" && !ranged) turn(-1);
    else if (event.key === "ArrowRight" && !ranged) turn(1);
    else if (event.key.toLowerCase() === "s") star(shown.value);
    else if (event.key === "Delete") drop();
    else return;
    event.preventDefault();
  };
  const drop = async () => {
    const gone = shown.value;
    if (!(await remove([gone]))) return;
    if (ids.length > 1) turn(1);
    if (shown.value === gone) done(gone);
  };
  const around = ids.indexOf(shown.value);
  const rival = other.value || item?.parameters?.requested?.picture || ids[around - 1] || ids[around + 1] || "";
  const step = (/** @type {number} */ by, /** @type {string} */ words, /** @type {"left" | "right"} */ icon) =>
    ids.length > 1 && html`<${Tool} class=${`box-step box-${icon}`} icon=${icon} label=${words} onClick=${() => turn(by)} />`;
  return html`<${Dialog} label="Large view" class="box" close=${() => done(shown.value)} onKeyDown=${onKeyDown}>
    <div class="box-view">
      ${step(-1, "Previous picture", "left")}
      ${other.value && item
        ? html`<${Compare} before=${other.value} after=${shown.value} words=${["The other", "This one"]} />`
        : html`<${Zoomable} id=${shown.value} alt=${item ? labelOf(item) : ""} />`}
      ${step(1, "Next picture", "right")}
    </div>
    <div class="box-side">
      <${Tool} class="box-close" icon="close" label="Close" onClick=${() => done(shown.value)} />
      ${item &&
      html`<div class="details" data-id=${item.id}>
        ${item.missing && html`<p class="sentence"><${Icon} name="alert" />The file of this picture is missing from the data folder. Its settings are still here.</p>`}
        <p class="details-prompt">${item.prompt || item.name}</p>
        <div class="details-tools"><${PictureTools} item=${item} removed=${() => (ids.length > 1 ? turn(1) : done(item.id))} />
          ${rival && html`<${Tool} icon="compare" label="Compare" aria-pressed=${String(Boolean(other.value))} onClick=${() => (other.value = other.value ? "" : rival)} />`}</div>
        <${PictureActions} item=${item} before=${() => done(shown.value)} />
        <${Details} item=${item} open=${(/** @type {string} */ next) => ((shown.value = next), (other.value = ""))} />
      </div>`}
    </div>
  <//>`;
}

/** Open a picture large; gives the id that was shown last. @param {string} id @param {readonly string[]} [ids] */
export const openLarge = (id, ids = []) =>
  ask((/** @type {(last: string) => void} */ done) => html`<${Viewer} id=${id} ids=${ids.includes(id) ? ids : [id]} done=${done} />`);
