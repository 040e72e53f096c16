/* Caption: pictures put into words. */
import { Button, Segments } from "./controls.js";
import { html, signal } from "./html.js";
import { setPrompt } from "./ideas.js";
import { copy, Doubt, Framed, inspect, RecordCell, Some } from "./records.js";
import { go } from "./route.js";
import { ModelField, Tool } from "./tool.js";

const HINTS = { short: "One line.", detailed: "Everything that is seen.", alt: "For people who hear the page.", prompt: "Words to draw it again: send them to Create." };

/** Put words into the prompt of the Create tab. */
function toCreate(/** @type {string} */ words) {
  /** @type {HTMLDialogElement | null} */ (document.querySelector("dialog[open]"))?.dispatchEvent(new Event("cancel", { cancelable: true }));
  go({ tab: "create" });
  setPrompt(words);
}

/** @param {{record: any}} props */
const Moves = ({ record }) => html`<div class="moves"><${Button} icon="copy" onClick=${() => copy(record.caption)}>Copy<//>
  <${Button} icon="create" onClick=${() => toCreate(record.caption)}>To Create<//></div>`;

const detail = (/** @type {any} */ record) => html`<${Framed} id=${record.picture} alt=${record.caption} />
  <div class="inspect-side"><p class="inspect-top">${record.caption}</p>${record.outside_world && html`<${Doubt} records=${[record]} />`}<${Moves} record=${record} /></div>`;

export class Caption extends Tool {
  name = "caption";
  words = "Caption";
  icon = /** @type {const} */ ("caption");
  capability = "caption";
  feature = "caption";
  skill = "describe pictures";
  verb = "Describe";
  style = signal("short");

  fields() {
    const style = this.style.value;
    return html`<div class="field"><span>Kind</span><${Segments} label="Kind of caption" value=${style} choose=${(/** @type {string} */ next) => (this.style.value = next)}
        choices=${[["short", "Short"], ["detailed", "Detailed"], ["alt", "Alt text"], ["prompt", "Prompt"]]} /><small>${HINTS[/** @type {keyof typeof HINTS} */ (style)]}</small></div>
      <${ModelField} tool=${this} />`;
  }

  request() {
    return { pictures: this.shell.chosen.ids.value, style: this.style.value };
  }

  /** @param {import("./tool.js").Job} job */
  async recall({ request }) {
    this.style.value = request.style || "short";
    await this.shell.remember(request.pictures);
  }

  /** @returns {[string, string]} */
  emptyWords() {
    return ["Put pictures into words", "Choose pictures and a kind of caption. A prompt can go straight back to Create."];
  }

  /** @param {import("./tool.js").Job} _job @param {readonly any[]} records */
  results(_job, records) {
    const good = records.filter((each) => !each.error);
    return html`<${Some} of=${good} class="captions" draw=${(/** @type {any} */ record) => html`<article key=${record.picture} class="captioned">
      <${RecordCell} record=${record} open=${() => inspect(good, record, detail)} />
      <div><p class="captioned-words">${record.caption}</p><p class="captioned-name">${record.name}</p>
        ${record.outside_world && html`<p class="doubted">Not of this model's world</p>`}<${Moves} record=${record} /></div></article>`} />`;
  }
}
