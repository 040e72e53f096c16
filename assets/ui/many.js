/* What is done with many pictures at once. */
import { address, api, Refusal, tried } from "./api.js";
import { items, know, original } from "./library.js";
import { toast } from "./say.js";
import { many } from "./words.js";

const MOST = 500; // pictures in one request

/** Give stars to pictures of the gallery or take them away. @param {readonly string[]} ids @param {boolean} on */
export async function starMany(ids, on) {
  for (let at = 0; at < ids.length; at += MOST) {
    const some = ids.slice(at, at + MOST);
    if (!(await tried(() => api("/gallery/star", { body: { ids: some, on } })))) return;
    know(some.map((id) => items.value.get(id)).filter((item) => item !== null && item !== undefined).map((item) => ({ ...item, starred: on })));
  }
  toast(on ? `${many(ids.length, "star")} given.` : `${many(ids.length, "star")} taken away.`);
}

/** Save pictures: one as its file, more as a ZIP. @param {readonly string[]} ids */
export async function download(ids) {
  if (ids.length === 1) return save(`${original(/** @type {string} */ (ids[0]))}?download=1`, "");
  if (ids.length > MOST) return toast(`At most ${MOST} pictures can be downloaded at once: select fewer.`, { bad: true });
  toast(`Packing ${many(ids.length, "picture")}.`);
  const packed = await tried(() => pack(ids));
  if (!packed) return;
  const url = URL.createObjectURL(packed);
  save(url, "pictures.zip");
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** @param {readonly string[]} ids @returns {Promise<Blob>} */
async function pack(ids) {
  const body = JSON.stringify({ ids });
  const answer = await fetch(address("/pictures/zip"), { method: "POST", headers: { "Content-Type": "application/json" }, body }).catch(() => null);
  if (!answer) throw new Refusal("The studio does not answer. Is it still running?");
  if (!answer.ok) throw new Refusal((await answer.json().catch(() => null))?.error || "The pictures could not be packed.");
  return answer.blob();
}

/** @param {string} url @param {string} name Empty for what the server says. */
function save(url, name) {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
}
