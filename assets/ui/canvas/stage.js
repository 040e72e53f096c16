/* The canvas on Edit's stage: options of the tool above, the picture with its mask, zoom and a line of words below. */
import { Button, Tool } from "../controls.js";
import { html, useEffect, useRef, useSignal, useSignalEffect } from "../html.js";
import { items, getItem, original } from "../library.js";
import { labelOf, openLarge } from "../pictures.js";
import { toast } from "../say.js";
import { Hand } from "./hand.js";
import { Keyboard } from "./keyboard.js";
import { change, colour, find, finder, finding, hardness, load, mask, maskOf, mode, reach, save, size, taking, told, tool, TOOLS, turn } from "./state.js";
import { Surface } from "./surface.js";

/** What the line says until something was done. */
const BEGIN = {
  replace: "Paint over what shall be replaced, and write what comes in its place.",
  remove: "Paint over what shall go.",
  add: "Paint where something shall be added, and write what.",
  background: "Write the new background. Where nothing is marked, all but the subject changes.",
  restore: "Paint over what is damaged.",
};

/** A number with a slider. @param {{label: string, value: import("../html.js").Signal<number>, min: number, max: number, unit: string}} props */
function Amount({ label, value, min, max, unit }) {
  const set = (/** @type {any} */ event) => {
    const number = Math.round(Number(event.target.value));
    if (event.target.value !== "" && Number.isFinite(number)) value.value = Math.min(Math.max(number, min), max);
  };
  // Sizes are felt by their ratio: the slider goes by the root.
  const root = (/** @type {number} */ number) => Math.round(1000 * Math.sqrt((number - min) / (max - min)));
  return html`<span class="amount" role="group" aria-label=${label}><span aria-hidden="true">${label}</span>
    <input type="range" min="0" max="1000" value=${root(value.value)} aria-label=${label} aria-valuetext=${`${value.value} ${unit}`}
      onInput=${(/** @type {any} */ event) => (value.value = Math.round(min + (max - min) * (Number(event.target.value) / 1000) ** 2))} />
    <input type="number" min=${min} max=${max} value=${value.value} aria-label=${`${label} in ${unit}`} onChange=${set} /></span>`;
}

/** @param {{largest: number}} props */
function Options({ largest }) {
  const files = useRef(/** @type {HTMLInputElement | null} */ (null));
  const edges = useSignal(false);
  const taken = TOOLS.find((each) => each.name === tool.value);
  const brush = tool.value === "brush" || tool.value === "eraser";
  const px = reach.value;
  const hand = (/** @type {any} */ event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (file) load(file);
  };
  return html`<div class="mask-bar" role="toolbar" aria-label="Options of the mask">
      <b class="mask-tool">${taken?.words}</b>
      ${brush && html`<${Amount} label="Size" value=${size} min=${1} max=${largest} unit="px" /><${Amount} label="Hardness" value=${hardness} min=${0} max=${100} unit="%" />`}
      ${!brush && html`<${Button} aria-pressed=${String(taking.value)} onClick=${() => (taking.value = !taking.value)}>Take away<//>`}
      <span class="mask-push"></span>
      ${finder &&
      html`<${Button} class="mask-find" disabled=${Boolean(finding.value)} onClick=${() => find("subject")}>Select subject<//>
        <${Button} class="mask-find" disabled=${Boolean(finding.value)} onClick=${() => find("background")}>Select background<//>`}
      <${Tool} icon="edges" label="Grow, shrink or feather" aria-expanded=${String(edges.value)} onClick=${() => (edges.value = !edges.value)} />
      <label class="tool mask-colour" title="Colour of the mask"><input type="color" aria-label="Colour of the mask" value=${colour.value}
        onInput=${(/** @type {any} */ event) => (colour.value = event.target.value)} /></label>
      <${Tool} icon="upload" label="Load a mask" onClick=${() => files.current?.click()} />
      <${Tool} icon="download" label="Save the mask" onClick=${save} />
      <input ref=${files} class="mask-file" type="file" hidden accept="image/png,image/webp,image/jpeg" onChange=${hand} />
    </div>
    ${edges.value &&
    html`<div class="mask-bar mask-edges" role="toolbar" aria-label="Edges of the mask">
      <${Amount} label="By" value=${reach} min=${1} max=${256} unit="px" />
      <${Button} onClick=${() => change(`Grown by ${px} px`, (open) => open.spread(px))}>Grow<//>
      <${Button} onClick=${() => change(`Shrunk by ${px} px`, (open) => open.spread(-px))}>Shrink<//>
      <${Button} onClick=${() => change(`Feathered by ${px} px`, (open) => open.feather(px))}>Feather<//>
    </div>`}`;
}

/** How much is marked, counted when the hand rests. */
function Share() {
  const words = useSignal("");
  turn.value;
  useEffect(() => {
    const timer = setTimeout(() => {
      const share = mask.value?.share ?? 0;
      words.value = share === 0 ? "Nothing marked" : share < 0.01 ? "Under 1 % marked" : `${Math.min(Math.round(100 * share), share < 1 ? 99 : 100)} % marked`;
    }, 150);
    return () => clearTimeout(timer);
  }, [turn.value, mask.value]);
  return html`<span class="mask-share">${words.value}</span>`;
}

/** @param {{id: string}} props */
export function MaskStage({ id }) {
  const item = items.value.get(id);
  const view = useRef(/** @type {HTMLElement | null} */ (null));
  const surface = useSignal(/** @type {Surface | null} */ (null));
  const scale = useSignal(1);
  const there = Boolean(item?.width);
  useEffect(() => void getItem(id), [id]);
  useEffect(() => {
    if (!there) return undefined;
    let over = false;
    let close = () => {};
    maskOf(id).then((opened) => {
      if (over || !opened || !view.current) return;
      const shown = new Surface(view.current, opened);
      const hand = new Hand(shown);
      const keyboard = new Keyboard(hand);
      shown.viewed = () => (scale.value = shown.view.scale);
      shown.viewed();
      shown.paintWith(colour.value);
      mask.value = opened;
      surface.value = shown;
      const fitting = Math.max(Math.round(Math.min(opened.width, opened.height) / 10), 4);
      if (size.value > 4 * fitting || size.value * 6 < fitting) size.value = fitting; // it was set for a picture of another size
      close = () => (keyboard.close(), hand.close(), shown.close());
    });
    return () => {
      over = true;
      close();
      mask.value = null;
      surface.value = null;
      told.value = "";
    };
  }, [id, there]);
  useSignalEffect(() => void surface.value?.paintWith(colour.value));
  if (item === null) return html`<div class="empty"><h2>This picture is gone</h2><p>It may have been deleted for good.</p></div>`;
  if (!item) return html`<div class="single"></div>`;
  const begin = BEGIN[/** @type {keyof typeof BEGIN} */ (mode.value)] ?? "";
  const taken = TOOLS.find((each) => each.name === tool.value);
  return html`<div class="mask-stage" data-id=${id} data-ready=${String(Boolean(surface.value))}>
    <${Options} largest=${Math.min(Math.max(item.width, item.height), 1000)} />
    <div class="mask-view" ref=${view} tabindex="0" role="application" aria-label=${`Mask over ${labelOf(item)}`} aria-describedby="mask-words"
      aria-keyshortcuts="B E R O L G [ ] Control+Z Control+Shift+Z" style=${`--width:${item.width}px;--height:${item.height}px`} data-tool=${tool.value}>
      <img src=${original(id)} alt=${labelOf(item)} draggable="false" onError=${() => toast("The file of this picture is missing.", { bad: true })} />
      <canvas aria-hidden="true"></canvas><svg aria-hidden="true"></svg>
      ${finding.value && html`<span class="mask-busy"><span class="spinner"></span>Looking for the ${finding.value}</span>`}
    </div>
    <div class="mask-foot">
      <output id="mask-words">${told.value || (turn.value === 0 && tool.value === "brush" ? begin : `${taken?.words} (${taken?.key}). ${taken?.hint}`)}</output>
      <${Share} />
      <span class="mask-zoom" role="group" aria-label="Zoom">
        <${Tool} icon="minus" label="Zoom out" onClick=${() => surface.value?.zoom(0.8)} />
        <button type="button" class="mask-percent" aria-label="Show all" title="Show all (0)" onClick=${() => surface.value?.fit()}>${Math.round(100 * scale.value)} %</button>
        <${Tool} icon="plus" label="Zoom in" onClick=${() => surface.value?.zoom(1.25)} />
        <${Tool} icon="zoom" label="Open large" onClick=${() => openLarge(id)} />
      </span>
    </div>
  </div>`;
}
