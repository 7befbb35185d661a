/**
 * Owns the conversation between a benchmark and the processes it starts: one JSON object a line, commands on the
 * child's standard input, answers on its standard output, told apart by `type`. A child ends when its input does.
 */

import { AppError } from '#base/errors.ts';
import type { Child } from '#bench/support/run-scope.ts';

/** In the child: calls `handle` for each command and ends the process when the benchmark is gone. */
export function onCommand(handle: (command: { readonly type: string }) => void): void {
  let rest = '';
  process.stdin.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts) if (part !== '') handle(JSON.parse(part) as { type: string });
  });
  // Leaving by `exit` lets a profiler write what it has.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => process.exit(0));
  process.stdin.on('end', () => process.exit(0));
}

/** In the child: one line to the benchmark. */
export function say<T extends { readonly type: string }>(message: T): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

/** In the benchmark: the child's next line of this type. A line of type `failure` rejects with its message. */
export function hear<T extends { readonly type: string }>(
  child: Child,
  type: T['type'],
  timeoutMs: number,
): Promise<T> {
  return child.waitForLine((line) => {
    if (!line.startsWith('{')) return undefined;
    const message = JSON.parse(line) as { type?: unknown; message?: unknown };
    if (message.type === 'failure')
      throw new AppError('internal', `${child.name}: ${String(message.message)}`);
    return message.type === type ? (message as unknown as T) : undefined;
  }, timeoutMs);
}
