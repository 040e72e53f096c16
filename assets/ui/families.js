/* Names of the models, asked for once. */
import { api } from "./api.js";
import { computed, signal } from "./html.js";

/** @typedef {{id: string, name: string, kind: "diffusion" | "understanding" | "tool", available: boolean}} Family */

export const families = signal(/** @type {readonly Family[]} */ ([]));
/** Model id -> its name. */
export const names = computed(() => Object.fromEntries(families.value.map((each) => [each.id, each.name])));

let asked = false;

export async function learnFamilies() {
  if (asked) return;
  asked = true;
  families.value = await api("/models").catch(() => ((asked = false), []));
}
