/* The view library in one place: components are functions that return html`...`; what changes is a signal. Text of
   people, models and files only ever becomes a text node. */
import htm from "./vendor/htm.js";
import { h } from "./vendor/preact.js";

export const html = htm.bind(h);
export { Fragment, createRef, render } from "./vendor/preact.js";
export { useEffect, useLayoutEffect, useMemo, useRef } from "./vendor/preact-hooks.js";
export { batch, computed, effect, signal, untracked, useComputed, useSignal, useSignalEffect } from "./vendor/signals.js";

/** @typedef {import("./vendor/preact.js").VNode<any>} VNode */
/** @typedef {import("./vendor/preact.js").ComponentChildren} Children */
/**
 * @template T
 * @typedef {import("./vendor/signals.js").Signal<T>} Signal
 */
