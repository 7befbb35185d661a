/**
 * Owns real Redis servers for tests: each in a directory of its own, on a Unix socket, without files on disk. A server
 * dies with the process that started it, however that ends: its shell waits for the end of a pipe.
 */

import { spawn } from 'node:child_process';
import path from 'node:path';

import { createTemporaryDirectory } from '#test/support/temporary-directory.ts';

export interface TestRedis {
  readonly url: string;
  readonly socketPath: string;
  readonly pid: number;
  /** SIGSTOP leaves its connections open and silent; SIGKILL ends it at once. */
  signal(name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void;
  /** Starts it again at the same address, empty. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

const script = 'redis-server "$@" & echo "pid $!"; read -r _; kill -9 $! 2>/dev/null; wait';
const READY_MS = 10_000;

/** `settings`: more words of its configuration, such as `--requirepass`. */
export async function startRedis(settings: readonly string[] = []): Promise<TestRedis> {
  const directory = createTemporaryDirectory();
  const socketPath = path.join(directory.path, 'redis.sock');
  const words = [
    '--port',
    '0',
    '--unixsocket',
    socketPath,
    '--dir',
    directory.path,
    '--save',
    '',
    '--appendonly',
    'no',
  ];
  let running = await start([...words, ...settings]);
  return {
    url: `unix://${socketPath}`,
    socketPath,
    get pid() {
      return running.pid;
    },
    signal: (name) => void process.kill(running.pid, name),
    async restart() {
      await running.end();
      running = await start([...words, ...settings]);
    },
    async close() {
      await running.end();
      directory.remove();
    },
  };
}

async function start(words: readonly string[]): Promise<{ pid: number; end(): Promise<void> }> {
  const shell = spawn('sh', ['-c', script, 'sh', ...words], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise<void>((resolve) => shell.once('exit', () => resolve()));
  let output = '';
  const pid = await new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no Redis after ${READY_MS} ms:\n${output}`)), READY_MS);
    shell.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      const found = /^pid (\d+)$/m.exec(output)?.[1];
      if (found === undefined || !/ready to accept connections/.test(output)) return;
      clearTimeout(timer);
      resolve(Number(found));
    });
    void ended.then(() => reject(new Error(`Redis ended:\n${output}`)));
  });
  return {
    pid,
    async end() {
      shell.stdin.end();
      await ended;
    },
  };
}
