/** Owns UUID version 7 (RFC 9562 section 5.7): sortable ids that anyone may make without a network. */

import type { Clock } from '#base/clock.ts';

/** A new UUIDv7: 48 bits of milliseconds, 74 random bits from the platform's cryptographic generator. */
export function uuidv7(clock: Pick<Clock, 'nowUs'>): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  let ms = Math.floor(clock.nowUs() / 1000);
  for (let i = 5; i >= 0; i--) {
    bytes[i] = ms % 256;
    ms = Math.floor(ms / 256);
  }
  bytes[6] = 0x70 | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** A new 64-bit epoch as 16 hexadecimal digits. */
export function randomEpoch(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(16).padStart(2, '0')).join(
    '',
  );
}

const U64 = (1n << 64n) - 1n;

/**
 * An epoch that follows from another and what tells them apart: whoever has the same gets the same one, and nobody else does by
 * chance. Each part goes through the finaliser of SplitMix64 (Steele, Lea and Flood 2014), which maps one to one.
 */
export function derivedEpoch(epoch: string, parts: readonly (number | bigint)[]): string {
  let state = BigInt(`0x${epoch}`);
  for (const part of parts) {
    state = ((state ^ BigInt.asUintN(64, BigInt(part))) + 0x9e3779b97f4a7c15n) & U64;
    state = ((state ^ (state >> 30n)) * 0xbf58476d1ce4e5b9n) & U64;
    state = ((state ^ (state >> 27n)) * 0x94d049bb133111ebn) & U64;
    state ^= state >> 31n;
  }
  return state.toString(16).padStart(16, '0');
}
