import { defineConfig } from 'vite';

// `./` keeps every address relative, so that the page works in a subfolder of any static host.
export default defineConfig({
  base: './',
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
