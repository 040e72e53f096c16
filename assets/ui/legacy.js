// @ts-nocheck
/* eslint-disable no-restricted-properties */
/* What the tabs Gallery, Understand and Models stand on until they are drawn with html`...` as the rest is. */
import { address, api, Refusal, root, tried } from "./api.js";
import { askName, frame } from "./controls.js";
import { $, $$, visible, write } from "./gradio.js";
import { outline } from "./icons.js";
import { follow, progressWords } from "./job.js";
import { takers } from "./keys.js";
import * as library from "./library.js";
import { boardItems, pick, saveBoard } from "./picker.js";
import { openLarge } from "./pictures.js";
import { go } from "./route.js";
import { announce, toast } from "./say.js";
import { clock, duration, many, percent } from "./words.js";
import { reuse } from "./composer.js";

export { boardItems, address, announce, api, askName, clock, duration, follow, frame, many, openLarge, percent, Refusal, root, saveBoard, takers, toast, tried, visible, write, $, $$ };
export const { droppedFiles, upload, thumbnail, original } = library;
export const ACTIVE = ["queued", "running"];
export const openTab = (tab) => go({ tab });

/* -- the page's own server function -- */

let server = null;
let ready = null;
const connected = new Promise((resolve) => (ready = resolve));
export const connect = (bridge) => ((server = bridge), ready());

/** What Python does for a tab: `act("page", {...})`. A refusal is said in a toast, and null. */
export async function act(op, data = {}) {
  const answer = await ask(op, data);
  if (!answer.error) return answer;
  toast(answer.error, { bad: true });
  return null;
}

/** The same with the refusal in the answer. */
export async function ask(op, data = {}) {
  await connected;
  try {
    return (await server.act({ op, ...data })) || {};
  } catch {
    return { error: "The studio does not answer. Is it still running?" };
  }
}

/* -- building blocks -- */

/** An element: `h("button.tool", { type: "button", onclick }, "words", child)`. Strings become text nodes. */
export function h(what, options = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const node = document.createElement(tag || "div");
  if (classes.length) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(options || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, each] of Object.entries(value)) node.style.setProperty(key, each);
    else if (name === "value" || name === "checked" || name === "disabled" || name === "muted") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return node;
}

export function icon(name) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  node.setAttribute("class", "icon");
  node.setAttribute("viewBox", "0 0 24 24");
  node.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", outline(name));
  node.append(path);
  return node;
}

export const button = (words, onclick, { main = false, picture = "", ...options } = {}) =>
  h(main ? "button.button.button-main" : "button.button", { type: "button", onclick, ...options }, picture && icon(picture), words);
export const tool = (picture, label, onclick, options = {}) =>
  h("button.tool", { type: "button", title: label, "aria-label": label, onclick, ...options }, icon(picture));
export const sentence = (words) => h("p.sentence", { role: "alert" }, icon("alert"), h("span", {}, words));

/** A row of buttons of which one is pressed. `choices`: [value, words, icon?]. */
export function segments(label, choices, value, choose, kind = "") {
  const group = h(`div.segments${kind && `.${kind}`}`, { role: "radiogroup", "aria-label": label });
  const select = (next, focus) => {
    for (const each of group.children) {
      const on = each.dataset.value === next;
      each.setAttribute("aria-checked", String(on));
      each.tabIndex = on ? 0 : -1;
      if (on && focus) each.focus();
    }
  };
  for (const [name, words, picture] of choices) {
    group.append(
      h("button", { type: "button", role: "radio", "data-value": name, onclick: () => (select(name), choose(name)) }, picture && icon(picture), h("span", {}, words)),
    );
  }
  group.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = [...group.children].indexOf(document.activeElement);
    const next = group.children[(at + step + group.children.length) % group.children.length].dataset.value;
    select(next, true);
    choose(next);
  });
  select(value);
  group.show = (next) => select(next);
  return group;
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.");
  } catch {
    toast("This browser does not allow copying here.", { bad: true });
  }
}

export function progressBar(job) {
  const share = job.steps ? Math.round((100 * job.step) / job.steps) : 0;
  const words = progressWords(job).replace(/^Step (\d+ of \d+)/, "Picture $1");
  return h(
    `div.progress${job.step ? "" : ".waiting"}`,
    { role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": share, "aria-label": words },
    h("div.progress-words", {}, h("span.spinner", { "aria-hidden": "true" }), h("span", {}, words), h("b", {}, job.step ? `${share} %` : "")),
    h("div.progress-track", {}, h("i", { style: { width: `${share}%` } })),
  );
}

/* -- what is known of pictures -- */

export const known = { get: (id) => library.items.value.get(id) ?? undefined, has: (id) => Boolean(library.items.value.get(id)) };
const whole = { starred: false, seed: null, prompt: "", capability: "", family: "", parameters: {}, notes: [], deleted_at: null, missing: false, job_id: "", bytes: 0, created_at: "" };
export const learn = (items) => library.know(items.map((item) => ({ ...whole, ...known.get(item.id), ...item })));
export const nameOf = (id) => known.get(id)?.name || "picture";

/** Make sure that all `ids` are known; those that are gone stay unknown. */
export async function lookUp(ids) {
  const missing = [...new Set(ids)].filter((id) => !known.has(id));
  for (let at = 0; at < missing.length; at += 500) {
    const answer = await act("pictures", { ids: missing.slice(at, at + 500) });
    if (answer) learn(answer.pictures);
  }
}

/** A picture that may be gone: a plain cell with its name then. */
export function picture(id, { large = false, alt = "" } = {}) {
  if (!known.has(id)) return h("span.lost", { title: "Deleted" }, "Deleted");
  return h("img", { src: large ? original(id) : thumbnail(id), alt, loading: large ? "eager" : "lazy", decoding: "async",
    onerror: (event) => event.target.replaceWith(h("span.lost", {}, "File missing")) });
}

const SHOWN = 11;

const CLIPS = /\.(mp4|webm|mov|m4v|mkv|avi)$/i;

export class Chooser {
  /** `slot` names what a reload brings back; `words` is the empty state; `changed()` hears of every change. */
  constructor(slot, { title = "Pictures", words = "Drop pictures or a folder", clips = false, limit = 5000, changed = () => {} } = {}) {
    Object.assign(this, { slot: `studio.chosen.${slot}`, title, words, clips, limit, changed });
    this.items = [];
    this.turn = 0; // of choices: one that comes late does not undo a newer one
    this.skipped = [];
    this.waiting = "";
    this.folder = "";
    const accept = clips ? "video/mp4,video/webm,video/quicktime,.mov,image/gif,image/webp" : "image/png,image/jpeg,image/webp,image/avif,image/gif";
    this.files = h("input", { type: "file", multiple: !clips, accept, hidden: true, onchange: () => this.take(this.files) });
    this.directory = h("input", { type: "file", multiple: true, webkitdirectory: true, hidden: true, onchange: () => this.take(this.directory) });
    this.root = h("section.chooser", { "aria-label": title });
    this.root.addEventListener("dragover", () => this.root.classList.add("over"));
    for (const kind of ["dragleave", "drop"]) this.root.addEventListener(kind, () => this.root.classList.remove("over"));
    this.draw();
  }

  ids() {
    return this.items.map((item) => item.id);
  }

  /** What was chosen before the page was loaded again. */
  async restore() {
    let kept = [];
    try {
      kept = JSON.parse(localStorage.getItem(this.slot) || "[]");
    } catch {
      /* another version's: start empty */
    }
    if (kept.length && !this.items.length) await this.setIds(kept);
  }

  async setIds(ids) {
    const turn = (this.turn += 1);
    await lookUp(ids);
    if (turn === this.turn) this.set(ids.map((id) => known.get(id)).filter((item) => item && (item.kind === "clip") === this.clips));
  }

  set(items) {
    this.turn += 1;
    learn(items);
    this.items = items.slice(0, this.limit);
    this.settle();
  }

  add(items) {
    this.turn += 1;
    const there = new Set(this.ids());
    learn(items);
    const fitting = items.filter((item) => (item.kind === "clip") === this.clips && !there.has(item.id));
    this.items = (this.clips ? fitting.length ? fitting : this.items : [...this.items, ...fitting]).slice(0, this.limit);
    this.settle();
  }

  settle() {
    try {
      localStorage.setItem(this.slot, JSON.stringify(this.ids()));
    } catch {
      /* private mode: a reload starts empty */
    }
    this.draw();
    this.changed();
  }

  async take(input) {
    const files = [...input.files];
    input.value = "";
    if (files.length) await this.hand(files);
  }

  /** Hand files in and choose them; what cannot be read is listed, the rest goes on. */
  async hand(files) {
    const wanted = this.clips ? (file) => CLIPS.test(file.name) || /\.(gif|webp)$/i.test(file.name) : (file) => !file.name.startsWith(".");
    const fitting = files.filter(wanted);
    this.folder = files[0]?.webkitRelativePath?.split("/")[0] || "";
    this.skipped = files.filter((file) => !wanted(file) && !file.name.startsWith(".")).map((file) => ({ name: file.name, reason: "This is not a video clip." }));
    const report = (done, all) => ((this.waiting = `Handing in ${done} of ${all}`), this.draw());
    report(0, fitting.length);
    try {
      const { items, skipped } = await upload(fitting, report);
      this.skipped.push(...skipped);
      const unfit = items.filter((item) => (item.kind === "clip") !== this.clips);
      this.skipped.push(...unfit.map((item) => ({ name: item.name, reason: this.clips ? "This is a picture, not a clip." : "This is a clip: open it under Clip." })));
      this.waiting = "";
      this.add(items);
    } finally {
      this.waiting = "";
      this.draw();
    }
    announce(`${many(this.items.length, "picture")} chosen.${this.skipped.length ? ` ${many(this.skipped.length, "file")} could not be read.` : ""}`);
  }

  async pick() {
    const items = await pick({ clips: this.clips });
    if (items.length) this.add(items);
  }

  draw() {
    const { items } = this;
    const word = this.clips ? "clip" : "picture";
    const tools = [
      button("Files", () => this.files.click(), { picture: "upload" }),
      this.clips ? null : button("Folder", () => this.directory.click(), { picture: "folder" }),
      button(this.clips ? "Earlier clips" : "Gallery and boards", () => this.pick(), { picture: "grid" }),
    ];
    const body = items.length
      ? h(
          `div.chosen${this.clips ? ".chosen-clip" : ""}`,
          {},
          items.slice(0, items.length > SHOWN + 1 ? SHOWN : SHOWN + 1).map((item) =>
            h("span.chosen-cell", { title: item.name }, picture(item.id, { alt: item.name }), tool("close", `Leave out ${item.name}`, () => this.set(this.items.filter((each) => each !== item)))),
          ),
          items.length > SHOWN + 1 ? h("span.chosen-more", {}, `+${(items.length - SHOWN).toLocaleString("en")}`) : null,
        )
      : h("button.drop-area", { type: "button", onclick: () => this.files.click() }, icon("upload"), h("b", {}, this.words), h("span", {}, this.clips ? "MP4, WebM, MOV or an animated GIF" : "PNG, JPEG or WebP, or click to choose files"));
    this.root.replaceChildren(
      h(
        "header",
        {},
        h("h3", {}, this.title, items.length ? h("span", {}, ` ${this.clips ? items[0].name : items.length.toLocaleString("en")}`) : null),
        items.length > 1 ? h("button.link", { type: "button", onclick: () => saveBoard(this.ids(), this.folder) }, "Save as board") : null,
        items.length ? h("button.link", { type: "button", onclick: () => ((this.skipped = []), this.set([])) }, "Clear") : null,
      ),
      this.waiting ? h("p.chooser-waiting", { role: "status" }, h("span.spinner"), this.waiting) : "",
      body,
      h("div.chooser-tools", {}, tools),
      this.skipped.length
        ? h(
            "details.skipped",
            {},
            h("summary", {}, icon("alert"), `${many(this.skipped.length, "file")} could not be used`),
            h("ul", {}, this.skipped.map((each) => h("li", {}, h("b", {}, each.name), h("span", {}, each.reason)))),
          )
        : "",
      this.files,
      this.clips ? "" : this.directory,
    );
    this.root.setAttribute("aria-label", `${this.title}: ${many(items.length, word)}`);
  }
}

/* -- what Python's own HTML asks for -- */

export const handlers = {
  tab: (node) => openTab(node.dataset.tab),
  star: async (node) => {
    const on = node.getAttribute("aria-pressed") !== "true";
    if (!known.has(node.dataset.id)) await library.getItem(node.dataset.id);
    if (await library.star(node.dataset.id, on)) markStar(node.dataset.id, on);
  },
  delete: async (node) => {
    await library.getItem(node.dataset.id);
    library.remove([node.dataset.id]);
  },
  restore: (node) => library.putBack([node.dataset.id]),
  reuse: async (node) => (await library.getItem(node.dataset.id), reuse(node.dataset.id)),
  model: modelButton,
};

function markStar(id, on) {
  for (const node of $$(`[data-act="star"][data-id="${id}"]`)) node.setAttribute("aria-pressed", String(on));
  for (const cell of $$(`#gallery .thumb[data-id="${id}"]`)) cell.classList.toggle("starred", on);
}

document.addEventListener("click", (event) => {
  const node = event.target.closest?.("[data-act]");
  if (node && !node.disabled && node.closest("#gallery, #understand, #models, #about")) handlers[node.dataset.act]?.(node, event);
});

document.addEventListener(
  "error",
  (event) => {
    if (event.target.tagName === "IMG" && event.target.closest("#gallery")) event.target.classList.add("broken");
  },
  true,
);

/** Do `task` now and `pause()` milliseconds after each end of it, never twice at once. Returns what does it at once. */
function repeat(task, pause) {
  let timer = 0;
  let busy = false;
  let again = false;
  async function turn() {
    if (busy) return void (again = true);
    clearTimeout(timer);
    busy = true;
    do {
      again = false;
      await task().catch(console.error);
    } while (again);
    busy = false;
    timer = setTimeout(turn, pause());
  }
  turn();
  return turn;
}

/** Make the inside of `root` what `html` says, touching only what differs: focus, scrolling and pictures stay. */
function redraw(root, html) {
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  alignAll(root, fresh.content);
}

function alignAll(root, fresh) {
  const old = [...root.childNodes];
  const next = [...fresh.childNodes];
  next.forEach((node, at) => (old[at] ? align(old[at], node) : root.append(node)));
  old.slice(next.length).forEach((node) => node.remove());
}

function align(old, fresh) {
  if (old.nodeName !== fresh.nodeName || old.dataset?.id !== fresh.dataset?.id) return old.replaceWith(fresh);
  if (old.nodeType !== Node.ELEMENT_NODE) return void (old.data === fresh.data || (old.data = fresh.data));
  if (old.nodeName === "IMG" && old.getAttribute("src") === fresh.getAttribute("src")) return; // may be marked broken
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  alignAll(old, fresh);
}

/* -- models -- */

let refreshModels = null;

export function startModels(root) {
  const refresh = repeat(async () => {
    if (!visible(root) || document.hidden) return;
    const answer = await act("models");
    if (answer) redraw($(".models-live", root), answer.html);
  }, () => 1200);
  refreshModels = refresh;
  new IntersectionObserver((seen) => seen.some((entry) => entry.isIntersecting) && refresh()).observe(root);
  $("form", root).addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target;
    const problem = $(".sentence", form);
    problem.hidden = true;
    const answer = await ask("add-model", Object.fromEntries(new FormData(form)));
    if (answer.error) {
      problem.textContent = answer.error;
      problem.hidden = false;
      return;
    }
    toast(answer.said);
    form.reset();
    refresh();
  });
}

async function modelButton(button) {
  button.disabled = true;
  const answer = await act(button.dataset.op, { id: button.dataset.id });
  if (answer?.said) toast(answer.said);
  button.disabled = false;
  refreshModels?.();
}

