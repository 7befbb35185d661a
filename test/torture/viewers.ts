/** Owns the viewers of a torture run: their process, when they see their sessions, and what they report. */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { startLineProcess } from '#test/torture/line-process.ts';
import type { ViewerMessage, WatchPlan, WatchSample } from '#test/torture/viewer-messages.ts';

const viewerFile = fileURLToPath(new URL('viewer-process.ts', import.meta.url));
const SUBSCRIBED_MS = 30_000;

export interface Viewers {
  stop(): Promise<void>;
}

/** Resolves when every session is seen; the sessions must be in the database. Rejects when one is not. */
export async function startViewers(
  plan: WatchPlan,
  options: {
    readonly workDirectory: string;
    readonly logDirectory: string;
    readonly onSample: (sample: WatchSample) => void;
    readonly onTrouble: (text: string) => void;
  },
): Promise<Viewers> {
  const { onSample, onTrouble } = options;
  const subscribed = Promise.withResolvers<void>();
  const child = startLineProcess({
    command: process.execPath,
    args: [viewerFile],
    cwd: options.workDirectory,
    logFile: join(options.logDirectory, 'viewers.log'),
    onLine(line) {
      const message = JSON.parse(line) as ViewerMessage;
      if (message.type === 'subscribed') subscribed.resolve();
      else if (message.type === 'trouble') onTrouble(message.text);
      else for (const sample of message.sessions) onSample(sample);
    },
  });
  let isStopping = false;
  const ended = child.ended.then(() => {
    if (!isStopping) onTrouble('the viewers ended by themselves: see viewers.log');
    subscribed.reject(new Error('the viewers ended by themselves: see viewers.log'));
  });
  child.send(plan);
  const timer = setTimeout(
    () => subscribed.reject(new Error('the viewers do not see their sessions')),
    SUBSCRIBED_MS,
  );
  await subscribed.promise.finally(() => clearTimeout(timer));
  return {
    async stop() {
      isStopping = true;
      child.signal('SIGKILL');
      await ended;
    },
  };
}
