import assert from "node:assert/strict";
import { test } from "node:test";
import { answer, openPage, settle } from "./page.js";

openPage();
answer({});
const { html, render } = await import("../../assets/ui/html.js");
const { know } = await import("../../assets/ui/library.js");
const { Chosen } = await import("../../assets/ui/chooser.js");
const { Sort } = await import("../../assets/ui/sort.js");
const { Caption } = await import("../../assets/ui/caption.js");
const { Stage } = await import("../../assets/ui/tool.js");

/** @type {any} */
const item = { id: "p", name: "photo.png", from: "upload", kind: "picture", width: 30, height: 20, parameters: {}, notes: [], starred: false, seed: null };
know([item, { ...item, id: "q", name: "apple.png" }]);
const shell = { chosen: new Chosen("test"), say: () => {}, remember: async () => {} };
/** @type {any} */
const done = { id: "j", capability: "zero-shot", status: "done", step: 1, steps: 1, attempt: 1, notes: [], asset_ids: [], results: 1, seconds: 1, error: null, request: { pictures: ["p", "q"] } };
const doubted = { outside_world: true, doubt: "Not a picture of this model's world." };

/** @param {any} tool @param {any[]} records */
async function shown(tool, records) {
  tool.job.value = done;
  tool.records.value = records;
  const place = globalThis.document.createElement("div");
  render(html`<${Stage} tool=${tool} open=${true} />`, place);
  await settle();
  return place;
}

test("what a model doubts has its sentence, a pile of its own, no percentage and a way to a real model", async () => {
  const labels = [{ label: "cup", probability: 0.99, cosine: 0.3 }, { label: "fox", probability: 0.01, cosine: 0.1 }];
  const place = await shown(new Sort(shell), [
    { index: 0, picture: "p", name: "photo.png", top: "cup", labels, heat: {}, ...doubted },
    { index: 1, picture: "q", name: "apple.png", top: "cup", labels, heat: {} },
  ]);
  const doubt = place.querySelector(".doubt");
  assert.match(doubt?.textContent ?? "", /1 picture of 2: Not a picture of this model's world\..*real world/s);
  const piles = [...place.querySelectorAll(".pile")];
  assert.deepEqual(piles.map((each) => each.getAttribute("aria-label")), ["Not of this model's world", "cup"]);
  assert.doesNotMatch(piles[0]?.textContent ?? "", /%/);
  assert.match(piles[1]?.textContent ?? "", /99 %/);
});

test("a caption of such a picture says so beside its words", async () => {
  const place = await shown(new Caption(shell), [{ index: 0, picture: "p", name: "photo.png", caption: "three butterflies", ...doubted }]);
  assert.match(place.querySelector(".captioned")?.textContent ?? "", /Not of this model's world/);
});
