/* The page's addresses: `#<tab>` or `#<tab>/<picture id>`. A hash, so that every address is served by the same page. */
import { signal } from "./html.js";

/** @typedef {{tab: string, picture: string}} Route */

const ID = /^[0-9a-f]{32}$/;
let tabs = /** @type {readonly string[]} */ ([]);

/** @param {string} hash @returns {Route} */
export function parse(hash) {
  const [tab = "", picture = ""] = hash.replace(/^#/, "").split("/");
  return { tab: tabs.includes(tab) ? tab : (tabs[0] ?? ""), picture: ID.test(picture) ? picture : "" };
}

const write = (/** @type {Route} */ { tab, picture }) => (picture ? `#${tab}/${picture}` : `#${tab}`);

/** Where the page is. */
export const route = signal(/** @type {Route} */ ({ tab: "", picture: "" }));

/** The address of a tab, with the picture that is open kept where `picture` is not given. */
export const link = (/** @type {string} */ tab, picture = route.value.picture) => write({ tab, picture });

/** Go to a tab and a picture; back leads to where the page was. */
export function go(/** @type {Partial<Route>} */ to) {
  const next = { ...route.value, ...to };
  if (next.tab === route.value.tab && next.picture === route.value.picture) return;
  const turn = next.tab === route.value.tab ? "replaceState" : "pushState";
  history[turn](null, "", write(next));
  route.value = next;
}

/** Begin with the names of the tabs, the first of them the one without an address. */
export function startRouting(/** @type {readonly string[]} */ names) {
  tabs = names;
  const read = () => (route.value = parse(location.hash));
  window.addEventListener("popstate", read);
  window.addEventListener("hashchange", read);
  read();
}
