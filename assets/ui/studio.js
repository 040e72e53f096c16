/* What the page does without asking Python twice: keyboard, drop, large view, following jobs and models.
   Python renders all HTML; this file moves it around and calls `act`, the one server function. */
(() => {
  "use strict";
  if (window.studio) return;

  let server = null;
  let ready = null;
  const connected = new Promise((resolve) => (ready = resolve));
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const visible = (node) => !!node && node.getClientRects().length > 0;

  /* -- talking to Python ------------------------------------------------------------------------------------- */

  async function act(op, data = {}) {
    await connected;
    let answer;
    try {
      answer = await server.act({ op, ...data });
    } catch {
      answer = { error: "The studio does not answer. Is it still running?" };
    }
    if (answer && answer.error) {
      toast(answer.error, { bad: true });
      return null;
    }
    return answer || {};
  }

  const press = (id) => $(`#${id}`)?.click();

  function write(field, text) {
    const setter = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), "value").set;
    setter.call(field, text);
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  function openTab(name) {
    $(`#tabs [role="tab"][data-tab-id="${name}"]`)?.click();
  }

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

  /* -- toasts ------------------------------------------------------------------------------------------------ */

  function toast(words, { bad = false, action = "", run = null, seconds = 7 } = {}) {
    let tray = $("#toasts");
    if (!tray) {
      tray = document.createElement("div");
      tray.id = "toasts";
      document.body.append(tray);
    }
    const note = document.createElement("div");
    note.className = bad ? "note-toast bad" : "note-toast";
    note.setAttribute("role", bad ? "alert" : "status");
    note.append(Object.assign(document.createElement("span"), { textContent: words }));
    if (action) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: action });
      button.addEventListener("click", () => (note.remove(), run()));
      note.append(button);
    }
    tray.append(note);
    setTimeout(() => note.remove(), seconds * 1000);
  }

  function announce(words) {
    const region = $("#live-region");
    if (region && words && region.textContent !== words) region.textContent = words;
  }

  /* -- light and dark ---------------------------------------------------------------------------------------- */

  const THEME = "studio.theme";
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  function applyTheme() {
    const asked = new URLSearchParams(location.search).get("__theme");
    const kept = ["light", "dark"].includes(asked) ? asked : localStorage.getItem(THEME);
    document.body.classList.toggle("dark", kept ? kept === "dark" : system.matches);
  }

  function switchTheme() {
    const dark = !document.body.classList.contains("dark");
    localStorage.setItem(THEME, dark ? "dark" : "light");
    document.body.classList.toggle("dark", dark);
  }

  /* -- pictures: star, delete, large view -------------------------------------------------------------------- */

  let gallery = null; // set when the gallery tab is first drawn
  let box = null; // the large view, a <dialog>
  let shelf = []; // ids that the large view steps through
  let shown = "";

  function markStar(id, on) {
    for (const button of $$(`[data-act="star"][data-id="${id}"]`)) button.setAttribute("aria-pressed", String(on));
    for (const cell of $$(`.thumb[data-id="${id}"]`)) cell.classList.toggle("starred", on);
  }

  async function star(id) {
    const on = $(`[data-act="star"][data-id="${id}"]`)?.getAttribute("aria-pressed") !== "true";
    const answer = await act("star", { id, on });
    if (answer) markStar(id, answer.starred);
  }

  async function remove(id) {
    const answer = await act("delete", { id });
    if (!answer) return;
    if (box?.open) box.close();
    for (const node of $$(`.pic[data-id="${id}"], .thumb[data-id="${id}"]`)) node.classList.add("gone");
    gallery?.forget(id);
    toast("Deleted. It stays restorable for 30 days.", { action: "Undo", run: () => putBack(id), seconds: 10 });
  }

  async function putBack(id) {
    const answer = await act("restore", { id });
    if (!answer) return;
    for (const node of $$(`.pic[data-id="${id}"], .thumb[data-id="${id}"]`)) node.classList.remove("gone");
    gallery?.reload();
    toast("The picture is back in the gallery.");
  }

  function reuse(id) {
    if (box?.open) box.close();
    window.studio.payload = id;
    press("do-reuse");
    window.scrollTo({ top: 0 });
  }

  function buildBox() {
    box = document.createElement("dialog");
    box.className = "box";
    box.setAttribute("aria-label", "Large view");
    box.innerHTML =
      '<div class="box-view"><button type="button" class="tool box-step" data-step="-1" aria-label="Previous picture">' +
      '<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d="M14.5 5.5L8 12l6.5 6.5"/></svg></button>' +
      '<img alt=""><p class="pic-gone">The file is missing</p>' +
      '<button type="button" class="tool box-step" data-step="1" aria-label="Next picture">' +
      '<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d="M9.5 5.5L16 12l-6.5 6.5"/></svg></button></div>' +
      '<div class="box-side"><button type="button" class="tool box-close" aria-label="Close">' +
      '<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d="M6 6l12 12M18 6L6 18"/></svg></button>' +
      '<div class="box-details"></div></div>';
    document.body.append(box);
    box.addEventListener("click", (event) => {
      if (event.target === box || event.target.closest(".box-close")) return box.close();
      const step = event.target.closest(".box-step");
      if (step) turn(Number(step.dataset.step));
    });
    box.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft") turn(-1);
      else if (event.key === "ArrowRight") turn(1);
      else if (event.key.toLowerCase() === "s" && !event.ctrlKey && !event.metaKey) star(shown);
      else return;
      event.preventDefault();
    });
  }

  async function openLarge(id, ids) {
    if (!box) buildBox();
    shelf = ids.length ? ids : [id];
    if (!box.open) box.showModal();
    await show(id);
  }

  async function show(id) {
    shown = id;
    const picture = $("img", box);
    picture.classList.remove("broken");
    picture.src = `/api/v1/assets/${id}`;
    for (const step of $$(".box-step", box)) step.hidden = shelf.length < 2;
    const answer = await act("look", { id });
    if (!answer || shown !== id) return;
    picture.alt = answer.label;
    $(".box-details", box).innerHTML = answer.html;
  }

  function turn(step) {
    const at = shelf.indexOf(shown);
    if (shelf.length > 1) show(shelf[(at + step + shelf.length) % shelf.length]);
  }

  /* -- models tab -------------------------------------------------------------------------------------------- */

  function startModels(root) {
    const refresh = repeat(async () => {
      if (!visible(root) || document.hidden) return;
      const answer = await act("models");
      if (answer) redraw($(".models-live", root), answer.html);
    }, () => 1200);
    window.studio.refreshModels = refresh;
    new IntersectionObserver((seen) => seen.some((entry) => entry.isIntersecting) && refresh()).observe(root);
    $("form", root).addEventListener("submit", async (event) => {
      event.preventDefault();
      const form = event.target;
      const problem = $(".sentence", form);
      problem.hidden = true;
      const answer = await server.act({ op: "add-model", ...Object.fromEntries(new FormData(form)) });
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
    window.studio.refreshModels?.();
  }

  /* -- create tab: jobs under way ---------------------------------------------------------------------------- */

  const live = { look: () => {}, going: false, took: 0, job: "", stopping: "" };

  function startLive(root) {
    live.look = repeat(async () => {
      if (!visible(root) || document.hidden) return;
      const begun = performance.now();
      const parts = $$("[data-part]", root); // each knows what it shows: nodes that Gradio draws afresh know nothing
      const marks = Object.fromEntries(parts.map((part) => [part.id, part.mark || ""]));
      let answer;
      try {
        answer = await server.act({ op: "live", job: live.job, marks });
      } catch {
        return; // the chip in the header says so
      }
      for (const part of parts.filter(({ id }) => answer.parts?.[id])) {
        const [mark, html] = answer.parts[part.id];
        redraw(part, html);
        part.mark = mark;
      }
      live.going = answer.going;
      live.job = answer.job;
      const cancel = $("#cancel");
      if (cancel) cancel.disabled = !live.going || live.job === live.stopping; // none yet while the page is drawn
      announce($("[data-announce]", root)?.dataset.announce);
      live.took = performance.now() - begun;
    }, () => (live.going ? Math.max(200, live.took) : 2000)); // a page that is slow to draw looks less often
    new IntersectionObserver((seen) => seen.some((entry) => entry.isIntersecting) && live.look()).observe(root);
    document.addEventListener("visibilitychange", () => live.look());
  }

  async function cancelJob(id) {
    live.stopping = id;
    if (!(await act("cancel-job", { id }))) live.stopping = "";
    live.look();
  }

  /* -- header: what the worker is doing ---------------------------------------------------------------------- */

  async function refreshStatus() {
    const chip = $("#status");
    if (!chip || document.hidden) return;
    let answer;
    try {
      answer = await server.act({ op: "status" });
    } catch {
      answer = { status: "lost", words: "No connection" };
    }
    chip.dataset.status = answer.status || "lost";
    $("span", chip).textContent = answer.words || "No connection";
  }

  /* -- prompt suggestions ------------------------------------------------------------------------------------ */

  const parts = { style: "", object: "", colour: "" };
  let composed = "";
  const an = (word) => (/^[aeio]/.test(word) ? "an" : "a");
  const named = (thing) => (/[^u]s$/.test(thing) ? thing : `${an(thing)} ${thing}`); // grapes, but a bus

  function compose(part, text) {
    const field = $("#prompt textarea");
    const now = field.value.trim();
    if (now && now !== composed) {
      for (const key of Object.keys(parts)) parts[key] = "";
    }
    parts[part] = parts[part] === text ? "" : text;
    if (now && now !== composed) {
      // The user's own words stay: the suggestion is added to them.
      const added = part === "colour" ? `${an(text)} ${text} background` : text;
      composed = "";
      parts[part] = "";
      return write(field, `${now}, ${added}`);
    }
    const background = parts.colour ? `${an(parts.colour)} ${parts.colour} background` : "";
    const subject = parts.object ? named(parts.object) : "";
    const style = parts.style ? `${parts.style} style` : "";
    composed = [[subject, background].filter(Boolean).join(" on "), style].filter(Boolean).join(", ");
    write(field, composed);
    for (const chip of $$('[data-act="compose"]')) {
      chip.setAttribute("aria-pressed", String(parts[chip.dataset.part] === chip.dataset.text));
    }
  }

  /* -- events of the whole page ------------------------------------------------------------------------------ */

  const handlers = {
    theme: switchTheme,
    tab: (node) => openTab(node.dataset.tab),
    star: (node) => star(node.dataset.id),
    delete: (node) => remove(node.dataset.id),
    restore: (node) => putBack(node.dataset.id),
    reuse: (node) => reuse(node.dataset.id),
    model: modelButton,
    prompt: (node) => {
      write($("#prompt textarea"), node.dataset.text);
      $("#prompt textarea").focus();
    },
    compose: (node) => compose(node.dataset.part, node.dataset.text),
    "copy-seed": async (node) => {
      try {
        await navigator.clipboard.writeText(node.dataset.seed);
        toast(`Copied seed ${node.dataset.seed}.`);
      } catch {
        toast("This browser does not allow copying here.", { bad: true });
      }
    },
    "cancel-job": (node) => {
      node.disabled = true;
      cancelJob(node.dataset.id);
    },
    more: () => gallery?.more(),
    select: (node) => {
      const place = node.closest(".grid, .strip, .lineage");
      openLarge(node.dataset.id, place ? $$(".thumb:not(.gone)", place).map((cell) => cell.dataset.id) : []);
    },
    open: (node) => {
      const pictures = node.closest(".pics");
      const ids = pictures
        ? $$(".pic[data-id]:not(.gone)", pictures).map((cell) => cell.dataset.id)
        : gallery && node.closest(".gallery")
          ? gallery.ids()
          : [];
      openLarge(node.dataset.id, ids);
    },
  };

  document.addEventListener("click", (event) => {
    const node = event.target.closest?.("[data-act]");
    if (node && !node.disabled) handlers[node.dataset.act]?.(node, event);
    if (event.target.closest?.("#cancel")) {
      $("#cancel").disabled = true;
      cancelJob(live.job);
    }
    if (event.target.closest?.("#generate") && matchMedia("(max-width: 900px)").matches) {
      $("#results")?.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    }
  });

  document.addEventListener(
    "error",
    (event) => {
      if (event.target.tagName === "IMG" && event.target.closest(".pic, .thumb, .box-view, .gallery-side")) {
        event.target.classList.add("broken");
      }
    },
    true,
  );

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      const button = [$("#generate"), ...$$("[data-run]")].find(visible);
      if (!button) return;
      event.preventDefault();
      if (!button.disabled) button.click();
    } else if (event.key === "Escape" && !event.defaultPrevented && !box?.open) {
      const button = [$("#cancel"), ...$$("[data-stop]")].find(visible);
      const listOpen = $('[role="listbox"]') && visible($('[role="listbox"]'));
      if (!button || button.disabled || listOpen || $("dialog[open]")) return;
      event.preventDefault();
      button.click();
    }
  });

  /* A picture dropped anywhere brings back its settings. A drop on a field that takes files stays with that field. */
  let depth = 0;
  const carriesFile = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  const ownField = (event) => event.target.closest?.("[data-testid='upload-area'], .image-container, .upload-container");
  /* Tabs that take pictures of their own name themselves in `takers`: {root, words, take(dataTransfer)}. */
  const takers = [];
  const taker = () => takers.find((each) => visible(each.root));
  const veil = (on) => {
    document.body.classList.toggle("dropping", on && !$("dialog[open]"));
    document.body.dataset.drop = taker()?.words || "Drop the picture to bring back its settings";
  };

  window.addEventListener("dragenter", (event) => carriesFile(event) && ++depth === 1 && veil(true));
  window.addEventListener("dragleave", (event) => {
    if (carriesFile(event) && --depth <= 0) veil((depth = 0) > 0);
  });
  window.addEventListener("dragover", (event) => carriesFile(event) && !ownField(event) && event.preventDefault());
  window.addEventListener(
    "drop",
    (event) => {
      depth = 0;
      veil(false);
      if (!carriesFile(event) || ownField(event)) return;
      event.preventDefault();
      event.stopPropagation();
      if (taker()) return taker().take(event.dataTransfer);
      const file = event.dataTransfer.files[0];
      const input = $("#drop input[type=file]");
      if (!file || !input) return;
      if (!/^image\/(png|jpeg|webp)$/.test(file.type)) {
        toast("Drop a PNG, JPEG or WebP picture to bring back its settings.", { bad: true });
        return;
      }
      const carrier = new DataTransfer();
      carrier.items.add(file);
      input.files = carrier.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    },
    true,
  );

  window.studio = {
    /* For the scripts of the other tabs. */
    kit: { act, announce, handlers, openLarge, openTab, remove, star, takers, toast, visible, write, $, $$ },
    payload: "",
    connect(bridge) {
      server = bridge;
      applyTheme();
      ready();
      repeat(refreshStatus, () => 4000);
    },
    live(root) {
      connected.then(() => startLive(root));
    },
    look: () => live.look(),
    /* The gallery tab, once it is drawn: {forget(id), ids(), more(), reload()}. */
    get shelves() {
      return gallery;
    },
    set shelves(drawn) {
      gallery = drawn;
    },
    models: startModels,
  };
  system.addEventListener("change", applyTheme);
})();
