// @ts-nocheck
/* eslint-disable no-restricted-properties */
/* The gallery tab: pages of the grid, search by meaning, pictures like this one, duplicates, the map, many at once. */
import { offer } from "./actions.js";
import { effect } from "./html.js";
import { changes, items } from "./library.js";
import {
  act, address, announce, api, droppedFiles, h, handlers, icon, known, learn, lookUp, many, openLarge, openTab, picture, saveBoard, segments, takers,
  thumbnail, toast, tool, tried, upload, visible, $, $$,
} from "./legacy.js";

const TOOLS = [["sort", "Sort"], ["ask", "Ask"], ["caption", "Caption"], ["check", "Check"], ["measure", "Measure"]];
const DELAY = { words: 180, meaning: 450 };

class Gallery {
  constructor(root) {
    this.root = root;
    this.form = $(".filters", root);
    this.field = $("[name=text]", this.form);
    this.chips = $(".find-chips", root);
    this.grid = $(".grid", root);
    this.groups = $(".twins", root);
    this.side = $(".gallery-side", root);
    this.empty = $(".empty", root);
    this.next = null;
    this.turn = 0;
    this.busy = false;
    this.stale = true;
    this.like = [];
    this.marked = new Set();
    this.mode = "meaning";
    this.view = "grid";
    $(".find-mode", root).replaceWith(
      (this.modes = segments("Search by", [["meaning", "Meaning"], ["words", "Words"]], this.mode, (mode) => ((this.mode = mode), this.sayMode(), this.reload()))),
    );
    $(".find-view", root).replaceWith(
      (this.views = segments("Show as", [["grid", "Grid", "grid"], ["twins", "Duplicates", "twins"], ["map", "Map", "map"]], this.view, (view) => this.show(view), "view")),
    );
    this.map = new SkyMap($(".sky", root), (id, open) => (open ? openLarge(id, this.ids()) : this.select(id)));
    this.bar = h("div.marked-bar", { role: "toolbar", "aria-label": "Selected pictures", hidden: true });
    root.append(this.bar);
    let timer = 0;
    this.form.addEventListener("submit", (event) => (event.preventDefault(), clearTimeout(timer), this.reload()));
    this.form.addEventListener("input", (event) => {
      if (event.target.type === "file") return;
      clearTimeout(timer);
      timer = setTimeout(() => this.reload(), event.target === this.field ? DELAY[this.mode] : 0);
    });
    $("[type=file]", this.form).addEventListener("change", (event) => {
      const files = [...event.target.files];
      event.target.value = "";
      event.stopPropagation();
      this.searchFiles(files);
    });
    takers.push({ root, words: "Drop a picture to find those like it", take: async (carrier) => this.searchFiles(await droppedFiles(carrier)) });
    this.grid.addEventListener("dblclick", (event) => {
      const cell = event.target.closest(".thumb");
      if (cell && known.get(cell.dataset.id)?.from !== "upload") openLarge(cell.dataset.id, this.ids());
    });
    new IntersectionObserver((seen) => seen.some((entry) => entry.isIntersecting) && this.more(), {
      rootMargin: "600px",
    }).observe($(".grid-end", root));
    // Coming back to the tab shows what was drawn meanwhile.
    new IntersectionObserver((seen) => {
      const here = seen.some((entry) => entry.isIntersecting);
      if (here && this.stale) this.reload();
      this.stale = !here;
    }).observe(this.form);
    setInterval(() => this.watch(), 2000);
    this.sayMode();
    this.unselect();
  }

  /* -- what is asked for -- */

  filters() {
    const data = Object.fromEntries(new FormData(this.form));
    delete data.file;
    return { ...data, starred: "starred" in data, deleted: "deleted" in data };
  }

  /** The meaning to search for, or null for plain pages. " -words" is taken away from it. */
  meaning() {
    if (this.mode !== "meaning" || this.filters().deleted) return null;
    const [text, ...unlike] = ` ${this.field.value.trim()}`.split(/\s[-−](?=\S)/);
    const asked = { text: text.trim(), unlike: unlike.join(" ").trim(), like: this.like };
    return asked.text || asked.unlike || asked.like.length ? asked : null;
  }

  sayMode() {
    const meaning = this.mode === "meaning";
    this.field.placeholder = meaning ? "a red apple, something round -blue" : "apple, blue, sticker";
    this.field.setAttribute("aria-label", meaning ? "Search by meaning" : "Search prompts");
  }

  async searchFiles(files) {
    const pictures = files.filter((file) => /^image\//.test(file.type)).slice(0, 4);
    if (!pictures.length) return toast("Drop a PNG, JPEG or WebP picture to find those like it.", { bad: true });
    const { items, skipped } = await upload(pictures);
    if (skipped.length) toast(`${skipped[0].name}: ${skipped[0].reason}`, { bad: true });
    if (items.length) this.searchLike(items.map((item) => item.id));
  }

  async searchLike(ids) {
    await lookUp(ids);
    this.like = [...new Set([...this.like, ...ids])].filter((id) => known.has(id)).slice(-4);
    this.mode = "meaning";
    this.modes.show("meaning");
    this.sayMode();
    this.views.show("grid");
    await this.show("grid");
    announce("Pictures like the chosen one.");
  }

  drawChips() {
    this.chips.replaceChildren(
      ...this.like.map((id) =>
        h("span.find-chip", {}, picture(id), h("span", {}, known.get(id)?.name || "picture"), tool("close", "Take this picture out of the search", () => {
          this.like = this.like.filter((each) => each !== id);
          this.reload();
        })),
      ),
    );
    this.chips.hidden = !this.like.length;
  }

  /* -- the views -- */

  async show(view) {
    this.view = view;
    this.root.firstElementChild.dataset.view = view;
    this.grid.hidden = view !== "grid";
    this.groups.hidden = view !== "twins";
    this.map.root.hidden = view !== "map";
    await this.reload();
  }

  async reload() {
    const turn = ++this.turn;
    this.drawChips();
    if (this.view === "twins") return this.twins(turn);
    if (this.view === "map") return this.sky(turn);
    const meaning = this.meaning();
    this.root.firstElementChild.classList.toggle("is-searching", !!meaning);
    const answer = meaning ? await act("find", { ...this.filters(), ...meaning }) : await act("page", this.filters());
    this.root.firstElementChild.classList.remove("is-searching");
    if (!answer || turn !== this.turn) return;
    learn(answer.uploads || []);
    this.grid.innerHTML = answer.html;
    this.settle(answer, !!meaning);
    for (const id of [...this.marked]) if (!$(`.thumb[data-id="${id}"]`, this.grid)) this.marked.delete(id);
    this.drawMarked();
    if (!$(`.thumb[data-id="${this.selected}"]`, this.grid)) this.unselect();
    else this.mark();
  }

  async more() {
    if (!this.next || this.busy || this.view !== "grid") return;
    this.busy = true;
    const turn = this.turn;
    const answer = await act("page", { ...this.filters(), before: this.next });
    this.busy = false;
    if (!answer || turn !== this.turn) return;
    this.grid.insertAdjacentHTML("beforeend", answer.html);
    this.settle(answer);
  }

  settle(answer, searched = false) {
    this.next = answer.next;
    this.total = answer.total;
    this.searched = searched;
    this.count();
    this.tell(answer.note || "");
    $(".grid-end", this.root).hidden = !answer.next;
  }

  tell(note) {
    const line = $(".find-note", this.root);
    line.hidden = !note;
    line.textContent = note;
  }

  count() {
    const words = this.searched ? `${many(this.total, "picture")}, closest first` : many(this.total, "picture");
    $(".total", this.root).textContent = words;
    const filters = this.filters();
    const narrowed = filters.text || this.searched || filters.family || filters.capability || filters.starred || filters.period !== "Any time";
    this.empty.hidden = this.total > 0;
    this.root.firstElementChild.classList.toggle("is-empty", this.total === 0);
    const [title, text] = filters.deleted
      ? ["Nothing deleted", "Deleted pictures wait here for 30 days."]
      : this.searched
        ? ["Nothing found", "New pictures can be found a few seconds after they are made. Loosen the filters, or describe it in other words."]
        : narrowed
          ? ["Nothing matches", "Loosen the filters to see more."]
          : ["No pictures yet", "Everything you make on the Create tab is kept here."];
    $("h2", this.empty).textContent = title;
    $("p", this.empty).textContent = text;
  }

  /** While pictures are still being looked at for the search, say how far that is. */
  async watch() {
    if (!visible(this.form) || document.hidden || this.busyWatch) return;
    this.busyWatch = true;
    const status = await act("search-status");
    this.busyWatch = false;
    if (!status) return;
    const line = $(".find-status", this.root);
    const behind = status.total - status.embedded;
    line.hidden = behind <= 0 && !status.note;
    line.textContent = behind > 0 ? `Looking at new pictures for the search: ${status.embedded.toLocaleString("en")} of ${status.total.toLocaleString("en")}` : status.note;
    if (this.wasBehind && behind <= 0 && (this.meaning() || this.view !== "grid")) this.reload();
    if (behind > 0 && this.searched) this.tell("");
    this.wasBehind = behind > 0;
  }

  async twins(turn) {
    const answer = await act("duplicates");
    if (!answer || turn !== this.turn) return;
    learn(answer.pictures);
    this.total = answer.groups.length;
    this.empty.hidden = this.total > 0;
    this.root.firstElementChild.classList.toggle("is-empty", !this.total);
    $("h2", this.empty).textContent = "No near-duplicates";
    $("p", this.empty).textContent = "Pictures that look almost the same are shown here side by side.";
    $(".total", this.root).textContent = `${many(this.total, "group")}`;
    $(".grid-end", this.root).hidden = true;
    this.tell(answer.note || "");
    this.groups.replaceChildren(
      ...answer.groups.map((ids) => {
        const group = h("section.twin", {});
        const rest = ids.slice(1);
        group.append(
          h("header", {}, h("b", {}, many(ids.length, "picture")), h("button.button", { type: "button", onclick: () => this.keepFirst(group, rest) }, "Keep the first")),
          h("div.strip", {}, ids.map((id) => h("button.thumb", { type: "button", "data-act": "select", "data-id": id, "aria-label": known.get(id)?.name || "picture", title: known.get(id)?.name || "" }, picture(id)))),
        );
        return group;
      }),
    );
  }

  async keepFirst(group, ids) {
    if (!(await act("delete-many", { ids }))) return;
    group.remove();
    toast(`${many(ids.length, "picture")} deleted. They stay restorable for 30 days.`, { action: "Undo", seconds: 10, run: async () => (await act("restore-many", { ids })) && this.reload() });
  }

  async sky(turn) {
    const answer = await act("map");
    if (!answer || turn !== this.turn) return;
    learn(answer.pictures);
    this.total = answer.points.length;
    this.empty.hidden = this.total > 0;
    this.root.firstElementChild.classList.toggle("is-empty", !this.total);
    $("h2", this.empty).textContent = "Nothing to map yet";
    $("p", this.empty).textContent = "A few seconds after pictures are made they appear here, alike ones close together.";
    $(".total", this.root).textContent = many(this.total, "picture");
    $(".grid-end", this.root).hidden = true;
    this.tell("Alike pictures lie close together: the two main directions of their embeddings (PCA). Drag to fly, scroll or + and - to come closer.");
    this.map.root.hidden = !this.total;
    this.map.set(answer.points);
  }

  /* -- one and many -- */

  ids() {
    if (this.view === "map") return this.map.points.map((point) => point.id);
    return $$(".thumb[data-id]", this.grid).map((cell) => cell.dataset.id).filter((id) => known.get(id)?.from !== "upload");
  }

  forget(id) {
    this.marked.delete(id);
    this.drawMarked();
    const cell = $(`.thumb[data-id="${id}"]`, this.grid);
    if (!cell) return;
    const near = cell.nextElementSibling || cell.previousElementSibling;
    cell.remove();
    this.total -= 1;
    this.count();
    if (this.selected === id) near ? this.select(near.dataset.id) : this.unselect();
  }

  /** Pictures were deleted or put back somewhere on the page. */
  settleChanges(known_) {
    const gone = this.ids().filter((id) => known_.get(id)?.deleted_at);
    if (gone.length && !this.filters().deleted) gone.forEach((id) => this.forget(id));
    else if (visible(this.form)) this.reload();
    else this.stale = true;
  }

  mark() {
    for (const cell of $$(".thumb[data-id]", this.grid)) {
      if (cell.dataset.id === this.selected) cell.setAttribute("aria-current", "true");
      else cell.removeAttribute("aria-current");
      cell.classList.toggle("marked", this.marked.has(cell.dataset.id));
    }
  }

  click(node, event) {
    const { id } = node.dataset;
    if (event.shiftKey && this.selected) {
      const cells = $$(".thumb[data-id]", this.grid).map((cell) => cell.dataset.id);
      const [from, to] = [cells.indexOf(this.selected), cells.indexOf(id)].sort((a, b) => a - b);
      for (const each of cells.slice(Math.max(from, 0), to + 1)) this.marked.add(each);
    } else if (event.ctrlKey || event.metaKey || event.target.closest(".tick") || this.marked.size) {
      if (this.marked.has(id)) this.marked.delete(id);
      else this.marked.add(id);
    } else {
      return this.select(id, Number(node.dataset.time) || 0);
    }
    this.mark();
    this.drawMarked();
  }

  drawMarked() {
    const ids = [...this.marked];
    this.bar.hidden = !ids.length;
    this.root.firstElementChild.classList.toggle("is-marking", !!ids.length);
    if (!ids.length) return;
    const gone = () => ((this.marked = new Set()), this.mark(), this.drawMarked());
    this.bar.replaceChildren(
      h("b", {}, `${many(ids.length, "picture")} selected`),
      ...TOOLS.map(([name, words]) => h("button.button", { type: "button", onclick: () => (gone(), handOver(name, ids)) }, icon(name), words)),
      h("button.button", { type: "button", onclick: async () => (await saveBoard(ids)) && gone() }, icon("board"), "Save as board"),
      h("button.button", { type: "button", onclick: () => this.removeMarked(ids) }, icon("trash"), "Delete"),
      tool("close", "Select none", gone),
    );
  }

  async removeMarked(ids) {
    if (!(await act("delete-many", { ids }))) return;
    this.marked = new Set();
    await this.reload();
    toast(`${many(ids.length, "picture")} deleted. They stay restorable for 30 days.`, { action: "Undo", seconds: 10, run: async () => (await act("restore-many", { ids })) && this.reload() });
  }

  unselect() {
    this.selected = "";
    this.side.innerHTML =
      '<p class="side-hint">Select a picture to see how it was made.<br>Double-click opens it large.<br>Ctrl-click or Shift-click selects several.</p>';
  }

  async select(id, time = 0) {
    this.selected = id;
    this.mark();
    const answer = await act(known.get(id)?.from === "upload" ? "look-upload" : "look", { id });
    if (!answer || this.selected !== id) return;
    if (known.get(id)?.from === "upload") {
      this.side.innerHTML = answer.html;
      const player = $("video", this.side);
      if (player) player.currentTime = time; // where the search found it
    } else {
      this.side.innerHTML =
        `<button type="button" class="pic-open" data-act="open" data-id="${id}" aria-label="Open large">` +
        `<img src="${address(`/assets/${id}`)}" alt=""><span class="pic-gone">The file is missing</span></button>${answer.html}`;
      $("img", this.side).alt = answer.label;
    }
    if (matchMedia("(max-width: 900px)").matches) this.side.scrollIntoView({ block: "nearest" });
  }
}

/* -- the map: every picture at its place, to fly over -------------------------------------------------------- */

class SkyMap {
  constructor(root, choose) {
    this.root = root;
    this.canvas = $("canvas", root);
    this.points = [];
    this.pictures = new Map();
    this.view = { x: 0, y: 0, zoom: 1 };
    this.chosen = "";
    let from = null;
    let moved = false;
    this.canvas.addEventListener("pointerdown", (event) => {
      from = [event.clientX, event.clientY];
      moved = false;
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!from) return;
      const [dx, dy] = [event.clientX - from[0], event.clientY - from[1]];
      if (!moved && Math.hypot(dx, dy) < 4) return;
      moved = true;
      from = [event.clientX, event.clientY];
      this.move(dx, dy);
    });
    this.canvas.addEventListener("pointerup", (event) => {
      if (from && !moved) this.pick(event, choose);
      from = null;
    });
    this.canvas.addEventListener("dblclick", () => this.chosen && known.get(this.chosen)?.from !== "upload" && choose(this.chosen, true));
    this.canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
    }, { passive: false });
    this.canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
      if (step) this.move(...step);
      else if (event.key === "+" || event.key === "=") this.zoom(1.25);
      else if (event.key === "-") this.zoom(0.8);
      else if (event.key === "0") this.reset();
      else return;
      event.preventDefault();
    });
    new ResizeObserver(() => this.draw()).observe(root);
  }

  set(points) {
    this.points = points;
    this.reset();
  }

  reset() {
    this.view = { x: 0, y: 0, zoom: 1 };
    this.draw();
  }

  move(dx, dy) {
    this.view.x += dx;
    this.view.y += dy;
    this.draw();
  }

  zoom(factor, x = this.root.clientWidth / 2, y = this.root.clientHeight / 2) {
    const zoom = Math.min(Math.max(this.view.zoom * factor, 0.6), 60);
    const grown = zoom / this.view.zoom;
    const [cx, cy] = [x - this.root.clientWidth / 2, y - this.root.clientHeight / 2];
    this.view = { zoom, x: cx - (cx - this.view.x) * grown, y: cy - (cy - this.view.y) * grown };
    this.draw();
  }

  /** Where a point (-1..1) is on the canvas, in CSS pixels. */
  at(point) {
    const { clientWidth: width, clientHeight: height } = this.root;
    return [width / 2 + this.view.x + point.x * this.view.zoom * (width / 2 - 84), height / 2 + this.view.y - point.y * this.view.zoom * (height / 2 - 84)];
  }

  side() {
    return Math.min(Math.max(26, (560 / Math.sqrt(this.points.length + 4)) * Math.sqrt(this.view.zoom)), 150);
  }

  pick(event, choose) {
    const side = this.side();
    const hit = [...this.points].reverse().find((point) => {
      const [x, y] = this.at(point);
      return Math.abs(event.offsetX - x) < side / 2 && Math.abs(event.offsetY - y) < side / 2;
    });
    this.chosen = hit?.id || "";
    if (hit) choose(hit.id, false);
    this.draw();
  }

  draw() {
    if (this.asked || this.root.hidden) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.paint();
    });
  }

  paint() {
    const { clientWidth: width, clientHeight: height } = this.root;
    const ratio = window.devicePixelRatio || 1;
    if (this.canvas.width !== width * ratio) this.canvas.width = width * ratio;
    if (this.canvas.height !== height * ratio) this.canvas.height = height * ratio;
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const side = this.side();
    const accent = getComputedStyle(this.root).getPropertyValue("--accent");
    const near = this.points.filter((point) => {
      const [x, y] = this.at(point);
      return x > -side && y > -side && x < width + side && y < height + side;
    });
    const detailed = new Set(near.slice(-600));
    for (const point of near) {
      const [x, y] = this.at(point);
      const image = detailed.has(point) ? this.picture(point.id) : null;
      if (image?.complete && image.naturalWidth) {
        pen.save();
        pen.beginPath();
        pen.roundRect(x - side / 2, y - side / 2, side, side, Math.min(side / 8, 10));
        pen.clip();
        const cut = Math.min(image.naturalWidth, image.naturalHeight);
        pen.drawImage(image, (image.naturalWidth - cut) / 2, (image.naturalHeight - cut) / 2, cut, cut, x - side / 2, y - side / 2, side, side);
        pen.restore();
      } else {
        pen.fillStyle = accent;
        pen.beginPath();
        pen.arc(x, y, 3, 0, 7);
        pen.fill();
      }
      if (point.id === this.chosen) {
        pen.strokeStyle = accent;
        pen.lineWidth = 3;
        pen.beginPath();
        pen.roundRect(x - side / 2 - 3, y - side / 2 - 3, side + 6, side + 6, 12);
        pen.stroke();
      }
    }
  }

  picture(id) {
    let image = this.pictures.get(id);
    if (!image) {
      image = new Image();
      image.onload = () => this.draw();
      image.src = thumbnail(id);
      this.pictures.set(id, image);
    }
    return image;
  }
}

/* -- from a picture to a tool ------------------------------------------------------------------------------ */

let shelves = null;
let wanted = null;
let takeNow = null;

/** Pictures that wait for the Understand tab; `now` is told when there are some. */
export function takeWanted(now) {
  takeNow = now;
  const taken = wanted;
  wanted = null;
  return taken;
}

/** Open a tool of the Understand tab with these pictures. */
export function handOver(name, ids) {
  $("dialog[open]")?.close();
  wanted = { name, ids };
  openTab("understand");
  takeNow?.();
}

handlers.select = (node, event) => {
  const { id } = node.dataset;
  if (node.closest(".gallery-main .grid")) return shelves.click(node, event);
  if (known.get(id)?.from === "upload" && node.closest(".twins")) return shelves.select(id);
  openLarge(id, $$(".thumb[data-id]", node.closest(".grid, .strip, .lineage")).map((cell) => cell.dataset.id));
};
handlers.understand = (node) => handOver(node.dataset.tool, [node.dataset.id]);
handlers.like = (node) => {
  $("dialog[open]")?.close();
  openTab("gallery");
  searchLike(node.dataset.id);
};
handlers["delete-upload"] = async (node) => {
  const gone = await tried(() => api(`/uploads/${node.dataset.id}`, { method: "DELETE" }));
  if (gone === null) return;
  shelves?.forget(node.dataset.id);
  toast("The file is deleted.");
};

handlers.more = () => shelves.more();
handlers.open = (node) => openLarge(node.dataset.id, shelves.ids());

function searchLike(id) {
  openTab("gallery");
  const search = () => (shelves ? shelves.searchLike([id]) : setTimeout(search, 60));
  search();
}

/** Fill the tab. */
export function startGallery(root) {
  shelves = new Gallery(root);
  effect(() => {
    if (changes.value) shelves.settleChanges(items.value);
  });
}

offer([
  { name: "like", words: "More like this", icon: "search", can: () => true, run: searchLike },
  ...TOOLS.slice(0, 3).map(([name, words]) => ({ name, words, icon: name, can: (item) => item.kind === "picture", run: (id) => handOver(name, [id]) })),
]);
