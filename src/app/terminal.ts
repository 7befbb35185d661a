/** Owns what people read on the terminal while something starts: a line a step with its time. */

/** Prints a finished step. Colour only on a terminal. */
export function printStep(text: string, elapsedMs: number): void {
  const seconds = `${(elapsedMs / 1000).toFixed(1)} s`;
  const dim = process.stdout.isTTY ? (s: string) => `\u001b[2m${s}\u001b[22m` : (s: string) => s;
  console.log(`${text.padEnd(60)} ${dim(seconds)}`);
}
