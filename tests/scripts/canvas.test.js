import assert from "node:assert/strict";
import { test } from "node:test";
import { fitted, held, toPicture, toScreen, zoomed } from "../../assets/ui/canvas/geometry.js";
import { History, pack, STEPS, TILE, unpack } from "../../assets/ui/canvas/history.js";
import { Mask } from "../../assets/ui/canvas/mask.js";
import { distances, feather, marked, spread } from "../../assets/ui/canvas/morphology.js";
import { corners, ellipse, flood, polygon, stroke } from "../../assets/ui/canvas/raster.js";
import { rgb, sample } from "../../assets/ui/canvas/screen.js";

/** @param {number} width @param {number} height */
const blank = (width, height) => ({ width, height, data: new Uint8Array(width * height) });
/** @param {{width: number, data: Uint8Array}} bitmap @param {number} x @param {number} y */
const at = (bitmap, x, y) => /** @type {number} */ (bitmap.data[y * bitmap.width + x]);
/** @param {{data: Uint8Array}} bitmap */
const area = ({ data }) => data.reduce((sum, value) => sum + value, 0) / 255;
/** Numbers that look random and are the same every time. */
function noise() {
  let state = 7;
  return () => ((state = (state * 1103515245 + 12345) % 2147483648) / 2147483648);
}
const HARD = { hardness: 1, erase: false };

test("what is under the pointer stays there when the view is zoomed", () => {
  const box = { width: 800, height: 500 };
  const view = fitted({ width: 2048, height: 1024 }, box);
  assert.deepEqual(toScreen(view, { x: 1024, y: 512 }), { x: 400, y: 250 });
  const pointer = { x: 123, y: 45 };
  const before = toPicture(view, pointer);
  const near = zoomed(view, 7, pointer, [0.01, 32]);
  const after = toPicture(near, pointer);
  assert.ok(Math.hypot(after.x - before.x, after.y - before.y) < 1e-9);
  assert.equal(zoomed(view, 1e9, pointer, [0.01, 32]).scale, 32);
  const away = held({ ...near, x: 1e6, y: -1e6 }, { width: 2048, height: 1024 }, box);
  assert.equal(away.x, 800 - 48);
  assert.ok(Math.abs(away.y + 1024 * near.scale - 48) < 1e-9);
});

test("a dab is a disc of its size: full inside, nothing outside, an edge of one pixel", () => {
  const bitmap = blank(64, 64);
  const dab = { x: 32, y: 32, radius: 10 };
  stroke(bitmap, dab, dab, HARD);
  assert.ok(Math.abs(area(bitmap) - Math.PI * 100) < 3);
  assert.equal(at(bitmap, 32, 32), 255);
  assert.equal(at(bitmap, 43, 32), 0);
  assert.equal(at(bitmap, 40, 32), 255);
});

test("a stroke has no gaps however fast it was, and ends outside the picture", () => {
  const bitmap = blank(300, 40);
  stroke(bitmap, { x: -50, y: 20, radius: 5 }, { x: 350, y: 20, radius: 5 }, HARD);
  for (let x = 0; x < 300; x += 1) assert.equal(at(bitmap, x, 20), 255);
  assert.equal(at(bitmap, 150, 13), 0);
});

test("a soft stroke that crosses itself is not harder there, and erasing takes back as much", () => {
  const [one, twice] = [blank(80, 80), blank(80, 80)];
  const soft = { hardness: 0.2, erase: false };
  const [a, b] = [{ x: 10, y: 40, radius: 12 }, { x: 70, y: 40, radius: 12 }];
  stroke(one, a, b, soft);
  stroke(twice, a, b, soft);
  stroke(twice, b, a, soft);
  assert.ok(one.data.every((value, index) => Math.abs(value - at(twice, index % 80, Math.floor(index / 80))) <= 1));
  const over = (/** @type {any} */ dab) => ({ ...dab, radius: dab.radius + 1 });
  stroke(twice, over(a), over(b), { ...HARD, erase: true });
  assert.equal(area(twice), 0);
});

test("pressure makes a stroke wider towards one end", () => {
  const bitmap = blank(120, 60);
  stroke(bitmap, { x: 20, y: 30, radius: 3 }, { x: 100, y: 30, radius: 20 }, HARD);
  const tall = (/** @type {number} */ x) => Array.from({ length: 60 }, (_, y) => at(bitmap, x, y)).filter((value) => value > 127).length;
  assert.ok(tall(22) < 9 && tall(98) > 36);
});

test("a rectangle is sharp and covers exactly its pixels", () => {
  const bitmap = blank(50, 50);
  polygon(bitmap, corners({ x: 30.2, y: 40.4 }, { x: 9.9, y: 20.3 }));
  assert.equal(area(bitmap), 20 * 20);
  assert.deepEqual(marked(bitmap), { left: 10, top: 20, right: 30, bottom: 40 });
  polygon(bitmap, corners({ x: 0, y: 0 }, { x: 50, y: 30 }), true);
  assert.equal(area(bitmap), 20 * 10);
});

test("an ellipse has its area, a lasso that crosses itself is filled everywhere", () => {
  const bitmap = blank(100, 100);
  polygon(bitmap, ellipse({ x: 10, y: 20 }, { x: 90, y: 70 }));
  assert.ok(Math.abs(area(bitmap) - Math.PI * 40 * 25) < 2);
  const star = blank(100, 100);
  polygon(star, Array.from({ length: 5 }, (_, turn) => ({ x: 50 + 45 * Math.sin((turn * 4 * Math.PI) / 5), y: 50 - 45 * Math.cos((turn * 4 * Math.PI) / 5) })));
  assert.equal(at(star, 50, 50), 255);
});

test("fill stays inside an outline, takes its soft edge with it and does not leak over it", () => {
  const bitmap = blank(100, 100);
  const ring = Array.from({ length: 61 }, (_, turn) => ({ x: 50 + 30 * Math.cos(turn / 9.55), y: 50 + 30 * Math.sin(turn / 9.55), radius: 5 }));
  for (let turn = 1; turn < ring.length; turn += 1) stroke(bitmap, ring[turn - 1], ring[turn], { hardness: 0.3, erase: false });
  const outside = at(bitmap, 50, 14);
  flood(bitmap, { x: 50, y: 50 }, () => {});
  for (let x = 22; x < 78; x += 1) assert.equal(at(bitmap, x, 50), 255, `${x}`);
  assert.equal(at(bitmap, 2, 2), 0);
  assert.equal(at(bitmap, 50, 14), outside);
  assert.deepEqual(flood(bitmap, { x: -1, y: 5 }, () => {}), { left: 0, top: 0, right: 0, bottom: 0 });
  flood(bitmap, { x: 50, y: 50 }, () => {}, true);
  assert.ok(area(bitmap) < 400, "and empties it the other way");
});

test("distances are exact", () => {
  const next = noise();
  const bitmap = blank(37, 23);
  bitmap.data.forEach((_, index) => void (bitmap.data[index] = next() > 0.97 ? 255 : 0));
  const far = distances(bitmap, { left: 0, top: 0, right: 37, bottom: 23 }, true);
  const set = [...bitmap.data.keys()].filter((index) => bitmap.data[index]);
  for (let index = 0; index < far.length; index += 1) {
    const wanted = Math.min(...set.map((each) => Math.hypot((each % 37) - (index % 37), Math.floor(each / 37) - Math.floor(index / 37))));
    assert.ok(Math.abs(/** @type {number} */ (far[index]) - wanted) < 1e-4);
  }
});

test("growing rounds corners, shrinking comes back inside, the picture's edge is not eaten", () => {
  const bitmap = blank(100, 100);
  polygon(bitmap, corners({ x: 40, y: 40 }, { x: 60, y: 60 }));
  spread(bitmap, 8, () => {});
  assert.deepEqual(marked(bitmap), { left: 32, top: 32, right: 68, bottom: 68 });
  assert.equal(at(bitmap, 33, 33), 0, "a corner is round");
  spread(bitmap, -8, () => {});
  assert.ok(Math.abs(area(bitmap) - 400) < 30);
  const full = blank(20, 20);
  full.data.fill(255);
  spread(full, -4, () => {});
  assert.equal(area(full), 400);
  assert.equal(spread(blank(9, 9), 4, () => assert.fail()).right, 0);
});

test("feathering keeps the amount and the middle of an edge, and is smooth", () => {
  const bitmap = blank(120, 60);
  polygon(bitmap, corners({ x: 0, y: 0 }, { x: 60, y: 60 }));
  feather(bitmap, 12, () => {});
  const row = Array.from({ length: 120 }, (_, x) => at(bitmap, x, 30));
  assert.equal(row[0], 255);
  assert.equal(row[90], 0);
  assert.ok(Math.abs(/** @type {number} */ (row[59]) + /** @type {number} */ (row[60]) - 255) <= 2);
  for (let x = 1; x < 120; x += 1) assert.ok(/** @type {number} */ (row[x]) <= /** @type {number} */ (row[x - 1]));
  assert.ok(/** @type {number} */ (row[53]) < 250 && /** @type {number} */ (row[53]) > 150);
});

test("packed bytes come back as they were, flat ones small and noise never larger", () => {
  const next = noise();
  for (const bytes of [new Uint8Array(16384).fill(255), Uint8Array.from({ length: 16384 }, () => next() * 256), Uint8Array.from([3]), Uint8Array.from({ length: 1000 }, (_, index) => index >> 3)]) {
    const packed = pack(bytes);
    assert.deepEqual(unpack(packed, bytes.length), bytes);
    assert.ok(packed.length <= bytes.length + 1);
  }
  assert.ok(pack(new Uint8Array(16384)).length < 6);
});

test("fifty steps go back to the first byte and forward to the last, with tiles that are cut off", () => {
  const next = noise();
  const mask = new Mask(300, 170);
  const versions = [mask.bitmap.data.slice()];
  for (let step = 0; step < STEPS; step += 1) {
    const point = () => ({ x: next() * 320 - 10, y: next() * 180 - 5 });
    if (step % 10 === 4) mask.invert();
    else if (step % 10 === 7) mask.feather(9);
    else if (step % 10 === 8) mask.spread(step % 20 > 10 ? 5 : -3);
    else if (step % 2) mask.shape("ellipse", ellipse(point(), point()), next() > 0.7);
    else {
      mask.begin({ ...point(), radius: 9 }, { hardness: 0.4, erase: next() > 0.8 });
      mask.move({ ...point(), radius: 4 });
      mask.end();
    }
    if (mask.history.past.length === versions.length) versions.push(mask.bitmap.data.slice());
  }
  assert.ok(versions.length > 35);
  for (let back = versions.length - 2; back >= 0; back -= 1) {
    assert.notEqual(mask.undo(), "");
    assert.deepEqual(mask.bitmap.data, versions[back]);
  }
  assert.equal(mask.undo(), "");
  for (const version of versions.slice(1)) {
    assert.notEqual(mask.redo(), "");
    assert.deepEqual(mask.bitmap.data, version);
  }
  assert.equal(mask.redo(), "");
});

test("the oldest step falls out after fifty, a new action ends what could be redone, what changed nothing is no step", () => {
  const mask = new Mask(200, 200);
  for (let step = 0; step < STEPS + 7; step += 1) mask.shape("rectangle", corners({ x: step, y: 0 }, { x: step + 1, y: 9 }), false);
  assert.equal(mask.history.past.length, STEPS);
  mask.undo();
  mask.shape("rectangle", corners({ x: 0, y: 0 }, { x: 3, y: 3 }), false);
  assert.equal(mask.history.past.length, STEPS - 1, "those pixels are marked already");
  assert.equal(mask.history.future.length, 1);
  mask.shape("rectangle", corners({ x: 100, y: 100 }, { x: 103, y: 103 }), false);
  assert.equal(mask.history.future.length, 0);
});

test("a step keeps only the tiles that it touched; a cancelled stroke leaves nothing", () => {
  const mask = new Mask(TILE * 8, TILE * 8);
  /** @type {number[]} */
  let told = [];
  mask.changed = (tiles) => void (told = [...tiles]);
  mask.begin({ x: 10, y: 10, radius: 6 }, HARD);
  mask.move({ x: 30, y: 10, radius: 6 });
  mask.end();
  assert.deepEqual(told, [0]);
  assert.deepEqual([...(mask.history.past[0]?.tiles.keys() ?? [])], [0]);
  const before = mask.bitmap.data.slice();
  mask.begin({ x: TILE, y: TILE, radius: 20 }, HARD);
  mask.move({ x: 3 * TILE, y: TILE, radius: 20 });
  mask.cancel();
  assert.deepEqual(mask.bitmap.data, before);
  assert.equal(mask.history.past.length, 1);
  assert.ok(Math.abs(mask.share - area(mask.bitmap) / (TILE * TILE * 64)) < 1e-9);
  mask.clear();
  assert.ok(mask.empty);
  assert.equal(new History(mask.bitmap).undo(), null);
});

test("the screen shows the mask's own pixels near and their mean from afar, only where asked", () => {
  const bitmap = blank(4, 4);
  bitmap.data[5] = 255;
  bitmap.data[6] = 100;
  const out = new Uint32Array(8 * 8);
  sample(out, { left: 0, top: 0, right: 8, bottom: 8 }, bitmap, { scale: 2, x: 0, y: 0 }, rgb("#ff8000"));
  const bytes = new Uint8Array(out.buffer);
  assert.deepEqual([...bytes.slice(4 * (2 * 8 + 2), 4 * (2 * 8 + 2) + 4)], [255, 128, 0, 95]);
  assert.equal(bytes[4 * (3 * 8 + 5) + 3], 100, "in the darker stripe");
  assert.equal(bytes[4 * (2 * 8 + 5) + 3], 37, "in the lighter one");
  assert.equal(out[0], 0);
  const far = new Uint32Array(4);
  sample(far, { left: 0, top: 0, right: 2, bottom: 2 }, bitmap, { scale: 0.5, x: 0, y: 0 }, [255, 0, 0]);
  assert.deepEqual([...new Uint8Array(far.buffer)].filter((_, index) => index % 4 === 3), [23, 9, 0, 0]);
});
