/**
 * Owns the cursor: one token with a position for each followed channel, the same on every transport and instance (SSE
 * `id`, long-poll cursor, WebSocket resume). To its bearer it is opaque; it proves and permits nothing. Channels stand in it
 * by a 64-bit hash of their name, so that 64 of them stay under 2 kB. At most `MAX_POSITIONS`.
 *
 * Layout before base64url: u8 version (1), then for each channel u64 hash, u8 length and ASCII of the epoch, offset as an
 * LEB128 varint.
 */

import type { Position } from '#protocol/publication.ts';

export const MAX_POSITIONS = 64;
const VERSION = 1;
const epochText = /^[a-z0-9]{1,16}$/;

/** Positions by channel. Throws nothing; more than MAX_POSITIONS are cut. */
export function encodeCursor(positions: Iterable<readonly [channel: string, position: Position]>): string {
  const bytes: number[] = [VERSION];
  let count = 0;
  for (const [channel, { epoch, offset }] of positions) {
    if (++count > MAX_POSITIONS) break;
    const [high, low] = hashOf(channel);
    for (const word of [high, low])
      bytes.push(word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255);
    bytes.push(epoch.length);
    for (let i = 0; i < epoch.length; i++) bytes.push(epoch.charCodeAt(i));
    let rest = offset;
    while (rest >= 128) {
      bytes.push((rest % 128) | 128);
      rest = Math.floor(rest / 128);
    }
    bytes.push(rest);
  }
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '');
}

export interface Cursor {
  /** Null when the cursor says nothing of the channel. */
  positionOf(channel: string): Position | null;
  readonly size: number;
}

/** Null when the token is none of ours. */
export function decodeCursor(token: string): Cursor | null {
  const bytes = bytesOf(token);
  if (bytes === null || bytes[0] !== VERSION) return null;
  const positions = new Map<string, Position>();
  let at = 1;
  while (at < bytes.length) {
    if (positions.size >= MAX_POSITIONS) return null;
    const entry = readEntry(bytes, at);
    if (entry === null) return null;
    positions.set(entry.hash, entry.position);
    at = entry.end;
  }
  return {
    size: positions.size,
    positionOf: (channel) => positions.get(hashOf(channel).join('.')) ?? null,
  };
}

function readEntry(
  bytes: Uint8Array,
  start: number,
): { readonly hash: string; readonly position: Position; readonly end: number } | null {
  if (start + 9 > bytes.length) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const hash = `${view.getUint32(start)}.${view.getUint32(start + 4)}`;
  let at = start + 9 + bytes[start + 8]!;
  const epoch = String.fromCharCode(...bytes.subarray(start + 9, at));
  if (!epochText.test(epoch)) return null;
  let offset = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = bytes[at++];
    if (byte === undefined || scale > 2 ** 49) return null;
    offset += (byte & 127) * scale;
    if (byte < 128) break;
  }
  return Number.isSafeInteger(offset) ? { hash, position: { epoch, offset }, end: at } : null;
}

function bytesOf(token: string): Uint8Array | null {
  if (!/^[A-Za-z0-9_-]+$/.test(token)) return null;
  try {
    return Uint8Array.from(atob(token.replaceAll('-', '+').replaceAll('_', '/')), (one) => one.charCodeAt(0));
  } catch {
    return null;
  }
}

/** Two independent 32-bit FNV-1a hashes (G. Fowler, L. C. Noll, K.-P. Vo): a mistake costs a client its own recovery only. */
function hashOf(name: string): readonly [number, number] {
  let high = 0x811c9dc5;
  let low = 0x050c5d1f;
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    high = Math.imul(high ^ code, 0x01000193);
    low = Math.imul(low ^ code ^ (i & 0xff), 0x01000193);
  }
  return [high >>> 0, low >>> 0];
}
