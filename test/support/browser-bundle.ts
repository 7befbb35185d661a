/** Owns bundling for pages of tests, with the bundler that builds the web page, and the server that hands them out. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';

import { build, type Rollup } from 'vite';

export interface Bundle {
  readonly code: string;
  /** Every source file that went into it. */
  readonly modules: readonly string[];
}

export interface BundleOptions {
  /** Path of the entry. */
  readonly entry: string;
  readonly root?: string;
  readonly alias?: Record<string, string>;
  readonly isMinified?: boolean;
  /** Default `es`, a module; `iife` is a script. */
  readonly format?: 'es' | 'iife';
}

const checkout = fileURLToPath(new URL('../..', import.meta.url));

/** One script for a browser with everything in it. */
export async function bundleForBrowser(options: BundleOptions): Promise<Bundle> {
  const output = (await build({
    configFile: false,
    root: options.root ?? checkout,
    logLevel: 'error',
    resolve: { alias: options.alias ?? {} },
    build: {
      write: false,
      target: 'es2022',
      minify: options.isMinified ?? false,
      rollupOptions: {
        input: options.entry,
        output: { format: options.format ?? 'es' },
        preserveEntrySignatures: 'strict',
      },
    },
  })) as Rollup.RollupOutput;
  const chunks = output.output.filter((part) => part.type === 'chunk');
  if (chunks.length !== 1) throw new Error(`${chunks.length} scripts instead of one`);
  return { code: chunks[0]!.code, modules: chunks[0]!.moduleIds };
}

export interface PageServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Serves one page on this machine whose only script is `code`. */
export async function servePage(code: string): Promise<PageServer> {
  const server = createServer((request, response) => {
    const isScript = request.url === '/page.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html; charset=utf-8');
    response.end(
      isScript ? code : '<!doctype html><title>test</title><script type="module" src="/page.js"></script>',
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
