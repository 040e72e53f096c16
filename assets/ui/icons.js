/* Line icons, 24 units wide, each here once. Hidden from screen readers: what is around one carries the label. */
import { html } from "./html.js";

const PATHS = {
  alert: "M12 8v5m0 3.2v.1M12 3.5l9 16H3z",
  ask: "M4.5 5.5h15v10.5h-8l-4 3.5v-3.5h-3z",
  board: "M4 6.5h16v13H4zM8 3.5h8M8 11h8M8 15h5",
  brush: "M14 4.5l5.5 5.5-7.5 7a3.9 3.9 0 0 1-5.5-5.5zM8.5 9.8l5.7 5.7M6.2 17.8l-2.2 2.2",
  caption: "M4.5 5.5h15v13h-15zM8 12.5h8M8 15.5h5",
  check: "M4 6.5l1.8 1.8L9 5M4 13l1.8 1.8L9 11.5M12 7h8M12 13.5h8M5 19.5h4M12 19.5h8",
  clip: "M3.5 5.5h17v13h-17zM10 9v6l5-3z",
  clear: "M4.5 4.5h15v15h-15zM9 9l6 6M15 9l-6 6",
  close: "M6 6l12 12M18 6L6 18",
  compare: "M12 3.5v17M4.5 6.5h5v11h-5zM14.5 6.5h5v11h-5z",
  copy: "M8.5 8.5h11v11h-11zM15.5 8.5v-4h-11v11h4",
  create: "M12 4.5v15M4.5 12h15M6.8 6.8l10.4 10.4M17.2 6.8L6.8 17.2",
  dice: "M4.5 4.5h15v15h-15zM8.6 8.5v.1M15.4 8.5v.1M12 12v.1M8.6 15.4v.1M15.4 15.4v.1",
  down: "M5.5 9.5L12 16l6.5-6.5",
  download: "M12 4v11m0 0l-4.5-4.5M12 15l4.5-4.5M4.5 19.5h15",
  edges: "M12 8.5a3.5 3.5 0 1 0 0 7a3.5 3.5 0 0 0 0-7zM12 2.5v3m0 13v3M2.5 12h3m13 0h3M5.3 5.3l2.1 2.1m9.2 9.2l2.1 2.1M18.7 5.3l-2.1 2.1m-9.2 9.2l-2.1 2.1",
  ellipse: "M12 5.5c5 0 8.5 2.8 8.5 6.5s-3.5 6.5-8.5 6.5-8.5-2.8-8.5-6.5 3.5-6.5 8.5-6.5z",
  eraser: "M9 19.5l-5-5 10-10 6 6-9 9zM9.5 9l6 6M9 19.5h11",
  fill: "M5 12.5l7-7 7 7-7 7zM9.5 3l2.5 2.5M5 12.5h14M20.5 16.5c1 1.5 1 3 0 3s-1-1.5 0-3z",
  folder: "M3.5 18.5v-13h6l2 2.5h9v10.5z",
  grid: "M4.5 4.5h6v6h-6zM13.5 4.5h6v6h-6zM4.5 13.5h6v6h-6zM13.5 13.5h6v6h-6z",
  ideas: "M9 17.5h6M10 20.5h4M8.5 14.5a6 6 0 1 1 7 0c-.6.5-.8 1.2-.8 2h-5.4c0-.8-.2-1.5-.8-2z",
  invert: "M12 3.5a8.5 8.5 0 1 0 0 17a8.5 8.5 0 0 0 0-17zM12 3.5v17M12 8l6-1M12 12h8.5M12 16l6 1",
  lasso: "M7 15.5c-2.5-1-4-2.8-4-5C3 7 7 4.5 12 4.5s9 2.5 9 6-4 6-9 6c-1 0-2-.1-3-.3M8.5 14a2 2 0 1 0-.5 4M8 18c0 1.5-.8 2.5-2 3",
  left: "M14.5 5.5L8 12l6.5 6.5",
  like: "M4.5 6.5h9v9h-9zM10 19.5h9.5v-10M16.5 4.5v4M14.5 6.5h4",
  map: "M5 7a1.4 1.4 0 1 0 .1 0M12 12.5a1.4 1.4 0 1 0 .1 0M18 6a1.4 1.4 0 1 0 .1 0M8 17a1.4 1.4 0 1 0 .1 0M18 17a1.4 1.4 0 1 0 .1 0",
  measure: "M3.5 15.5l12-12 5 5-12 12zM7.5 11.5l2 2M10.5 8.5l2 2M13.5 5.5l2 2",
  minus: "M5 12h14",
  palette: "M12 4a8 8 0 1 0 0 16c1.4 0 1.8-1 1.4-2-.6-1.6.4-2.7 2-2.7h1.8c1.6 0 2.8-1.2 2.8-3C20 7.4 16.4 4 12 4zM8 10.5v.1M11 7.8v.1M15 8.6v.1",
  pencil: "M4.5 19.5l1-4L16 5l3 3L8.5 18.5z",
  play: "M8 5.5v13l10-6.5z",
  plus: "M12 5v14M5 12h14",
  redraw: "M4.5 4.5h15v15h-15zM8 15.5l3-4 2.2 2.6 1.6-1.8 2.2 3.2M15.5 8.5v.1",
  rectangle: "M4 6h16v12H4z",
  redo: "M15 7l4.5 4.5L15 16M19 11.5h-9a5.5 5.5 0 0 0 0 8h2",
  reuse: "M4.5 12a7.5 7.5 0 1 0 2.3-5.4M6.5 3.5v3.5H10",
  right: "M9.5 5.5L16 12l-6.5 6.5",
  search: "M11 4.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13zM16 16l4.5 4.5",
  select: "M5 4.5l13 6-5.5 2-2 5.5zM14 15l4.5 4.5M4 11v3M11 4h3",
  settings: "M5 7h8M17 7h2M15 5v4M5 12h2M11 12h8M9 10v4M5 17h6M15 17h4M13 15v4",
  sort: "M5 18.5v-6M12 18.5v-13M19 18.5v-9",
  star: "M12 3.6l2.6 5.4 5.9.8-4.3 4.1 1.1 5.9-5.3-2.9-5.3 2.9 1.1-5.9L3.5 9.8l5.9-.8z",
  theme: "M12 3.5a8.5 8.5 0 1 0 0 17a8.5 8.5 0 0 0 0-17zM12 3.5v17M12 7.5h7M12 12h8.5M12 16.5h7",
  trash: "M4.5 6.5h15M9.5 6V4h5v2m3 .5l-.7 13h-9.6l-.7-13M10 10.5v5.5m4-5.5v5.5",
  twins: "M4.5 4.5h10v10h-10zM9.5 17.5v2h10v-10h-2",
  undo: "M9 7L4.5 11.5 9 16M5 11.5h9a5.5 5.5 0 0 1 0 8h-2",
  upload: "M12 15V4m0 0L7.5 8.5M12 4l4.5 4.5M4.5 15.5v4h15v-4",
  zoom: "M11 4.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13zM16 16l4.5 4.5M8.5 11h5M11 8.5v5",
};

/** @typedef {keyof typeof PATHS} IconName */

/** @param {{name: IconName}} props */
export const Icon = ({ name }) =>
  html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;

/** The outline of an icon, for drawing it elsewhere. */
export const outline = (/** @type {IconName} */ name) => PATHS[name];
