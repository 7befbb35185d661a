/** Owns the build of the web application: static files with hashed names in dist/web, nothing fetched from outside. */

import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
  root: import.meta.dirname,
  base: '/',
  plugins: [react()],
  // Everything is served by Kymo itself; a data: URL would need an exception in the content security policy.
  build: {
    outDir: '../../dist/web',
    emptyOutDir: true,
    assetsInlineLimit: 0,
    target: 'es2022',
    // The page is published with the libraries that it is made of, so their licences go with it.
    license: { fileName: 'licenses.md' },
  },
  worker: { format: 'es' },
});
