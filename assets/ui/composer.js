/* Sending what the forms hold, and bringing settings back into them. The forms are Gradio's: each drawing tab has a
   hidden button that hands its values to the studio, and one that fills it. */
import { api, Refusal, tried } from "./api.js";
import { bringBack, handedIn, handIn } from "./canvas/state.js";
import { config } from "./config.js";
import { Button, Sentence, Tool } from "./controls.js";
import { $$, fieldOf, press, reveal, unreadable, visible } from "./gradio.js";
import { html, signal, useEffect } from "./html.js";
import { prompt, PromptNotes, setPrompt, vocabularies } from "./ideas.js";
import { items } from "./library.js";
import { go, route } from "./route.js";
import { announce, toast } from "./say.js";
import { fetchJob } from "./events.js";
import { forms, problem, showJob, source, tabOf } from "./session.js";
import { many } from "./words.js";

/** @typedef {{made_by: string, restored: string[], not_restored: {field: string, said: string, why: string}[], error?: string}} Report */

const sending = signal(false);
/** What the restore buttons read. */
let payload = "";
/** What was brought back last, until it is closed or something is drawn. */
const report = signal(/** @type {Report | null} */ (null));
/** Whether the settings are open where they do not fit beside the stage. */
export const sheet = signal(false);

/** What the modes with a mask do. */
const EDITS = {
  replace: "Replace what is marked", remove: "Remove what is marked", add: "Add to what is marked", background: "Draw a new background", restore: "Restore what is marked",
};

/** The words on the button: what it will do. */
export function verb(/** @type {string} */ tab, /** @type {Record<string, any>} */ form) {
  const count = Math.max(Number(form.count) || 1, 1);
  if (tab === "edit") {
    const what = EDITS[/** @type {keyof typeof EDITS} */ (form.mode)] ?? "Redraw this picture";
    return count === 1 ? what : `${what} ${count} times`;
  }
  if (tab === "variations") return count === 1 ? "Draw a variation" : `Draw ${many(count, "variation")}`;
  const keep = Number(form.keep_best) || 0;
  if (keep && keep < count) return `Draw ${many(count, "picture")}, keep ${keep}`;
  return count === 1 ? "Draw a picture" : `Draw ${many(count, "picture")}`;
}

/** Hand the form of a drawing tab to the studio. */
export async function send(tab = route.value.tab) {
  if (sending.value || !Object.values(config.draws).includes(tab)) return;
  const odd = unreadable(`${tab}-form`);
  if (odd) return say({ words: `“${odd.words}” must be a number; what stands there is none.`, field: odd.id });
  sending.value = true;
  say(null);
  const wrong = await handIn();
  if (wrong) {
    sending.value = false;
    return say({ words: wrong, field: `${tab}-mask` });
  }
  requestAnimationFrame(() => press(`${tab}-go`)); // after the fields took what was typed
}

/** Write a prompt and draw it. */
export function draw(/** @type {string} */ text) {
  setPrompt(text);
  setTimeout(() => send(), 50);
}

/** The values of a form as Gradio hands them over, with the picture that the tool works on and its mask. */
export function values(/** @type {string[]} */ names, /** @type {any[]} */ given) {
  const own = /** @type {Record<string, string>} */ ({ picture: source.value, mask: handedIn });
  return given.map((value, at) => own[names[at] ?? ""] ?? value);
}

/** What the studio answered to `send`. */
export async function sent(/** @type {string} */ answer) {
  sending.value = false;
  const { job, error, field } = JSON.parse(answer);
  if (error) return say({ words: error, field: field ?? "" });
  report.value = null;
  sheet.value = false;
  await fetchJob(job).catch(() => null);
  showJob(job);
}

/** Have something done to a picture that needs no more to be said. */
export async function start(/** @type {string} */ capability, /** @type {object} */ request) {
  const begun = await tried(() => api(`/${capability}`, { body: request }));
  if (!begun) return;
  if (!Object.values(config.draws).includes(route.value.tab)) go({ tab: Object.values(config.draws)[0] ?? "create" });
  await fetchJob(begun.id).catch(() => null);
  showJob(begun.id);
}

/** Say what is wrong, once, and lead to the field. */
function say(/** @type {{words: string, field: string} | null} */ wrong) {
  for (const node of document.querySelectorAll("#studio [aria-invalid], #studio [aria-describedby=problem-words]")) {
    node.removeAttribute("aria-invalid");
    node.removeAttribute("aria-describedby");
  }
  problem.value = wrong;
  if (!wrong?.field) return;
  // The picture has no field of its own, but ways to choose another; the mask is what is painted.
  const [, own] = [["-picture", ".source button"], ["-mask", ".mask-view"]].find(([end]) => wrong.field.endsWith(end ?? "")) ?? [];
  const field = own ? $$(own).find(visible) : fieldOf(wrong.field);
  if (!field) return;
  if (field.closest("#tabs")) sheet.value = true;
  reveal(field);
  if (!own) field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", "problem-words");
  setTimeout(() => field.focus(), 60); // once its fold is open
}

/** Bring back the settings of a picture of the gallery, in the tab that made it. */
export const reuse = (/** @type {string} */ id) => fill(tabOf(items.value.get(id)?.capability), { id });

/** Bring back the settings that a picture file carries. */
export async function reuseFile(/** @type {File} */ file) {
  if (!/^image\/(png|jpeg|webp|avif)$/.test(file.type)) {
    return toast("Drop a PNG, JPEG or WebP picture to bring back its settings.", { bad: true });
  }
  try {
    const found = await api("/parameters", { raw: file });
    if (!found.report) return toast("That picture holds no settings; they are lost when a picture is converted or cropped.", { bad: true });
    const tab = tabOf(found.capability);
    const first = tab === Object.values(config.draws)[0];
    const { report } = first ? found : await api(`/parameters?capability=${encodeURIComponent(found.capability)}`, { raw: file });
    fill(tab, { report });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    toast(error.message, { bad: true });
  }
}

function fill(/** @type {string} */ tab, /** @type {object} */ from) {
  payload = JSON.stringify(from);
  go({ tab });
  press(`${tab}-restore`);
}

export const handed = () => payload;

/** What the studio answered to `fill`. */
export function restored(/** @type {string} */ answer) {
  /** @type {Report & {picture?: string, mask?: string}} */
  const found = JSON.parse(answer);
  if (found.error) return void toast(found.error, { bad: true });
  if (found.picture) go({ picture: found.picture });
  if (found.picture && found.mask) bringBack(found.picture, found.mask);
  report.value = found;
  say(null);
  announce(found.not_restored.length ? "Most settings are back; the others are listed under the prompt." : "All settings are back.");
}

/** A field's name for people. */
const label = (/** @type {string} */ field) => {
  const words = { width: "Size", height: "Size", guidance_scale: "Guidance" }[field] ?? field.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
};

/** What came back and what did not. */
function Restored() {
  const found = report.value;
  if (!found) return null;
  const all = !found.not_restored.length;
  const foreign = found.made_by && found.made_by !== "Creative Studio";
  const names = [...new Set(found.restored.map(label))];
  return html`<div class="restored" role="status">
    <p><b>${all ? "All settings are back" : names.length ? "Most settings are back" : "No settings could be brought back"}</b>${names.length > 0 && `: ${names.join(", ")}.`}${foreign && ` Made by ${found.made_by}.`}</p>
    ${!all && html`<ul aria-label="Not brought back">${found.not_restored.map((each) => html`<li key=${each.field}><b>${label(each.field)}</b>${each.said && ` (${each.said})`}: ${each.why}</li>`)}</ul>`}
    <${Tool} icon="close" label="Close what was brought back" onClick=${() => (report.value = null)} />
  </div>`;
}

/** Under the prompt: what is unknown, what came back, what is wrong, and the one button. */
export function Composer() {
  const { tab } = route.value;
  const form = forms.value[tab] ?? {};
  const wrong = problem.value;
  useEffect(() => {
    problem.value = null;
    report.value = null;
  }, [tab]);
  return html`<${PromptNotes} tab=${tab} />
    <${Restored} />
    <div id="problem">${wrong && html`<${Sentence} id="problem-words">${wrong.words}<//>`}</div>
    <div id="run">
      <${Button} class="sheet-button" icon="settings" aria-expanded=${String(sheet.value)} onClick=${() => (sheet.value = !sheet.value)}>Settings<//>
      <button type="button" id="generate" class="button button-main" aria-keyshortcuts="Control+Enter" disabled=${sending.value}
        onClick=${() => send(tab)}>${verb(tab, form)}</button>
    </div>`;
}

/** What the chosen model of a tab can be asked for. */
export const words = (/** @type {string} */ tab, /** @type {string} */ known) =>
  (vocabularies.value = { ...vocabularies.value, [tab]: JSON.parse(known) });

/** Keep a form: for the words of its button, and for the page when it is loaded again. */
export function keep(/** @type {string} */ tab, /** @type {string[]} */ names, /** @type {any[]} */ given) {
  const form = Object.fromEntries(names.map((name, at) => [name, given[at]]));
  forms.value = { ...forms.value, [tab]: form };
  if (typeof form.prompt === "string") prompt.value = form.prompt;
  try {
    localStorage.setItem(`studio.form.${tab}`, JSON.stringify(form));
  } catch {
    /* no room or no leave: a reload begins anew */
  }
}
