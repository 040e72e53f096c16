/* A mask as a file: a grey PNG of the picture's size, white where it changes. */
import { Refusal } from "../api.js";

/** @typedef {import("./raster.js").Bitmap} Bitmap */

/** @param {number} width @param {number} height */
function scratch(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Refusal("This browser cannot hold a picture of that size; use a smaller one.");
  return { canvas, context };
}

/** @param {Bitmap} bitmap @returns {Promise<Blob>} */
export function toPng({ width, height, data }) {
  const { canvas, context } = scratch(width, height);
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer); // opaque grey is the same in either order of bytes, but for alpha
  const opaque = new Uint32Array(new Uint8Array([0, 0, 0, 255]).buffer)[0] ?? 0;
  const grey = new Uint32Array(new Uint8Array([1, 1, 1, 0]).buffer)[0] ?? 0;
  data.forEach((value, at) => void (pixels[at] = value * grey + opaque));
  context.putImageData(image, 0, 0);
  return new Promise((done, fail) => {
    canvas.toBlob((blob) => (blob ? done(blob) : fail(new Refusal("This browser could not write the mask as a PNG."))), "image/png");
  });
}

/**
 * The mask in a picture file: how light it is where it is not transparent. Throws `Refusal` for what is no picture or
 * of another size.
 * @param {Blob} blob @param {number} width @param {number} height @returns {Promise<Uint8Array>}
 */
export async function fromPicture(blob, width, height) {
  return channel(blob, width, height, (r, g, b, a) => Math.round(((0.299 * r + 0.587 * g + 0.114 * b) * a) / 255));
}

/** How opaque a picture is: the subject of one that was cut out. @param {Blob} blob @param {number} width @param {number} height */
export const fromAlpha = (blob, width, height) => channel(blob, width, height, (_r, _g, _b, a) => a);

/** @param {Blob} blob @param {number} width @param {number} height @param {(r: number, g: number, b: number, a: number) => number} value @returns {Promise<Uint8Array>} */
async function channel(blob, width, height, value) {
  const image = await createImageBitmap(blob, { premultiplyAlpha: "none", colorSpaceConversion: "none" }).catch(() => {
    throw new Refusal("That file is no picture; a mask is a PNG that is white where the picture changes.");
  });
  if (image.width !== width || image.height !== height) {
    throw new Refusal(`That mask has ${image.width} × ${image.height} pixels, the picture ${width} × ${height}; they must have the same size.`);
  }
  const { context } = scratch(width, height);
  context.drawImage(image, 0, 0);
  image.close();
  const { data } = context.getImageData(0, 0, width, height);
  const bytes = new Uint8Array(width * height);
  for (let at = 0; at < bytes.length; at += 1) {
    bytes[at] = value(data[4 * at] ?? 0, data[4 * at + 1] ?? 0, data[4 * at + 2] ?? 0, data[4 * at + 3] ?? 0);
  }
  return bytes;
}
