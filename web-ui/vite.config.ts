import { defineConfig } from "vitest/config";

export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  worker: { format: "es" },
  build: {
    target: "es2022",
    // Nothing inline: the box's Content-Security-Policy allows files of its own only.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    reportCompressedSize: true,
  },
  server: {
    // `npm run dev` beside a box that runs: HEARTHKEEP_URL says where, its certificate is not checked.
    proxy: {
      "/api": {
        target: process.env["HEARTHKEEP_URL"] ?? "https://127.0.0.1:8443",
        secure: false,
        ws: true,
      },
    },
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
