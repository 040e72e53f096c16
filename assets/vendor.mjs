/* `make vendor`: copy the page's libraries out of node_modules (pinned and checked by package-lock.json) into
   assets/ui/vendor, with their licences and a manifest of checksums. `--check` compares instead and changes nothing.

   The only change to a file: bare module names become relative ones and the note about a source map goes, because the
   page has no bundler and no import map. */
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const MODULES = path.join(HERE, "..", "node_modules");
const TARGET = path.join(HERE, "ui", "vendor");

/** Module name -> where it lies in its package, and under which name it is served. */
const LIBRARIES = {
  preact: { package: "preact", from: "dist/preact.mjs", to: "preact.js" },
  "preact/hooks": { package: "preact", from: "hooks/dist/hooks.mjs", to: "preact-hooks.js" },
  "idb-keyval": { package: "idb-keyval", from: "dist/index.js", to: "idb-keyval.js" },
  htm: { package: "htm", from: "dist/htm.module.js", to: "htm.js" },
  "@preact/signals-core": { package: "@preact/signals-core", from: "dist/signals-core.module.js", to: "signals-core.js" },
  "@preact/signals": { package: "@preact/signals", from: "dist/signals.module.js", to: "signals.js" },
};

const sha256 = (/** @type {string} */ text) => createHash("sha256").update(text).digest("hex");

/** The page's copy of a module: what it imports by name it imports from beside itself. */
function relative(/** @type {string} */ source) {
  const named = source.replace(/(from\s*|import\s*)(["'])([^"'.][^"']*)\2/g, (_, word, quote, name) => {
    const library = LIBRARIES[/** @type {keyof typeof LIBRARIES} */ (name)];
    if (!library) throw new Error(`${name} is imported, but not vendored.`);
    return `${word}${quote}./${library.to}${quote}`;
  });
  return `${named.replace(/\/\/# sourceMappingURL=.*\s*$/, "").trimEnd()}\n`;
}

async function wanted() {
  const lock = JSON.parse(await readFile(path.join(HERE, "..", "package-lock.json"), "utf8"));
  /** @type {Record<string, string>} */
  const files = {};
  /** @type {Record<string, {version: string, licence: string, integrity: string, files: Record<string, string>}>} */
  const packages = {};
  for (const [name, library] of Object.entries(LIBRARIES)) {
    const folder = path.join(MODULES, library.package);
    const about = JSON.parse(await readFile(path.join(folder, "package.json"), "utf8"));
    const locked = lock.packages[`node_modules/${library.package}`];
    if (locked.version !== about.version) throw new Error(`${library.package} differs from the lock: run npm ci.`);
    const entry = (packages[library.package] ??= {
      version: about.version, licence: about.license, integrity: locked.integrity, files: {},
    });
    const script = relative(await readFile(path.join(folder, library.from), "utf8"));
    const types = `export * from "${name}";\n${name === "htm" ? `export { default } from "${name}";\n` : ""}`;
    const [spelt] = (await readdir(folder)).filter((each) => /^licen[cs]e$/i.test(each));
    if (!spelt) throw new Error(`${library.package} comes without its licence.`);
    const licence = `${library.package.replace("@", "").replace("/", "-")}-LICENSE.txt`;
    const added = {
      [library.to]: script,
      [library.to.replace(/\.js$/, ".d.ts")]: types,
      [licence]: await readFile(path.join(folder, spelt), "utf8"),
    };
    for (const [file, text] of Object.entries(added)) {
      files[file] = text;
      entry.files[file] = sha256(text);
    }
  }
  files["manifest.json"] = `${JSON.stringify(packages, null, 2)}\n`;
  return files;
}

const files = await wanted();
if (process.argv.includes("--check")) {
  const there = (await readdir(TARGET)).sort();
  const differing = new Set([...there, ...Object.keys(files)]);
  for (const name of there) {
    if (files[name] === (await readFile(path.join(TARGET, name), "utf8"))) differing.delete(name);
  }
  if (differing.size) {
    console.error(`assets/ui/vendor differs from the packages (${[...differing].join(", ")}): run make vendor.`);
    process.exitCode = 1;
  }
} else {
  await rm(TARGET, { recursive: true, force: true });
  await mkdir(TARGET, { recursive: true });
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(TARGET, name), text);
  console.log(`Vendored ${Object.keys(LIBRARIES).join(", ")}.`);
}
