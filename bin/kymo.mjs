#!/usr/bin/env node
/**
 * Owns the `kymo` command. In a checkout: set-up when something is missing, then the command line from its sources. In the
 * installed package, which has no scripts: the built command line, on Node 24 or newer.
 */

import { existsSync } from 'node:fs';

const oldestMajor = 24;
const bootstrap = new URL('../scripts/bootstrap.mjs', import.meta.url);

if (existsSync(bootstrap)) {
  process.argv.splice(2, 0, 'kymo');
  await import(bootstrap.href);
} else if (Number.parseInt(process.versions.node, 10) < oldestMajor) {
  process.stderr.write(`kymo needs Node ${oldestMajor} or newer; this is Node ${process.versions.node}.\n`);
  process.exitCode = 1;
} else await import('../lib/app/main.js');
