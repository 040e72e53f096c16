/* The gallery tab: boards, search and filters, the pictures, the one that is selected, many at once. */
import { offer } from "./actions.js";
import { tried } from "./api.js";
import { addToBoard, Boards, takeFrom } from "./boards.js";
import { ask, Button, Dialog, Segments, Tool } from "./controls.js";
import { config } from "./config.js";
import { findLike, handOver, like, TOOLS } from "./handing.js";
import { effect, html, render, untracked, useEffect, useRef, useSignal } from "./html.js";
import { Icon } from "./icons.js";
import { Grid } from "./grid.js";
import { takers } from "./keys.js";
import { droppedFiles, getItem, getItems, items, original, putBack, thumbnail, upload } from "./library.js";
import { families, learnFamilies } from "./families.js";
import { download, starMany } from "./many.js";
import { Compare, Details, labelOf, openLarge, Picture, PictureActions, PictureTools, Thumb } from "./pictures.js";
import { go, route } from "./route.js";
import { announce, toast } from "./say.js";
import * as shelf from "./shelf.js";
import { SkyMap } from "./sky.js";
import { many } from "./words.js";

/** @typedef {import("./library.js").Item} Item */

const narrow = matchMedia("(max-width: 900px)");
const touch = matchMedia("(hover: none)");

async function searchFiles(/** @type {File[]} */ files) {
  const pictures = files.filter((file) => /^image\//.test(file.type)).slice(0, 4);
  if (!pictures.length) return toast("Drop a PNG, JPEG or WebP picture to find those like it.", { bad: true });
  const { items: found, skipped } = await upload(pictures);
  if (skipped[0]) toast(`${skipped[0].name}: ${skipped[0].reason}`, { bad: true });
  if (found.length) findLike(found.map((item) => item.id));
}

/* -- search and filters -- */

function Finder() {
  const meaning = shelf.mode.value === "meaning";
  const files = async (/** @type {any} */ event) => {
    const chosen = [...event.target.files];
    event.target.value = "";
    await searchFiles(chosen);
  };
  const grid = shelf.view.value === "grid";
  return html`<form class="filters" role="search" aria-label="Find pictures" onSubmit=${(/** @type {Event} */ event) => (event.preventDefault(), shelf.load())}>
    <div class="finder">
      <${Segments} label="Search by" value=${shelf.mode.value} choices=${[["meaning", "Meaning"], ["words", "Words"]]}
        choose=${(/** @type {"meaning" | "words"} */ next) => (shelf.mode.value = next)} />
      <span class="search"><${Icon} name="search" />
        ${like.value.length > 0 && html`<span class="find-chips">${like.value.map((id) => html`<${Chip} key=${id} id=${id} />`)}</span>`}
        <input type="search" autocomplete="off" value=${shelf.text.value} aria-label=${meaning ? "Search by meaning" : "Search prompts"}
          placeholder=${meaning ? "a red apple, something round -blue" : "apple, blue, sticker"}
          onInput=${(/** @type {any} */ event) => (shelf.text.value = event.target.value)} /></span>
      <label class="toggle" title="Find pictures like one of yours: choose it here, or drop it on the page">
        <input type="file" accept="image/png,image/jpeg,image/webp,image/avif" onChange=${files} /><${Icon} name="like" />By picture</label>
      <${Segments} label="Show as" kind="view" value=${shelf.view.value} choices=${[["grid", "Grid", "grid"], ["twins", "Duplicates", "twins"], ["map", "Map", "map"]]}
        choose=${(/** @type {import("./shelf.js").View} */ next) => (shelf.view.value = next)} />
    </div>
    ${shelf.behind.value && html`<p class="find-status" role="status">${shelf.behind.value}</p>`}
    ${grid && html`<${Filters} />`}
    <output class="total" aria-live="polite">${shelf.loaded.value && totalWords()}</output>
    ${(shelf.note.value || shelf.view.value === "map") &&
    html`<p class="find-note">${shelf.note.value || "Alike pictures lie close together: the two main directions of their embeddings (PCA). Drag to fly, scroll or + and - to come closer."}</p>`}
  </form>`;
}

function totalWords() {
  if (shelf.view.value === "twins") return many(shelf.total.value, "group");
  const words = many(shelf.total.value, "picture");
  return shelf.question.value && shelf.view.value === "grid" ? `${words}, closest first` : words;
}

/** A picture that the search goes by. @param {{id: string}} props */
function Chip({ id }) {
  return html`<span class="find-chip"><${Picture} id=${id} /><span>${items.value.get(id)?.name ?? "picture"}</span>
    <${Tool} icon="close" label="Take this picture out of the search" onClick=${() => (like.value = like.value.filter((each) => each !== id))} /></span>`;
}

function Filters() {
  const more = useSignal(false); // only a phone folds them
  useEffect(() => void learnFamilies(), []);
  const now = shelf.filters.value;
  const set = (/** @type {object} */ more) => (shelf.filters.value = { ...shelf.filters.value, ...more });
  const made = Object.entries(config.makes);
  const drawn = families.value.filter((each) => each.kind === "diffusion").map((each) => [each.id, each.name]);
  const select = (/** @type {"capability" | "family" | "period"} */ name, /** @type {string} */ label, /** @type {(string | undefined)[][]} */ choices) =>
    html`<label class="field"><span>${label}</span><select value=${now[name]} onChange=${(/** @type {any} */ event) => set({ [name]: event.target.value })}>
      ${choices.map(([value, words]) => html`<option key=${value} value=${value}>${words}</option>`)}</select></label>`;
  const toggle = (/** @type {"starred" | "deleted"} */ name, /** @type {string} */ words, /** @type {"star" | "trash"} */ icon) =>
    html`<label class="toggle"><input type="checkbox" checked=${now[name]} onChange=${(/** @type {any} */ event) => set({ [name]: event.target.checked })} />
      <${Icon} name=${icon} />${words}</label>`;
  return html`<div class=${more.value ? "narrowing open" : "narrowing"}>${made.length > 1 && select("capability", "Made with", [["", "Everything"], ...made])}
      ${select("family", "Model", [["", "All models"], ...drawn])}
      ${select("period", "When", shelf.PERIODS.map((words) => [words, words]))}</div>
    <button type="button" class="toggle narrowing-button" aria-expanded=${String(more.value)} onClick=${() => (more.value = !more.value)}><${Icon} name="settings" />Filters</button>
    ${toggle("starred", "Starred", "star")}${toggle("deleted", "Deleted", "trash")}
    <button type="button" class="toggle" aria-pressed=${String(shelf.marking.value)} onClick=${() => (shelf.marking.value ? shelf.unmark() : (shelf.marking.value = true))}>
      <${Icon} name="check" />Select</button>`;
}

/* -- the pictures -- */

/** What a picture's cell does when it is opened. */
async function open(/** @type {string} */ id) {
  go({ picture: id });
  const last = await openLarge(id, shelf.ids.value);
  if (last === id || !shelf.ids.value.includes(last)) return;
  go({ picture: last });
  requestAnimationFrame(() => /** @type {HTMLElement | null} */ (document.querySelector(`#gallery .grid [data-id="${last}"]`))?.focus());
}

const choose = (/** @type {string} */ id) => (narrow.matches ? open(id) : go({ picture: id }));

/** Delete from the grid or the panel; the next picture takes the place. */
async function drop(/** @type {string[]} */ some) {
  const { ids } = shelf;
  const at = ids.value.indexOf(route.value.picture);
  if (!(await shelf.drop(some))) return false;
  if (some.includes(route.value.picture)) go({ picture: ids.value[Math.min(Math.max(at, 0), ids.value.length - 1)] ?? "" });
  return true;
}

function Twins() {
  const keep = async (/** @type {readonly string[]} */ group) => shelf.drop([...group.slice(1)]);
  return html`<div class="twins">${shelf.groups.value.map(
    (group, place) => html`<section key=${group[0]} class="twin" aria-label=${`Group ${place + 1}: ${many(group.length, "picture")}`}>
      <header><b>${many(group.length, "picture")}</b><${Button} onClick=${() => keep(group)}>Keep the first<//></header>
      <div class="strip">${group.map((id) => html`<${Thumb} key=${id} id=${id} open=${() => openLarge(id, group)} />`)}</div>
    </section>`,
  )}</div>`;
}

function Nothing() {
  const { deleted } = shelf.filters.value;
  const words = {
    twins: ["No near-duplicates", "Pictures that look almost the same are shown here side by side."],
    map: ["Nothing to map yet", "A few seconds after pictures are made they appear here, alike ones close together."],
    grid: deleted
      ? ["Nothing deleted", "Deleted pictures wait here for 30 days."]
      : shelf.question.value
        ? ["Nothing found", "No picture here fits. New ones can be found a few seconds after they are made. Loosen the filters, or describe it in other words."]
        : shelf.narrowed.value
          ? ["Nothing matches", "Loosen the filters to see more."]
          : shelf.board.value
            ? ["An empty board", "Drag pictures onto its name, or select some and press Add to board."]
            : ["No pictures yet", "Everything you make on the Create tab is kept here."],
  }[shelf.view.value];
  return html`<div class="empty"><div class="empty-art" aria-hidden="true"><i></i><i></i><i></i></div><h2>${words[0]}</h2><p>${words[1]}</p></div>`;
}

function Main() {
  const end = useRef(/** @type {HTMLElement | null} */ (null));
  const { view, total, loaded, next, points } = shelf;
  useEffect(() => {
    if (!end.current) return;
    const seen = new IntersectionObserver((all) => all.some((each) => each.isIntersecting) && shelf.more(), { rootMargin: "600px" });
    seen.observe(end.current);
    return () => seen.disconnect();
  }, [next.value]);
  const empty = loaded.value && !total.value;
  return html`<div class=${shelf.busy.value ? "gallery-main is-searching" : "gallery-main"} aria-busy=${String(shelf.busy.value)}>
    ${empty && html`<${Nothing} />`}
    ${!empty && view.value === "grid" && html`<${Grid} open=${open} choose=${choose} drop=${drop} />`}
    ${!empty && view.value === "twins" && html`<${Twins} />`}
    ${!empty && view.value === "map" && html`<${SkyMap} points=${points.value} choose=${choose} open=${(/** @type {string} */ id) => openLarge(id)} />`}
    <${Undo} />
    ${view.value === "grid" && next.value && html`<div class="grid-end" ref=${end}><${Button} onClick=${shelf.more}>Show more<//></div>`}
    <${Marked} />
  </div>`;
}

/** The way back, beside what was deleted. */
function Undo() {
  const count = shelf.undoable.value.length;
  return html`<div class="undo-bar" role="status">${count > 0 &&
  html`<span>${count === 1 ? "Deleted. It stays" : `${many(count, "picture")} deleted. They stay`} restorable for 30 days.</span>
    <${Button} icon="undo" aria-keyshortcuts="Control+Z" onClick=${shelf.undo}>Undo<//>
    <${Tool} icon="close" label="Close this note" onClick=${() => (shelf.undoable.value = [])} />`}</div>`;
}

/** What can be done with many pictures at once. */
function Marked() {
  const ids = [...shelf.marked.value];
  if (!ids.length && !shelf.marking.value) return null;
  const all = ids.map((id) => items.value.get(id)).filter((item) => item !== null && item !== undefined);
  const own = all.filter((item) => item.from === "gallery").map((item) => item.id);
  const on = !all.some((item) => item.starred);
  const { deleted } = shelf.filters.value;
  const compare = () => ask((/** @type {(answer: null) => void} */ done) => html`<${Dialog} label="Compare" class="box-wide comparing" close=${() => done(null)}>
    <header><h2>Compare</h2><${Tool} icon="close" label="Close" onClick=${() => done(null)} /></header>
    <div class="comparing-view"><${Compare} before=${ids[0]} after=${ids[1]} words=${["First", "Second"]} /></div><//>`);
  return html`<div class="marked-bar" role="toolbar" aria-label="Selected pictures">
    <b>${ids.length ? `${many(ids.length, "picture")} selected` : "Choose pictures"}</b>
    <${Button} onClick=${() => shelf.mark(shelf.ids.value)}>All<//>
    ${ids.length > 0 && deleted && html`<${Button} icon="undo" onClick=${() => putBack(ids)}>Put back<//>`}
    ${ids.length > 0 && !deleted &&
    html`${own.length > 0 && html`<${Button} icon="star" onClick=${() => starMany(own, on)}>${on ? "Star" : "Take the star away"}<//>`}
      <${Button} icon="board" onClick=${async () => (await addToBoard(ids)) && shelf.unmark()}>Add to board<//>
      ${shelf.board.value && html`<${Button} onClick=${() => takeFrom(shelf.board.value, ids)}>Take off the board<//>`}
      <${Button} icon="download" onClick=${() => download(ids)}>Download<//>
      ${ids.length === 2 && html`<${Button} icon="compare" onClick=${compare}>Compare<//>`}
      ${TOOLS.map(([name, words]) => html`<${Button} key=${name} icon=${name} onClick=${() => (shelf.unmark(), handOver(name, ids))}>${words}<//>`)}
      <${Button} icon="trash" onClick=${() => drop(ids)}>Delete<//>`}
    <${Tool} icon="close" label="Select none" onClick=${shelf.unmark} />
  </div>`;
}

/* -- the selected one -- */

function Side() {
  const { picture: id } = route.value;
  const item = id ? items.value.get(id) : undefined;
  useEffect(() => void (id && getItem(id)), [id]);
  if (narrow.matches) return null;
  return html`<aside class="panel gallery-side" aria-label="Selected picture" tabindex="-1">${item ? html`<${Selected} key=${id} item=${item} />` : html`<${Hint} />`}</aside>`;
}

const Hint = () => html`<p class="side-hint">${touch.matches
  ? html`Tap a picture to see how it was made, again to see it large.<br />Select marks several.`
  : html`Select a picture to see how it was made.<br />Double-click or Enter opens it large.<br />Ctrl-click, Shift-click or Space selects several.`}</p>`;

/** @param {{item: Item}} props */
function Selected({ item }) {
  const player = useRef(/** @type {HTMLVideoElement | null} */ (null));
  const time = shelf.moments.value.get(item.id) ?? 0;
  useEffect(() => {
    if (player.current) player.current.currentTime = time; // where the search found it
  }, [time]);
  const playable = item.kind === "clip" && ["mp4", "webm", "mov"].includes(item.format);
  return html`${playable
      ? html`<div class="upload-shown"><video ref=${player} src=${original(item.id)} poster=${thumbnail(item.id)} controls muted></video></div>`
      : html`<button type="button" class="pic-open" aria-label="Open large" onClick=${() => open(item.id)}><${Picture} id=${item.id} large alt=${labelOf(item)} /></button>`}
    <div class="details" data-id=${item.id}>
      ${item.missing &&
      html`<p class="sentence"><${Icon} name="alert" /><span>The file of this picture is missing from the data folder. Its settings are still here: reuse them to draw it again.</span></p>`}
      <p class="details-prompt">${item.prompt || item.name}</p>
      <div class="details-tools"><${PictureTools} item=${item} drop=${() => drop([item.id])} />
        ${!item.deleted_at && html`<${Tool} icon="board" label="Add to a board" onClick=${() => addToBoard([item.id])} />`}</div>
      <${PictureActions} item=${item} />
      <${Details} item=${item} open=${(/** @type {string} */ next) => go({ picture: next })} />
    </div>`;
}

/* -- the tab -- */

function Gallery() {
  return html`<div class="gallery" data-view=${shelf.view.value}>
    <h2 class="sr-only">Gallery</h2>
    <${Finder} />
    <div class="gallery-body">
      <${Boards} open=${shelf.board.value} choose=${(/** @type {string} */ id) => ((shelf.board.value = id), shelf.unmark())} />
      <${Main} /><${Side} />
    </div>
  </div>`;
}

/** Fill the tab. @param {HTMLElement} root */
export function startGallery(root) {
  render(html`<${Gallery} />`, root);
  shelf.startShelf();
  takers.push({ root, words: "Drop a picture to find those like it", take: async (carrier) => searchFiles(await droppedFiles(carrier)) });
  narrow.addEventListener("change", () => render(html`<${Gallery} key=${narrow.matches} />`, root));
  effect(() => {
    if (!like.value.length) return;
    untracked(() => {
      shelf.mode.value = "meaning";
      shelf.view.value = "grid";
      announce("Pictures like the chosen one.");
      tried(() => getItems(like.value));
    });
  });
  document.addEventListener("keydown", (event) => {
    const typing = /** @type {Element} */ (event.target).closest?.("input, textarea, select");
    if (route.value.tab !== "gallery" || typing || !(event.ctrlKey || event.metaKey) || event.key !== "z" || !shelf.undoable.value.length) return;
    event.preventDefault();
    shelf.undo();
  });
  const { tab, picture } = route.value;
  if (narrow.matches && tab === "gallery" && picture) open(picture); // the page was opened at a picture
}

offer([
  { name: "like", words: "More like this", icon: "search", can: () => true, run: (id) => findLike([id]) },
  ...TOOLS.slice(0, 3).map(([name, words]) => ({
    name, words, icon: name, can: (/** @type {Item} */ item) => item.kind === "picture", run: (/** @type {string} */ id) => handOver(name, [id]),
  })),
  { name: "clip", words: "Look through it", icon: "clip", can: (item) => item.kind === "clip", run: (id) => handOver("clip", [id]) },
  { name: "board", words: "Add to board", icon: "board", can: (item) => item.from === "gallery" && route.value.tab !== "gallery", run: (id) => void addToBoard([id]) },
]);
