/**
 * Owns a server process of a torture run: `kymo start` on a port of its own and the run's database, killed, stopped and
 * started again at will, its wall clock set at will. All servers share one data folder for their small files.
 */

import { writeFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';

import { kymoMain } from '#test/support/kymo-process.ts';
import { clockPreload, startLineProcess, type LineProcess } from '#test/torture/line-process.ts';

/** A server waits for its database up to a minute by itself; beyond this it never comes. */
const READY_MS = 60_000;

export interface TorturedServer {
  readonly index: number;
  readonly port: number;
  readonly isRunning: boolean;
  /** The key of the installation, once it was ready. */
  readonly accessKey: string;
  /** Resolves when it has printed its address, tried again until it does; at once when it has. */
  start(): Promise<void>;
  signal(name: NodeJS.Signals): void;
  /** SIGTERM, and SIGKILL for one that takes too long; resolves when it is gone. */
  end(name: 'SIGKILL' | 'SIGTERM'): Promise<void>;
  setClock(skewMs: number): void;
}

export interface TorturedServerOptions {
  readonly index: number;
  readonly port: number;
  readonly databaseUrl: string;
  readonly dataDirectory: string;
  readonly workDirectory: string;
  readonly logDirectory: string;
  readonly heartbeatMs: number;
  /** It ended without having been told to. */
  readonly onDeath: () => void;
}

export function createTorturedServer(options: TorturedServerOptions): TorturedServer {
  const { index, port } = options;
  const clockFile = join(options.workDirectory, `server-${index}.clock`);
  let child: LineProcess | null = null;
  let accessKey = '';
  let isReady = false;
  let starting: Promise<void> | null = null;
  const setClock = (skewMs: number): void => {
    writeFileSync(`${clockFile}.new`, String(skewMs));
    renameSync(`${clockFile}.new`, clockFile);
  };
  setClock(0);

  function startOnce(): Promise<boolean> {
    return new Promise((resolve) => {
      const started = startLineProcess({
        command: process.execPath,
        args: [
          '--import',
          clockPreload,
          kymoMain,
          'start',
          `--data=${options.dataDirectory}`,
          `--port=${port}`,
          `--heartbeat-ms=${options.heartbeatMs}`,
          '--log-level=warn',
          '--print-key',
        ],
        cwd: options.workDirectory,
        env: { DATABASE_URL: options.databaseUrl, KYMO_TORTURE_CLOCK: clockFile },
        logFile: join(options.logDirectory, `server-${index}.log`),
        onLine: (line) => {
          const found = /Kymo is ready: \S+#key=(\S+)/.exec(line)?.[1];
          if (found === undefined) return;
          accessKey = found;
          isReady = true;
          resolve(true);
        },
      });
      child = started;
      void started.ended.finally(() => {
        if (child === started) child = null;
        if (isReady) options.onDeath();
        isReady = false;
        resolve(false);
      });
    });
  }

  async function startUntilReady(): Promise<void> {
    const giveUpAtMs = performance.now() + READY_MS;
    while (!isReady && !(await startOnce())) {
      if (performance.now() > giveUpAtMs) throw new Error(`server ${index} does not start: see its log`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  return {
    index,
    port,
    get isRunning() {
      return child !== null;
    },
    get accessKey() {
      return accessKey;
    },
    start: () => (starting ??= startUntilReady().finally(() => (starting = null))),
    signal: (name) => child?.signal(name),
    async end(name) {
      const ending = child;
      if (ending === null) return;
      isReady = false;
      ending.signal(name);
      ending.signal('SIGCONT');
      const timer = setTimeout(() => ending.signal('SIGKILL'), 20_000);
      await ending.ended;
      clearTimeout(timer);
    },
    setClock,
  };
}
