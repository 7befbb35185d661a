/** Owns what people read on the terminal while something starts: a line a step with its time. */

/** Prints a finished step. Colour only on a terminal. */
export function printStep(text: string, elapsedMs: number): void {
  const seconds = `${(elapsedMs / 1000).toFixed(1)} s`;
  const dim = process.stdout.isTTY ? (s: string) => `\u001b[2m${s}\u001b[22m` : (s: string) => s;
  console.log(`${text.padEnd(60)} ${dim(seconds)}`);
}

const BAR_CELLS = 30;

/** A progress bar that redraws itself; null ends its line. Prints nothing where there is no terminal. */
export function printProgress(progress: { done: number; of: number; text: string } | null): void {
  if (!process.stdout.isTTY) return;
  if (progress === null) {
    process.stdout.write('\n');
    return;
  }
  const filled = Math.min(BAR_CELLS, Math.round((progress.done / progress.of) * BAR_CELLS));
  process.stdout.write(`\r\u001b[K${'█'.repeat(filled)}${'░'.repeat(BAR_CELLS - filled)} ${progress.text}`);
}
