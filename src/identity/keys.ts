/**
 * Owns the form of keys: `kd_` (device), `ka_` (access), `ks_` (a sign-in, in a cookie) or `kl_` (used once) and 32 bytes from the platform's cryptographic generator in
 * base64url. A key has 256 random bits, so a plain SHA-256 suffices to keep it (no dictionary helps), and looking a
 * hash up in an index tells nothing by its time.
 */

import { hash as digest, randomBytes } from 'node:crypto';

export type KeyKind = 'device' | 'access' | 'sign-in' | 'link';

const prefixes: Record<KeyKind, string> = { device: 'kd_', access: 'ka_', 'sign-in': 'ks_', link: 'kl_' };
const kinds: Readonly<Record<string, KeyKind>> = { d: 'device', a: 'access', s: 'sign-in', l: 'link' };
const randomCharacters = 43;

export interface NewKey {
  /** Shown once. */
  readonly key: string;
  readonly hash: Buffer;
}

export function newKey(kind: KeyKind): NewKey {
  const key = prefixes[kind] + randomBytes(32).toString('base64url');
  return { key, hash: hashKey(key) };
}

/** SHA-256, 32 bytes. */
export function hashKey(key: string): Buffer {
  return digest('sha256', key, 'buffer');
}

/** The same in base64: made in one call, which is a quarter of the time, and asked with every request. */
export function nameOfKey(key: string): string {
  return digest('sha256', key, 'base64');
}

/** The kind of a well-formed key; null for anything else, at any length, without hashing it. */
export function kindOfKey(key: string): KeyKind | null {
  if (key.length !== 3 + randomCharacters || !/^k[dasl]_[A-Za-z0-9_-]+$/.test(key)) return null;
  return kinds[key.charAt(1)] ?? null;
}
