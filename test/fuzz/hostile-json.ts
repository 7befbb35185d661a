/**
 * Owns hostile JSON: numbers at every edge, texts that break encoders, values bent out of shape, and bombs of depth and
 * size. Texts stay below MAX_TEXT, a little above what the sockets let through.
 */

import type { Chance } from '#test/fuzz/chance.ts';

/** Beyond the 16 KiB of a control message, so that its limit is crossed too. */
const MAX_TEXT = 20_000;

const numbers: readonly number[] = [
  0,
  -0,
  1,
  -1,
  2,
  31,
  32,
  33,
  255,
  256,
  500,
  501,
  65_535,
  65_536,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 53 - 2 ** 32 - 1,
  2 ** 53 - 2 ** 32,
  2 ** 53 - 500,
  2 ** 53 - 2,
  2 ** 53 - 1,
  2 ** 53,
  -(2 ** 53),
  -(2 ** 53) + 1,
  2 ** 63,
  2 ** 64,
  0.5,
  1e-300,
  1e21,
  1e300,
  // 1970, 2001 and 2106 in microseconds.
  1_000_000_000_000_000,
  4_294_967_296_000_000,
  -1_700_000_000_000_000,
];

export function hostileNumber(chance: Chance): number {
  if (chance.is(0.5)) return chance.among(numbers);
  return chance.is(0.5) ? chance.below(300) : Math.floor((chance.random.next() - 0.5) * 2 ** 54);
}

const texts: readonly string[] = [
  '',
  ' ',
  '\u0000',
  '\ud800',
  '\udc00x',
  '\u202e',
  '\ufeff',
  '__proto__',
  'constructor',
  'toString',
  'hello',
  'none',
  '../../etc',
  "'; drop table x; --",
  'é\u0301\u0301\u0301\u0301',
  '👩‍👩‍👧‍👦',
  'x'.repeat(64),
  'x'.repeat(65),
  '👍'.repeat(64),
  'x'.repeat(300),
  '0000000000000001',
  '01900000-0000-7000-8000-00000000ffff',
];

export function hostileString(chance: Chance): string {
  if (chance.is(0.9)) return chance.among(texts);
  return String.fromCharCode(...Array.from({ length: chance.below(24) }, () => chance.below(0x10000)));
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export function hostileValue(chance: Chance, depth = 0): Json {
  switch (chance.below(depth > 2 ? 5 : 7)) {
    case 0:
      return null;
    case 1:
      return chance.is(0.5);
    case 2:
    case 3:
      return hostileNumber(chance);
    case 4:
      return hostileString(chance);
    case 5:
      return Array.from({ length: chance.below(4) }, () => hostileValue(chance, depth + 1));
    default:
      return Object.fromEntries(
        Array.from({ length: chance.below(4) }, () => [
          hostileString(chance),
          hostileValue(chance, depth + 1),
        ]),
      );
  }
}

/** The value with one thing in it changed: replaced, left out, added, or put elsewhere. */
export function varyValue(value: unknown, chance: Chance): unknown {
  if (typeof value !== 'object' || value === null || chance.is(0.1)) return hostileValue(chance);
  if (Array.isArray(value)) return varyList(value, chance);
  const entries = Object.entries(value);
  if (entries.length === 0 || chance.is(0.1))
    return Object.fromEntries([...entries, [hostileString(chance), hostileValue(chance)]]);
  const at = chance.below(entries.length);
  const [key, inner] = entries[at]!;
  if (chance.is(0.12)) entries.splice(at, 1);
  else entries[at] = [chance.is(0.05) ? hostileString(chance) : key, varyValue(inner, chance)];
  return Object.fromEntries(entries);
}

function varyList(list: readonly unknown[], chance: Chance): unknown[] {
  const copy = [...list];
  if (copy.length === 0 || chance.is(0.2)) return [...copy, hostileValue(chance)];
  const at = chance.below(copy.length);
  if (chance.is(0.2)) copy.splice(at, 1);
  else if (chance.is(0.1)) return Array.from({ length: 40 }, () => copy[at]);
  else copy[at] = varyValue(copy[at], chance);
  return copy;
}

/** The text of a message somewhat other: as JSON when it is, else as characters. */
export function varyText(text: string, chance: Chance): string {
  if (chance.is(0.02)) return bomb(chance);
  if (chance.is(0.7)) {
    try {
      const value: unknown = JSON.parse(text);
      return JSON.stringify(varyValue(value, chance)).slice(0, MAX_TEXT);
    } catch {
      // Not JSON (any more): its characters are changed.
    }
  }
  const at = chance.below(text.length + 1);
  switch (chance.below(6)) {
    case 0:
      return text.slice(0, at);
    case 1:
      return text.slice(0, at) + hostileString(chance) + text.slice(at);
    case 2:
      return text.slice(0, at) + text.slice(at + 1 + chance.below(8));
    case 3:
      return (text + text).slice(0, MAX_TEXT);
    case 4:
      // A number of any size where one stands: 1e400 is infinity, and digits beyond 2^53 are rounded.
      return text.replace(
        /-?\d+/,
        chance.among(['1e400', '-1e400', '9007199254740993', '1.5', '-0', '00', '1e2']),
      );
    default:
      // The last of two members of one name counts.
      return text.replace(/^\{/, `{"type":"heartbeat","ref":${hostileNumber(chance)},`);
  }
}

/** A text that costs a careless parser time, memory or stack. */
export function bomb(chance: Chance): string {
  const size = 100 + chance.below(MAX_TEXT - 200);
  switch (chance.below(8)) {
    case 0:
      return '['.repeat(size);
    case 1:
      return `{"type":${'['.repeat(size >> 1)}${']'.repeat(size >> 1)}}`;
    case 2:
      return `{"type":"open","definition":${'{"definition":'.repeat(size / 15)}1${'}'.repeat(size / 15)}}`;
    case 3:
      return `{"type":"heartbeat"${',"a":1'.repeat(size / 6)}}`;
    case 4:
      return `{"type":"heartbeat"${Array.from({ length: size / 10 }, (_, i) => `,"k${i}":0`).join('')}}`;
    case 5:
      return `{"type":"${'\\u0000'.repeat(size / 6)}"}`;
    case 6:
      return `{"type":"hello","version":1,"agent":"${'e\u0301\u200d'.repeat(size / 3)}"}`;
    default:
      return `{"type":"heartbeat","__proto__":{"type":"bye"},"n":${'9'.repeat(size)}}`;
  }
}

/** Shorter texts, the shortest first. */
export function simplerText(text: string): string[] {
  const out: string[] = [];
  if (text.length > 2) out.push('{}');
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      for (const key of Object.keys(value))
        out.push(JSON.stringify(Object.fromEntries(Object.entries(value).filter(([name]) => name !== key))));
  } catch {
    out.push(text.slice(0, text.length >> 1), text.slice(text.length >> 1));
  }
  return out.filter((shorter) => shorter.length < text.length);
}
