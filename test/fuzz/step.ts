/**
 * Owns the form of a case: a sequence of steps, the same for every target, so that one shrinker, one mutator and one file
 * format serve all. A step is one input to the code under test: a message, a frame, an answer or a moment.
 */

import { readFileSync } from 'node:fs';

import type { Chance } from '#test/fuzz/chance.ts';
import { hostileNumber, simplerText, varyText } from '#test/fuzz/hostile-json.ts';
import { simplerBytes, varyBytes } from '#test/fuzz/hostile-bytes.ts';

export interface Step {
  /** What happens, in words of the target. */
  readonly do: string;
  /** To which of several connections, viewers or machines. */
  readonly who?: number;
  readonly n?: number;
  readonly text?: string;
  readonly bytes?: Uint8Array;
}

/** A kept case: what it is for, where it is run, and the steps. */
export interface KeptCase {
  readonly target: string;
  /** What went wrong once, in a sentence. */
  readonly why: string;
  readonly steps: readonly Step[];
}

/** The step somewhat other, of the same kind. */
export function varyStep(step: Step, chance: Chance): Step {
  const { text, bytes, n } = step;
  if (text !== undefined) return { ...step, text: varyText(text, chance) };
  if (bytes !== undefined) return { ...step, bytes: varyBytes(bytes, chance) };
  if (n !== undefined) return { ...step, n: hostileNumber(chance) };
  return step;
}

/** Smaller steps of the same kind, the smallest first. */
export function simplerSteps(step: Step): Step[] {
  const { text, bytes, n } = step;
  if (text !== undefined) return simplerText(text).map((simpler) => ({ ...step, text: simpler }));
  if (bytes !== undefined) return simplerBytes(bytes).map((simpler) => ({ ...step, bytes: simpler }));
  if (n !== undefined && n !== 0 && n !== 1)
    return [0, 1, Math.trunc(n / 2)].filter((other) => other !== n).map((other) => ({ ...step, n: other }));
  return [];
}

/** One step a line; bytes as hexadecimal digits. */
export function caseToJson({ target, why, steps }: KeptCase): string {
  const lines = steps.map((step) => `    ${JSON.stringify(step, bytesAsHex)}`);
  const head = `  "target": ${JSON.stringify(target)},\n  "why": ${JSON.stringify(why)},\n`;
  return `{\n${head}  "steps": [\n${lines.join(',\n')}\n  ]\n}\n`;
}

export function readCase(file: string | URL): KeptCase {
  return JSON.parse(readFileSync(file, 'utf8'), hexAsBytes) as KeptCase;
}

// `n` may be what JSON has no number for.
function bytesAsHex(this: unknown, _key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return { hex: Buffer.from(value).toString('hex') };
  if (typeof value === 'number' && !Number.isFinite(value)) return { number: String(value) };
  if (Object.is(value, -0)) return { number: '-0' };
  return value;
}

function hexAsBytes(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if ('hex' in value && typeof value.hex === 'string') return new Uint8Array(Buffer.from(value.hex, 'hex'));
  if ('number' in value && typeof value.number === 'string') return Number(value.number);
  return value;
}
