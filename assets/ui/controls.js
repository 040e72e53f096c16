/* Small controls that every part of the page uses: buttons, one-of-several, windows over the page. */
import { html, render, useEffect, useRef } from "./html.js";
import { Icon } from "./icons.js";

/** @typedef {import("./icons.js").IconName} IconName */

/**
 * A button with words.
 * @param {{icon?: IconName, main?: boolean, class?: string, children?: import("./html.js").Children, [name: string]: unknown}} props
 */
export function Button({ icon, main = false, class: kind = "", children, ...more }) {
  return html`<button type="button" class=${["button", main && "button-main", kind].filter(Boolean).join(" ")} ...${more}>
    ${icon && html`<${Icon} name=${icon} />`}${children}
  </button>`;
}

/**
 * A round button that shows only an icon; `label` is its name and what a pointer is told.
 * @param {{icon: IconName, label: string, class?: string, [name: string]: unknown}} props
 */
export function Tool({ icon, label, class: kind = "", ...more }) {
  return html`<button type="button" class=${kind ? `tool ${kind}` : "tool"} title=${label} aria-label=${label} ...${more}>
    <${Icon} name=${icon} />
  </button>`;
}

/** A sentence that says what is wrong. @param {{id?: string, children?: import("./html.js").Children}} props */
export const Sentence = ({ id, children }) =>
  html`<p class="sentence" role="alert" id=${id}><${Icon} name="alert" /><span>${children}</span></p>`;

/**
 * One of several as a row of buttons: a radio group with one stop for Tab and arrow keys inside.
 * @param {{label: string, value: string, choices: Array<[value: string, words: string, icon?: IconName]>,
 *   choose: (value: string) => void, kind?: string}} props
 */
export function Segments({ label, value, choices, choose, kind = "" }) {
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    const step = steps[/** @type {keyof typeof steps} */ (event.key)];
    if (!step) return;
    event.preventDefault();
    const group = /** @type {HTMLElement} */ (event.currentTarget);
    const next = (choices.findIndex(([each]) => each === value) + step + choices.length) % choices.length;
    choose(choices[next][0]);
    /** @type {HTMLElement} */ (group.children[next]).focus();
  };
  return html`<div class=${kind ? `segments ${kind}` : "segments"} role="radiogroup" aria-label=${label} onKeyDown=${onKeyDown}>
    ${choices.map(
      ([name, words, icon]) => html`<button key=${name} type="button" role="radio" data-value=${name}
        aria-checked=${String(name === value)} tabindex=${name === value ? 0 : -1} onClick=${() => choose(name)}>
        ${icon && html`<${Icon} name=${icon} />`}<span>${words}</span>
      </button>`,
    )}
  </div>`;
}

/**
 * Arrow keys, Home and End inside a strip or grid of cells of which one can be reached with Tab. Cells carry
 * `data-cell` with their id; `keys` does what other keys ask for.
 * @param {{label: string, class?: string, role?: string, keys?: (event: KeyboardEvent, id: string) => unknown,
 *   children?: import("./html.js").Children}} props
 */
export function Roving({ label, class: kind = "", role = "toolbar", keys, children }) {
  const own = useRef(/** @type {HTMLElement | null} */ (null));
  const cells = () => /** @type {HTMLElement[]} */ ([...(own.current?.querySelectorAll("[data-cell]") ?? [])]);
  const settle = (/** @type {HTMLElement | undefined} */ chosen) => {
    const all = cells();
    const stop = chosen ?? all.find((each) => each.tabIndex === 0) ?? all.find((each) => each.ariaCurrent) ?? all[0];
    for (const each of all) each.tabIndex = each === stop ? 0 : -1;
  };
  useEffect(() => settle(undefined));
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    const cell = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-cell]"));
    if (!cell || event.ctrlKey || event.metaKey || event.altKey) return;
    const all = cells();
    const at = all.indexOf(cell);
    const columns = all.filter((each) => each.offsetTop === all[0]?.offsetTop).length || 1;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -at, End: all.length - 1 - at };
    const step = steps[/** @type {keyof typeof steps} */ (event.key)];
    if (step === undefined) return void keys?.(event, cell.dataset.cell ?? "");
    event.preventDefault();
    const next = all[Math.min(Math.max(at + step, 0), all.length - 1)];
    settle(next);
    next?.focus();
  };
  const onFocusIn = (/** @type {FocusEvent} */ event) => {
    const cell = /** @type {Element} */ (event.target).closest("[data-cell]");
    if (cell) settle(/** @type {HTMLElement} */ (cell));
  };
  return html`<div ref=${own} class=${kind} role=${role} aria-label=${label} onKeyDown=${onKeyDown} onFocusIn=${onFocusIn}>${children}</div>`;
}

/**
 * A window over the page, as long as it is rendered. The focus comes back to where it was.
 * @param {{label: string, class?: string, close: () => void, onKeyDown?: (event: KeyboardEvent) => void,
 *   children?: import("./html.js").Children}} props
 */
export function Dialog({ label, class: kind = "box-wide", close, onKeyDown, children }) {
  const own = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => {
    const before = document.activeElement;
    own.current?.showModal();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  const outside = (/** @type {MouseEvent} */ event) => event.target === own.current && close();
  const onCancel = (/** @type {Event} */ event) => (event.preventDefault(), close());
  return html`<dialog ref=${own} class=${kind} aria-label=${label} onClick=${outside} onCancel=${onCancel} onKeyDown=${onKeyDown}>
    ${children}
  </dialog>`;
}

/** Where windows over the page are kept, so that they look as the page does. */
export const frame = () => document.querySelector(".gradio-container") ?? document.body;

/**
 * Show a window until `draw`'s component calls its `done`.
 * @template T
 * @param {(done: (answer: T) => void) => import("./html.js").Children} draw
 * @returns {Promise<T>}
 */
export function ask(draw) {
  const place = document.createElement("div");
  place.className = "window";
  frame().append(place);
  return new Promise((resolve) => {
    const done = (/** @type {T} */ answer) => {
      render(null, place);
      place.remove();
      resolve(answer);
    };
    render(/** @type {any} */ (draw(done)), place);
  });
}

/**
 * Ask for one line of text; null when the window was closed.
 * @param {string} title @param {string} label @param {string} [value]
 * @returns {Promise<string | null>}
 */
export function askName(title, label, value = "") {
  return ask((done) => {
    const submit = (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      const words = String(new FormData(/** @type {HTMLFormElement} */ (event.target)).get("name") ?? "").trim();
      done(words || null);
    };
    return html`<${Dialog} label=${title} class="box-small" close=${() => done(null)}>
      <form class="ask-name" onSubmit=${submit}>
        <h2>${title}</h2>
        <label class="field"><span>${label}</span>
          <input name="name" type="text" maxlength="80" required autocomplete="off" value=${value} autofocus /></label>
        <div class="row-end"><${Button} onClick=${() => done(null)}>Cancel<//>
          <button type="submit" class="button button-main">Save</button></div>
      </form>
    <//>`;
  });
}
