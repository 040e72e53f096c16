/* Keys and drops of the whole page. */
import { reuseFile, send, sheet } from "./composer.js";
import { $, $$, visible } from "./gradio.js";
import { cancel } from "./job.js";
import { droppedFiles, upload } from "./library.js";
import { route } from "./route.js";
import { toast } from "./say.js";
import { job, line, showPicture } from "./session.js";
import { isActive } from "./events.js";

/** Tabs that take dropped files of their own: where they are, what the veil says, what to do. */
export const takers = /** @type {{root: Element, words: string, take: (carrier: DataTransfer) => unknown}[]} */ ([]);

const onWorkspace = () => document.body.dataset.place === "workspace";
const TEXT = "textarea, input:not([type=radio], [type=checkbox], [type=range], [type=button]), select, [role=listbox], [contenteditable]";

/** @param {KeyboardEvent} event */
function onKeyDown(event) {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    if (onWorkspace()) return send();
    const button = /** @type {HTMLButtonElement | undefined} */ ($$("[data-run]").find(visible));
    if (button && !button.disabled) button.click();
  } else if (event.key === "Escape" && !event.defaultPrevented) {
    // Never out of a field, where it closes a list or takes back what was typed.
    if ($("dialog[open]") || /** @type {Element} */ (event.target).closest?.(TEXT)) return;
    if (sheet.value) {
      sheet.value = false;
      return void /** @type {HTMLElement | null} */ ($(".sheet-button"))?.focus();
    }
    const going = isActive(job.value) ? job.value : line.value[0];
    if (onWorkspace() && going) return void cancel(going.id);
    const button = /** @type {HTMLButtonElement | undefined} */ ($$("[data-stop]").find(visible));
    if (button && !button.disabled) button.click();
  }
}

/** @param {DataTransfer} carrier */
async function take(carrier) {
  const own = takers.find((each) => visible(each.root));
  if (own) return own.take(carrier);
  if (!onWorkspace()) return;
  const [file] = await droppedFiles(carrier);
  if (!file) return;
  if (route.value.tab === "create") return reuseFile(file);
  const { items, skipped } = await upload([file]);
  if (skipped[0]) toast(`${skipped[0].name}: ${skipped[0].reason}`, { bad: true });
  if (items[0]) showPicture(items[0].id);
}

function words() {
  const own = takers.find((each) => visible(each.root));
  if (own) return own.words;
  return route.value.tab === "create" ? "Drop the picture to bring back its settings" : "Drop the picture to work on it";
}

export function startKeys() {
  document.addEventListener("keydown", onKeyDown);
  let depth = 0;
  const files = (/** @type {DragEvent} */ event) => Boolean(event.dataTransfer && [...event.dataTransfer.types].includes("Files"));
  const veil = (/** @type {boolean} */ on) => {
    document.body.classList.toggle("dropping", on && !$("dialog[open]"));
    document.body.dataset.drop = words();
  };
  window.addEventListener("dragenter", (event) => files(event) && ++depth === 1 && veil(true));
  window.addEventListener("dragleave", (event) => {
    if (files(event) && --depth <= 0) veil((depth = 0) > 0);
  });
  window.addEventListener("dragover", (event) => files(event) && event.preventDefault());
  window.addEventListener(
    "drop",
    (event) => {
      depth = 0;
      veil(false);
      if (!event.dataTransfer || !files(event)) return;
      event.preventDefault();
      event.stopPropagation();
      take(event.dataTransfer);
    },
    true,
  );
}
