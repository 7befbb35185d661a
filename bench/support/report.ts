/**
 * Owns what a benchmark shows: progress on standard error, a table for people and one JSON line as the last line on
 * standard output.
 */

export interface Progress {
  /** What happens now; replaces the line on a terminal, adds one elsewhere. */
  say(text: string): void;
  end(): void;
}

export function createProgress(): Progress {
  const startedMs = performance.now();
  const isTerminal = process.stderr.isTTY;
  const stamp = (): string => `${((performance.now() - startedMs) / 1000).toFixed(1).padStart(6)} s`;
  return {
    say(text) {
      process.stderr.write(isTerminal ? `\r\x1b[2K${stamp()}  ${text}` : `${stamp()}  ${text}\n`);
    },
    end() {
      if (isTerminal) process.stderr.write('\r\x1b[2K');
    },
  };
}

/** Rows under a heading; the first column flush left, the others flush right. */
export function formatTable(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [heading, ...rows];
  const widths = heading.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]): string =>
    widths
      .map((width, column) => {
        const cell = row[column] ?? '';
        return column === 0 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('  ')
      .trimEnd();
  return [line(heading), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)]
    .map((text) => `${text}\n`)
    .join('');
}

/** A figure with about three significant digits and thousands apart; a dash for what was not measured. */
export function formatFigure(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return '-';
  const size = Math.abs(value);
  if (Number.isInteger(value) || size >= 100) return Math.round(value).toLocaleString('en-US');
  return value.toFixed(size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

/** Rounds to `digits` decimals for the JSON line; what was not measured is null there. */
export function rounded(value: number, digits = 2): number | null {
  return Number.isFinite(value) ? Math.round(value * 10 ** digits) / 10 ** digits : null;
}

/** The last line. */
export function printResult(result: object): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
