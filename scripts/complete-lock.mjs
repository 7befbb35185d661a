/**
 * Owns the completeness of package-lock.json. npm leaves out optional packages for other platforms that its registry
 * did not offer at that moment, and `npm ci` then refuses the whole file elsewhere. Run by hand after adding packages
 * when test/tidy/lock-file.test.ts asks for it; name and version come from the parent, the platform from the name.
 */

import { writeFileSync } from 'node:fs';

import { inCheckout, readJson } from './checkout.mjs';

const systems = ['aix', 'android', 'darwin', 'freebsd', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'];
const processors = ['arm64', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'wasm32', 'arm'];

const lock = readJson(inCheckout('package-lock.json'));
const packages = lock.packages;
const added = {};
for (const [place, parent] of Object.entries(packages)) {
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    if (!isResolved(place, name)) added[`node_modules/${name}`] = entryFor(name, version, parent);
  }
}
const all = { ...packages, ...added };
lock.packages = Object.fromEntries(Object.entries(all).sort(([a], [b]) => a.localeCompare(b, 'en')));
writeFileSync(inCheckout('package-lock.json'), `${JSON.stringify(lock, null, 2)}\n`);
process.stdout.write(`${Object.keys(added).length} entries added\n`);

/** True when Node's resolution from `place` upwards finds the package in the lock. */
function isResolved(place, name) {
  let at = place;
  while (at !== '') {
    if (packages[`${at}/node_modules/${name}`] !== undefined) return true;
    at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')));
  }
  return packages[`node_modules/${name}`] !== undefined;
}

function entryFor(name, version, parent) {
  const words = name.split(/[/-]/);
  const os = systems.find((system) => words.includes(system)) ?? 'linux';
  const cpu = processors.find((processor) => words.includes(processor)) ?? 'x64';
  const libc = os === 'linux' && /-(gnu|musl)/.exec(name)?.[1];
  return {
    version,
    cpu: [cpu],
    ...(parent.dev ? { dev: true } : {}),
    ...(libc ? { libc: [libc === 'gnu' ? 'glibc' : 'musl'] } : {}),
    optional: true,
    os: [os],
  };
}
