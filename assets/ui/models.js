/* The models tab: the hardware, what is on this computer, what can be fetched, how to bring a model without the hub. */
import { act, ask as askStudio } from "./bridge.js";
import { ask, Button, Dialog, Sentence, Tool } from "./controls.js";
import { begun, worker } from "./events.js";
import { effect, html, render, signal, untracked, useSignal } from "./html.js";
import { statusWords } from "./header.js";
import { Icon } from "./icons.js";
import { go, route } from "./route.js";
import { toast } from "./say.js";
import { bytes } from "./words.js";

/**
 * @typedef {object} Model
 * @property {string} id
 * @property {string} name
 * @property {"diffusion" | "understanding" | "tool"} kind
 * @property {string} summary
 * @property {string} licence
 * @property {string} badge
 * @property {boolean} commercial
 * @property {boolean} default
 * @property {boolean} here
 * @property {boolean} fetched
 * @property {boolean} added
 * @property {string} absent
 * @property {string[]} facts
 * @property {number} download_bytes
 * @property {number} memory_bytes
 * @property {{bytes: number, device: string} | null} resident
 * @property {{status: "running" | "finished" | "failed" | "cancelled", done: number, total: number, error: string, unreachable: boolean} | null} download
 */

const GUIDE = "docs/guides/real-models.md";

const models = signal(/** @type {readonly Model[]} */ ([]));
const hardware = signal(/** @type {readonly string[]} */ ([]));
const suggested = signal("");
const skipped = signal(/** @type {readonly string[]} */ ([]));

let asking = false;
let again = false;

/** Ask once more for what is here; never twice at once. */
async function look() {
  if (asking) return void (again = true);
  asking = true;
  do {
    again = false;
    const found = await act("models");
    if (!found) break;
    models.value = found.models;
    hardware.value = found.hardware;
    suggested.value = found.suggested;
    skipped.value = found.skipped;
  } while (again);
  asking = false;
}

/** Have Python do something about a model. @param {string} op @param {string} id */
async function change(op, id) {
  const answer = await act(op, { id });
  if (answer?.said) toast(answer.said);
  look();
}

const licence = (/** @type {Model} */ model) =>
  html`<span class=${model.commercial ? "badge badge-ok" : "badge badge-no"} title=${model.licence}>${model.badge}</span>`;

const Facts = (/** @type {{facts: readonly string[]}} */ { facts }) =>
  html`<p class="facts">${facts.map((fact) => html`<span key=${fact}>${fact}</span>`)}</p>`;

/** Why a download failed, over the page: the card keeps its shape. @param {Model} model */
const tellWhy = (model) =>
  ask((/** @type {(answer: null) => void} */ done) => html`<${Dialog} label="Why the download failed" class="box-small" close=${() => done(null)}>
    <div class="ask-name"><h2>${model.name} could not be fetched</h2><p>${model.download?.error}</p>
      ${model.download?.unreachable && html`<${Offline} />`}
      <div class="row-end"><${Button} main onClick=${() => done(null)}>Close<//></div></div><//>`);

/** The download button, or how far the download is. @param {{model: Model, main?: boolean}} props */
function Fetching({ model, main = false }) {
  const { download } = model;
  if (download?.status === "running") {
    const share = download.total ? Math.min(Math.round((100 * download.done) / download.total), 100) : 0;
    return html`<div class="progress" role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${share} aria-label=${`Downloading ${model.name}`}>
        <div class="progress-words"><span>${bytes(download.done)} of ${bytes(download.total)}</span><b>${share} %</b></div>
        <div class="progress-track"><i style=${`width:${share}%`}></i></div></div>
      <${Button} onClick=${() => change("stop-fetch", model.id)}>Cancel<//>`;
  }
  const failed = download?.status === "failed";
  return html`<${Button} main=${main} onClick=${() => change("fetch", model.id)}>${failed ? "Try again" : `Download ${bytes(model.download_bytes)}`}<//>
    ${failed && html`<button type="button" class="link why" onClick=${() => tellWhy(model)}>Why it failed</button>`}`;
}

/** @param {{model: Model}} props */
function Card({ model }) {
  const { resident } = model;
  const facts = [...model.facts, ...(resident ? [`on ${resident.device}`] : [])];
  return html`<article class="card" data-family=${model.id}>
    <header><h4>${model.name}${model.default && html` <span class="badge">default</span>`}</h4>
      ${resident ? html`<span class="badge badge-on">In memory · ${bytes(resident.bytes)}</span>` : model.here && html`<span class="badge">On disk</span>`}</header>
    <p>${model.summary}</p>${licence(model)}<${Facts} facts=${facts} />
    <footer>
      ${model.here && html`<${Button} onClick=${() => change(resident ? "unload" : "load", model.id)}>${resident ? "Unload" : "Load"}<//>`}
      ${!model.here && (model.fetched ? html`<${Fetching} model=${model} />` : html`<p class="note">${model.absent}</p>`)}
      ${model.added && html`<${Button} onClick=${() => change("remove-model", model.id)}>Remove from list<//>`}
    </footer></article>`;
}

/** @param {{title: string, of: Model[]}} props */
const Section = ({ title, of }) =>
  of.length > 0 && html`<section aria-label=${title}><h3 class="models-title">${title}</h3><div class="cards">${of.map((model) => html`<${Card} key=${model.id} model=${model} />`)}</div></section>`;

/** The model that suits this computer, while it is not here. @param {{model: Model}} props */
const FirstRun = ({ model }) =>
  html`<section class="first-run"><div><p class="eyebrow">Best fit for this computer</p><h2>${model.name}</h2><p>${model.summary}</p>${licence(model)}
      <p class="note">Until it is here, the starter models draw. Nothing is fetched before you ask.</p></div>
    <div class="first-run-side"><p><b>${bytes(model.download_bytes)}</b>to download</p><p><b>${bytes(model.memory_bytes)}</b>of memory</p>
      <${Fetching} model=${model} main /></div></section>`;

/** The guide lies folded on the About tab. @param {Event} event */
function openGuide(event) {
  event.preventDefault();
  /** @type {HTMLDialogElement | null} */ (document.querySelector("dialog[open]"))?.dispatchEvent(new Event("cancel", { cancelable: true }));
  go({ tab: "about" });
  let patience = 300; // frames
  const show = () => {
    const guide = /** @type {HTMLDetailsElement | null} */ (document.querySelector("#guide"));
    if (!guide?.getClientRects().length) {
      if (route.value.tab === "about" && patience--) requestAnimationFrame(show); // Gradio draws the tab when it is opened
      return;
    }
    guide.open = true;
    guide.scrollIntoView({ block: "start" });
    guide.querySelector("summary")?.focus({ preventScroll: true });
  };
  show();
}

/** What works without the hub, and the ways to bring a model. */
function Offline() {
  const drawn = models.value.filter((each) => each.here).map((each) => each.name);
  return html`<div class="offline">
    <p>Everything works without the internet with what is on this computer: ${drawn.slice(0, 4).join(", ")}${drawn.length > 4 ? ` and ${drawn.length - 4} more` : ""}. To bring another model:</p>
    <ul>
      <li><b>By disk:</b> fetch its folder on another computer, carry it here, and add its full path below.</li>
      <li><b>By mirror:</b> start the studio with <code>HF_ENDPOINT=https://your-mirror</code>.</li>
      <li><b>By proxy:</b> start it with <code>HTTPS_PROXY=http://your-proxy:3128</code>.</li>
    </ul>
    <p><a href="#about" onClick=${openGuide}>Each step is in the guide</a> (<code>${GUIDE}</code>).</p></div>`;
}

/** Shown by itself when a download found no hub; folded otherwise. */
function WithoutHub() {
  const lost = models.value.some((each) => each.download?.unreachable && each.download.status === "failed");
  if (lost) return html`<section class="panel lost-hub" role="status"><h3><${Icon} name="alert" />The Hub cannot be reached</h3><${Offline} /></section>`;
  return html`<details class="panel fold offline-fold"><summary>Without the internet, or behind a proxy</summary><${Offline} /></details>`;
}

function Add() {
  const wrong = useSignal("");
  const asks = useSignal(false); // what a checkpoint predicts, where its file does not tell
  const submit = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.target);
    wrong.value = "";
    const answer = await askStudio("add-model", Object.fromEntries(new FormData(form)));
    if (answer.error) {
      wrong.value = answer.error;
      asks.value ||= /prediction|epsilon/.test(answer.error);
      return void /** @type {HTMLElement | null} */ (form.querySelector("[name=path]"))?.focus();
    }
    toast(answer.said);
    form.reset();
    asks.value = false;
    look();
  };
  return html`<form class="panel add-model" onSubmit=${submit}>
    <div><h3>Add a model from this computer</h3><p>A diffusers folder, a single <code>.safetensors</code> file, or the folder of a model that understands
      pictures (CLIP, SigLIP, BLIP, Florence-2, SmolVLM2, Qwen3-VL, a ViT classifier). Pickled weights (<code>.ckpt</code>, <code>.bin</code>) are refused, because opening them can run code.</p></div>
    <label class="field field-wide"><span>Full path</span><input name="path" placeholder="/models/my-model.safetensors" autocomplete="off" required aria-invalid=${wrong.value ? "true" : undefined}
      aria-describedby=${wrong.value ? "add-problem" : undefined} /></label>
    <label class="field"><span>Name (optional)</span><input name="name" placeholder="My model" maxlength="60" autocomplete="off" /></label>
    ${asks.value &&
    html`<label class="field"><span>It was trained to predict</span><select name="prediction"><option value="">What the file says</option>
      <option value="epsilon">Noise (epsilon)</option><option value="v_prediction">Velocity (v-prediction)</option></select></label>`}
    <button class="button button-main"><${Icon} name="folder" />Add model</button>
    ${wrong.value && html`<${Sentence} id="add-problem">${wrong.value}<//>`}
  </form>`;
}

function Models() {
  const { status, words } = statusWords();
  const all = models.value;
  const best = all.find((each) => each.id === suggested.value);
  const of = (/** @type {Model["kind"]} */ kind, /** @type {boolean} */ here) => all.filter((each) => each.kind === kind && each.here === here);
  return html`<div class="models"><h2 class="sr-only">Models</h2>
    <div class="hardware" data-status=${status}><i class="dot"></i><b role="status">${worker.value.message || words}</b><${Facts} facts=${hardware.value} />
      <${Tool} icon="reuse" label="Look again" onClick=${look} /></div>
    ${best && html`<${FirstRun} model=${best} />`}
    ${skipped.value.map((sentence) => html`<${Sentence} key=${sentence}>${sentence}<//>`)}
    <${Section} title="On this computer" of=${of("diffusion", true)} />
    <${Section} title="Can be fetched" of=${of("diffusion", false)} />
    <${Section} title="To understand pictures: on this computer" of=${of("understanding", true)} />
    <${Section} title="To understand pictures: can be fetched" of=${of("understanding", false)} />
    <${Section} title="Tools: on this computer" of=${of("tool", true)} />
    <${Section} title="Tools: can be fetched" of=${of("tool", false)} />
    <${WithoutHub} /><${Add} /></div>`;
}

/** Fill the tab. The stream tells when the worker, a model in memory or a download is another. @param {HTMLElement} root */
export function startModels(root) {
  render(html`<${Models} />`, root);
  effect(() => {
    worker.value;
    begun.value;
    if (route.value.tab === "models") untracked(look);
  });
}
