import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage } from "./page.js";

openPage();
const { bytes, clock, duration, many, moment, percent, short } = await import("../../assets/ui/words.js");
const { replaceWord, sentence } = await import("../../assets/ui/ideas.js");
const { columns } = await import("../../assets/ui/stage.js");
const { outcomeWords, progressWords, share } = await import("../../assets/ui/job.js");
const { verb } = await import("../../assets/ui/composer.js");

/** @param {Partial<import("../../assets/ui/events.js").Job>} [more] @returns {import("../../assets/ui/events.js").Job} */
const job = (more) => ({
  id: "a", capability: "text-to-image", family: "starter", request: {}, status: "running", created_at: "2026-01-01T00:00:00Z", attempt: 1,
  step: 0, steps: 16, message: "", error: null, seconds: null, notes: [], asset_ids: [], results: 0, position: null, eta_seconds: null, ...more,
});

test("numbers are words for people", () => {
  assert.equal(many(1, "picture"), "1 picture");
  assert.equal(many(1200, "picture"), "1,200 pictures");
  assert.deepEqual([0, 0.0001, 0.034, 0.5, 1].map(percent), ["0.0 %", "< 0.1 %", "3.4 %", "50 %", "100 %"]);
  assert.deepEqual([0.01, 9.94, 40.2, 125, 4000].map(duration), ["0.1 s", "9.9 s", "40 s", "3 min", "1 h 7 min"]);
  assert.deepEqual([12, 3400, 61e6, 4.3e9].map(bytes), ["12 bytes", "3 kB", "61 MB", "4.3 GB"]);
  assert.equal(clock(64.5), "1:04.5");
  assert.equal(short("a ".repeat(50), 10), "a a a a a…");
  assert.equal(moment("2026-11-25T09:05:00"), moment("2026-11-25T09:05:00Z"), "a moment without a zone is UTC");
});

test("a sentence is composed as it is spoken", () => {
  assert.equal(sentence({ object: "apple", colour: "orange", style: "cartoon" }), "an apple on an orange background, cartoon style");
  assert.equal(sentence({ object: "grapes" }), "grapes");
  assert.equal(sentence({ object: "octopus" }), "an octopus");
  assert.equal(replaceWord("A Cat and a cat", "cat", "fox"), "A fox and a cat");
});

test("a job is told as it stands", () => {
  assert.equal(progressWords(job({ status: "queued", position: 3, eta_seconds: 12 })), "Number 3 in line · about 12 s left");
  assert.equal(progressWords(job({ step: 7, eta_seconds: 2 })), "Step 7 of 16 · about 2.0 s left");
  assert.equal(progressWords(job({ eta_seconds: 2 })), "Getting the model ready", "nothing is known before the first step");
  assert.equal(progressWords(job({ attempt: 2, step: 1 })), "Step 1 of 16 · attempt 2");
  assert.equal(share(job({ step: 32 })), 1);
  assert.equal(outcomeWords(job({ status: "cancelled" }), ""), "Cancelled before anything was finished.");
  assert.equal(outcomeWords(job({ status: "done", seconds: 0.94 }), "1 picture"), "1 picture in 0.9 s");
});

test("the button names what it will do", () => {
  assert.equal(verb("create", {}), "Draw a picture");
  assert.equal(verb("create", { count: 4 }), "Draw 4 pictures");
  assert.equal(verb("create", { count: 8, keep_best: 2 }), "Draw 8 pictures, keep 2");
  assert.equal(verb("edit", { count: 1 }), "Redraw this picture");
  assert.equal(verb("edit", { count: 4 }), "Redraw this picture 4 times");
});

test("results are laid out so that they are large", () => {
  assert.deepEqual([1, 2, 3, 4, 6, 9, 16].map((count) => columns(count, 1)), [1, 2, 2, 2, 3, 3, 6]);
  assert.equal(columns(3, 0.5), 3);
});
