/**
 * Owns what the comparison servers on Node have in common: their arguments, and the benchmark's wish that memory be
 * collected before it is measured (they run with --expose-gc).
 */

import { onCommand, say } from '#bench/support/control-channel.ts';

/** The value behind `name` on the command line. */
export function argumentOf(name: string): string | undefined {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
}

/** Answers `collect` and ends with the benchmark. */
export function answerCommands(): void {
  onCommand((command) => {
    if (command.type !== 'collect') return;
    globalThis.gc?.();
    globalThis.gc?.();
    say({ type: 'collected' });
  });
}
