/* Measure: numbers of every picture, or how close two sets of pictures are. */
import { Chooser, Chosen } from "./chooser.js";
import { Segments } from "./controls.js";
import { html, signal } from "./html.js";
import { Bar, Framed, inspect, RecordCell, Rows, Some, Table, Unreadable } from "./records.js";
import { ModelField, Tool } from "./tool.js";
import { many, percent } from "./words.js";

/** @typedef {[key: string, words: string, why: string, say: (value: number) => string]} Measured */

const MEASURES = /** @type {Measured[]} */ ([
  ["clip_score", "CLIP score", "How well the picture fits its own prompt: 100 times the cosine, never below 0. Compare only within one model.", (value) => value.toFixed(1)],
  ["sharpness", "Sharpness", "Variance of the Laplacian at 512 px: low for soft or empty pictures.", (value) => value.toFixed(value < 10 ? 1 : 0)],
  ["brightness", "Brightness", "Mean of the luma.", percent],
  ["contrast", "Contrast", "Standard deviation of the luma.", percent],
  ["clipped", "Clipped", "Pixels that are quite black or quite white.", percent],
]);
const HINTS = {
  score: "CLIP score, sharpness and light of every picture. There is no score for beauty: no honest model for it is here.",
  compare: "FID, KID and CMMD say how close two sets are; the Vendi score how varied each is. 50 pictures a set or more, please.",
};
/** Why there is no number, or empty where there is one. @param {any} record @param {string} key */
const lacks = (record, key) =>
  record[key] === null || record[key] === undefined ? "no prompt" : key === "clip_score" && record.outside_world ? "not of its world" : "";

export class Measure extends Tool {
  name = "measure";
  words = "Measure";
  icon = /** @type {const} */ ("measure");
  capability = "score";
  feature = "embed";
  skill = "measure pictures";
  verb = "Measure";
  what = signal(/** @type {"score" | "compare"} */ ("score"));
  order = signal(/** @type {[key: string, direction: 1 | -1]} */ (["clip_score", -1]));
  others = new Chosen("others", { title: "Compare with", words: "Drop the other set here" });

  fields() {
    const what = this.what.value;
    return html`<div class="field"><span>Measure</span><${Segments} label="What to measure" value=${what} choices=${[["score", "Each picture"], ["compare", "Two sets"]]}
        choose=${(/** @type {"score" | "compare"} */ next) => ((this.what.value = next), this.shell.say(""))} /></div>
      ${what === "compare" && html`<${Chooser} chosen=${this.others} />`}
      <p class="tool-hint">${HINTS[what]}</p><${ModelField} tool=${this} />`;
  }

  configure() {
    this.others.restore();
  }

  choosers() {
    return this.what.value === "compare" ? [this.shell.chosen, this.others] : [this.shell.chosen];
  }

  route() {
    return this.what.value;
  }

  capabilities() {
    return ["score", "compare"];
  }

  request() {
    const pictures = this.shell.chosen.ids.value;
    return this.what.value === "score" ? { pictures } : { pictures, others: this.others.ids.value };
  }

  /** @param {import("./tool.js").Job} job */
  async recall(job) {
    this.what.value = job.capability === "compare" ? "compare" : "score";
    await this.shell.remember(job.request.pictures);
    if (job.request.others?.length && !this.others.ids.value.length) await this.others.setIds(job.request.others);
  }

  /** @param {import("./tool.js").Job} _job @param {readonly any[]} records */
  named(_job, records) {
    return records.flatMap((each) => (each.picture ? [each.picture] : [...(each.odd || []), ...(each.other_odd || [])].map((one) => one.picture)));
  }

  /** @returns {[string, string]} */
  emptyWords() {
    return ["Numbers you can stand behind", "Measure every picture, or ask how close one set is to another: is this synthetic set near the real one?"];
  }

  /** @param {import("./tool.js").Job} job @param {readonly any[]} records */
  summary(job, records) {
    if (job.capability !== "compare") return many(records.length, "picture");
    return `${many(records[0]?.count || 0, "picture")} against ${(records[0]?.other_count || 0).toLocaleString("en")}`;
  }

  /** @param {import("./tool.js").Job} job @param {readonly any[]} records */
  results(job, records) {
    if (job.capability === "compare") return html`<${Report} record=${records[0]} />`;
    return html`<${Scores} records=${records.filter((each) => !each.error)} order=${this.order} />`;
  }
}

const detail = (/** @type {any} */ record) => html`<${Framed} id=${record.picture} alt=${record.name} />
  <div class="inspect-side"><dl class="measures">${MEASURES.map(([key, words, why, say]) => html`<div key=${key}><dt>${words}<small>${why}</small></dt><dd>${lacks(record, key) || say(record[key])}</dd></div>`)}</dl></div>`;

/** @param {{records: readonly any[], order: import("./html.js").Signal<[string, 1 | -1]>}} props */
function Scores({ records, order }) {
  const [by, direction] = order.value;
  const sorted = [...records].sort((a, b) => direction * ((a[by] ?? -Infinity) - (b[by] ?? -Infinity)) || 0);
  const top = Object.fromEntries(MEASURES.map(([key]) => [key, Math.max(...records.map((each) => each[key] ?? 0), 1e-9)]));
  const head = html`<th scope="col"><span class="sr-only">Picture</span></th><th scope="col">Name</th>${MEASURES.map(
    ([key, words, why]) => html`<th key=${key} scope="col" aria-sort=${key === by ? (direction < 0 ? "descending" : "ascending") : "none"}>
      <button type="button" title=${why} onClick=${() => (order.value = [key, key === by ? /** @type {1 | -1} */ (-direction) : -1])}>${words}</button></th>`,
  )}`;
  const row = (/** @type {any} */ record) => html`<tr key=${record.picture}><td class="table-picture"><${RecordCell} record=${record} open=${() => inspect(sorted, record, detail)} /></td><td>${record.name}</td>
    ${MEASURES.map(([key, , , say]) => html`<td key=${key} class="number">${lacks(record, key)
      ? html`<span class="none">${lacks(record, key)}</span>`
      : html`<span class="table-share"><${Bar} share=${record[key] / top[key]} label=${say(record[key])} />${say(record[key])}</span>`}</td>`)}</tr>`;
  return html`<${Table} label="Measures of each picture" head=${head}><${Rows} of=${sorted} columns=${7} draw=${row} /><//>`;
}

/** @param {{title: string, value: string, why: string, more?: string}} props */
const Figure = ({ title, value, why, more = "" }) => html`<article class="figure"><h4>${title}</h4><p class="figure-value">${value}</p><p>${why}</p>${more && html`<small>${more}</small>`}</article>`;

/** @param {{title: string, of: readonly any[] | undefined}} props */
function Odd({ title, of }) {
  if (!of?.length) return null;
  const draw = (/** @type {any} */ one) => html`<${Framed} id=${one.picture} alt=${one.name} />
    <div class="inspect-side"><p class="inspect-top">${one.name}</p><p>Cosine ${one.likeness} with the most alike picture of the other set.</p></div>`;
  return html`<section class="odd"><h3>${title}<span>cosine with the most alike one there</span></h3>
    <${Some} of=${of} class="grid" draw=${(/** @type {any} */ each) => html`<${RecordCell} key=${each.picture} record=${each} badge=${each.likeness.toFixed(2)} open=${() => inspect(of, each, draw)} />`} /></section>`;
}

/** @param {{record: any}} props */
function Report({ record }) {
  if (!record) return null;
  return html`<div class="report"><div class="figures">
      <${Figure} title="CMMD" value=${record.cmmd.toFixed(2)} why="Distance of the two sets. 0 means that they cannot be told apart." more="Bears few pictures best." />
      <${Figure} title="KID" value=${`${(1000 * record.kid.mean).toFixed(2)} ± ${(1000 * record.kid.std).toFixed(2)}`} why="Kernel distance, times 1,000, mean and spread over subsets. Near 0 is close." />
      <${Figure} title="FID" value=${record.fid.toFixed(3)} why="Fréchet distance between two fitted bell shapes. Lower is closer." />
      <${Figure} title="Variety" value=${`${record.vendi.toFixed(1)} and ${record.other_vendi.toFixed(1)}`} why="Vendi score: how many quite different pictures each set amounts to." more=${`Of ${record.count} and ${record.other_count}.`} /></div>
    <${Odd} title="Least like the other set" of=${record.odd} /><${Odd} title="Least like the first set" of=${record.other_odd} />
    <${Unreadable} records=${record.unreadable || []} /></div>`;
}
