#!/usr/bin/env node
/** Owns the `kymo` command of a checkout: set-up when something is missing, then the command line itself. */

process.argv.splice(2, 0, 'kymo');
await import('../scripts/bootstrap.mjs');
