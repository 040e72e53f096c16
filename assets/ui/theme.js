/* Light and dark: as the system says, until the button said otherwise. */

const KEPT = "studio.theme";
const system = globalThis.matchMedia?.("(prefers-color-scheme: dark)");

function apply() {
  const asked = new URLSearchParams(location.search).get("__theme") ?? localStorage.getItem(KEPT);
  const dark = asked === "dark" || (asked !== "light" && system.matches);
  document.body.classList.toggle("dark", dark);
}

export function switchTheme() {
  const dark = !document.body.classList.contains("dark");
  localStorage.setItem(KEPT, dark ? "dark" : "light");
  document.body.classList.toggle("dark", dark);
}

export function startTheme() {
  apply();
  system.addEventListener("change", apply);
}
