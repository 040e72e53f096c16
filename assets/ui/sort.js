/* Sort: pictures into piles by any labels, and where on a picture each label is seen. */
import { Button, Segments } from "./controls.js";
import { html, signal, useEffect, useRef, useSignal } from "./html.js";
import { Area, Field, Fold, ModelField, Tool } from "./tool.js";
import { Bar, Doubt, Framed, inspect, RecordCell, Rows, SaveAsBoard, Some, Table } from "./records.js";
import { many, percent } from "./words.js";

const FEW = 12; // labels of one picture shown at once
const HEAT = [[0, 59, 76, 192, 0], [0.35, 84, 120, 245, 70], [0.6, 245, 190, 80, 150], [1, 215, 40, 40, 205]];
const BESIDE = "Not of this model's world";

/** A grey map (data URI) drawn over a picture: cold and clear where the label is not, hot where it is. @param {{label: string, uri: string}} props */
function Heat({ label, uri }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  useEffect(() => {
    const image = new Image();
    image.onload = () => {
      if (!canvas.current) return;
      paint(canvas.current, image);
      canvas.current.dataset["label"] = label; // what it shows now, not what was asked for
    };
    image.src = uri;
    return () => void (image.onload = null);
  }, [label, uri]);
  return html`<canvas ref=${canvas} class="heat-layer" aria-hidden="true"></canvas>`;
}

/** @param {HTMLCanvasElement} canvas @param {HTMLImageElement} image */
function paint(canvas, image) {
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.drawImage(image, 0, 0);
  const pixels = pen.getImageData(0, 0, canvas.width, canvas.height);
  const { data } = pixels;
  for (let at = 0; at < data.length; at += 4) {
    const value = /** @type {number} */ (data[at]) / 255;
    const upper = Math.max(HEAT.findIndex((stop) => /** @type {number} */ (stop[0]) >= value), 1);
    const [low, high] = /** @type {[number[], number[]]} */ ([HEAT[upper - 1], HEAT[upper]]);
    const [from = 0, to = 1] = [low[0], high[0]];
    const share = (value - from) / (to - from);
    for (let part = 0; part < 4; part += 1) {
      const [a, b] = [/** @type {number} */ (low[part + 1]), /** @type {number} */ (high[part + 1])];
      data[at + part] = a + share * (b - a);
    }
  }
  pen.putImageData(pixels, 0, 0);
}

/** One picture: its labels in order, and where the chosen one is seen. @param {{record: any}} props */
function Detail({ record }) {
  const heat = record.heat || {};
  const seen = useSignal(heat[record.top] ? record.top : "");
  const all = useSignal(false);
  const labels = all.value ? record.labels : record.labels.slice(0, FEW);
  const inside = (/** @type {any} */ each) => html`<span class="bars-label">${each.label}</span>
    ${!record.outside_world && html`<${Bar} share=${each.probability} /><span class="bars-share">${percent(each.probability)}</span>`}`;
  return html`<${Framed} id=${record.picture} alt=${record.name}>${seen.value && heat[seen.value] && html`<${Heat} label=${seen.value} uri=${heat[seen.value]} />`}<//>
    <div class="inspect-side"><p class="inspect-top">${record.outside_world ? BESIDE : record.top}</p>
      ${record.outside_world && html`<${Doubt} records=${[record]} /><p class="tool-hint">Closest of your labels, in order:</p>`}
      <div class="bars">${labels.map((/** @type {any} */ each) =>
        heat[each.label]
          ? html`<button key=${each.label} type="button" class="bars-row" data-label=${each.label} aria-pressed=${String(seen.value === each.label)} title="Show where it is seen"
              onClick=${() => (seen.value = seen.value === each.label ? "" : each.label)}>${inside(each)}</button>`
          : html`<div key=${each.label} class="bars-row" data-label=${each.label} title=${`cosine ${each.cosine}`}>${inside(each)}</div>`)}
        ${labels.length < record.labels.length && html`<${Button} onClick=${() => (all.value = true)}>Show all ${record.labels.length.toLocaleString("en")}<//>`}</div>
      ${Object.keys(heat).length > 0 && html`<p class="note">Choose a label to see where the model finds it: red where it fits best.</p>`}
    </div>`;
}

const detail = (/** @type {any} */ record) => html`<${Detail} key=${record.picture} record=${record} />`;

/** @param {{records: readonly any[]}} props */
function Piles({ records }) {
  /** @type {Map<string, any[]>} */
  const piles = new Map();
  for (const record of records) {
    const label = record.outside_world ? BESIDE : record.top;
    piles.set(label, [...(piles.get(label) || []), record]);
  }
  const sorted = [...piles].sort((a, b) => Number(b[0] === BESIDE) - Number(a[0] === BESIDE) || b[1].length - a[1].length || a[0].localeCompare(b[0]));
  return html`<div class="piles">${sorted.map(([label, some]) => {
    const inside = some.sort((a, b) => b.labels[0].probability - a.labels[0].probability);
    const badge = (/** @type {any} */ record) => (record.outside_world ? "" : percent(record.labels[0].probability));
    return html`<section key=${label} class="pile" aria-label=${label} style=${`--pictures:${Math.min(inside.length, 200)}`} data-count=${inside.length}>
      <header><h3>${label}<span>${inside.length.toLocaleString("en")}</span></h3><${SaveAsBoard} ids=${inside.map((each) => each.picture)} name=${label} /></header>
      <${Some} of=${inside} class="grid" draw=${(/** @type {any} */ record) =>
        html`<${RecordCell} key=${record.picture} record=${record} badge=${badge(record)} open=${() => inspect(inside, record, detail)} />`} />
    </section>`;
  })}</div>`;
}

/** @param {{records: readonly any[]}} props */
function Ranked({ records }) {
  const row = (/** @type {any} */ record) => html`<tr key=${record.picture}><td class="table-picture"><${RecordCell} record=${record} open=${() => inspect(records, record, detail)} /></td><td>${record.name}</td>
    ${record.outside_world
      ? html`<td colspan="3">${BESIDE}</td>`
      : record.labels.slice(0, 3).map((/** @type {any} */ each) => html`<td key=${each.label}><b>${each.label}</b><span class="table-share"><${Bar} share=${each.probability} />${percent(each.probability)}</span></td>`)}</tr>`;
  return html`<${Table} label="Labels of each picture" head=${html`<th scope="col"><span class="sr-only">Picture</span></th><th scope="col">Name</th><th scope="col">Best label</th><th scope="col">Second</th><th scope="col">Third</th>`}>
    <${Rows} of=${records} columns=${5} draw=${row} /><//>`;
}

export class Sort extends Tool {
  name = "sort";
  words = "Sort";
  icon = /** @type {const} */ ("sort");
  capability = "zero-shot";
  feature = "zero-shot";
  skill = "sort pictures";
  verb = "Sort";
  labels = signal("");
  templates = signal("");
  heat = signal(false);
  mode = signal("auto");
  shape = signal("piles");
  known = signal(/** @type {readonly string[]} */ ([]));

  list() {
    const text = this.labels.value.trim();
    return (text.includes("\n") ? text.split("\n") : text.split(",")).map((each) => each.trim()).filter(Boolean);
  }

  turnLabel(/** @type {string} */ word) {
    const labels = this.list();
    this.labels.value = (labels.includes(word) ? labels.filter((each) => each !== word) : [...labels, word]).join("\n");
  }

  fields() {
    const labels = this.list();
    const known = this.known.value;
    return html`<label class="field"><span>Labels <span class="field-count">${labels.length > 0 && labels.length.toLocaleString("en")}</span></span>
        <${Area} value=${this.labels} label="Labels" placeholder=${"apple\nbanana\nsomething else"} /><small>One a line, or separated by commas.</small></label>
      ${known.length > 0 &&
      html`<details class="ideas"><summary>What it knows <span>${many(known.length, "object")}</span></summary><div class="ideas-body">
        <button type="button" class="link" onClick=${() => (this.labels.value = known.join("\n"))}>Use all of them</button>
        <div class="chips chips-many" tabindex="0" role="group" aria-label="Objects it knows">${known.map((word) => html`<button key=${word} type="button" class="chip" aria-pressed=${String(labels.includes(word))} onClick=${() => this.turnLabel(word)}>${word}</button>`)}</div></div></details>`}
      <label class="switch"><input type="checkbox" checked=${this.heat.value} onChange=${(/** @type {any} */ event) => (this.heat.value = event.target.checked)} /><span>Show where each label is seen</span></label>
      <${Fold} title="Templates and reading">
        <${Field} label="Templates" hint="One a line; {} stands for the label. The model hears the average of them all."><${Area} value=${this.templates} label="Templates" rows="3" /><//>
        <div class="field"><span>Probabilities</span><${Segments} label="Reading" value=${this.mode.value} choices=${[["auto", "Automatic"], ["softmax", "One fits"], ["sigmoid", "Each by itself"]]}
          choose=${(/** @type {string} */ next) => (this.mode.value = next)} /><small>One fits: shares of 100 % between the labels. Each by itself needs a SigLIP model.</small></div>
      <//>
      <${ModelField} tool=${this} />`;
  }

  /** @param {import("./tool.js").Config} config */
  configure(config) {
    this.templates.value ||= config.templates.join("\n");
    this.known.value = config.vocabulary;
  }

  request() {
    return {
      pictures: this.shell.chosen.ids.value, labels: this.list(), mode: this.mode.value, heat_map: this.heat.value,
      templates: this.templates.value.split("\n").map((each) => each.trim()).filter(Boolean),
    };
  }

  /** @param {import("./tool.js").Job} job */
  async recall({ request }) {
    this.labels.value ||= (request.labels || []).join("\n");
    this.templates.value = (request.templates || []).join("\n");
    this.heat.value = Boolean(request.heat_map);
    this.mode.value = request.mode || "auto";
    await this.shell.remember(request.pictures);
  }

  /** @returns {[string, string]} */
  emptyWords() {
    return ["Name the piles, get the pictures sorted", "Choose pictures, write any labels, press Sort. No training: the model compares pictures with words."];
  }

  /** @param {import("./tool.js").Job} job @param {readonly any[]} records */
  tools(job, records) {
    return html`${records.filter((each) => !each.error).length > 1 &&
      html`<${Segments} label="Show as" kind="view" value=${this.shape.value} choices=${[["piles", "Piles", "grid"], ["table", "Table", "check"]]} choose=${(/** @type {string} */ next) => (this.shape.value = next)} />`}
      ${super.tools(job, records)}`;
  }

  /** @param {import("./tool.js").Job} job @param {readonly any[]} records */
  results(job, records) {
    const good = records.filter((each) => !each.error);
    if (!good.length) return null;
    if (good.length === 1 && (job.request.pictures || []).length === 1) return html`<div class="inspect inspect-inline">${detail(good[0])}</div>`;
    return this.shape.value === "table" ? html`<${Ranked} records=${good} />` : html`<${Piles} records=${good} />`;
  }
}
