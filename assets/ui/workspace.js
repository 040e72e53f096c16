/* The workspace of the drawing tabs: rail, stage, prompt and button, filmstrip; and the source that a tool works on. */
import { offer } from "./actions.js";
import { Composer, draw, reuse, sheet, start } from "./composer.js";
import { mode } from "./canvas/state.js";
import { config } from "./config.js";
import { Button, Sentence } from "./controls.js";
import { startForms } from "./gradio.js";
import { effect, html, render, useEffect, useRef, useSignal } from "./html.js";
import { Filmstrip } from "./filmstrip.js";
import { getItem, items, upload } from "./library.js";
import { pick } from "./picker.js";
import { labelOf, Picture } from "./pictures.js";
import { Rail } from "./rail.js";
import { go, route } from "./route.js";
import { showPicture, source } from "./session.js";
import { Stage } from "./stage.js";

/** The picture that the tab works on: shown small beside the settings, with ways to another one. */
function Source() {
  const id = source.value;
  const item = id ? items.value.get(id) : undefined;
  const lost = item === null || Boolean(item?.deleted_at);
  const files = useRef(/** @type {HTMLInputElement | null} */ (null));
  const wrong = useSignal("");
  useEffect(() => void (id && getItem(id)), [id]);
  const hand = async (/** @type {any} */ event) => {
    const chosen = [...event.target.files];
    event.target.value = "";
    const { items: found, skipped } = await upload(chosen);
    wrong.value = skipped[0] ? `${skipped[0].name}: ${skipped[0].reason}` : "";
    if (found[0]) showPicture(found[0].id);
  };
  const choose = async () => {
    const [chosen] = await pick({ single: true });
    if (chosen) showPicture(chosen.id);
  };
  return html`<section class="source" aria-label="Picture to edit">
    <h2>Picture</h2>
    <div class="source-row">
      ${id
        ? html`<span class="source-picture"><${Picture} id=${id} alt=${item ? labelOf(item) : ""} /></span>`
        : html`<span class="source-picture source-none" aria-hidden="true"></span>`}
      <div>
        <p>${lost ? "This picture was deleted. Pick another one in the strip below, or:" : id ? "The picture on the stage is worked on. Pick another one in the strip below, or:" : "Pick a picture in the strip below, or:"}</p>
        <div class="chooser-tools"><${Button} icon="upload" onClick=${() => files.current?.click()}>From a file<//>
          <${Button} icon="grid" onClick=${choose}>From the gallery<//></div>
      </div>
    </div>
    ${wrong.value && html`<${Sentence}>${wrong.value}<//>`}
    <input ref=${files} type="file" hidden accept="image/png,image/jpeg,image/webp,image/avif,image/gif" onChange=${hand} />
  </section>`;
}

/** Draw the parts into the places that Gradio made for them. @type {Record<string, import("./config.js").Mount>} */
export const workspaceMounts = {
  rail: (element) => render(html`<${Rail} />`, element),
  stage: (element) => render(html`<${Stage} draw=${draw} />`, element),
  "prompt-side": (element) => render(html`<${Composer} />`, element),
  filmstrip: (element) => render(html`<${Filmstrip} />`, element),
  source: (element) => render(html`<${Source} />`, element),
};

/** What the drawing tabs can do with a picture. */
export function startWorkspace() {
  startForms();
  const edits = config.tabs.includes("edit");
  const varies = config.tabs.includes("variations");
  const can = (/** @type {string} */ capability) => (/** @type {import("./library.js").Item} */ item) =>
    config.capabilities.includes(capability) && item.kind === "picture";
  offer(
    [
      { name: "vary", words: "Vary", icon: "twins", can: (item) => varies && item.kind === "picture" && route.value.tab !== "variations", run: (id) => go({ tab: "variations", picture: id }) },
      { name: "edit", words: "Edit", icon: "redraw", can: (item) => edits && item.kind === "picture" && route.value.tab !== "edit", run: (id) => go({ tab: "edit", picture: id }) },
      { name: "reuse", words: "Reuse settings", icon: "reuse", can: (item) => item.from === "gallery", run: reuse },
      { name: "upscale", words: "Enlarge", icon: "zoom", can: can("upscale"), run: (id) => start("upscale", { picture: id, scale: 2 }) },
      { name: "cut-out", words: "Cut out", icon: "lasso", can: can("cut-out"), run: (id) => start("cut-out", { picture: id }) },
    ],
    { first: true },
  );
  document.addEventListener("pointerdown", (event) => {
    const outside = /** @type {Element} */ (event.target).closest("#stage, #filmstrip, #rail, #header");
    if (outside) sheet.value = false;
  });
  effect(() => void document.body.classList.toggle("sheet-open", sheet.value));
  effect(() => void document.body.classList.toggle("with-mask", Boolean(mode.value))); // hides the fields of other modes
}
