/* The head of the page: its name, the tabs, what the worker does, light or dark. */
import { config } from "./config.js";
import { Tool } from "./controls.js";
import { jobs, worker } from "./events.js";
import { $ } from "./gradio.js";
import { effect, html, untracked, useEffect, useRef } from "./html.js";
import { go, link, route, startRouting } from "./route.js";
import { switchTheme } from "./theme.js";

const STATUS = { starting: "Worker is starting", ready: "Ready", busy: "Working", stopped: "Worker has stopped", lost: "No connection" };
const DEVICES = { cuda: "GPU", mps: "Apple GPU", xpu: "Intel GPU", cpu: "CPU" };

/** The worker in a few words. */
export function statusWords() {
  const { status, device } = worker.value;
  const busy = status === "ready" && [...jobs.value.values()].some((job) => job.status === "running");
  const words = STATUS[/** @type {keyof typeof STATUS} */ (busy ? "busy" : status)] ?? status;
  const on = DEVICES[/** @type {keyof typeof DEVICES} */ (device)] ?? device;
  return { status: busy ? "busy" : status, words: on ? `${words} · ${on}` : words };
}

function Tabs() {
  const own = useRef(/** @type {HTMLElement | null} */ (null));
  const { tab } = route.value;
  // A phone shows some of the tabs: the open one among them.
  useEffect(() => own.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest", inline: "center" }), [tab]);
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    const at = config.tabs.indexOf(tab);
    const last = config.tabs.length - 1;
    const to = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at ? at - 1 : last, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    go({ tab: config.tabs[to] });
    /** @type {HTMLElement | undefined} */ (own.current?.children[to])?.focus();
  };
  return html`<div class="tabs" role="tablist" aria-label="Studio" ref=${own} onKeyDown=${onKeyDown}>
    ${config.tabs.map(
      (name) => html`<a key=${name} role="tab" id=${`tab-${name}`} href=${link(name)} aria-selected=${String(name === tab)} tabindex=${name === tab ? 0 : -1}
        onClick=${(/** @type {MouseEvent} */ event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey) return;
          event.preventDefault();
          go({ tab: name });
        }}>${config.titles[name]}</a>`,
    )}
  </div>`;
}

const drawingTabs = new Set(Object.values(config.draws));

export function Header() {
  const { status, words } = statusWords();
  const skip = (/** @type {Event} */ event) => {
    event.preventDefault();
    const main = /** @type {HTMLElement | null} */ (
      [$("#stage"), ...document.querySelectorAll("#tabs [role=tabpanel]")].find((each) => each?.getClientRects().length)
    );
    main?.setAttribute("tabindex", "-1");
    main?.focus();
  };
  return html`<a class="skip" href=${drawingTabs.has(route.value.tab) ? "#stage" : link(route.value.tab, "")} onClick=${skip}>Skip to the pictures</a>
    <header class="bar">
      <h1 class="brand"><svg class="mark" viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="9" /><circle cx="13" cy="18.5" r="6" /><path d="M17 6.5h8.5V15" /></svg>
        <span>Creative Studio</span></h1>
      <${Tabs} />
      <div class="bar-tools">
        <button type="button" class="status" id="status" data-status=${status} title="Open Models" onClick=${() => go({ tab: "models" })}><i></i><span>${words}</span></button>
        <${Tool} icon="theme" label="Light or dark" onClick=${switchTheme} />
      </div>
    </header>`;
}

/** Keep Gradio's tabs, the page's title and its looks where the address is. */
export function startTabs() {
  startRouting(config.tabs);
  effect(() => {
    const { tab } = route.value;
    document.body.dataset.tab = tab;
    document.body.dataset.place = drawingTabs.has(tab) ? "workspace" : "page";
    document.title = `${config.titles[tab]} · Creative Studio`;
    const turn = () => {
      if (route.value.tab !== tab) return;
      const own = /** @type {HTMLElement | null} */ ($(`#tabs [role="tab"][data-tab-id="${tab}"]`));
      if (own) own.click();
      else requestAnimationFrame(turn); // Gradio has not drawn its tabs yet
    };
    untracked(turn);
  });
}
