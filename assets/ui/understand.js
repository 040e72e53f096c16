/* The Understand tab: six tools over one choice of pictures. Each sends a job, follows it and shows its records. */
import { tried } from "./api.js";
import { Ask } from "./ask.js";
import { act } from "./bridge.js";
import { Caption } from "./caption.js";
import { Check } from "./check.js";
import { Chooser, Chosen } from "./chooser.js";
import { Clip } from "./clip.js";
import { Button, Segments, Sentence } from "./controls.js";
import { begun } from "./events.js";
import { wanted } from "./handing.js";
import { effect, html, render, signal, untracked } from "./html.js";
import { takers } from "./keys.js";
import { droppedFiles } from "./library.js";
import { Measure } from "./measure.js";
import { route } from "./route.js";
import { Sort } from "./sort.js";
import { Stage } from "./tool.js";

const KEPT = "studio.tool";

const chosen = new Chosen("pictures");
const problem = signal("");
const open = signal("sort");

/** @type {import("./tool.js").Shell} */
const shell = {
  chosen,
  say: (words) => (problem.value = words),
  remember: async (ids) => {
    if (!chosen.turn && ids?.length) await chosen.setIds(ids);
  },
};
const tools = [Sort, Ask, Caption, Check, Measure, Clip].map((Each) => new Each(shell));
const tool = () => /** @type {import("./tool.js").Tool} */ (tools.find((each) => each.name === open.value));

function turnTo(/** @type {string} */ name) {
  if (!tools.some((each) => each.name === name)) return;
  open.value = name;
  problem.value = "";
  try {
    localStorage.setItem(KEPT, name);
  } catch {
    /* private mode: a reload begins with the first tool */
  }
}

function Understand() {
  const now = tool();
  return html`<div class="understand"><h2 class="sr-only">Understand pictures</h2>
    <section class="u-controls" aria-label="What to do">
      <div class="u-fields"><${Segments} label="Tool" kind="tools" value=${now.name} choose=${turnTo} choices=${tools.map((each) => [each.name, each.words, each.icon])} />
        ${now.name !== "clip" && html`<${Chooser} chosen=${chosen} />`}
        ${tools.map((each) => html`<${Fields} key=${each.name} tool=${each} />`)}</div>
      <div class="u-actions"><div class="tool-problem">${problem.value && html`<${Sentence}>${problem.value}<//>`}</div>
        <${Button} main class="go" data-run aria-keyshortcuts="Control+Enter" aria-label=${now.verb} disabled=${now.running} onClick=${() => now.run()}>${now.verb}<//></div>
    </section>
    <section class="u-results" aria-label="Results">${tools.map((each) => html`<${Stage} key=${each.name} tool=${each} open=${each === now} />`)}</section>
  </div>`;
}

/** @param {{tool: import("./tool.js").Tool}} props */
function Fields({ tool: own }) {
  const touch = () => (own.touched = true);
  return html`<div class="tool-fields" data-tool=${own.name} hidden=${own.name !== open.value} onClick=${touch} onInput=${touch}>${own.fields()}</div>`;
}

let configured = false;

async function refresh() {
  const config = await act("understand");
  if (!config) return;
  for (const each of tools) each.offer(config);
  if (configured) return;
  configured = true;
  for (const each of tools) each.configure(config);
}

/** Pictures that another tab hands over. */
async function take() {
  const handed = wanted.value;
  if (!handed) return;
  wanted.value = null;
  turnTo(handed.tool);
  await (tool().choosers()[0] ?? chosen).setIds(handed.ids);
}

/** @param {DataTransfer} carrier */
async function drop(carrier) {
  const place = /** @type {Element | null} */ (window.event?.target ?? null)?.closest(".chooser");
  const files = await droppedFiles(carrier);
  const all = tool().choosers();
  await (all.find((each) => place && each.root === place) ?? all[0] ?? chosen).hand(files);
}

/** Fill the tab. @param {HTMLElement} root */
export async function startUnderstand(root) {
  turnTo(localStorage.getItem(KEPT) ?? "");
  render(html`<${Understand} />`, root);
  takers.push({ root, words: "Drop pictures, or a whole folder", take: drop });
  effect(() => void (wanted.value && untracked(take))); // at once: what is restored below yields to what was handed over
  await refresh();
  await chosen.restore();
  for (const each of tools) await tried(() => each.restore());
  effect(() => {
    begun.value;
    if (route.value.tab === "understand") untracked(refresh);
  });
}
