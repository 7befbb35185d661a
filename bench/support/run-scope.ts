/**
 * Owns what a benchmark run has started and must end: child processes and databases, closed in reverse order when the
 * run ends, fails or is interrupted. A child is ended by its own process id; children also end by themselves when their
 * standard input closes, so that a killed benchmark leaves nothing behind.
 */

import { spawn, type ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';

import { AppError, messageOf } from '#base/errors.ts';

/** A child that has not ended this long after SIGTERM gets SIGKILL: longer than the server's own drain. */
const STOP_MS = 15_000;
/** Kept of a child's error output: the cause stands at the end. */
const MAX_KEPT_ERROR_CHARACTERS = 16 * 1024;
/** Output lines kept for a `waitForLine` to come; the oldest is dropped. No child says more before it is asked. */
const MAX_KEPT_LINES = 1000;

export interface Child {
  readonly name: string;
  readonly pid: number;
  /** Writes one JSON line to the child's standard input. */
  send(message: object): void;
  /**
   * The first output line, from those not yet taken, for which `match` returns something else than undefined; lines
   * before it are dropped. Rejects when the child ends first or after `timeoutMs`.
   */
  waitForLine<T>(match: (line: string) => T | undefined, timeoutMs: number): Promise<T>;
  /** Closes its input, SIGTERM, then SIGKILL after STOP_MS. Resolves when the process is gone. */
  stop(): Promise<void>;
}

export interface ChildOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface RunScope {
  start(options: ChildOptions): Promise<Child>;
  /** Calls `close` when the scope closes, before everything deferred earlier. */
  defer(name: string, close: () => Promise<void>): void;
  close(): Promise<void>;
}

export function createRunScope(): RunScope {
  const closers: { name: string; close: () => Promise<void> }[] = [];
  let closing: Promise<void> | null = null;
  const close = async (): Promise<void> => {
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) {
      try {
        await closer.close();
      } catch (error) {
        process.stderr.write(`could not end ${closer.name}: ${messageOf(error)}\n`);
      }
    }
  };
  return {
    async start(options) {
      const child = await startChild(options);
      closers.push({ name: options.name, close: () => child.stop() });
      return child;
    },
    defer: (name, closeOne) => void closers.push({ name, close: closeOne }),
    close: () => (closing ??= close()),
  };
}

/** Runs `body` with a scope that is closed afterwards, also on Ctrl-C, SIGTERM and SIGHUP (exit code 128 + signal). */
export async function withRunScope(body: (scope: RunScope) => Promise<void>): Promise<void> {
  const scope = createRunScope();
  const signals = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
  for (const [signal, exitCode] of Object.entries(signals)) {
    process.on(signal, () => {
      process.stderr.write(`\n${signal}: ending what was started\n`);
      void scope.close().then(() => process.exit(exitCode));
    });
  }
  try {
    await body(scope);
  } finally {
    await scope.close();
    for (const signal of Object.keys(signals)) process.removeAllListeners(signal);
  }
}

async function startChild(options: ChildOptions): Promise<Child> {
  const child = spawn(options.command, options.args, {
    // A session of its own: Ctrl-C on the terminal reaches it through us, in order.
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) =>
      reject(new AppError('internal', `${options.name} cannot be started: ${cause.message}`, { cause })),
    );
  });
  return superviseChild(options.name, child);
}

interface LineWaiter {
  /** True when the waiter took the line. */
  readonly offer: (line: string) => boolean;
  readonly fail: (why: string) => void;
}

function superviseChild(name: string, child: ChildProcessByStdio<Writable, Readable, Readable>): Child {
  const lines: string[] = [];
  let waiter: LineWaiter | null = null;
  let errorText = '';
  let ended: string | null = null;
  const exited = new Promise<void>((resolve) => {
    child.once('close', (code, signal) => {
      ended = signal === null ? `exit code ${code}` : `signal ${signal}`;
      waiter?.fail(`${name} ended with ${ended}`);
      resolve();
    });
  });
  child.stdin.on('error', () => undefined);
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errorText = (errorText + text).slice(-MAX_KEPT_ERROR_CHARACTERS);
  });
  onLines(child.stdout, (line) => {
    if (waiter?.offer(line) === true) return;
    lines.push(line);
    if (lines.length > MAX_KEPT_LINES) lines.shift();
  });
  return {
    name,
    pid: child.pid!,
    send: (message) => void child.stdin.write(`${JSON.stringify(message)}\n`),
    waitForLine: (match, timeoutMs) =>
      new Promise((resolve, reject) => {
        const done = (): void => {
          clearTimeout(timer);
          waiter = null;
        };
        const fail = (why: string): void => {
          done();
          reject(new AppError('internal', errorText === '' ? why : `${why}\n${errorText.trimEnd()}`));
        };
        const offer = (line: string): boolean => {
          try {
            const found = match(line);
            if (found === undefined) return false;
            done();
            resolve(found);
          } catch (error) {
            done();
            reject(error instanceof Error ? error : new Error(messageOf(error)));
          }
          return true;
        };
        const timer = setTimeout(
          () => fail(`${name} said nothing of the kind in ${timeoutMs} ms`),
          timeoutMs,
        );
        waiter = { offer, fail };
        for (let line = lines.shift(); line !== undefined; line = lines.shift()) if (offer(line)) return;
        if (ended !== null) fail(`${name} ended with ${ended}`);
      }),
    async stop() {
      if (ended === null) {
        child.stdin.end();
        child.kill('SIGTERM');
        const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
        await exited;
        clearTimeout(timer);
      }
    },
  };
}

function onLines(stream: Readable, handle: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts) handle(part);
  });
}
