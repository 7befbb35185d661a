/**
 * Owns what is remembered of a history: the newest notes, for a person to read, and a running hash of all of them, by
 * which two runs of one seed are compared. A note keeps what it was given and is put into words only when it is read,
 * since most histories are never read. Bound: `maxNotes`, the oldest goes first.
 */

export interface Trace {
  /** `numbers` go into the hash; `detail` is for the reader only. */
  note(atMs: number, words: readonly string[], numbers?: readonly number[], detail?: unknown): void;
  /** What is told from the rest by its place alone: it goes into the hash, and nobody reads it. */
  mix(atMs: number, numbers: readonly number[]): void;
  /** Of everything noted so far: 8 hexadecimal digits. */
  readonly hash: string;
  readonly count: number;
  /** The newest notes as lines, oldest first. */
  lines(): string[];
}

interface Note {
  readonly atMs: number;
  readonly words: readonly string[];
  readonly numbers: readonly number[];
  readonly detail: unknown;
}

const NO_NUMBERS: readonly number[] = [];

/** Two screens: what led to a failure is mostly in the last second before it. */
export const TRACE_NOTES = 120;

export function createTrace(maxNotes: number): Trace {
  const ring: Note[] = [];
  let count = 0;
  let hash = 0x811c9dc5;
  const mix = (value: number): void => {
    // FNV-1a over 32-bit words instead of bytes: order matters, and that is all it is for.
    hash = Math.imul(hash ^ value, 0x01000193);
    hash ^= hash >>> 15;
  };
  return {
    note(atMs, words, numbers = NO_NUMBERS, detail) {
      mix(Math.round(atMs * 1000));
      for (const word of words) for (let i = 0; i < word.length; i++) mix(word.charCodeAt(i));
      for (const number of numbers) {
        mix(number | 0);
        mix(Math.floor(number / 4_294_967_296));
      }
      ring[count % maxNotes] = { atMs, words, numbers, detail };
      count++;
    },
    mix(atMs, numbers) {
      mix(Math.round(atMs * 1000));
      for (const number of numbers) mix(number | 0);
    },
    get hash() {
      return (hash >>> 0).toString(16).padStart(8, '0');
    },
    get count() {
      return count;
    },
    lines() {
      const first = Math.max(0, count - maxNotes);
      return Array.from({ length: count - first }, (_, i) => lineOf(ring[(first + i) % maxNotes]!));
    },
  };
}

function lineOf({ atMs, words, numbers, detail }: Note): string {
  const rest = detail === undefined ? numbers.join(' ') : textOf(detail);
  return `${(atMs / 1000).toFixed(4).padStart(9)} s  ${words.join(' ')}${rest === '' ? '' : `  ${rest}`}`;
}

const MAX_CHARACTERS = 220;

/** JSON without what nobody reads: bytes become their number. */
function textOf(detail: unknown): string {
  const text = JSON.stringify(detail, (_, value: unknown) =>
    value instanceof Uint8Array ? `${value.length} bytes` : value,
  );
  return text.length > MAX_CHARACTERS ? `${text.slice(0, MAX_CHARACTERS)}...` : text;
}
