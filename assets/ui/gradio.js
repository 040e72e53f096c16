/* What the scripts need of Gradio's own components: writing into a field, pressing a button, opening a tab. */

/** @template {Element} T @param {string} selector @param {ParentNode} [inside] @returns {T | null} */
export const $ = (selector, inside = document) => /** @type {T | null} */ (inside.querySelector(selector));
/** @param {string} selector @param {ParentNode} [inside] */
export const $$ = (selector, inside = document) => /** @type {HTMLElement[]} */ ([...inside.querySelectorAll(selector)]);

export const visible = (/** @type {Element | null | undefined} */ node) => Boolean(node?.getClientRects().length);

/** Write into a text field as if it was typed. */
export function write(/** @type {HTMLInputElement | HTMLTextAreaElement | null} */ field, /** @type {string} */ text) {
  if (!field) return;
  Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), "value")?.set?.call(field, text);
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

/** Press a button of Gradio's, drawn or not. */
export const press = (/** @type {string} */ id) => /** @type {HTMLElement | null} */ ($(`#${id}`))?.click();

/** The field of a form: its input or, of a group, the first one. */
export const fieldOf = (/** @type {string} */ id) =>
  /** @type {HTMLInputElement | null} */ ($(`#${id} textarea, #${id} input:not([type=hidden]), #${id} [role=listbox]`));

/** A number field of a form with something in it that is none, such as `1e`: the browser hands it over as empty. @param {string} form */
export function unreadable(form) {
  const field = /** @type {HTMLInputElement[]} */ ($$(`#${form} input[type=number]`)).find((each) => each.validity.badInput);
  const words = field?.getAttribute("aria-label") || field?.closest("label")?.querySelector("[data-testid=block-info]")?.textContent?.trim();
  return field && { id: field.closest(".block[id]")?.id ?? "", words: words ?? "" };
}

/** Open the folds around a field, so that it can be seen and take the focus. */
export function reveal(/** @type {Element} */ node) {
  for (let at = node.parentElement; at; at = at.parentElement) {
    const fold = at.querySelector(":scope > .label-wrap:not(.open)");
    if (fold && !fold.contains(node)) /** @type {HTMLElement} */ (fold).click();
  }
}

/** Fields of Gradio's whose label runs on into their help get a name and a description. @param {ParentNode} inside */
function mendLabels(inside) {
  for (const label of $$("label:has(> .info-text)", inside)) {
    const field = label.querySelector("input, textarea");
    const [words, help] = [label.querySelector("[data-testid=block-info]"), label.querySelector(".info-text")];
    if (!field || !words || !help || field.hasAttribute("aria-description")) continue;
    field.setAttribute("aria-label", words.textContent?.trim() ?? "");
    field.setAttribute("aria-description", help.textContent?.trim() ?? "");
  }
}

/** Mend the forms as Gradio draws them, folds that are opened later too. */
export function startForms() {
  const side = $("#side");
  if (!side) return void requestAnimationFrame(startForms);
  const mend = () => (mendRadios(side), mendLabels(side));
  new MutationObserver(mend).observe(side, { childList: true, subtree: true });
  mend();
}

/**
 * Radios of Gradio's get what they lack: a group with a name, and arrow keys with one stop for Tab.
 * @param {ParentNode} inside
 */
function mendRadios(inside) {
  for (const group of $$("fieldset:has(input[type=radio])", inside)) {
    if (group.getAttribute("role") === "radiogroup") continue;
    group.setAttribute("role", "radiogroup");
    const words = group.querySelector("[data-testid=block-info]")?.textContent?.trim();
    if (words) group.setAttribute("aria-label", words);
    const radios = () => /** @type {HTMLInputElement[]} */ ($$("input[type=radio]", group));
    const settle = () => {
      const all = radios();
      const stop = all.find((each) => each.checked) ?? all[0];
      for (const each of all) each.tabIndex = each === stop ? 0 : -1;
    };
    group.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
      const step = steps[/** @type {keyof typeof steps} */ (event.key)];
      if (!step) return;
      event.preventDefault();
      const all = radios();
      const next = all[(all.indexOf(/** @type {HTMLInputElement} */ (event.target)) + step + all.length) % all.length];
      next?.focus();
      next?.click();
      settle();
    });
    group.addEventListener("change", () => setTimeout(settle));
    new MutationObserver(settle).observe(group, { subtree: true, attributes: true, attributeFilter: ["class"] });
    settle();
  }
}
