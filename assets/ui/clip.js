/* Clip: what happens in a short film, as a timeline of labels. */
import { Chooser, Chosen } from "./chooser.js";
import { html, signal, useEffect, useRef, useSignal } from "./html.js";
import { items, original, thumbnail } from "./library.js";
import { Picture } from "./pictures.js";
import { Bar } from "./records.js";
import { Area, Field, ModelField, Tool } from "./tool.js";
import { clock, duration, many, percent } from "./words.js";

const SERIES = 6; // labels drawn
const DOTS = 60; // looks that are marked one by one
const WIDE = { width: 900, height: 240, left: 42, top: 12, bottom: 26, right: 12 };

export class Clip extends Tool {
  name = "clip";
  words = "Clip";
  icon = /** @type {const} */ ("clip");
  capability = "watch";
  feature = "embed";
  skill = "look through clips";
  verb = "Look";
  clips = new Chosen("clips", { title: "Clip", words: "Drop a video clip", clips: true, limit: 1 });
  labels = signal("");
  every = signal("0.5");

  fields() {
    return html`<${Chooser} chosen=${this.clips} />
      <${Field} label="Labels" hint="One a line: what may be seen in the clip."><${Area} value=${this.labels} label="Labels of the clip" placeholder=${"a dog\na car\nnobody"} /><//>
      <${Field} label="One look every … seconds"><input type="number" min="0.1" max="60" step="0.1" value=${this.every.value} onInput=${(/** @type {any} */ event) => (this.every.value = event.target.value)} /><//>
      <${ModelField} tool=${this} />`;
  }

  choosers() {
    return [this.clips];
  }

  configure() {
    this.clips.restore();
  }

  request() {
    return { pictures: this.clips.ids.value, labels: this.labels.value, every: Number(this.every.value) || 0.5 };
  }

  /** @param {import("./tool.js").Job} job */
  async recall({ request }) {
    this.labels.value ||= (request.labels || []).join("\n");
    if (request.every) this.every.value = String(request.every);
    if (!this.clips.ids.value.length) await this.clips.setIds(request.pictures || []);
  }

  /** @returns {[string, string]} */
  emptyWords() {
    return ["See what happens when", "Choose a short clip and name what may be in it. The timeline shows each label over time; the search finds its moments."];
  }

  /** @param {import("./tool.js").Job} _job @param {readonly any[]} records */
  summary(_job, records) {
    return records[0]?.frames ? `${many(records[0].frames.length, "look")} at ${duration(records[0].seconds)} of film` : "1 clip";
  }

  /** @param {import("./tool.js").Job} _job @param {readonly any[]} records */
  results(_job, records) {
    return html`<div class="clips">${records.filter((each) => !each.error).map((record) => html`<${Watched} key=${record.clip} record=${record} />`)}</div>`;
  }
}

/** Labels in order of their best moment. @param {any} record @returns {string[]} */
function best(record) {
  const top = new Map();
  for (const frame of record.frames) for (const each of frame.labels) top.set(each.label, Math.max(top.get(each.label) || 0, each.probability));
  return [...top].sort((a, b) => b[1] - a[1]).slice(0, SERIES).map(([label]) => label);
}

/** @param {{record: any}} props */
function Watched({ record }) {
  const player = useRef(/** @type {HTMLVideoElement | null} */ (null));
  const time = useSignal(0);
  const broken = useSignal(false);
  const labels = record.outside_world ? [] : best(record);
  const playable = ["mp4", "webm", "mov"].includes(items.value.get(record.clip)?.format ?? "");
  const seek = (/** @type {number} */ at) => {
    time.value = at;
    if (player.current) player.current.currentTime = at;
  };
  const still = html`<${Picture} id=${record.clip} large alt=${record.name} />`;
  return html`<article class="clip"><div class="clip-player">${!playable
      ? still
      : broken.value
        ? html`<div class="no-video">${still}<p class="note">This browser cannot play the clip; it was read all the same.</p></div>`
        : html`<video ref=${player} src=${original(record.clip)} controls muted preload="metadata" poster=${thumbnail(record.clip)} onError=${() => (broken.value = true)}
            onTimeUpdate=${() => (time.value = player.current?.currentTime ?? 0)}></video>`}</div>
    ${record.description && html`<p class="clip-words">${record.description}</p>`}
    ${labels.length > 0 && html`<${Timeline} record=${record} labels=${labels} time=${time} seek=${seek} />`}
    ${!record.outside_world && record.segments?.length > 0 &&
    html`<ol class="moments" aria-label="Moments">${record.segments.map((/** @type {any} */ each, /** @type {number} */ at) => html`<li key=${at}><button type="button" data-series=${labels.indexOf(each.label) + 1}
      onClick=${() => seek(each.start)}><i></i><b>${each.label}</b><span>${clock(each.start)} to ${clock(each.end)}</span></button></li>`)}</ol>`}
    ${record.actions?.length > 0 &&
    html`<section class="panel chart"><h3>Actions in the whole clip</h3><div class="bars">${record.actions.map((/** @type {any} */ each) => html`<div key=${each.label} class="bars-row"><span class="bars-label">${each.label}</span>
      ${!record.outside_world && html`<${Bar} share=${each.probability} /><span class="bars-share">${percent(each.probability)}</span>`}</div>`)}</div></section>`}
  </article>`;
}

/** @param {{record: any, labels: string[], time: import("./html.js").Signal<number>, seek: (at: number) => void}} props */
function Timeline({ record, labels, time, seek }) {
  const chart = useRef(/** @type {SVGSVGElement | null} */ (null));
  const off = useSignal(/** @type {ReadonlySet<string>} */ (new Set()));
  const said = useSignal("Point at the timeline; click to go there.");
  useEffect(() => void (off.value = new Set()), [record]);
  const { width, height, left, top, bottom, right } = WIDE;
  const frames = record.frames;
  const length = Math.max(record.seconds || 0, frames[frames.length - 1]?.time || 0, 0.1);
  const x = (/** @type {number} */ at) => left + (at / length) * (width - left - right);
  const y = (/** @type {number} */ share) => top + (1 - share) * (height - top - bottom);
  const timeAt = (/** @type {MouseEvent} */ event) => {
    const box = /** @type {SVGSVGElement} */ (chart.current).getBoundingClientRect();
    return Math.min(Math.max((((event.clientX - box.left) / box.width) * width - left) / (width - left - right), 0), 1) * length;
  };
  const point = (/** @type {MouseEvent} */ event) => {
    const at = timeAt(event);
    const frame = frames.reduce((/** @type {any} */ near, /** @type {any} */ each) => (Math.abs(each.time - at) < Math.abs(near.time - at) ? each : near));
    time.value = frame.time;
    said.value = `${clock(frame.time)}  ${frame.labels.slice(0, 3).map((/** @type {any} */ each) => `${each.label} ${percent(each.probability)}`).join(", ")}`;
  };
  const ticks = Math.min(8, Math.max(2, Math.round(length)));
  const turn = (/** @type {string} */ label) => {
    const next = new Set(off.value);
    if (!next.delete(label)) next.add(label);
    off.value = next;
  };
  return html`<section class="panel chart"><div class="legend">${labels.map((label, at) => html`<button key=${label} type="button" class="chip" aria-pressed=${String(!off.value.has(label))} data-series=${at + 1}
      onClick=${() => turn(label)}><i></i>${label}</button>`)}</div>
    <svg ref=${chart} viewBox=${`0 0 ${width} ${height}`} class="timeline" role="img" aria-label=${`Probability of ${labels.join(", ")} over ${duration(length)}`} onPointerMove=${point}
      onClick=${(/** @type {MouseEvent} */ event) => seek(timeAt(event))}>
      ${[0, 0.5, 1].map((share) => html`<line key=${share} x1=${left} x2=${width - right} y1=${y(share)} y2=${y(share)} class="rule" /><text x=${left - 8} y=${y(share) + 4} text-anchor="end">${`${100 * share} %`}</text>`)}
      ${Array.from({ length: ticks + 1 }, (_, at) => {
        const when = (length * at) / ticks;
        return html`<text key=${at} x=${x(when)} y=${height - 6} text-anchor=${at === ticks ? "end" : at ? "middle" : "start"}>${length < 4 ? clock(when) : clock(when).split(".")[0]}</text>`;
      })}
      ${labels.map((label, at) => {
        const points = frames.map((/** @type {any} */ frame) => [x(frame.time), y(frame.labels.find((/** @type {any} */ each) => each.label === label)?.probability ?? 0)]);
        return html`<g key=${label} class=${`series series-${at + 1}`} style=${off.value.has(label) ? "display:none" : ""}>
          <polyline points=${points.map((/** @type {number[]} */ each) => each.map((value) => value.toFixed(1)).join()).join(" ")} />
          ${points.length <= DOTS && points.map((/** @type {number[]} */ [cx = 0, cy = 0], /** @type {number} */ place) => html`<circle key=${place} cx=${cx.toFixed(1)} cy=${cy.toFixed(1)} r="3" />`)}</g>`;
      })}
      <line y1=${top} y2=${height - bottom} class="cursor" x1=${x(time.value)} x2=${x(time.value)} />
    </svg><output class="timeline-said">${said.value}</output></section>`;
}
