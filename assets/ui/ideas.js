/* What to draw: words a small model knows, prompt styles with previews, words that the model does not know. */
import { api } from "./api.js";
import { config } from "./config.js";
import { computed, html, signal, useEffect } from "./html.js";
import { $, write } from "./gradio.js";
import { go, route } from "./route.js";
import { forms } from "./session.js";

/** @typedef {{objects: string[], styles: string[], colours: Record<string, string>, examples: string[], limits: string}} Vocabulary */

/** The words of each tab's model; null for one that draws anything. */
export const vocabularies = signal(/** @type {Record<string, Vocabulary | null>} */ ({}));
export const vocabulary = computed(() => vocabularies.value[route.value.tab] ?? null);
/** The prompt as it is written. */
export const prompt = signal("");

/** @type {{style: string, object: string, colour: string}} */
let parts = { style: "", object: "", colour: "" };
let composed = "";

const field = () => /** @type {HTMLTextAreaElement | null} */ ($("#prompt textarea"));
export const setPrompt = (/** @type {string} */ text) => write(field(), text);

const an = (/** @type {string} */ word) => (/^[aeio]/.test(word) ? "an" : "a");
const named = (/** @type {string} */ thing) => (/[^u]s$/.test(thing) ? thing : `${an(thing)} ${thing}`); // grapes, but a bus

/** A sentence of a thing, a background and a style. */
export function sentence({ style = "", object = "", colour = "" }) {
  const background = colour ? `${an(colour)} ${colour} background` : "";
  return [[object && named(object), background].filter(Boolean).join(" on "), style && `${style} style`].filter(Boolean).join(", ");
}

/** Add a word to the sentence that was composed, or to the user's own words, which stay. */
function compose(/** @type {keyof typeof parts} */ part, /** @type {string} */ text) {
  const now = prompt.value.trim();
  if (now && now !== composed) {
    parts = { style: "", object: "", colour: "" };
    composed = "";
    return setPrompt(`${now}, ${part === "colour" ? `${an(text)} ${text} background` : text}`);
  }
  parts = { ...parts, [part]: parts[part] === text ? "" : text };
  composed = sentence(parts);
  setPrompt(composed);
}

const any = (/** @type {readonly string[]} */ list) => /** @type {string} */ (list[Math.floor(Math.random() * list.length)]);

/** A prompt that the model can draw. */
export function surprise() {
  const words = vocabulary.value;
  if (!words) return setPrompt(any(config.anything.filter((each) => each !== prompt.value)));
  setPrompt(sentence({ style: any(words.styles), object: any(words.objects), colour: any(Object.keys(words.colours)) }));
}

/** The words of a prompt without a style's. */
const without = (/** @type {string} */ text, /** @type {string} */ words) =>
  text.replace(words, "").replace(/(,\s*)+(?=,|$)/g, "").replace(/^\s*,\s*/, "").trim();

/** Prompt styles as pictures: pressed ones are in the prompt. */
export function Styles() {
  return html`<p class="limits">A style adds its words to the prompt. The previews were drawn by the starter models.</p>
    <div class="looks">${config.styles.map((style) => {
      const on = prompt.value.includes(style.words);
      const turn = () => {
        const own = config.styles.reduce((text, each) => without(text, each.words), prompt.value);
        setPrompt(on ? own : [own, style.words].filter(Boolean).join(", "));
      };
      return html`<button key=${style.name} type="button" class="look" aria-pressed=${String(on)} onClick=${turn} title=${style.words}>
        <img src=${new URL(style.preview, import.meta.url).href} alt="" width="96" height="96" loading="lazy" /><span>${style.name}</span></button>`;
    })}</div>`;
}

/** @param {{part: "style" | "object" | "colour", list: readonly string[]}} props */
const Chips = ({ part, list }) => {
  const colours = vocabulary.value?.colours ?? {};
  return html`<div class="chips" role="group" aria-label=${part} data-part=${part}>${list.map(
    (word) => html`<button key=${word} type="button" class="chip" aria-pressed=${String(parts[part] === word && prompt.value === composed)} onClick=${() => compose(part, word)}>
      ${part === "colour" && html`<i style=${`background:${colours[word]}`}></i>`}${word}</button>`,
  )}</div>`;
};

/** Everything that a small model can draw, or examples for the others. */
export function Ideas() {
  const words = vocabulary.value;
  const examples = (words?.examples ?? config.anything).slice(0, 6);
  return html`${words && html`<p class="limits">${words.limits}</p>`}
    <h3>Examples</h3>
    <div class="chips">${examples.map((text) => html`<button key=${text} type="button" class="chip" onClick=${() => setPrompt(text)}>${text}</button>`)}</div>
    ${words &&
    html`<h3>Style</h3><${Chips} part="style" list=${words.styles} /><h3>Background</h3><${Chips} part="colour" list=${Object.keys(words.colours)} />
      <h3>Object</h3><${Chips} part="object" list=${words.objects} />`}`;
}

/* -- words that the model does not know ------------------------------------------------------------------------ */

/** @typedef {{word: string, nearest: string[]}} Unknown */
const check = signal(/** @type {{prompt: string, unknown: Unknown[], note: string}} */ ({ prompt: "", unknown: [], note: "" }));
const PAUSE = 500;

/** Under the prompt: words that the chosen model does not know, and what it knows instead. @param {{tab: string}} props */
export function PromptNotes({ tab }) {
  const model = String(forms.value[tab]?.model ?? "");
  const text = prompt.value;
  useEffect(() => {
    if (!text.trim()) return undefined;
    const stop = new AbortController();
    const timer = setTimeout(async () => {
      const query = new URLSearchParams({ prompt: text.slice(0, 2000), model });
      const found = await api(`/prompts/check?${query}`, { signal: stop.signal }).catch(() => null);
      if (found) check.value = { prompt: text, unknown: found.unknown, note: found.note };
    }, PAUSE);
    return () => (clearTimeout(timer), stop.abort());
  }, [text, model]);
  const { unknown, note } = check.value;
  if (check.value.prompt !== text || !(note || unknown.length)) return null;
  const near = unknown.filter((each) => each.nearest.length).slice(0, 4);
  return html`<div class="prompt-notes" role="status">
    <p>${note} <button type="button" class="link" onClick=${() => go({ tab: "models" })}>Models that draw anything</button></p>
    ${near.map((each) => html`<p key=${each.word}>Instead of <mark>${each.word}</mark>: ${each.nearest.slice(0, 3).map(
      (word) => html`<button type="button" class="chip" key=${word} onClick=${() => setPrompt(replaceWord(text, each.word, word))}>${word}</button>`)}</p>`)}
  </div>`;
}

/** `text` with the first `word` in it replaced, in whatever case. */
export function replaceWord(/** @type {string} */ text, /** @type {string} */ word, /** @type {string} */ by) {
  const at = text.toLowerCase().indexOf(word.toLowerCase());
  return at < 0 ? text : text.slice(0, at) + by + text.slice(at + word.length);
}
