/* The tools of the open tab, beside the stage, and the drawer that a tool opens. */
import { mode } from "./canvas/state.js";
import { MaskTools } from "./canvas/tools.js";
import { html, signal, useEffect } from "./html.js";
import { Tool } from "./controls.js";
import { Icon } from "./icons.js";
import { Ideas, Styles, surprise, vocabulary } from "./ideas.js";
import { route } from "./route.js";

/** @typedef {{name: string, words: string, icon: import("./icons.js").IconName, draw?: () => any, run?: () => void, always?: boolean}} RailTool */

/** @type {RailTool} */
const styles = { name: "styles", words: "Styles", icon: "palette", draw: () => html`<${Styles} />` };
/** @type {RailTool} */
const ideas = { name: "ideas", words: "Ideas", icon: "ideas", draw: () => html`<${Ideas} />` };

/** Tools by tab. One that is `always` on is what the tab's button does. @type {Record<string, RailTool[]>} */
const TOOLS = {
  create: [styles, ideas, { name: "surprise", words: "Surprise me", icon: "dice", run: surprise }],
  variations: [styles, ideas],
  edit: [{ name: "redraw", words: "Redraw", icon: "redraw", always: true }, styles, ideas],
};

const open = signal("");

export function Rail() {
  const { tab } = route.value;
  const tools = (TOOLS[tab] ?? []).filter((each) => !mode.value || !each.always);
  useEffect(() => void (open.value = ""), [tab]);
  const shown = tools.find((each) => each.name === open.value && each.draw);
  return html`<div class="rail-tools" role="toolbar" aria-label="Tools" aria-orientation="vertical">
      ${mode.value && html`<${MaskTools} />`}
      ${tools.map((each) => {
        const on = each.always || open.value === each.name;
        const press = each.run ?? (() => (open.value = on ? "" : each.name));
        const state = each.draw ? { "aria-expanded": String(on) } : each.always ? { "aria-pressed": "true" } : {};
        return html`<button key=${each.name} type="button" class=${on ? "rail-tool on" : "rail-tool"} onClick=${each.always ? undefined : press} ...${state}>
          <${Icon} name=${each.icon} /><span>${each.words}</span></button>`;
      })}
    </div>
    ${shown &&
    html`<section class="drawer panel" aria-label=${shown.words}>
      <header><h2>${shown.name === "ideas" && vocabulary.value ? "What it can draw" : shown.words}</h2><${Tool} icon="close" label="Close" onClick=${() => (open.value = "")} /></header>
      <div class="drawer-body" tabindex="0" role="group" aria-label=${shown.words}>${shown.draw?.()}</div></section>`}`;
}
