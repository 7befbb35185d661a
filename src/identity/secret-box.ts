/**
 * Owns what has to be read again and is worth stealing: it is sealed with AES-256-GCM (NIST SP 800-38D) under a key derived
 * (HKDF, RFC 5869) from the installation's master key, which is kept outside the database, so that a back-up alone opens
 * nothing. Whose it is is bound in: a sealed text moved to another row does not open. The master key's id stands in front,
 * so that it can be exchanged.
 */

import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';

import { AppError } from '#base/errors.ts';

const ID_BYTES = 8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

interface MasterKey {
  /** 16 hexadecimal digits. */
  readonly id: string;
  readonly key: Buffer;
}

/** Where master keys come from. */
export interface MasterKeySource {
  current(): Promise<MasterKey>;
  find(id: string): Promise<MasterKey | null>;
}

export interface Opened {
  readonly secret: Buffer;
  /** A keyed hash (HMAC-SHA-256) for what stands beside it: of short secrets, which a plain one would not hide. */
  mac(text: string): Buffer;
}

export interface SecretBox {
  seal(secret: Buffer, owner: string): Promise<Buffer>;
  /** Throws AppError `internal` when the key is not there any more or the bytes were changed. */
  open(sealed: Buffer, owner: string): Promise<Opened>;
}

export function createSecretBox(masters: MasterKeySource): SecretBox {
  return {
    async seal(secret, owner) {
      const master = await masters.current();
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', derived(master, 'sealing'), nonce, {
        authTagLength: TAG_BYTES,
      });
      cipher.setAAD(Buffer.from(owner, 'utf8'));
      const body = Buffer.concat([cipher.update(secret), cipher.final()]);
      return Buffer.concat([Buffer.from(master.id, 'hex'), nonce, body, cipher.getAuthTag()]);
    },
    async open(sealed, owner) {
      const master = await masters.find(sealed.subarray(0, ID_BYTES).toString('hex'));
      const secret = master === null ? null : decipher(master, { sealed, owner });
      if (master === null || secret === null)
        throw new AppError(
          'internal',
          'a second factor cannot be read: this server does not have the master key of before',
        );
      const key = derived(master, 'hashing');
      return {
        secret,
        mac: (text) => createHmac('sha256', key).update(`${owner} ${text}`, 'utf8').digest(),
      };
    },
  };
}

function decipher(master: MasterKey, { sealed, owner }: { sealed: Buffer; owner: string }): Buffer | null {
  const nonce = sealed.subarray(ID_BYTES, ID_BYTES + NONCE_BYTES);
  const opening = createDecipheriv('aes-256-gcm', derived(master, 'sealing'), nonce, {
    authTagLength: TAG_BYTES,
  });
  opening.setAAD(Buffer.from(owner, 'utf8')).setAuthTag(sealed.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([
      opening.update(sealed.subarray(ID_BYTES + NONCE_BYTES, -TAG_BYTES)),
      opening.final(),
    ]);
  } catch {
    // The tag does not fit: that is all that there is to know.
    return null;
  }
}

function derived({ key }: MasterKey, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, Buffer.alloc(0), `kymo identity ${purpose}`, 32));
}
