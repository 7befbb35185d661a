/**
 * Owns what has to be read again and is worth stealing: it is sealed with AES-256-GCM (NIST SP 800-38D) under a key derived
 * (HKDF, RFC 5869) from the installation's master key, which is kept outside the database, so that a back-up alone opens
 * nothing. Whose it is is bound in: a sealed text moved to another row does not open. The master key's id stands in front,
 * so that it can be exchanged: what is sealed anew takes the key of its keyed hashes along, since hashes cannot be made anew.
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
  /** The same under the current master key; null when it is already. Throws as `open` does. */
  reseal(sealed: Buffer, owner: string): Promise<Buffer | null>;
}

/** Of what was sealed anew: its key for hashes, then the secret. */
const HASHING_KEY_BYTES = 32;
const resealedOwner = (owner: string): string => `${owner} with the key of its hashes`;

interface Unsealed {
  readonly secret: Buffer;
  readonly hashingKey: Buffer;
}

export function createSecretBox(masters: MasterKeySource): SecretBox {
  async function unseal(sealed: Buffer, owner: string): Promise<Unsealed> {
    const master = await masters.find(masterKeyIdOf(sealed));
    const unsealed = master === null ? null : unsealWith(master, { sealed, owner });
    if (unsealed === null)
      throw new AppError(
        'internal',
        'a secret cannot be read: this server does not have the master key of before, or it was changed',
      );
    return unsealed;
  }
  return {
    seal: async (secret, owner) => encipher(await masters.current(), { secret, owner }),
    async open(sealed, owner) {
      const { secret, hashingKey } = await unseal(sealed, owner);
      return {
        secret,
        mac: (text) => createHmac('sha256', hashingKey).update(`${owner} ${text}`, 'utf8').digest(),
      };
    },
    async reseal(sealed, owner) {
      const master = await masters.current();
      if (masterKeyIdOf(sealed) === master.id) return null;
      const { secret, hashingKey } = await unseal(sealed, owner);
      return encipher(master, { secret: Buffer.concat([hashingKey, secret]), owner: resealedOwner(owner) });
    },
  };
}

/** 16 hexadecimal digits; of what is not sealed, no key's. */
export function masterKeyIdOf(sealed: Buffer): string {
  return sealed.subarray(0, ID_BYTES).toString('hex');
}

function unsealWith(
  master: MasterKey,
  { sealed, owner }: { sealed: Buffer; owner: string },
): Unsealed | null {
  const secret = decipher(master, { sealed, owner });
  if (secret !== null) return { secret, hashingKey: derived(master, 'hashing') };
  const both = decipher(master, { sealed, owner: resealedOwner(owner) });
  if (both === null) return null;
  return { secret: both.subarray(HASHING_KEY_BYTES), hashingKey: both.subarray(0, HASHING_KEY_BYTES) };
}

function encipher(master: MasterKey, { secret, owner }: { secret: Buffer; owner: string }): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', derived(master, 'sealing'), nonce, {
    authTagLength: TAG_BYTES,
  });
  cipher.setAAD(Buffer.from(owner, 'utf8'));
  const body = Buffer.concat([cipher.update(secret), cipher.final()]);
  return Buffer.concat([Buffer.from(master.id, 'hex'), nonce, body, cipher.getAuthTag()]);
}

function decipher(master: MasterKey, { sealed, owner }: { sealed: Buffer; owner: string }): Buffer | null {
  if (sealed.length < ID_BYTES + NONCE_BYTES + TAG_BYTES) return null;
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
