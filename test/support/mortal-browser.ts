/**
 * Owns a Chromium with a profile on disk that can be killed like any process: all of its processes at once, with SIGKILL.
 * The profile stays for the next one. What was started here is ended by its process group's id.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { chromium, type Browser } from 'playwright-core';

import { chromiumArguments, chromiumPath } from '#test/support/browser.ts';

export interface MortalBrowser {
  readonly browser: Browser;
  /** Ends every process of the browser at once; resolves when the first is gone. */
  kill(): Promise<void>;
}

export async function launchMortalBrowser(profile: string): Promise<MortalBrowser> {
  const child = spawn(
    chromiumPath(),
    [
      ...chromiumArguments(),
      '--headless=new',
      `--user-data-dir=${profile}`,
      '--remote-debugging-port=0',
      'about:blank',
    ],
    // A session of its own, so that its renderers can be ended with it.
    { detached: true, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const address = await new Promise<string>((resolve, reject) => {
    const lines = createInterface({ input: child.stderr });
    lines.on('line', (line) => {
      const found = /DevTools listening on (\S+)/.exec(line)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.once('exit', (code) => reject(new Error(`Chromium ended with ${code}`)));
  });
  const browser = await chromium.connectOverCDP(address);
  return {
    browser,
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      process.kill(-child.pid!, 'SIGKILL');
      await ended;
    },
  };
}
