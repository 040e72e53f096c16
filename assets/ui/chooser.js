/* Pictures or a clip to work on: dropped, from files or a folder, from the gallery; kept for the page's next load. */
import { newBoard } from "./boards.js";
import { Button, Tool } from "./controls.js";
import { computed, html, signal, useRef, useSignal } from "./html.js";
import { Icon } from "./icons.js";
import { getItems, items, know, upload } from "./library.js";
import { pick } from "./picker.js";
import { Picture } from "./pictures.js";
import { announce } from "./say.js";
import { many } from "./words.js";
import { tried } from "./api.js";

/** @typedef {import("./library.js").Item} Item */

const SHOWN = 11;
const CLIPS = /\.(mp4|webm|mov|m4v|mkv|avi|gif|webp)$/i;

/** What was chosen. Its `View` draws it. */
export class Chosen {
  /**
   * `slot` names what a reload brings back; `words` is the empty state.
   * @param {string} slot
   * @param {{title?: string, words?: string, clips?: boolean, limit?: number}} [options]
   */
  constructor(slot, { title = "Pictures", words = "Drop pictures or a folder", clips = false, limit = 5000 } = {}) {
    this.slot = `studio.chosen.${slot}`;
    this.title = title;
    this.words = words;
    this.clips = clips;
    this.limit = limit;
    this.ids = signal(/** @type {readonly string[]} */ ([]));
    this.items = computed(() => this.ids.value.map((id) => items.value.get(id)).filter((item) => item !== null && item !== undefined));
    this.skipped = signal(/** @type {readonly {name: string, reason: string}[]} */ ([]));
    this.waiting = signal("");
    this.folder = "";
    this.turn = 0; // of choices: one that comes late does not undo a newer one
    this.root = /** @type {HTMLElement | null} */ (null);
  }

  /** What was chosen before the page was loaded again. */
  async restore() {
    let kept = [];
    try {
      kept = JSON.parse(localStorage.getItem(this.slot) || "[]");
    } catch {
      /* another version's: start empty */
    }
    if (Array.isArray(kept) && kept.length && !this.turn) await this.setIds(kept.map(String));
  }

  fits(/** @type {Item} */ item) {
    return (item.kind === "clip") === this.clips && !item.deleted_at;
  }

  async setIds(/** @type {readonly string[]} */ ids) {
    const turn = (this.turn += 1);
    const found = await tried(() => getItems(ids));
    if (found && turn === this.turn) this.keep(found.filter((item) => this.fits(item)).map((item) => item.id));
  }

  /** @param {readonly Item[]} more */
  add(more) {
    this.turn += 1;
    know([...more]);
    const there = new Set(this.ids.value);
    const fitting = more.filter((item) => this.fits(item) && !there.has(item.id)).map((item) => item.id);
    if (this.clips) this.keep(fitting.length ? fitting : this.ids.value);
    else this.keep([...this.ids.value, ...fitting]);
  }

  leave(/** @type {string} */ id) {
    this.turn += 1;
    this.keep(this.ids.value.filter((each) => each !== id));
  }

  clear() {
    this.turn += 1;
    this.skipped.value = [];
    this.keep([]);
  }

  keep(/** @type {readonly string[]} */ ids) {
    this.ids.value = ids.slice(0, this.limit);
    try {
      localStorage.setItem(this.slot, JSON.stringify(this.ids.value));
    } catch {
      /* private mode: a reload starts empty */
    }
  }

  /** Hand files in and choose them; what cannot be read is listed, the rest goes on. @param {File[]} files */
  async hand(files) {
    const wanted = (/** @type {File} */ file) => (this.clips ? CLIPS.test(file.name) : !file.name.startsWith("."));
    const fitting = files.filter(wanted);
    this.folder = files[0]?.webkitRelativePath?.split("/")[0] || "";
    const skipped = files.filter((file) => !wanted(file) && !file.name.startsWith(".")).map((file) => ({ name: file.name, reason: "This is not a video clip." }));
    this.waiting.value = `Handing in 0 of ${fitting.length}`;
    try {
      const answer = await upload(fitting, (done, all) => (this.waiting.value = `Handing in ${done} of ${all}`));
      const unfit = answer.items.filter((item) => !this.fits(item));
      const reason = this.clips ? "This is a picture, not a clip." : "This is a clip: open it under Clip.";
      this.skipped.value = [...skipped, ...answer.skipped, ...unfit.map((item) => ({ name: item.name, reason }))];
      this.add(answer.items);
    } finally {
      this.waiting.value = "";
    }
    const bad = this.skipped.value.length;
    announce(`${many(this.ids.value.length, "picture")} chosen.${bad ? ` ${many(bad, "file")} could not be read.` : ""}`);
  }

  async pick() {
    const found = await pick({ clips: this.clips });
    if (found.length) this.add(found);
  }
}

/** @param {{chosen: Chosen}} props */
export function Chooser({ chosen }) {
  const files = useRef(/** @type {HTMLInputElement | null} */ (null));
  const directory = useRef(/** @type {HTMLInputElement | null} */ (null));
  const over = useSignal(false);
  const { clips, title } = chosen;
  const all = chosen.items.value;
  const most = all.length > SHOWN + 1 ? SHOWN : SHOWN + 1;
  const take = (/** @type {any} */ event) => {
    const some = [...event.target.files];
    event.target.value = "";
    if (some.length) chosen.hand(some);
  };
  const skipped = chosen.skipped.value;
  return html`<section ref=${(/** @type {HTMLElement | null} */ node) => (chosen.root = node)} class=${over.value ? "chooser over" : "chooser"}
    aria-label=${`${title}: ${many(all.length, clips ? "clip" : "picture")}`} onDragOver=${() => (over.value = true)} onDragLeave=${() => (over.value = false)} onDrop=${() => (over.value = false)}>
    <header><h3>${title}${all.length > 0 && html`<span> ${clips ? all[0]?.name : all.length.toLocaleString("en")}</span>`}</h3>
      ${all.length > 1 && html`<button type="button" class="link" onClick=${() => newBoard(chosen.ids.value, chosen.folder)}>Save as board</button>`}
      ${all.length > 0 && html`<button type="button" class="link" onClick=${() => chosen.clear()}>Clear</button>`}</header>
    ${chosen.waiting.value && html`<p class="chooser-waiting" role="status"><span class="spinner"></span>${chosen.waiting.value}</p>`}
    ${all.length
      ? html`<div class=${clips ? "chosen chosen-clip" : "chosen"}>
          ${all.slice(0, most).map(
            (item) => html`<span key=${item.id} class="chosen-cell" title=${item.name}><${Picture} id=${item.id} alt=${item.name} />
              <${Tool} icon="close" label=${`Leave out ${item.name}`} onClick=${() => chosen.leave(item.id)} /></span>`,
          )}
          ${all.length > most && html`<span class="chosen-more">+${(all.length - most).toLocaleString("en")}</span>`}</div>`
      : html`<button type="button" class="drop-area" onClick=${() => files.current?.click()}><${Icon} name="upload" /><b>${chosen.words}</b>
          <span>${clips ? "MP4, WebM, MOV or an animated GIF" : "PNG, JPEG or WebP, or click to choose files"}</span></button>`}
    <div class="chooser-tools"><${Button} icon="upload" onClick=${() => files.current?.click()}>Files<//>
      ${!clips && html`<${Button} icon="folder" onClick=${() => directory.current?.click()}>Folder<//>`}
      <${Button} icon="grid" onClick=${() => chosen.pick()}>${clips ? "Earlier clips" : "Gallery and boards"}<//></div>
    ${skipped.length > 0 &&
    html`<details class="skipped"><summary><${Icon} name="alert" />${many(skipped.length, "file")} could not be used</summary>
      <ul>${skipped.map((each, at) => html`<li key=${at}><b>${each.name}</b><span>${each.reason}</span></li>`)}</ul></details>`}
    <input ref=${files} type="file" hidden multiple=${!clips} onChange=${take}
      accept=${clips ? "video/mp4,video/webm,video/quicktime,.mov,image/gif,image/webp" : "image/png,image/jpeg,image/webp,image/avif,image/gif"} />
    ${!clips && html`<input ref=${directory} type="file" hidden multiple webkitdirectory onChange=${take} />`}
  </section>`;
}
