import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: [".venv/", "node_modules/", "assets/ui/vendor/", "data/", "out/"] },
  js.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: "error",
      "no-var": "error",
      "prefer-const": "error",
      "no-implied-eval": "error",
      "no-unused-vars": ["error", { args: "after-used", argsIgnorePattern: "^_" }],
      "no-restricted-properties": [
        "error",
        { property: "innerHTML", message: "Text becomes nodes: render it with html`...`." },
        { property: "insertAdjacentHTML", message: "Text becomes nodes: render it with html`...`." },
      ],
    },
  },
  { files: ["assets/ui/**/*.js"], languageOptions: { globals: globals.browser } },
  { files: ["assets/*.mjs", "tests/scripts/**/*.js", "*.js"], languageOptions: { globals: globals.node } },
];
