/** Owns the feed's process: started for as long as `signal` says, its address read from its first line. */

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('feed-process.ts', import.meta.url));

export interface Feed {
  readonly url: string;
  /** Rejects when the process ends before it was told to. */
  readonly ended: Promise<never>;
}

export async function startFeed(signal: AbortSignal): Promise<Feed> {
  const child = spawn(process.execPath, [program], {
    stdio: ['pipe', 'pipe', 'inherit'],
    signal,
    killSignal: 'SIGKILL',
  });
  const ended = new Promise<never>((_resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the feed ended with ${code}`)));
  });
  // Whoever awaits it hears of it; nobody has to.
  ended.catch(() => undefined);
  const [url] = await Promise.race([readLine(child.stdout), ended]);
  return { url, ended };
}

function readLine(output: NodeJS.ReadableStream): Promise<[string]> {
  const lines = createInterface({ input: output });
  return new Promise((resolve) => void lines.once('line', (line) => resolve([line])));
}
