/**
 * Owns the browser of e2e tests: Debian's Chromium, driven by playwright-core, without a network of its own. A test that
 * finds no Chromium fails and says what to install; it is never skipped.
 */

import { existsSync } from 'node:fs';

import { chromium, type Browser } from 'playwright-core';

const places = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Throws when there is none. */
export function chromiumPath(): string {
  const found = places.find((place) => existsSync(place));
  if (found === undefined)
    throw new Error(`no Chromium at ${places.join(', ')}: install the package chromium`);
  return found;
}

export function chromiumArguments(): string[] {
  return [
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    // Chromium refuses its sandbox to root.
    ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
  ];
}

export function launchBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: chromiumPath(), args: chromiumArguments() });
}
