/* The stage: the picture or the job that the drawing tabs are about, large; without either, examples to begin with. */
import { api } from "./api.js";
import { MaskStage } from "./canvas/stage.js";
import { mode } from "./canvas/state.js";
import { config } from "./config.js";
import { Button, Tool } from "./controls.js";
import { isActive, previews, worker } from "./events.js";
import { html, useEffect, useSignal } from "./html.js";
import { Headline, made, Notes } from "./job.js";
import { getItem, items } from "./library.js";
import { Compare, Details, labelOf, openLarge, Picture, PictureActions, PictureTools, copySeed, Zoomable } from "./pictures.js";
import { go, route } from "./route.js";
import { job, kept, ready, showPicture, source } from "./session.js";

/** @typedef {import("./events.js").Job} Job */
/** @typedef {import("./library.js").Item} Item */

/** Columns that leave `count` pictures of one ratio (width / height) largest on a wide stage. */
export function columns(/** @type {number} */ count, /** @type {number} */ ratio) {
  if (count <= 1) return 1;
  if (count === 2) return 2;
  if (count <= 4) return ratio >= 0.8 ? 2 : count;
  if (count <= 6) return 3;
  return count <= 9 ? 3 : Math.ceil(Math.sqrt(count * 1.6));
}

/** The seed under a picture. @param {{item: Item}} props */
const Seed = ({ item }) =>
  item.seed === null
    ? html`<span class="seed">${item.name}</span>`
    : html`<button type="button" class="seed" title="Copy the seed" onClick=${() => copySeed(/** @type {number} */ (item.seed))}>seed ${item.seed}</button>`;

/** A result of a job. @param {{id: string, ids: readonly string[]}} props */
function Result({ id, ids }) {
  const item = items.value.get(id);
  return html`<figure class="pic" data-id=${id}>
    <button type="button" class="pic-open" aria-label=${item ? `Pick: ${labelOf(item)}` : "Pick"} onClick=${() => showPicture(id)}
      onDblClick=${() => openLarge(id, ids)}><${Picture} id=${id} large alt=${item ? labelOf(item) : ""} /></button>
    ${item && html`<figcaption><${Seed} item=${item} /><span class="pic-tools"><${PictureTools} item=${item} /></span></figcaption>`}
  </figure>`;
}

/** A job with its pictures as they arrive. @param {{job: Job}} props */
function JobStage({ job }) {
  const ids = kept(job);
  const going = isActive(job);
  const { request } = job;
  const { width = 1, height = 1 } = items.value.get(ids[0] ?? "") ?? request;
  const ratio = (width || 1) / (height || 1);
  const asked = Number(request.keep_best || request.count || 1);
  const preview = previews.value.get(job.id);
  const missing = going ? Math.max(asked - job.asset_ids.length, 0) : 0;
  const places = Math.max(missing - (preview ? Math.min(Number(request.batch_size) || 1, missing) : 1), 0);
  const count = ids.length + (missing ? 1 + places : 0);
  const single = ids.length === 1 && !missing ? /** @type {string} */ (ids[0]) : "";
  return html`<div class="stage-inner" data-status=${job.status} data-job=${job.id}>
    <${Headline} job=${job} made=${made(job, ids.length)}>
      ${mode.value && source.value && html`<${Button} icon="brush" onClick=${() => go({ picture: source.value })}>Back to the mask<//>`}
    <//>
    <${Notes} job=${job} />
    ${single && html`<${Single} key=${single} id=${single} before=${request.picture ?? ""} />`}
    ${!single &&
    count > 0 &&
    html`<div class="pics" data-count=${count} style=${`--columns:${columns(count, ratio)};--rows:${Math.ceil(count / columns(count, ratio))};--ratio:${ratio}`}>
      ${ids.map((id) => html`<${Result} key=${id} id=${id} ids=${ids} />`)}
      ${missing > 0 &&
      html`<div class="pic live" key="live"><div class="frame">${preview && html`<img class="preview" src=${preview} alt="Live preview" />`}</div><div class="foot">${job.status === "queued" ? "waiting" : "drawing"}</div></div>`}
      ${Array.from({ length: missing ? places : 0 }, (_, at) => html`<div class="pic waiting" key=${`place-${at}`}><div class="frame"></div><div class="foot"></div></div>`)}
    </div>`}
    <p class="stage-prompt">${request.prompt}</p>
  </div>`;
}

/**
 * One picture, as large as the stage allows, with its tools and what can be done with it.
 * @param {{id: string, before?: string}} props `before` is what it was made from.
 */
function Single({ id, before = "" }) {
  const item = items.value.get(id);
  const comparing = useSignal(Boolean(before));
  const told = useSignal(false);
  const from = before || String(item?.parameters?.picture ?? item?.parameters?.requested?.picture ?? "");
  useEffect(() => void [id, from].filter(Boolean).map(getItem), [id, from]);
  const origin = items.value.get(from);
  const lost = from !== "" && (origin === null || Boolean(origin?.deleted_at));
  const first = origin && !lost ? from : "";
  if (item === undefined) return html`<div class="single"></div>`;
  if (item === null) return html`<div class="empty"><h2>This picture is gone</h2><p>It may have been deleted for good.</p></div>`;
  const ratio = item.width && item.height ? item.width / item.height : 1;
  return html`<figure class="single pic" data-id=${id} style=${`--ratio:${ratio}`}>
    <div class="single-view">
      ${comparing.value && first
        ? html`<${Compare} before=${first} after=${id} />`
        : html`<${Zoomable} id=${id} alt=${labelOf(item)} />`}
    </div>
    <figcaption>
      <${Seed} item=${item} />
      <${PictureActions} item=${item} />
      <span class="pic-tools">
        ${first &&
        html`<${Tool} icon="compare" label="Compare with the original" aria-pressed=${String(comparing.value)} onClick=${() => (comparing.value = !comparing.value)} />`}
        <${Tool} icon="zoom" label="Open large" onClick=${() => openLarge(id)} />
        <${Tool} icon="settings" label="How it was made" aria-expanded=${String(told.value)} onClick=${() => (told.value = !told.value)} />
        <${PictureTools} item=${item} removed=${() => route.value.picture === id && go({ picture: "" })} />
      </span>
    </figcaption>
    ${lost && html`<p class="note">The picture it was made from was deleted.</p>`}
    ${told.value && html`<div class="single-details details panel"><p class="details-prompt">${item.prompt || item.name}</p><${Details} item=${item} open=${showPicture} /></div>`}
  </figure>`;
}

/** Nothing drawn yet: examples that draw on one click. @param {{draw: (prompt: string) => void, models: () => void}} props */
function Welcome({ draw, models }) {
  const touch = matchMedia("(pointer: coarse)").matches;
  const alone = useSignal(false);
  useEffect(() => {
    const only = (/** @type {any[]} */ models) => models.filter((each) => each.kind === "diffusion" && each.available).length < 2;
    api("/models").then((models) => (alone.value = only(models)), () => {});
  }, []);
  return html`<div class="empty">
    <h2>Your pictures appear here</h2>
    <p>Write what you want to see below, or begin with one of these.</p>
    <div class="examples">
      ${config.examples.map(
        (each) => html`<button key=${each.prompt} type="button" class="example" onClick=${() => draw(each.prompt)}>
          <img src=${new URL(each.preview, import.meta.url).href} alt="" width="160" height="160" loading="lazy" /><span>${each.prompt}</span></button>`,
      )}
    </div>
    ${!touch && html`<p class="aside">Or drop a picture made here, or by another tool, anywhere on this page to bring back its settings.</p>`}
    ${alone.value &&
    html`<p class="offer">The starter models draw small, simple pictures.
      <button type="button" class="link" onClick=${models}>See which larger model suits this computer</button></p>`}
  </div>`;
}

/** @param {{draw: (prompt: string) => void}} props */
export function Stage({ draw }) {
  const { picture } = route.value;
  const models = () => go({ tab: "models" });
  if (worker.value.status === "lost" && !ready.value) {
    return html`<div class="empty"><h2>The studio does not answer</h2><p>Is it still running? This page goes on by itself as soon as it is back.</p>
      <${Button} onClick=${() => location.reload()}>Load the page again<//></div>`;
  }
  if (picture && mode.value && items.value.get(picture)?.kind !== "clip") return html`<div class="stage-inner" data-status="mask"><${MaskStage} key=${picture} id=${picture} /></div>`;
  if (picture) return html`<div class="stage-inner" data-status="picture"><${Single} key=${picture} id=${picture} /></div>`;
  const shown = job.value;
  if (shown && (isActive(shown) || shown.status !== "done" || kept(shown).length)) return html`<${JobStage} job=${shown} />`;
  if (ready.value && ["edit", "variations"].includes(route.value.tab)) {
    return html`<div class="empty"><h2>${route.value.tab === "edit" ? "No picture to redraw yet" : "No picture to vary yet"}</h2>
      <p>Choose one in the settings: from a file, from the gallery or in the strip below. Or draw one first.</p>
      <${Button} onClick=${() => go({ tab: "create" })}>Draw a picture in Create<//></div>`;
  }
  return ready.value ? html`<${Welcome} draw=${draw} models=${models} />` : html`<div class="empty" aria-hidden="true"><span class="spinner"></span></div>`;
}
