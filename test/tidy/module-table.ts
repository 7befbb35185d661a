/**
 * Owns the module import table (the design's layout section): which module of src/ may import which. The linter's
 * configuration and the house rule test are both made from it. A module may always import itself; nothing may
 * import `app`; tests, benchmarks and scripts stand outside and may import everything.
 */

const table = {
  base: [],
  protocol: ['base'],
  motion: ['base'],
  contract: ['base', 'protocol'],
  bus: ['base', 'protocol'],
  store: ['base', 'protocol', 'contract'],
  identity: ['base', 'contract', 'store'],
  clinic: ['base', 'contract', 'store', 'bus', 'identity'],
  ingest: ['base', 'protocol', 'contract', 'bus', 'identity'],
  live: ['base', 'protocol', 'contract', 'bus', 'identity'],
  pipeline: ['base', 'protocol', 'contract', 'bus', 'motion'],
  jobs: ['base', 'contract', 'store', 'bus', 'motion', 'clinic'],
  api: ['base', 'protocol', 'contract', 'store', 'bus', 'live', 'identity', 'clinic', 'jobs'],
  sdk: ['base', 'protocol', 'contract'],
  web: ['base', 'protocol', 'contract', 'motion', 'sdk'],
  simulator: ['base', 'protocol', 'motion', 'sdk'],
  app: [
    'base',
    'protocol',
    'motion',
    'contract',
    'bus',
    'store',
    'identity',
    'clinic',
    'ingest',
    'live',
    'pipeline',
    'jobs',
    'api',
    'simulator',
  ],
} as const satisfies Record<string, readonly string[]>;

export const moduleTable: ReadonlyMap<string, readonly string[]> = new Map(Object.entries(table));

/** What stands in extensions/ may import, beside `#extension` itself: the same as any other extension, nothing of the core. */
export const extensionImports: readonly string[] = ['base', 'contract'];

/** Modules without input and output: they import no `node:` module and run in any JavaScript engine. */
export const pureModules: readonly string[] = ['base', 'protocol', 'contract', 'motion'];
