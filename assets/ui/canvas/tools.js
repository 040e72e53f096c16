/* The canvas's tools in the rail. */
import { html } from "../html.js";
import { Icon } from "../icons.js";
import { go } from "../route.js";
import { source } from "../session.js";
import { change, mask, painting, redo, take, tool, TOOLS, turn, undo } from "./state.js";

/** From a result back to the picture that is painted on. */
const back = () => source.value && go({ picture: source.value });

const ACTIONS = [
  { name: "invert", words: "Invert", run: () => change("Inverted", (open) => open.invert()) },
  { name: "clear", words: "Clear", run: () => change("Cleared", (open) => open.clear()) },
];

/** @param {{name: import("../icons.js").IconName, words: string, letter?: string, [more: string]: unknown}} props */
const Small = ({ name, words, letter = "", ...more }) =>
  html`<button type="button" class="rail-small" title=${letter ? `${words} (${letter})` : words} aria-label=${words} ...${more}><${Icon} name=${name} /></button>`;

export function MaskTools() {
  turn.value;
  const history = mask.value?.history;
  const off = !painting.value;
  const act = (/** @type {() => void} */ run) => () => (off ? back() : run());
  return html`<div class="rail-mask" role="group" aria-label="Mask">
    ${TOOLS.map(
      (each) => html`<${Small} key=${each.name} name=${each.name} words=${each.words} letter=${each.key} aria-keyshortcuts=${each.key}
        aria-pressed=${String(!off && tool.value === each.name)} disabled=${!source.value} onClick=${() => (take(each.name), off && back())} />`,
    )}
    ${ACTIONS.map((each) => html`<${Small} key=${each.name} name=${each.name} words=${each.words} disabled=${!source.value} onClick=${act(each.run)} />`)}
    <${Small} name="undo" words="Undo" letter="Ctrl+Z" aria-keyshortcuts="Control+Z" disabled=${off || !history?.past.length} onClick=${undo} />
    <${Small} name="redo" words="Redo" letter="Ctrl+Shift+Z" aria-keyshortcuts="Control+Shift+Z" disabled=${off || !history?.future.length} onClick=${redo} />
  </div>`;
}
