/* Pictures that a question is about: choosing them, handing them in, keeping them together as boards; and how a job is
   sent and followed. All of it over REST. Text of people, models and files only ever becomes a text node. */
(() => {
  "use strict";
  const { act, announce, takers, toast, visible, $, $$ } = window.studio.kit;

  /* -- building blocks --------------------------------------------------------------------------------------- */

  /** An element: `h("button.tool", { type: "button", onclick }, "words", child)`. Strings become text nodes. */
  function h(what, options = {}, ...children) {
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

  const PATHS = {
    close: "M6 6l12 12M18 6L6 18",
    download: "M12 4v11m0 0l-4.5-4.5M12 15l4.5-4.5M4.5 19.5h15",
    alert: "M12 8v5m0 3.2v.1M12 3.5l9 16H3z",
    upload: "M12 15V4m0 0L7.5 8.5M12 4l4.5 4.5M4.5 15.5v4h15v-4",
    folder: "M3.5 18.5v-13h6l2 2.5h9v10.5z",
    grid: "M4.5 4.5h6v6h-6zM13.5 4.5h6v6h-6zM4.5 13.5h6v6h-6zM13.5 13.5h6v6h-6z",
    board: "M4 6.5h16v13H4zM8 3.5h8M8 11h8M8 15h5",
    sort: "M5 18.5v-6M12 18.5v-13M19 18.5v-9",
    ask: "M4.5 5.5h15v10.5h-8l-4 3.5v-3.5h-3z",
    caption: "M4.5 5.5h15v13h-15zM8 12.5h8M8 15.5h5",
    check: "M4 6.5l1.8 1.8L9 5M4 13l1.8 1.8L9 11.5M12 7h8M12 13.5h8M5 19.5h4M12 19.5h8",
    measure: "M3.5 15.5l12-12 5 5-12 12zM7.5 11.5l2 2M10.5 8.5l2 2M13.5 5.5l2 2",
    clip: "M3.5 5.5h17v13h-17zM10 9v6l5-3z",
    copy: "M8.5 8.5h11v11h-11zM15.5 8.5v-4h-11v11h4",
    like: "M4.5 6.5h9v9h-9zM10 19.5h9.5v-10M16.5 4.5v4M14.5 6.5h4",
    plus: "M12 5v14M5 12h14",
    minus: "M5 12h14",
    trash: "M4.5 6.5h15M9.5 6V4h5v2m3 .5l-.7 13h-9.6l-.7-13M10 10.5v5.5m4-5.5v5.5",
    play: "M8 5.5v13l10-6.5z",
    left: "M14.5 5.5L8 12l6.5 6.5",
    right: "M9.5 5.5L16 12l-6.5 6.5",
    search: "M11 4.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13zM16 16l4.5 4.5",
    map: "M5 7a1.4 1.4 0 1 0 .1 0M12 12.5a1.4 1.4 0 1 0 .1 0M18 6a1.4 1.4 0 1 0 .1 0M8 17a1.4 1.4 0 1 0 .1 0M18 17a1.4 1.4 0 1 0 .1 0",
    twins: "M4.5 4.5h10v10h-10zM9.5 17.5v2h10v-10h-2",
    pencil: "M4.5 19.5l1-4L16 5l3 3L8.5 18.5z",
    create: "M12 4.5v15M4.5 12h15M6.8 6.8l10.4 10.4M17.2 6.8L6.8 17.2",
  };

  function icon(name) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    node.setAttribute("class", "icon");
    node.setAttribute("viewBox", "0 0 24 24");
    node.setAttribute("aria-hidden", "true");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", PATHS[name]);
    node.append(path);
    return node;
  }

  const button = (words, onclick, { main = false, picture = "", ...options } = {}) =>
    h(main ? "button.button.button-main" : "button.button", { type: "button", onclick, ...options }, picture && icon(picture), words);
  const tool = (picture, label, onclick, options = {}) =>
    h("button.tool", { type: "button", title: label, "aria-label": label, onclick, ...options }, icon(picture));
  const sentence = (words) => h("p.sentence", { role: "alert" }, icon("alert"), h("span", {}, words));
  const many = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
  const percent = (share) => (share >= 0.9995 ? "100 %" : share > 0 && share < 0.0005 ? "< 0.1 %" : `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`);
  const clock = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;

  function duration(seconds) {
    if (seconds < 10) return `${Math.max(seconds, 0.1).toFixed(1)} s`;
    if (seconds < 90) return `${Math.round(seconds)} s`;
    const minutes = Math.ceil(seconds / 60);
    return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }

  /** Where windows over the page are kept, so that they look as the page does. */
  const frame = () => $(".gradio-container") || document.body;

  /** A row of buttons of which one is pressed. `choices`: [value, words, icon?]. */
  function segments(label, choices, value, choose, kind = "") {
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

  /** Ask for one line of text in a small window; null when it was closed. */
  function askName(title, label, value = "") {
    return new Promise((done) => {
      const input = h("input", { type: "text", maxlength: "80", required: true, value, autocomplete: "off" });
      const form = h(
        "form.ask-name",
        { method: "dialog" },
        h("h3", {}, title),
        h("label.field", {}, h("span", {}, label), input),
        h("div.row-end", {}, button("Cancel", () => dialog.close()), h("button.button.button-main", { type: "submit" }, "Save")),
      );
      const dialog = h("dialog.box-small", { "aria-label": title }, form);
      let answer = null;
      form.addEventListener("submit", () => (answer = input.value.trim() || null));
      dialog.addEventListener("close", () => (dialog.remove(), done(answer)));
      frame().append(dialog);
      dialog.showModal();
      input.select();
    });
  }

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      toast("Copied.");
    } catch {
      toast("This browser does not allow copying here.", { bad: true });
    }
  }

  /* -- the API ----------------------------------------------------------------------------------------------- */

  class Refusal extends Error {}

  /** JSON of `/api/v1` + path. A refusal is a `Refusal` whose message is the studio's sentence. */
  async function api(path, { method = "", body, raw } = {}) {
    let answer;
    try {
      answer = await fetch(`/api/v1${path}`, {
        method: method || (body === undefined && raw === undefined ? "GET" : "POST"),
        headers: raw !== undefined ? { "Content-Type": "application/octet-stream" } : body !== undefined ? { "Content-Type": "application/json" } : {},
        body: raw !== undefined ? raw : body !== undefined ? JSON.stringify(body) : undefined,
      });
    } catch {
      throw new Refusal("The studio does not answer. Is it still running?");
    }
    const data = await answer.json().catch(() => null);
    if (!answer.ok) throw new Refusal(data?.error || "The studio could not do this; its log has the details.");
    return data ?? {}; // 204 has no body
  }

  /** Run `work`; say a refusal in a toast and give null. */
  async function tried(work) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      toast(error.message, { bad: true });
      return null;
    }
  }

  const ACTIVE = ["queued", "running"];
  const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

  /** Follow a job to its end: `show(job, records)` whenever something is new. Stops when `wanted()` is false. */
  async function follow(id, show, wanted = () => true) {
    let records = [];
    let misses = 0;
    for (;;) {
      let job = null;
      try {
        job = await api(`/jobs/${id}`);
        if (!wanted()) return null;
        while (job.results > records.length) {
          const last = records.length ? records[records.length - 1].index : -1;
          const more = await api(`/jobs/${id}/results?after=${last}&limit=500`);
          if (!more.length) break;
          records = records.concat(more);
        }
        misses = 0;
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        if ((misses += 1) > 20) throw error; // about 20 s: a server that is started again is found again
      }
      if (!wanted()) return null;
      if (job) show(job, records);
      if (job && !ACTIVE.includes(job.status)) return job;
      await pause(misses || document.hidden || job?.request.pictures?.length > 200 ? 1000 : 250);
    }
  }

  function progressWords(job) {
    let words;
    if (job.status === "queued") words = (job.position || 1) === 1 ? "Starting next" : `Number ${job.position} in line`;
    else if (job.step) words = job.message || `Picture ${job.step} of ${job.steps}`;
    else words = job.message || "Getting the model ready";
    if (job.eta_seconds !== null && (job.step || job.status === "queued")) words += ` · about ${duration(job.eta_seconds)} left`;
    if (job.attempt > 1) words += ` · attempt ${job.attempt}`;
    return words;
  }

  function progressBar(job) {
    const share = job.steps ? Math.round((100 * job.step) / job.steps) : 0;
    const words = progressWords(job);
    return h(
      `div.progress${job.step ? "" : ".waiting"}`,
      { role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": share, "aria-label": words },
      h("div.progress-words", {}, h("span.spinner", { "aria-hidden": "true" }), h("span", {}, words), h("b", {}, job.step ? `${share} %` : "")),
      h("div.progress-track", {}, h("i", { style: { width: `${share}%` } })),
    );
  }

  /* -- what is known of pictures ----------------------------------------------------------------------------- */

  const known = new Map(); // id -> {id, name, kind: "picture"|"clip", from: "gallery"|"upload", width, height}
  const learn = (items) => items.forEach((item) => known.set(item.id, item));
  const place = (id) => (known.get(id)?.from === "upload" ? "uploads" : "assets");
  const thumbnail = (id) => `/api/v1/${place(id)}/${id}/thumbnail`;
  const original = (id) => `/api/v1/${place(id)}/${id}`;
  const nameOf = (id) => known.get(id)?.name || "picture";

  /** Make sure that all `ids` are known; those that are gone stay unknown. */
  async function lookUp(ids) {
    const missing = [...new Set(ids)].filter((id) => !known.has(id));
    for (let at = 0; at < missing.length; at += 500) {
      const answer = await act("pictures", { ids: missing.slice(at, at + 500) });
      if (answer) learn(answer.pictures);
    }
  }

  /** A picture that may be gone: a plain cell with its name then. */
  function picture(id, { large = false, alt = "" } = {}) {
    if (!known.has(id)) return h("span.lost", { title: "Deleted" }, "Deleted");
    return h("img", { src: large ? original(id) : thumbnail(id), alt, loading: large ? "eager" : "lazy", decoding: "async",
      onerror: (event) => event.target.replaceWith(h("span.lost", {}, "File missing")) });
  }

  /* -- handing pictures in ----------------------------------------------------------------------------------- */

  const CLIPS = /\.(mp4|webm|mov|m4v|mkv|avi)$/i;
  const PICTURES = /\.(png|jpe?g|webp|gif)$/i;

  /** All files of a drop, folders walked. */
  async function droppedFiles(carrier) {
    const entries = [...carrier.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    if (!entries.length) return [...carrier.files];
    const files = [];
    const walk = async (entry) => {
      if (entry.isFile) return files.push(await new Promise((done, fail) => entry.file(done, fail)));
      const reader = entry.createReader();
      for (;;) {
        const some = await new Promise((done, fail) => reader.readEntries(done, fail));
        if (!some.length) return;
        for (const each of some) await walk(each);
      }
    };
    for (const entry of entries) await walk(entry);
    return files;
  }

  /** Hand files in, three at a time. Gives the uploads in order and the files that were refused, each with why. */
  async function upload(files, report = () => {}) {
    const found = new Array(files.length).fill(null);
    const skipped = [];
    let at = 0;
    let done = 0;
    const lane = async () => {
      while (at < files.length) {
        const mine = at++;
        try {
          found[mine] = await api(`/uploads?name=${encodeURIComponent(files[mine].name)}`, { raw: files[mine] });
        } catch (error) {
          if (!(error instanceof Refusal)) throw error;
          skipped.push({ name: files[mine].name, reason: error.message });
        }
        report((done += 1), files.length);
      }
    };
    await Promise.all([lane(), lane(), lane()]);
    const items = found.filter(Boolean).map((each) => ({ ...each, from: "upload" }));
    learn(items);
    return { items, skipped };
  }

  /* -- choosing: a window over gallery, uploads and boards ---------------------------------------------------- */

  class Picker {
    constructor({ clips = false } = {}) {
      this.clips = clips;
      this.chosen = new Map();
      this.turn = 0;
      this.next = null;
      this.tab = clips ? "uploads" : "gallery";
      this.field = h("input", { type: "search", placeholder: "Words of the prompt", "aria-label": "Search prompts", autocomplete: "off", oninput: () => this.later() });
      this.grid = h("div.grid.picker-grid");
      this.more = button("Show more", () => this.load(true), { hidden: true });
      this.count = h("output", { "aria-live": "polite" });
      this.use = button("Use", () => this.close(true), { main: true });
      const tabs = segments("Where from", [["gallery", "Gallery"], ["uploads", "Uploads"], ["boards", "Boards"]], this.tab, (tab) => ((this.tab = tab), this.load()));
      this.dialog = h(
        "dialog.box-wide",
        { "aria-label": clips ? "Choose a clip" : "Choose pictures" },
        h("header", {}, h("h3", {}, clips ? "Choose a clip" : "Choose pictures"), clips ? null : tabs, h("span.search", {}, icon("search"), this.field), tool("close", "Close", () => this.close(false))),
        h("div.picker-body", {}, this.grid, this.more),
        h("footer", {}, this.count, button("Cancel", () => this.close(false)), this.use),
      );
      this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.close(false));
      this.dialog.addEventListener("cancel", () => this.chosen.clear());
    }

    /** Chosen items; empty when the window was closed without choosing. */
    open() {
      frame().append(this.dialog);
      this.dialog.showModal();
      this.load();
      this.tell();
      return new Promise((done) => this.dialog.addEventListener("close", () => (this.dialog.remove(), done([...this.chosen.values()]))));
    }

    close(keep) {
      if (!keep) this.chosen.clear();
      this.dialog.close();
    }

    later() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.load(), 200);
    }

    tell() {
      this.count.textContent = this.chosen.size ? `${many(this.chosen.size, this.clips ? "clip" : "picture")} chosen` : "";
      this.use.disabled = !this.chosen.size;
      this.use.textContent = this.chosen.size ? `Use ${many(this.chosen.size, this.clips ? "clip" : "picture")}` : "Use";
    }

    async load(more = false) {
      const turn = ++this.turn;
      this.field.parentNode.hidden = this.tab !== "gallery";
      if (this.tab === "boards") return this.boards(turn);
      const answer = await act("pick", { from: this.tab, text: this.field.value, clips: this.clips, before: more ? this.next : null });
      if (!answer || turn !== this.turn) return;
      learn(answer.pictures);
      this.next = answer.next;
      this.more.hidden = !answer.next;
      const cells = answer.pictures.map((item) => this.cell(item));
      if (more) this.grid.append(...cells);
      else this.grid.replaceChildren(...(cells.length ? cells : [h("p.picker-none", {}, this.tab === "gallery" ? "No pictures here." : "Nothing was handed in yet: drop files on the page.")]));
    }

    cell(item) {
      const cell = h("button.thumb", { type: "button", "aria-pressed": String(this.chosen.has(item.id)), "aria-label": item.name, title: item.name }, picture(item.id), h("span.tick"));
      cell.addEventListener("click", () => {
        if (this.chosen.has(item.id)) this.chosen.delete(item.id);
        else this.chosen.set(item.id, item);
        cell.setAttribute("aria-pressed", String(this.chosen.has(item.id)));
        this.tell();
      });
      return cell;
    }

    async boards(turn) {
      const boards = await tried(() => api("/boards"));
      if (!boards || turn !== this.turn) return;
      this.more.hidden = true;
      const rows = boards.map((board) =>
        h(
          "li",
          {},
          icon("board"),
          h("b", {}, board.name),
          h("span", {}, many(board.count, "picture")),
          tool("pencil", `Rename ${board.name}`, async () => {
            const name = await askName("Rename the board", "Name", board.name);
            if (name && (await tried(() => api(`/boards/${board.id}`, { method: "PATCH", body: { name } })))) this.load();
          }),
          tool("trash", `Delete ${board.name}`, async () => {
            await tried(() => api(`/boards/${board.id}`, { method: "DELETE" }));
            toast(`The board ${board.name} is gone. Its pictures were left alone.`);
            this.load();
          }),
          button("Use", async () => {
            const items = await boardItems(board.id);
            if (!items) return;
            this.chosen = new Map(items.map((item) => [item.id, item]));
            this.close(true);
          }, { disabled: !board.count }),
        ),
      );
      this.grid.replaceChildren(
        rows.length ? h("ul.board-list", {}, rows) : h("p.picker-none", {}, "No boards yet. Choose pictures or a folder, then press Save as board."),
      );
    }
  }

  async function boardItems(id) {
    const board = await tried(() => api(`/boards/${id}`));
    if (!board) return null;
    await lookUp(board.pictures);
    return board.pictures.map((each) => known.get(each)).filter(Boolean);
  }

  /** Ask for a name and keep `ids` as a board under it. */
  async function saveBoard(ids, name = "") {
    const chosen = await askName(`Save ${many(ids.length, "picture")} as a board`, "Name of the board", name);
    if (!chosen) return null;
    const board = await tried(() => api("/boards", { body: { name: chosen, pictures: ids } }));
    if (board) toast(`Saved the board ${board.name} with ${many(ids.length, "picture")}.`);
    return board;
  }

  /* -- the chooser: the pictures a tool works on -------------------------------------------------------------- */

  const SHOWN = 11;

  class Chooser {
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
      const items = await new Picker({ clips: this.clips }).open();
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

  window.studio.pictures = {
    Chooser, Refusal, ACTIVE, api, askName, boardItems, button, clock, copy, droppedFiles, duration, follow, frame, h, icon, known, learn, lookUp,
    many, nameOf, original, percent, picture, progressBar, saveBoard, segments, sentence, thumbnail, tool, tried, upload, takers, visible, $, $$,
  };
})();
