import assert from "node:assert/strict";
import { test } from "node:test";
import { answer, openPage, settle } from "./page.js";

const window = openPage();
/** @type {any} */
let stream;
globalThis.EventSource = /** @type {any} */ (
  class extends window.EventTarget {
    static CLOSED = 2;
    readyState = 1;
    constructor(/** @type {string} */ url) {
      super();
      this.url = url;
      stream = this;
    }
    close() {
      this.readyState = 2;
    }
    tell(/** @type {string} */ name, /** @type {any} */ data) {
      this.dispatchEvent(Object.assign(new window.Event(name), { data: JSON.stringify(data) }));
    }
  }
);
const events = await import("../../assets/ui/events.js");
const { follow } = await import("../../assets/ui/job.js");
const library = await import("../../assets/ui/library.js");
const routing = await import("../../assets/ui/route.js");
const { api, Refusal, root } = await import("../../assets/ui/api.js");

const job = (/** @type {string} */ id, more = {}) => ({
  id, capability: "text-to-image", request: {}, status: "running", created_at: "2026-01-01T00:00:00Z", attempt: 1, step: 0, steps: 4, message: "",
  notes: [], asset_ids: [], results: 0, position: null, eta_seconds: null, ...more,
});

test("a refusal is the studio's sentence with its field", async () => {
  answer({ "GET /x": { error: "'steps' must be at most 150.", field: "steps" } });
  await assert.rejects(api("/x"), (/** @type {any} */ error) => error instanceof Refusal && error.field === "steps" && error.status === 422);
  globalThis.fetch = async () => { throw new TypeError("no network"); };
  await assert.rejects(api("/x"), /does not answer/);
  assert.equal(root, new URL("../../", import.meta.url).pathname, "the root is two folders above the scripts");
});

test("one stream tells of all jobs, and a request told once is kept", async () => {
  const asked = answer({ "GET /jobs?active=true&limit=200": [job("a", { request: { prompt: "a fox" } })] });
  events.startListening();
  stream.tell("open", null);
  await settle();
  assert.deepEqual(asked, ["GET /jobs?active=true&limit=200"]);
  stream.tell("job", { job: job("a", { step: 2 }), preview: "data:image/webp;base64,AA" });
  assert.equal(events.jobs.value.get("a")?.step, 2);
  assert.equal(events.jobs.value.get("a")?.request.prompt, "a fox");
  assert.equal(events.previews.value.get("a"), "data:image/webp;base64,AA");
  stream.tell("job", { job: job("b", { status: "queued", position: 1 }), preview: null });
  assert.deepEqual(events.active.value.map((each) => each.id), ["a", "b"]);
  stream.tell("job", { job: job("a", { status: "done", asset_ids: ["p"] }), preview: null });
  assert.equal(events.previews.value.has("a"), false, "a preview ends with its job");
  stream.tell("job", { job: job("a", { step: 3 }), preview: null });
  assert.equal(events.jobs.value.get("a")?.status, "done", "what is over does not begin again");
  stream.tell("worker", { status: "busy", device: "cpu", message: "" });
  assert.equal(events.worker.value.status, "busy");
  stream.tell("error", null);
  assert.equal(events.worker.value.status, "lost");
});

test("a followed job brings its records as they come", async () => {
  answer({ "GET /jobs/c": job("c", { results: 1 }), "GET /jobs/c/results?after=-1&limit=500": [{ index: 0 }], "GET /jobs/c/results?after=0&limit=500": [{ index: 1 }] });
  /** @type {number[]} */
  const seen = [];
  const end = follow("c", (_, records) => seen.push(records.length));
  await settle();
  events.learn(/** @type {any} */ (job("c", { status: "done", results: 2 })));
  assert.equal((await end)?.status, "done");
  assert.deepEqual(seen, [1, 2]);
});

test("every tab and picture has an address", () => {
  routing.startRouting(["create", "gallery"]);
  assert.deepEqual(routing.parse(""), { tab: "create", picture: "" });
  assert.deepEqual(routing.parse(`#gallery/${"a".repeat(32)}`), { tab: "gallery", picture: "a".repeat(32) });
  assert.deepEqual(routing.parse("#nowhere/<script>"), { tab: "create", picture: "" });
  routing.go({ tab: "gallery" });
  assert.equal(window.location.hash, "#gallery");
  assert.equal(routing.route.value.tab, "gallery");
});

test("stars and deletions of either kind go to where the picture is kept", async () => {
  const [asset, upload] = ["1", "2"].map((digit) => digit.repeat(32));
  library.know([library.fromAsset({ id: asset, prompt: "a fox", starred: false, notes: [], parameters: {} }), library.fromUpload({ id: upload, name: "cat.png", kind: "picture" })]);
  const asked = answer({ "POST /gallery/star": {}, "POST /gallery/delete": {}, [`DELETE /uploads/${upload}`]: {}, "POST /gallery/restore": {}, "POST /uploads/restore": {} });
  await library.star(/** @type {string} */ (asset));
  assert.equal(library.items.value.get(/** @type {string} */ (asset))?.starred, true);
  await library.remove(/** @type {string[]} */ ([asset, upload]));
  assert.ok(library.items.value.get(/** @type {string} */ (upload))?.deleted_at);
  await library.putBack(/** @type {string[]} */ ([asset, upload]));
  assert.equal(library.items.value.get(/** @type {string} */ (asset))?.deleted_at, null);
  assert.deepEqual(asked, ["POST /gallery/star", "POST /gallery/delete", `DELETE /uploads/${upload}`, "POST /gallery/restore", "POST /uploads/restore"]);
});
