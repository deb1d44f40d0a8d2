import { defineConfig } from 'vite';

/**
 * What the page may load and run: files of its own site, no script or style that stands in the page itself, no `eval`.
 * WebAssembly needs its own word; the mark lets the SQL editor's own styles (src/sql-editor.js); the engine's worker begins
 * as a blob (src/engine-worker.js), and figures become PNG by one. Style attributes are let: browsers themselves write them when
 * one types over coloured text in an editor. `flowatlas serve` sends the same (server.py, POLICY).
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self' 'nonce-flowatlas-editor'",
  "style-src-attr 'unsafe-inline'",
  "img-src 'self' blob: data:",
  "connect-src 'self'",
  'worker-src blob:',
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

/** Only of the built page: the development server puts scripts and styles into it. @type {import('vite').Plugin} */
const policy = {
  name: 'policy',
  apply: 'build',
  transformIndexHtml: () => [{ tag: 'meta', attrs: { 'http-equiv': 'Content-Security-Policy', content: POLICY }, injectTo: 'head-prepend' }],
};

// `./` keeps every address relative, so that the page works in a subfolder of any static host.
export default defineConfig({
  base: './',
  plugins: [policy],
  // While developing, point this at a folder that holds `data/` (a built site, or the golden one of the tests).
  publicDir: process.env.FLOWATLAS_SITE ?? false,
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 800,
    copyPublicDir: false,
  },
  test: {
    include: ['test/**/*.test.js'],
    environment: 'node',
    testTimeout: 20000,
  },
});
