/**
 * Owns the sealing of what names a person: AES-256-GCM (NIST SP 800-38D) with a fresh 96-bit nonce each, under a key of the
 * patient; that key is wrapped the same way by a master key, which is kept outside the database. What a text belongs to is
 * authenticated with it, so that nothing sealed can be moved to another patient, kind or organisation. A key of the
 * organisation makes the blind indexes (HMAC-SHA-256) by which an exact value is found.
 */

import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes } from 'node:crypto';

import { assert } from '#base/assert.ts';
import { AppError } from '#base/errors.ts';
import { foldText } from '#clinic/words.ts';

export const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** First byte of what is sealed: how. */
const FORMAT = 1;

export interface MasterKey {
  /** Tells keys apart and nothing else: 16 hexadecimal digits of a hash. */
  readonly id: string;
  readonly key: Buffer;
}

/** Where master keys come from: a file beside the database, or the environment (app/master-key-file.ts). */
export interface MasterKeys {
  /** The one that wraps from now on. */
  current(): Promise<MasterKey>;
  /** Null when this server does not have it. */
  find(id: string): Promise<MasterKey | null>;
}

export function masterKeyOf(key: Buffer): MasterKey {
  assert(key.length === KEY_BYTES, 'a master key has 256 bits');
  const id = createHash('sha256').update('kymo master key').update(key).digest('hex').slice(0, 16);
  return { id, key };
}

export function newKey(): Buffer {
  return randomBytes(KEY_BYTES);
}

/** `context`: what it belongs to; `open` needs the same. */
export function seal(key: Buffer, context: string, plain: Buffer): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(context, 'utf8'));
  const sealed = Buffer.concat([cipher.update(plain), cipher.final()]);
  return Buffer.concat([Buffer.of(FORMAT), nonce, sealed, cipher.getAuthTag()]);
}

/** Null when it was sealed with another key or for something else, or was changed. */
export function open(key: Buffer, context: string, sealed: Buffer): Buffer | null {
  if (sealed.length < 1 + NONCE_BYTES + TAG_BYTES || sealed[0] !== FORMAT) return null;
  const nonce = sealed.subarray(1, 1 + NONCE_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(context, 'utf8'));
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(1 + NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
  } catch {
    // The tag does not fit: that is all that there is to know.
    return null;
  }
}

/** A key as it is stored. */
export interface WrappedKey {
  readonly wrapped: Buffer;
  readonly masterKeyId: string;
}

/** Whose key it is: a patient's, or the organisation's own. */
export interface KeyOwner {
  readonly orgId: string;
  readonly patientId: string | null;
}

const wrapContext = ({ orgId, patientId }: KeyOwner, masterKeyId: string): string =>
  `kymo/key/1|${orgId}|${patientId ?? 'index'}|${masterKeyId}`;

export function wrapKey(master: MasterKey, owner: KeyOwner, key: Buffer): WrappedKey {
  return { wrapped: seal(master.key, wrapContext(owner, master.id), key), masterKeyId: master.id };
}

/** Throws AppError `conflict` when the master key is not here, or the wrapped key is not this owner's. */
export async function unwrapKey(
  masters: Pick<MasterKeys, 'find'>,
  owner: KeyOwner,
  { wrapped, masterKeyId }: WrappedKey,
): Promise<Buffer> {
  const master = await masters.find(masterKeyId);
  if (master === null)
    throw new AppError(
      'conflict',
      `this is sealed with the master key ${masterKeyId}, which this server does not have: give it the key file or KYMO_MASTER_KEY of before`,
    );
  const key = open(master.key, wrapContext(owner, masterKeyId), wrapped);
  if (key === null)
    throw new AppError('conflict', 'a stored key was changed, or belongs to somebody else; it opens nothing');
  return key;
}

export const searchedKinds = ['name', 'birthDate', 'recordNumber', 'phone', 'email'] as const;
export type SearchedKind = (typeof searchedKinds)[number];
export const identifierKinds = [...searchedKinds, 'address'] as const;
export type IdentifierKind = (typeof identifierKinds)[number];

export function identifierContext(orgId: string, patientId: string, kind: IdentifierKind): string {
  return `kymo/identifier/1|${orgId}|${patientId}|${kind}`;
}

/**
 * Text as it is compared: however it was typed, the same value gives the same text. Null: as this kind it is nothing that
 * could be found. Latin accents do not count, other scripts' marks do.
 */
export function comparable(kind: SearchedKind, text: string): string | null {
  const plain = foldText(text);
  switch (kind) {
    case 'name': {
      // "Doe, Jane" and "Jane Doe" are one.
      const words = plain.match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
      return words.length === 0 ? null : words.toSorted().join(' ');
    }
    case 'birthDate':
      return /^\d{4}-\d{2}-\d{2}$/.test(plain.trim()) ? plain.trim() : null;
    case 'recordNumber':
      return plain.replaceAll(/[^\p{L}\p{M}\p{N}]/gu, '') || null;
    case 'phone': {
      // "+49 ..." and "0049 ..." are one.
      const digits = plain
        .trim()
        .replace(/^\+/, '00')
        .replaceAll(/[\s()./-]/g, '');
      return /^\d{5,20}$/.test(digits) ? digits : null;
    }
    case 'email':
      return plain.includes('@') ? plain.trim() : null;
  }
}

/** What an exact value is found by; null where `comparable` is. */
export function blindOf(indexKey: Buffer, kind: SearchedKind, text: string): Buffer | null {
  const value = comparable(kind, text);
  return value === null ? null : createHmac('sha256', indexKey).update(`${kind}\0${value}`).digest();
}
