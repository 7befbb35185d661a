/**
 * Owns the platform's entropy while a history runs: ids and epochs are drawn from the seed, so that the same seed gives
 * the same history. One history at a time in a thread.
 */

import { assert } from '#base/assert.ts';
import { seededRandom } from '#base/random.ts';

let isSeeded = false;

/** Replaces `crypto.getRandomValues`; the returned function gives it back. */
export function seedEntropy(seed: number): () => void {
  assert(!isSeeded, 'one history at a time');
  isSeeded = true;
  const random = seededRandom(seed);
  const seeded: typeof crypto.getRandomValues = (array) => {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    for (let i = 0; i < bytes.length; i++) bytes[i] = random.next() * 256;
    return array;
  };
  const { crypto } = globalThis;
  Object.defineProperty(crypto, 'getRandomValues', { value: seeded, configurable: true, writable: true });
  let isMine = true;
  return () => {
    if (!isMine) return;
    isMine = false;
    isSeeded = false;
    Reflect.deleteProperty(crypto, 'getRandomValues');
  };
}
