// @ts-nocheck
/* The Understand tab: six tools over one choice of pictures. Each sends a job, follows it and shows its records. */
import { takeWanted } from "./gallery.js";
import {
  act, ACTIVE, address, announce, api, askName, button, Chooser, clock, copy, droppedFiles, duration, follow, frame, h, icon, known, lookUp, many, nameOf,
  openTab, original, percent, picture, progressBar, Refusal, saveBoard, segments, sentence, takers, thumbnail, toast, tool, tried, visible, write, $,
} from "./legacy.js";
const ROWS = 200; // drawn at once in a pile, a lane or a table
const REDRAW = 700; // milliseconds between two drawings of a growing result

const field = (label, input, hint = "") => h("label.field", {}, h("span", {}, label), input, hint && h("small", {}, hint));
const area = (options) => h("textarea", { rows: "4", spellcheck: "false", ...options });
const csv = (job) => h("a.button", { href: address(`/jobs/${job.id}/results?format=csv`), download: `${job.capability}-${job.id.slice(0, 6)}.csv` }, icon("download"), "CSV");
const fold = (title, ...children) => h("details.fold", {}, h("summary", {}, title), h("div.fold-body", {}, ...children));

function bar(share, label = "", kind = "") {
  return h(`span.bar-track${kind && `.${kind}`}`, { role: "img", "aria-label": label || percent(share) }, h("i", { style: { width: `${Math.min(Math.max(100 * share, 0), 100)}%` } }));
}

/** A share in percent, or nothing where the model does not know what it looks at. */
const sure = (record, share) => (record.outside_world ? "" : percent(share));
const shareOf = (record, share) => (record.outside_world ? "" : [bar(share), percent(share)]);

/** What stands beside answers about pictures that are not of the model's toy world. */
function doubtful(records) {
  const strange = records.filter((each) => each.outside_world);
  if (!strange.length) return "";
  const which = records.length > 1 ? `${strange.length} of ${many(records.length, "picture")}: ` : "";
  return h("div.note.doubt", { role: "note" }, h("p", {}, which, strange[0].doubt, " ", h("button.link", { type: "button", onclick: () => openTab("models") }, "Open the Models tab")));
}

/** The picture of a record as a button. */
function cell(record, badge, open) {
  const id = record.picture || record.clip;
  return h("button.thumb", { type: "button", title: record.name, "aria-label": `${record.name}${badge ? `, ${badge}` : ""}`, onclick: open }, picture(id), badge && h("span.thumb-badge", {}, badge));
}

/** A large picture in a frame of its own shape, so that what is laid over it fits. */
function shown(id, image) {
  const { width = 1, height = 1 } = known.get(id) || {};
  return h("div.inspect-picture", { style: { "--ratio": `${width / height}` } }, image);
}

function unreadable(records) {
  const bad = records.filter((each) => each.error);
  if (!bad.length) return "";
  return h("details.skipped", {}, h("summary", {}, icon("alert"), `${many(bad.length, "picture")} could not be read; the rest went on`),
    h("ul", {}, bad.map((each) => h("li", {}, h("b", {}, each.name), h("span", {}, each.error)))));
}

/** The first ROWS of `items`, then a button that shows the others. */
function some(items, draw, kind = "div.grid") {
  const box = h(kind, {}, items.slice(0, ROWS).map(draw));
  if (items.length <= ROWS) return box;
  const more = button(`Show ${(items.length - ROWS).toLocaleString("en")} more`, () => (box.append(...items.slice(ROWS).map(draw)), more.remove()));
  return h("div.some", {}, box, more);
}

/* -- one record, large -------------------------------------------------------------------------------------- */

class Inspector {
  /** `records` to step through with the arrow keys; `draw(record)` gives what stands beside the picture. */
  constructor(records, at, show) {
    this.records = records;
    this.at = at;
    this.show = show;
    this.inside = h("div.inspect");
    this.dialog = h(
      "dialog.box-wide.inspector",
      { "aria-label": "One picture" },
      h("header", {}, (this.title = h("h3")), h("span.inspect-place"), tool("close", "Close", () => this.dialog.close())),
      this.inside,
    );
    this.dialog.addEventListener("close", () => this.dialog.remove());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    this.dialog.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step || event.target.closest("[role=radiogroup]")) return;
      event.preventDefault();
      this.turn(step);
    });
    frame().append(this.dialog);
    this.draw();
    this.dialog.showModal();
  }

  turn(step) {
    this.at = (this.at + step + this.records.length) % this.records.length;
    this.draw();
  }

  draw() {
    const record = this.records[this.at];
    this.title.textContent = record.name;
    const place = $(".inspect-place", this.dialog);
    place.replaceChildren();
    if (this.records.length > 1) {
      place.append(tool("left", "Previous picture", () => this.turn(-1)), `${this.at + 1} of ${this.records.length}`, tool("right", "Next picture", () => this.turn(1)));
    }
    this.inside.replaceChildren(...this.show(record));
  }
}

/* -- what every tool does ----------------------------------------------------------------------------------- */

class Tool {
  constructor(shell) {
    this.shell = shell;
    this.job = null;
    this.records = [];
    this.turn = 0;
    this.touched = false;
    this.offered = [];
  }

  /** Everything that needs the names of the tool itself, which are there only after the constructor. */
  init() {
    const touch = () => (this.touched = true);
    this.fields = h("div.tool-fields", { "data-tool": this.name, onclick: touch, oninput: touch });
    this.stage = h("div.tool-stage", { "data-tool": this.name, "data-status": "none" });
    this.model = h("select", { name: "model", "aria-label": "Model", onchange: () => this.sayModel() });
    this.modelLine = h("p.model-line");
    this.modelField = h("div.model-field", {}, field("Model", this.model), this.modelLine);
    this.fields.append(...this.build());
    this.draw();
    return this;
  }

  /* Filled by each tool: name, words, icon, capability, feature, verb; build(), request(), results(job, records). */
  get chooser() {
    return this.shell.chooser;
  }

  choosers() {
    return [this.chooser];
  }

  offerModels(known) {
    const offer = known[this.feature] || { models: [], default: "" };
    const kept = this.model.value;
    this.offered = offer.models;
    this.model.replaceChildren(
      ...offer.models.map((each) => h("option", { value: each.id, disabled: !each.available }, each.available ? each.name : `${each.name} (not on this computer)`)),
    );
    this.model.value = offer.models.some((each) => each.id === kept && each.available) ? kept : offer.default;
    this.sayModel();
  }

  sayModel() {
    const model = this.offered.find((each) => each.id === this.model.value && each.available);
    if (model) {
      this.modelLine.replaceChildren(h("span.badge", { class: `badge ${model.commercial ? "badge-ok" : "badge-no"}`, title: model.licence }, model.badge));
      if (model.summary) this.modelLine.append(h("small", {}, model.summary));
    } else {
      this.modelLine.replaceChildren(
        h("span", {}, `No model on this computer can ${this.skill}. `), h("button.link", { type: "button", onclick: () => openTab("models") }, "Fetch one on the Models tab"),
      );
    }
  }

  get running() {
    return !!this.job && ACTIVE.includes(this.job.status);
  }

  async run() {
    if (this.running || this.sending) return;
    this.shell.say("");
    this.sending = true;
    try {
      const request = this.request();
      if (this.model.value) request.model = this.model.value;
      const { id } = await api(`/${this.route()}`, { body: request });
      if (matchMedia("(max-width: 900px)").matches) this.stage.scrollIntoView({ block: "start" });
      this.attach(id);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.shell.say(error.message);
    } finally {
      this.sending = false;
    }
  }

  route() {
    return this.capability;
  }

  async attach(id) {
    const turn = ++this.turn;
    this.job = { id, status: "queued", step: 0, steps: 0, eta_seconds: null, position: null, message: "", attempt: 1, notes: [], request: {}, capability: this.route() };
    this.records = [];
    this.draw();
    let drawn = 0;
    let count = -1;
    try {
      await follow(id, async (job, records) => {
        const over = !ACTIVE.includes(job.status);
        this.job = job;
        this.records = records;
        if (records.length !== count || over) await lookUp(this.named(job, records));
        if (turn !== this.turn) return;
        if (over || (records.length !== count && performance.now() - drawn > REDRAW)) {
          count = records.length;
          drawn = performance.now();
          this.draw();
        } else this.head();
      }, () => turn === this.turn);
      if (turn === this.turn) announce(this.job.status === "failed" ? `That did not work. ${this.job.error}` : this.job.status === "cancelled" ? "Cancelled." : "Finished.");
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (turn !== this.turn) return;
      this.job = null;
      this.shell.say(error.message);
      this.draw();
    }
  }

  /** Ids of pictures that the results show. */
  named(job, records) {
    return records.map((each) => each.picture || each.clip).filter(Boolean);
  }

  async cancel() {
    if (this.running) await tried(() => api(`/jobs/${this.job.id}`, { method: "DELETE" }));
  }

  /** After a reload: the newest job of this tool that is under way or has answers. */
  async restore() {
    const jobs = await Promise.all(this.capabilities().map((name) => api(`/jobs?capability=${name}&limit=3`)));
    const mine = jobs.flat().filter((job) => ACTIVE.includes(job.status) || job.results).sort((a, b) => b.created_at.localeCompare(a.created_at))[0];
    // What was begun meanwhile stays as it is.
    const free = () => !this.job && !this.sending && (!this.touched || ACTIVE.includes(mine.status));
    if (!mine || !free()) return;
    if (this.offered.some((each) => each.id === mine.request.model && each.available)) {
      this.model.value = mine.request.model;
      this.sayModel();
    }
    if ((await this.recall(mine)) !== false && free()) this.attach(mine.id);
  }

  capabilities() {
    return [this.capability];
  }

  /** Fill the form as `job` was asked; false when its results do not belong on the page now. */
  async recall() {}

  /** Only the line above the results, while the results stay as they are. */
  head() {
    this.stage.dataset.status = this.job?.status || "none";
    $(".tool-head", this.stage)?.replaceWith(this.headline());
    this.shell.settle();
  }

  headline() {
    const { job, records } = this;
    const head = h("div.tool-head");
    if (ACTIVE.includes(job.status)) head.append(progressBar(job));
    else if (job.status === "failed") head.append(h("div.sentence", { role: "alert" }, icon("alert"), h("div", {}, h("b", {}, "That did not work. "), job.error || "The reason is in the log.")));
    else {
      const took = job.status === "cancelled" ? `Cancelled. ${many(records.length, "answer")} kept.` : `${this.summary(job, records)}${job.seconds ? ` in ${duration(job.seconds)}` : ""}`;
      head.append(h("p.outcome", {}, took));
    }
    const tools = h("div.tool-tools", {}, ...this.tools(job, records));
    if (tools.childNodes.length) head.append(tools);
    return head;
  }

  tools(job, records) {
    return records.length && !ACTIVE.includes(job.status) ? [csv(job)] : [];
  }

  summary(job, records) {
    return many(records.length, "picture");
  }

  draw() {
    const { job, records } = this;
    this.stage.dataset.status = job?.status || "none";
    if (job) this.stage.dataset.job = job.id;
    if (!job || (!records.length && !ACTIVE.includes(job.status) && job.status !== "failed")) {
      this.stage.replaceChildren(this.empty());
    } else {
      this.stage.replaceChildren(
        this.headline(),
        job.notes?.length ? h("div.note", {}, job.notes.map((note) => h("p", {}, note))) : "",
        doubtful(records),
        records.length ? this.results(job, records) : h("div.waiting-room", { "aria-hidden": "true" }),
        unreadable(records),
      );
    }
    this.shell.settle();
  }

  empty() {
    const [title, text, extra] = this.emptyWords();
    return h("div.empty", {}, h("div.empty-tool", {}, icon(this.icon)), h("h2", {}, title), h("p", {}, text), extra || "");
  }
}

/* -- sort --------------------------------------------------------------------------------------------------- */

const HEAT = [[0, 59, 76, 192, 0], [0.35, 84, 120, 245, 70], [0.6, 245, 190, 80, 150], [1, 215, 40, 40, 205]];

/** A grey map (data URI) drawn over a picture: cold and clear where the label is not, hot where it is. */
function heatLayer(uri) {
  const canvas = h("canvas.heat-layer", { "aria-hidden": "true" });
  const image = new Image();
  image.onload = () => {
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const pen = canvas.getContext("2d");
    pen.drawImage(image, 0, 0);
    const pixels = pen.getImageData(0, 0, canvas.width, canvas.height);
    for (let at = 0; at < pixels.data.length; at += 4) {
      const value = pixels.data[at] / 255;
      const upper = Math.max(HEAT.findIndex((stop) => stop[0] >= value), 1);
      const [low, high] = [HEAT[upper - 1], HEAT[upper]];
      const share = (value - low[0]) / (high[0] - low[0]);
      for (let part = 0; part < 4; part += 1) pixels.data[at + part] = low[part + 1] + share * (high[part + 1] - low[part + 1]);
    }
    pen.putImageData(pixels, 0, 0);
  };
  image.src = uri;
  return canvas;
}

class Sort extends Tool {
  name = "sort"; words = "Sort"; icon = "sort"; capability = "zero-shot"; feature = "zero-shot"; skill = "sort pictures"; verb = "Sort";

  build() {
    this.labels = area({ placeholder: "apple\nbanana\nsomething else", "aria-label": "Labels", oninput: () => this.count() });
    this.counted = h("span.field-count");
    this.vocabulary = h("div.chips.chips-many");
    this.templates = area({ rows: "3", "aria-label": "Templates" });
    this.heat = h("input", { type: "checkbox" });
    this.mode = "auto";
    this.modes = segments("Reading", [["auto", "Automatic"], ["softmax", "One fits"], ["sigmoid", "Each by itself"]], "auto", (mode) => (this.mode = mode));
    this.knows = h("details.ideas", { hidden: true }, h("summary", {}, "What it knows ", h("span")), h("div.ideas-body", {}, h("button.link", { type: "button", onclick: () => this.setLabels(this.known) }, "Use all of them"), this.vocabulary));
    return [
      h("label.field", {}, h("span", {}, "Labels ", this.counted), this.labels, h("small", {}, "One a line, or separated by commas.")),
      this.knows,
      h("label.switch", {}, this.heat, h("span", {}, "Show where each label is seen")),
      fold("Templates and reading", field("Templates", this.templates, "One a line; {} stands for the label. The model hears the average of them all."), h("div.field", {}, h("span", {}, "Probabilities"), this.modes, h("small", {}, "One fits: shares of 100 % between the labels. Each by itself needs a SigLIP model."))),
      this.modelField,
    ];
  }

  configure(config) {
    this.templates.value ||= config.templates.join("\n");
    this.known = config.vocabulary;
    this.knows.hidden = !this.known.length;
    $("summary span", this.knows).textContent = many(this.known.length, "object");
    this.vocabulary.replaceChildren(...this.known.map((word) => h("button.chip", { type: "button", onclick: () => this.addLabel(word) }, word)));
  }

  list() {
    const text = this.labels.value.trim();
    return (text.includes("\n") ? text.split("\n") : text.split(",")).map((each) => each.trim()).filter(Boolean);
  }

  setLabels(labels) {
    this.labels.value = labels.join("\n");
    this.count();
  }

  addLabel(word) {
    const labels = this.list();
    this.setLabels(labels.includes(word) ? labels.filter((each) => each !== word) : [...labels, word]);
  }

  count() {
    const count = this.list().length;
    this.counted.textContent = count ? count.toLocaleString("en") : "";
  }

  request() {
    return {
      pictures: this.chooser.ids(), labels: this.list(), mode: this.mode, heat_map: this.heat.checked,
      templates: this.templates.value.split("\n").map((each) => each.trim()).filter(Boolean),
    };
  }

  async recall(job) {
    const { request } = job;
    if (!this.labels.value) this.setLabels(request.labels || []);
    this.templates.value = (request.templates || []).join("\n");
    this.heat.checked = !!request.heat_map;
    this.mode = request.mode || "auto";
    this.modes.show(this.mode);
    await this.shell.remember(request.pictures);
  }

  emptyWords() {
    return ["Name the piles, get the pictures sorted", "Choose pictures, write any labels, press Sort. No training: the model compares pictures with words."];
  }

  tools(job, records) {
    const tools = super.tools(job, records);
    if (records.filter((each) => !each.error).length > 1) {
      tools.unshift(segments("Show as", [["piles", "Piles", "grid"], ["table", "Table", "check"]], this.view || "piles", (view) => ((this.view = view), this.draw()), "view"));
    }
    return tools;
  }

  results(job, records) {
    const good = records.filter((each) => !each.error);
    if (!good.length) return h("div");
    if (good.length === 1 && (job.request.pictures || []).length === 1) return h("div.inspect.inspect-inline", {}, ...this.detail(good[0]));
    return this.view === "table" ? this.table(good) : this.piles(good);
  }

  piles(records) {
    const piles = new Map();
    for (const record of records) piles.set(record.top, [...(piles.get(record.top) || []), record]);
    const sorted = [...piles].sort((a, b) => b[1].length - a[1].length || a[0].localeCompare(b[0]));
    return h("div.piles", {}, sorted.map(([label, inside]) => {
      inside.sort((a, b) => b.labels[0].probability - a.labels[0].probability);
      return h("section.pile", { "aria-label": label, style: { "--pictures": Math.min(inside.length, ROWS) } }, h("header", {}, h("h3", {}, label, h("span", {}, inside.length.toLocaleString("en"))),
        h("button.link", { type: "button", onclick: () => saveBoard(inside.map((each) => each.picture), label) }, "Save as board")),
        some(inside, (record) => cell(record, sure(record, record.labels[0].probability), () => new Inspector(inside, inside.indexOf(record), (each) => this.detail(each)))));
    }));
  }

  table(records) {
    const row = (record) => h("tr", {}, h("td.table-picture", {}, cell(record, "", () => new Inspector(records, records.indexOf(record), (each) => this.detail(each)))), h("td", {}, record.name),
      ...record.labels.slice(0, 3).map((each) => h("td", {}, h("b", {}, each.label), h("span.table-share", {}, shareOf(record, each.probability)))));
    return h("div.table-box", {}, h("table.table", {}, h("thead", {}, h("tr", {}, h("th", {}, h("span.sr-only", {}, "Picture")), h("th", {}, "Name"), h("th", {}, "Best label"), h("th", {}, "Second"), h("th", {}, "Third"))), some(records, row, "tbody")));
  }

  detail(record) {
    const frame = shown(record.picture, picture(record.picture, { large: true, alt: record.name }));
    const heat = record.heat || {};
    const list = h("div.bars");
    const look = (label) => {
      $(".heat-layer", frame)?.remove();
      const same = this.seen === label;
      this.seen = same ? "" : label;
      if (!same && heat[label]) frame.append(heatLayer(heat[label]));
      for (const each of list.children) each.setAttribute?.("aria-pressed", String(each.dataset.label === this.seen));
    };
    const line = (each) => {
      const inside = [h("span.bars-label", {}, each.label), ...(record.outside_world ? [] : [bar(each.probability, "", ""), h("span.bars-share", {}, percent(each.probability))])];
      return heat[each.label]
        ? h("button.bars-row", { type: "button", "data-label": each.label, "aria-pressed": "false", title: "Show where it is seen", onclick: () => look(each.label) }, ...inside)
        : h("div.bars-row", { "data-label": each.label, title: `cosine ${each.cosine}` }, ...inside);
    };
    list.append(...record.labels.slice(0, 12).map(line));
    if (record.labels.length > 12) {
      const more = button(`Show all ${record.labels.length.toLocaleString("en")}`, () => more.replaceWith(...record.labels.slice(12).map(line)));
      list.append(more);
    }
    this.seen = "";
    if (heat[record.top]) look(record.top);
    return [frame, h("div.inspect-side", {}, h("p.inspect-top", {}, record.top), list, Object.keys(heat).length ? h("p.note", {}, "Choose a label to see where the model finds it: red where it fits best.") : "")];
  }
}

/* -- ask ---------------------------------------------------------------------------------------------------- */

class Ask extends Tool {
  name = "ask"; words = "Ask"; icon = "ask"; capability = "ask"; feature = "vqa"; skill = "answer questions"; verb = "Ask";

  build() {
    this.turns = [];
    this.about = [];
    this.question = area({ rows: "2", maxlength: "500", placeholder: "What is in the picture?", "aria-label": "Question", spellcheck: "true" });
    this.question.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.ctrlKey || event.metaKey || event.isComposing) return;
      event.preventDefault();
      this.run();
    });
    this.suggested = h("div.chips.suggested", { "aria-label": "Suggested questions", role: "group" });
    return [field("Question", this.question), this.suggested, this.modelField];
  }

  configure() {
    this.suggest();
  }

  /** The chosen pictures changed: a talk is about the pictures it began with. */
  chosen() {
    const ids = this.chooser.ids();
    const still = this.about.filter((id) => ids.includes(id));
    const about = still.length ? still : ids.slice(0, 1);
    if (about.join() !== this.about.join()) this.turnTo(about);
    else this.draw();
  }

  turnTo(about) {
    if (this.running) this.cancel();
    this.turn += 1;
    this.about = about;
    this.turns = [];
    this.job = null;
    this.records = [];
    this.draw();
    this.suggest();
  }

  async suggest() {
    const history = this.turns.filter((each) => each.answer).map((each) => [each.question, each.answer]);
    const answer = await act("suggestions", { history, pictures: this.about });
    if (!answer) return;
    this.suggested.replaceChildren(...answer.questions.map((words) => h("button.chip", { type: "button", onclick: () => ((this.question.value = words), this.run()) }, words)));
  }

  request() {
    return { pictures: this.about, question: this.question.value.trim(), history: this.turns.filter((each) => each.answer).slice(-20).map(({ question, answer }) => ({ question, answer })) };
  }

  async attach(id) {
    const asked = this.question.value.trim();
    const again = this.recalled;
    const turn = again || { question: asked };
    this.recalled = null;
    this.turns.push(turn);
    this.question.value = "";
    await super.attach(id);
    if (!this.turns.includes(turn)) return;
    const [record] = this.records;
    if (record) Object.assign(turn, { answer: record.answer, confidence: record.confidence, outside_world: record.outside_world, doubt: record.doubt });
    else turn.error = this.job?.error || (this.job?.status === "cancelled" ? "Cancelled." : "No answer came.");
    if (!record && !this.question.value && this.job?.status === "failed") this.question.value = turn.question;
    turn.notes = this.job?.notes || [];
    this.draw();
    this.suggest();
    announce(turn.answer || turn.error);
    if (!again && visible(this.question) && !matchMedia("(max-width: 900px)").matches) this.question.focus({ preventScroll: true });
  }

  async recall(job) {
    await this.shell.remember(job.request.pictures);
    const ids = this.chooser.ids();
    if (!job.request.pictures.every((id) => ids.includes(id))) return false;
    this.about = job.request.pictures;
    this.turns = (job.request.history || []).map((each) => ({ ...each }));
    this.recalled = { question: job.request.question };
  }

  named() {
    return this.about;
  }

  emptyWords() {
    return ["Ask about a picture", "Choose one or more pictures, then ask in plain words. Questions can build on the answers before."];
  }

  toggle(id) {
    const on = this.about.includes(id);
    const about = on ? this.about.filter((each) => each !== id) : [...this.about, id];
    if (!about.length) return;
    if (about.length > 8) return toast("A question can be about at most 8 pictures.", { bad: true });
    this.turnTo(about);
  }

  draw() {
    this.stage.dataset.status = this.job?.status || "none";
    if (this.job) this.stage.dataset.job = this.job.id;
    const items = this.chooser.items;
    if (!items.length && !this.about.length) {
      this.stage.replaceChildren(this.empty());
      return this.shell.settle();
    }
    const strip = items.length > 1
      ? h("div.ask-strip", { role: "group", "aria-label": "Pictures asked about" }, items.slice(0, 40).map((item) =>
          h("button.thumb", { type: "button", "aria-pressed": String(this.about.includes(item.id)), title: item.name, "aria-label": `Ask about ${item.name}`, onclick: () => this.toggle(item.id) }, picture(item.id), h("span.tick"))))
      : "";
    const pictures = h("div.ask-pictures", { "data-count": Math.min(this.about.length, 4) }, this.about.map((id) => picture(id, { large: true, alt: nameOf(id) })));
    this.talk = h("ol.talk", { "aria-label": "Conversation", "aria-live": "polite" }, this.turns.map((turn) => this.bubbles(turn)));
    if (!this.turns.length) this.talk.append(h("li.talk-hint", {}, items.length > 1 ? "Choose which pictures the question is about, then ask." : "Ask a question, or press one of the suggestions."));
    this.stage.replaceChildren(
      h("div.ask", {},
        h("div.ask-side", {}, pictures, strip),
        h("div.ask-main", {}, this.talk, this.turns.length ? h("div.ask-tools", {},
          button("Copy", () => copy(this.turns.map((each) => `${each.question}\n${each.answer || each.error || ""}`).join("\n\n")), { picture: "copy" }),
          button("New conversation", () => this.turnTo(this.about), { picture: "plus" })) : ""),
      ),
    );
    this.talk.scrollTop = this.talk.scrollHeight;
    this.shell.settle();
  }

  head() {
    const bubble = $(".answer.pending", this.stage);
    if (bubble && this.job) bubble.replaceChildren(progressBar(this.job));
    this.stage.dataset.status = this.job?.status || "none";
    this.shell.settle();
  }

  bubbles(turn) {
    const answer = turn.answer !== undefined
      ? h("div.answer", {}, h("p", {}, turn.answer), turn.confidence !== undefined && !turn.outside_world ? h("span.sure", { title: "How likely the model found its own words" }, bar(turn.confidence), `${percent(turn.confidence)} sure`) : "")
      : turn.error ? h("div.answer.failed", { role: "alert" }, icon("alert"), turn.error) : h("div.answer.pending", {}, h("span.spinner"), "Looking");
    return h("li", {}, h("p.question", {}, turn.question), answer, doubtful([turn]), ...(turn.notes || []).map((note) => h("p.note", {}, note)));
  }
}

/* -- caption ------------------------------------------------------------------------------------------------ */

class Caption extends Tool {
  name = "caption"; words = "Caption"; icon = "caption"; capability = "caption"; feature = "caption"; skill = "describe pictures"; verb = "Describe";

  build() {
    this.style = "short";
    this.hint = h("small");
    this.styles = segments("Kind of caption", [["short", "Short"], ["detailed", "Detailed"], ["alt", "Alt text"], ["prompt", "Prompt"]], "short", (style) => this.setStyle(style));
    this.setStyle("short");
    return [h("div.field", {}, h("span", {}, "Kind"), this.styles, this.hint), this.modelField];
  }

  configure() {}

  setStyle(style) {
    this.style = style;
    this.styles?.show(style);
    this.hint.textContent = { short: "One line.", detailed: "Everything that is seen.", alt: "For people who hear the page.", prompt: "Words to draw it again: send them to Create." }[style];
  }

  request() {
    return { pictures: this.chooser.ids(), style: this.style };
  }

  async recall(job) {
    this.setStyle(job.request.style || "short");
    await this.shell.remember(job.request.pictures);
  }

  emptyWords() {
    return ["Put pictures into words", "Choose pictures and a kind of caption. A prompt can go straight back to Create."];
  }

  results(job, records) {
    const good = records.filter((each) => !each.error);
    return some(good, (record) =>
      h("article.captioned", {}, cell(record, "", () => new Inspector(good, good.indexOf(record), (each) => this.detail(each))), h("div", {}, h("p.captioned-words", {}, record.caption), h("p.captioned-name", {}, record.name), this.moves(record))), "div.captions");
  }

  moves(record) {
    return h("div.moves", {}, button("Copy", () => copy(record.caption), { picture: "copy" }), button("To Create", () => toCreate(record.caption), { picture: "create" }));
  }

  detail(record) {
    return [shown(record.picture, picture(record.picture, { large: true, alt: record.caption })), h("div.inspect-side", {}, h("p.inspect-top", {}, record.caption), this.moves(record))];
  }
}

/** Put words into the prompt of the Create tab. */
function toCreate(words) {
  $("dialog[open]")?.close();
  openTab("text-to-image");
  const prompt = () => ($("#prompt textarea") ? (write($("#prompt textarea"), words), $("#prompt textarea").focus()) : setTimeout(prompt, 50));
  prompt();
}

/* -- check -------------------------------------------------------------------------------------------------- */

const LANES = [["pass", "Pass", "Every answer is as wanted"], ["look", "Look", "Not sure enough"], ["fail", "Fail", "A wanted answer is unlikely"]];

class Check extends Tool {
  name = "check"; words = "Check"; icon = "check"; capability = "checklist"; feature = "vqa"; skill = "answer questions"; verb = "Check";

  build() {
    this.rows = h("ol.checks");
    this.saved = h("select", { "aria-label": "Saved checklist", onchange: () => this.load() });
    this.passAt = this.slider("Passes from", 80);
    this.failAt = this.slider("Fails up to", 20);
    this.addRow("");
    return [
      h("div.field.checks-field", {}, h("span", {}, "Yes/no questions"), this.rows,
        h("div.row-start", {}, button("Add question", () => this.addRow("").focus(), { picture: "plus" }), button("Save list", () => this.save()))),
      h("div.checks-saved", {}, field("Saved lists", this.saved), tool("trash", "Delete this list", () => this.forget())),
      fold("Where the lanes begin", this.passAt.root, this.failAt.root, h("small", {}, "The least likely of the wanted answers decides. Between the two, somebody should look.")),
      this.modelField,
    ];
  }

  slider(label, value) {
    const out = h("output", {}, `${value} %`);
    const input = h("input", { type: "range", min: "0", max: "100", step: "5", value, "aria-label": label, oninput: () => (out.textContent = `${input.value} %`) });
    return { root: h("label.field.range", {}, h("span", {}, label, out), input), input, set: (share) => ((input.value = Math.round(100 * share)), (out.textContent = `${input.value} %`)) };
  }

  configure() {
    this.listSaved();
  }

  addRow(question, want = true) {
    const input = h("input", { type: "text", maxlength: "500", value: question, placeholder: "Is the product whole?", "aria-label": "Yes or no question" });
    const row = h("li", { "data-want": want ? "yes" : "no" }, input,
      h("button.want", { type: "button", title: "The answer a good picture gives", onclick: (event) => flip(event.currentTarget) }, want ? "Yes" : "No"),
      tool("close", "Remove this question", () => (row.remove(), this.rows.children.length || this.addRow(""))));
    const flip = (node) => {
      row.dataset.want = row.dataset.want === "yes" ? "no" : "yes";
      node.textContent = row.dataset.want === "yes" ? "Yes" : "No";
      name(node);
    };
    const name = (node) => node.setAttribute("aria-label", `Wanted answer: ${node.textContent.toLowerCase()}`);
    name($(".want", row));
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.ctrlKey || event.metaKey || event.isComposing) return;
      event.preventDefault();
      (row.nextElementSibling ? $("input", row.nextElementSibling) : this.addRow("")).focus();
    });
    this.rows.append(row);
    return input;
  }

  questions() {
    return [...this.rows.children].map((row) => ({ question: $("input", row).value.trim(), want: row.dataset.want === "yes" })).filter((each) => each.question);
  }

  setQuestions(questions) {
    this.rows.replaceChildren();
    for (const { question, want } of questions) this.addRow(question, want);
    if (!questions.length) this.addRow("");
  }

  async listSaved(chosen = "") {
    const lists = await tried(() => api("/checklists"));
    if (!lists) return;
    this.lists = lists;
    this.saved.replaceChildren(h("option", { value: "" }, lists.length ? "Choose a list" : "None yet"), ...lists.map((each) => h("option", { value: each.name }, each.name)));
    this.saved.value = chosen;
  }

  load() {
    const list = this.lists?.find((each) => each.name === this.saved.value);
    if (list) this.setQuestions(list.questions);
  }

  async save() {
    const questions = this.questions();
    if (!questions.length) return this.shell.say("Write at least one yes/no question, such as: is there any text?");
    const name = await askName("Save this checklist", "Name", this.saved.value);
    if (!name) return;
    if ((await tried(() => api("/checklists", { body: { name, questions } }))) === null) return;
    toast(`Saved the checklist ${name}.`);
    this.listSaved(name);
  }

  async forget() {
    const name = this.saved.value;
    if (!name) return toast("Choose a saved list first.");
    await tried(() => api(`/checklists/${encodeURIComponent(name)}`, { method: "DELETE" }));
    toast(`The checklist ${name} is gone.`);
    this.listSaved();
  }

  request() {
    return { pictures: this.chooser.ids(), questions: this.questions(), pass_at: this.passAt.input.value / 100, fail_at: this.failAt.input.value / 100 };
  }

  async recall(job) {
    if (!this.questions().length) this.setQuestions(job.request.questions || []);
    this.passAt.set(job.request.pass_at ?? 0.8);
    this.failAt.set(job.request.fail_at ?? 0.2);
    await this.shell.remember(job.request.pictures);
  }

  emptyWords() {
    return ["Let a checklist look through the batch", "Write yes/no questions and the answer you want. Every picture lands in one of three lanes: pass, look, fail."];
  }

  summary(job, records) {
    return `${many(records.length, "picture")}, ${many((job.request.questions || []).length, "question")} each`;
  }

  results(job, records) {
    const good = records.filter((each) => !each.error);
    return h("div.lanes", {}, LANES.map(([lane, words, why]) => {
      const inside = good.filter((each) => each.lane === lane).sort((a, b) => worst(a) - worst(b));
      return h("section.lane", { "data-lane": lane, "aria-label": words },
        h("header", {}, h("h3", {}, words, h("span", {}, inside.length.toLocaleString("en"))), inside.length ? h("button.link", { type: "button", onclick: () => saveBoard(inside.map((each) => each.picture), words) }, "Save as board") : ""),
        h("p.lane-why", {}, why),
        some(inside, (record) => this.card(record, inside), "div.lane-cards"));
    }));
  }

  card(record, inside) {
    return h("button.lane-card", { type: "button", title: record.name, onclick: () => new Inspector(inside, inside.indexOf(record), (each) => this.detail(each)) },
      h("span.lane-picture", {}, picture(record.picture)),
      h("span.lane-checks", {}, record.checks.slice(0, 4).map((each) => h("span.lane-check", { "data-lane": this.tone(each.ok) }, h("span", {}, each.question), h("b", {}, sure(record, each.ok))))));
  }

  tone(ok) {
    const { pass_at: pass = 0.8, fail_at: fail = 0.2 } = this.job?.request || {};
    return ok >= pass ? "pass" : ok <= fail ? "fail" : "look";
  }

  detail(record) {
    return [
      shown(record.picture, picture(record.picture, { large: true, alt: record.name })),
      h("div.inspect-side", {}, h("p.inspect-top", { "data-lane": record.lane }, LANES.find(([lane]) => lane === record.lane)[1]),
        h("ul.answers", {}, record.checks.map((each) =>
          h("li", { "data-lane": this.tone(each.ok) }, h("p", {}, each.question), record.outside_world ? "" : h("span.table-share", {}, bar(each.yes), `yes ${percent(each.yes)}`), h("small", {}, `wanted: ${each.want ? "yes" : "no"}`))))),
    ];
  }
}

const worst = (record) => Math.min(...record.checks.map((each) => each.ok));

/* -- measure ------------------------------------------------------------------------------------------------ */

const MEASURES = [
  ["clip_score", "CLIP score", "How well the picture fits its own prompt: 100 times the cosine, never below 0. Compare only within one model.", (value) => value.toFixed(1)],
  ["sharpness", "Sharpness", "Variance of the Laplacian at 512 px: low for soft or empty pictures.", (value) => value.toFixed(value < 10 ? 1 : 0)],
  ["brightness", "Brightness", "Mean of the luma.", percent],
  ["contrast", "Contrast", "Standard deviation of the luma.", percent],
  ["clipped", "Clipped", "Pixels that are quite black or quite white.", percent],
];

class Measure extends Tool {
  name = "measure"; words = "Measure"; icon = "measure"; capability = "score"; feature = "embed"; skill = "measure pictures"; verb = "Measure";

  build() {
    this.what = "score";
    this.order = ["clip_score", -1];
    this.others = new Chooser("others", { title: "Compare with", words: "Drop the other set here", changed: () => this.shell.settle() });
    this.hint = h("p.tool-hint");
    this.kinds = segments("What to measure", [["score", "Each picture"], ["compare", "Two sets"]], "score", (what) => this.setWhat(what));
    const fields = [h("div.field", {}, h("span", {}, "Measure"), this.kinds), this.others.root, this.hint, this.modelField];
    this.setWhat("score");
    return fields;
  }

  configure() {
    this.others.restore();
  }

  setWhat(what) {
    this.what = what;
    this.kinds?.show(what);
    this.others.root.hidden = what === "score";
    this.hint.textContent = what === "score"
      ? "CLIP score, sharpness and light of every picture. There is no score for beauty: no honest model for it is here."
      : "FID, KID and CMMD say how close two sets are; the Vendi score how varied each is. 50 pictures a set or more, please.";
    this.shell.say?.("");
  }

  choosers() {
    return this.what === "compare" ? [this.chooser, this.others] : [this.chooser];
  }

  route() {
    return this.what;
  }

  capabilities() {
    return ["score", "compare"];
  }

  request() {
    return this.what === "score" ? { pictures: this.chooser.ids() } : { pictures: this.chooser.ids(), others: this.others.ids() };
  }

  async recall(job) {
    this.setWhat(job.capability);
    await this.shell.remember(job.request.pictures);
    if (job.request.others?.length && !this.others.items.length) await this.others.setIds(job.request.others);
  }

  named(job, records) {
    return records.flatMap((each) => (each.picture ? [each.picture] : [...(each.odd || []), ...(each.other_odd || [])].map((one) => one.picture)));
  }

  emptyWords() {
    return ["Numbers you can stand behind", "Measure every picture, or ask how close one set is to another: is this synthetic set near the real one?"];
  }

  summary(job, records) {
    return job.capability === "compare" ? `${many(records[0]?.count || 0, "picture")} against ${(records[0]?.other_count || 0).toLocaleString("en")}` : many(records.length, "picture");
  }

  results(job, records) {
    return job.capability === "compare" ? this.report(records[0]) : this.table(records.filter((each) => !each.error));
  }

  table(records) {
    const [key, direction] = this.order;
    const sorted = [...records].sort((a, b) => direction * ((a[key] ?? -Infinity) - (b[key] ?? -Infinity)) || 0);
    const top = Object.fromEntries(MEASURES.map(([name]) => [name, Math.max(...records.map((each) => each[name] ?? 0), 1e-9)]));
    const heads = MEASURES.map(([name, words, why]) =>
      h("th", { "aria-sort": name === key ? (direction < 0 ? "descending" : "ascending") : "none" },
        h("button", { type: "button", title: why, onclick: () => ((this.order = [name, name === key ? -direction : -1]), this.draw()) }, words)));
    const row = (record) => h("tr", {}, h("td.table-picture", {}, cell(record, "", () => new Inspector(sorted, sorted.indexOf(record), (each) => this.detail(each)))), h("td", {}, record.name),
      ...MEASURES.map(([name, , , say]) => h("td.number", {}, record[name] === null || record[name] === undefined ? h("span.none", { title: "It has no prompt" }, "no prompt") : h("span.table-share", {}, bar(record[name] / top[name]), say(record[name])))));
    return h("div.table-box", {}, h("table.table", {}, h("thead", {}, h("tr", {}, h("th", {}, h("span.sr-only", {}, "Picture")), h("th", {}, "Name"), ...heads)), some(sorted, row, "tbody")));
  }

  detail(record) {
    return [shown(record.picture, picture(record.picture, { large: true, alt: record.name })),
      h("div.inspect-side", {}, h("dl.measures", {}, MEASURES.map(([name, words, why, say]) => h("div", {}, h("dt", {}, words, h("small", {}, why)), h("dd", {}, record[name] === null || record[name] === undefined ? "no prompt" : say(record[name]))))))];
  }

  report(record) {
    if (!record) return h("div");
    const number = (title, value, why, low) => h("article.figure", {}, h("h4", {}, title), h("p.figure-value", {}, value), h("p", {}, why), low && h("small", {}, low));
    const odd = (title, rows) => rows?.length ? h("section.odd", {}, h("h3", {}, title, h("span", {}, "cosine with the most alike one there")), h("div.grid", {}, rows.map((each) => cell(each, each.likeness.toFixed(2), () => new Inspector(rows, rows.indexOf(each), (one) => [shown(one.picture, picture(one.picture, { large: true, alt: one.name })), h("div.inspect-side", {}, h("p.inspect-top", {}, one.name), h("p", {}, `Cosine ${one.likeness} with the most alike picture of the other set.`))]))))) : "";
    return h("div.report", {},
      h("div.figures", {},
        number("CMMD", record.cmmd.toFixed(2), "Distance of the two sets. 0 means that they cannot be told apart.", "Bears few pictures best."),
        number("KID", `${(1000 * record.kid.mean).toFixed(2)} ± ${(1000 * record.kid.std).toFixed(2)}`, "Kernel distance, times 1,000, mean and spread over subsets. Near 0 is close.", ""),
        number("FID", record.fid.toFixed(3), "Fréchet distance between two fitted bell shapes. Lower is closer.", ""),
        number("Variety", `${record.vendi.toFixed(1)} and ${record.other_vendi.toFixed(1)}`, "Vendi score: how many quite different pictures each set amounts to.", `Of ${record.count} and ${record.other_count}.`)),
      odd("Least like the other set", record.odd),
      odd("Least like the first set", record.other_odd),
      unreadable(record.unreadable || []));
  }
}

/* -- clip --------------------------------------------------------------------------------------------------- */

const SVG = "http://www.w3.org/2000/svg";
const s = (tag, options = {}, ...children) => {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(options)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};

class Clip extends Tool {
  name = "clip"; words = "Clip"; icon = "clip"; capability = "watch"; feature = "embed"; skill = "look through clips"; verb = "Look";

  build() {
    this.clips = new Chooser("clips", { title: "Clip", words: "Drop a video clip", clips: true, limit: 1, changed: () => this.shell.settle() });
    this.labels = area({ placeholder: "a dog\na car\nnobody", "aria-label": "Labels of the clip" });
    this.every = h("input", { type: "number", min: "0.1", max: "60", step: "0.1", value: "0.5" });
    return [this.clips.root, field("Labels", this.labels, "One a line: what may be seen in the clip."), field("One look every … seconds", this.every), this.modelField];
  }

  get chooser() {
    return this.clips;
  }

  configure() {
    this.clips.restore();
  }

  request() {
    return { pictures: this.clips.ids(), labels: this.labels.value, every: Number(this.every.value) || 0.5 };
  }

  async recall(job) {
    if (!this.labels.value) this.labels.value = (job.request.labels || []).join("\n");
    if (job.request.every) this.every.value = job.request.every;
    if (!this.clips.items.length) await this.clips.setIds(job.request.pictures || []);
  }

  emptyWords() {
    return ["See what happens when", "Choose a short clip and name what may be in it. The timeline shows each label over time; the search finds its moments."];
  }

  summary(job, records) {
    return records[0]?.frames ? `${many(records[0].frames.length, "look")} at ${duration(records[0].seconds)} of film` : "1 clip";
  }

  results(job, records) {
    return h("div.clips", {}, records.filter((each) => !each.error).map((record) => this.one(record)));
  }

  one(record) {
    const player = ["mp4", "webm", "mov"].includes(known.get(record.clip)?.format)
      ? h("video", { src: original(record.clip), controls: true, muted: true, preload: "metadata", poster: thumbnail(record.clip),
          onerror: (event) => event.target.replaceWith(h("div.no-video", {}, picture(record.clip), h("p.note", {}, "This browser cannot play the clip; it was read all the same."))) })
      : picture(record.clip, { large: true, alt: record.name });
    const seek = (time) => {
      if ("currentTime" in player) player.currentTime = time;
    };
    return h("article.clip", {}, h("div.clip-player", {}, player), record.description ? h("p.clip-words", {}, record.description) : "",
      this.shown(record).length ? this.timeline(record, player, seek) : "", this.segments(record, seek), this.actions(record));
  }

  /** Colour of a label: by its place among those drawn. */
  shown(record) {
    const best = new Map();
    for (const frame of record.frames) for (const each of frame.labels) best.set(each.label, Math.max(best.get(each.label) || 0, each.probability));
    return [...best].sort((a, b) => b[1] - a[1]).slice(0, 6).map(([label]) => label);
  }

  timeline(record, player, seek) {
    const labels = this.shown(record);
    const [width, height, left, top, bottom] = [900, 240, 42, 12, 26];
    const length = Math.max(record.seconds || 0, record.frames[record.frames.length - 1]?.time || 0, 0.1);
    const x = (time) => left + (time / length) * (width - left - 12);
    const y = (share) => top + (1 - share) * (height - top - bottom);
    const chart = s("svg", { viewBox: `0 0 ${width} ${height}`, class: "timeline", role: "img", "aria-label": `Probability of ${labels.join(", ")} over ${duration(length)}` });
    for (const share of [0, 0.5, 1]) {
      chart.append(s("line", { x1: left, x2: width - 12, y1: y(share), y2: y(share), class: "rule" }), s("text", { x: left - 8, y: y(share) + 4, "text-anchor": "end" }, `${100 * share} %`));
    }
    const ticks = Math.min(8, Math.max(2, Math.round(length)));
    for (let at = 0; at <= ticks; at += 1) {
      const time = (length * at) / ticks;
      chart.append(s("text", { x: x(time), y: height - 6, "text-anchor": at === ticks ? "end" : at ? "middle" : "start" }, length < 4 ? clock(time) : clock(time).split(".")[0]));
    }
    const lines = new Map();
    for (const [place, label] of labels.entries()) {
      const points = record.frames.map((frame) => [x(frame.time), y(frame.labels.find((each) => each.label === label)?.probability ?? 0)]);
      const line = s("g", { class: `series series-${place + 1}` }, s("polyline", { points: points.map((point) => point.map((value) => value.toFixed(1)).join()).join(" ") }));
      for (const [cx, cy] of points.length <= 60 ? points : []) line.append(s("circle", { cx: cx.toFixed(1), cy: cy.toFixed(1), r: 3 }));
      lines.set(label, line);
      chart.append(line);
    }
    const cursor = s("line", { y1: top, y2: height - bottom, class: "cursor", x1: left, x2: left });
    chart.append(cursor);
    const said = h("output.timeline-said", {}, "Point at the timeline; click to go there.");
    const timeAt = (event) => {
      const box = chart.getBoundingClientRect();
      return Math.min(Math.max((((event.clientX - box.left) / box.width) * width - left) / (width - left - 12), 0), 1) * length;
    };
    const put = (time) => (cursor.setAttribute("x1", x(time)), cursor.setAttribute("x2", x(time)));
    chart.addEventListener("pointermove", (event) => {
      const time = timeAt(event);
      const frame = record.frames.reduce((near, each) => (Math.abs(each.time - time) < Math.abs(near.time - time) ? each : near));
      put(frame.time);
      said.textContent = `${clock(frame.time)}  ${frame.labels.slice(0, 3).map((each) => `${each.label} ${sure(record, each.probability)}`).join(", ")}`;
    });
    chart.addEventListener("click", (event) => seek(timeAt(event)));
    player.addEventListener?.("timeupdate", () => put(player.currentTime));
    const legend = h("div.legend", {}, labels.map((label, place) =>
      h("button.chip", { type: "button", "aria-pressed": "true", "data-series": place + 1, onclick: (event) => {
        const on = event.currentTarget.getAttribute("aria-pressed") !== "true";
        event.currentTarget.setAttribute("aria-pressed", String(on));
        lines.get(label).style.display = on ? "" : "none";
      } }, h("i"), label)));
    return h("section.panel.chart", {}, legend, chart, said);
  }

  actions(record) {
    if (!record.actions?.length) return "";
    return h("section.panel.chart", {}, h("h3", {}, "Actions in the whole clip"), h("div.bars", {}, record.actions.map((each) =>
      h("div.bars-row", {}, h("span.bars-label", {}, each.label), bar(each.probability), h("span.bars-share", {}, percent(each.probability))))));
  }

  segments(record, seek) {
    if (!record.segments?.length) return "";
    const labels = this.shown(record);
    return h("ol.moments", { "aria-label": "Moments" }, record.segments.map((each) =>
      h("li", {}, h("button", { type: "button", "data-series": labels.indexOf(each.label) + 1, onclick: () => seek(each.start) }, h("i"), h("b", {}, each.label), h("span", {}, `${clock(each.start)} to ${clock(each.end)}`)))));
  }
}

/* -- the tab ------------------------------------------------------------------------------------------------ */

class Shell {
  constructor(root) {
    this.root = root;
    this.problem = h("div.tool-problem");
    this.go = h("button.button.button-main.go", { type: "button", "data-run": "", "aria-keyshortcuts": "Control+Enter", onclick: () => this.tool.run() });
    this.stop = h("button.button.stop", { type: "button", "data-stop": "", disabled: true, onclick: () => this.tool.cancel() }, "Cancel");
    this.chooser = new Chooser("pictures", { changed: () => (this.tools?.ask.chosen(), this.settle()) });
    const list = [Sort, Ask, Caption, Check, Measure, Clip].map((Each) => new Each(this).init());
    this.tools = Object.fromEntries(list.map((each) => [each.name, each]));
    this.tabs = segments("Tool", list.map((each) => [each.name, each.words, each.icon]), "sort", (name) => this.open(name), "tools");
    root.replaceChildren(
      h("div.understand", {},
        h("section.u-controls", { "aria-label": "What to do" },
          h("div.u-fields", {}, this.tabs, this.chooser.root, ...list.map((each) => each.fields)),
          h("div.u-actions", {}, this.problem, h("div.u-run", {}, this.go, this.stop))),
        h("section.u-results", { "aria-label": "Results" }, ...list.map((each) => each.stage))),
    );
    takers.push({ root, words: "Drop pictures, or a whole folder", take: async (carrier) => this.drop(carrier) });
    this.open(this.lastTool());
    this.start();
  }

  lastTool() {
    const kept = localStorage.getItem("studio.tool");
    return this.tools[kept] ? kept : "sort";
  }

  async start() {
    await this.refresh();
    await this.chooser.restore();
    await this.take();
    for (const each of Object.values(this.tools)) await tried(() => each.restore());
    new IntersectionObserver((seen) => seen.some((entry) => entry.isIntersecting) && this.refresh()).observe(this.root);
  }

  async refresh() {
    const config = await act("understand");
    if (!config) return;
    for (const each of Object.values(this.tools)) each.offerModels(config.models);
    if (this.configured) return;
    this.configured = true;
    for (const each of Object.values(this.tools)) each.configure(config);
  }

  /** Pictures that another tab hands over. */
  async take() {
    const wanted = takeWanted(() => this.take());
    if (!wanted) return;
    this.open(wanted.name);
    if (wanted.name === "clip") return this.tools.clip.clips.setIds(wanted.ids);
    await this.chooser.setIds(wanted.ids);
  }

  /** After a reload, where nothing was chosen yet: the pictures of the newest job. */
  async remember(ids) {
    if (!this.chooser.turn && ids?.length) await this.chooser.setIds(ids);
  }

  async drop(carrier) {
    const point = window.event?.target?.closest?.(".chooser");
    const files = await droppedFiles(carrier);
    const own = point && this.tool.choosers().find((each) => each.root === point);
    await (own || this.tool.choosers()[0]).hand(files);
  }

  open(name) {
    this.tool = this.tools[name];
    localStorage.setItem("studio.tool", name);
    this.tabs.show(name);
    this.say("");
    for (const each of Object.values(this.tools)) each.fields.hidden = each.stage.hidden = each !== this.tool;
    this.chooser.root.hidden = name === "clip";
    this.settle();
  }

  say(words) {
    this.problem.replaceChildren(words ? sentence(words) : "");
  }

  /** The buttons as the open tool needs them. */
  settle() {
    if (!this.tool) return;
    const { running } = this.tool;
    this.go.textContent = this.tool.verb;
    this.go.setAttribute("aria-label", this.tool.verb);
    this.go.disabled = running;
    this.stop.disabled = !running;
  }
}

/** Fill the tab. */
export const startUnderstand = (root) => new Shell(root);
