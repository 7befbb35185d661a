/**
 * Owns how passwords are kept: Argon2id (RFC 9106) in a PHC string, with the cost that OWASP's password storage cheat
 * sheet names first. Checking one takes 19 MiB and some 30 ms of a thread, so at most `atOnce` run and `maxWaiting` wait;
 * beyond that the answer is `overloaded`. Whoever has no password is checked against one that nobody has, so that time
 * does not tell who exists.
 */

import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

import { AppError } from '#base/errors.ts';

export const passwordLimits = {
  memoryKiB: 19_456,
  passes: 2,
  lanes: 1,
  /** Half of libuv's four threads: files and name look-ups need the others. */
  atOnce: 2,
  /** A clinic's staff at the start of a day; the last of them waits two seconds. */
  maxWaiting: 64,
} as const;

const HASH_BYTES = 32;
const SALT_BYTES = 16;

export interface Passwords {
  /** A PHC string. Throws AppError `overloaded` (temporary). */
  hash(password: string): Promise<string>;
  /** Whether it is the password of `hash`; never for null, after the same time. Throws AppError `overloaded` (temporary). */
  isRight(password: string, hash: string | null): Promise<boolean>;
}

interface Kept {
  readonly salt: Buffer;
  readonly hash: Buffer;
  readonly parameters: Parameters;
}

interface Parameters {
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
}

const current: Parameters = {
  memory: passwordLimits.memoryKiB,
  passes: passwordLimits.passes,
  parallelism: passwordLimits.lanes,
};
const nobody: Kept = { salt: randomBytes(SALT_BYTES), hash: randomBytes(HASH_BYTES), parameters: current };
const derive = promisify(argon2);

export function createPasswords(
  limits: Pick<typeof passwordLimits, 'atOnce'> & { readonly maxWaiting: number } = passwordLimits,
): Passwords {
  let running = 0;
  const waiting: (() => void)[] = [];

  async function inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (running >= limits.atOnce) {
      if (waiting.length >= limits.maxWaiting)
        throw new AppError('overloaded', 'too many people sign in at once; try again soon', {
          temporary: true,
        });
      // Whoever ends hands its place on, so that nobody takes it in between.
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else running++;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  }

  return {
    hash: (password) =>
      inTurn(async () => {
        const salt = randomBytes(SALT_BYTES);
        return textOf({ salt, hash: await hashOf(password, salt, current), parameters: current });
      }),
    isRight: (password, text) =>
      inTurn(async () => {
        const kept = text === null ? null : parse(text);
        const { salt, hash, parameters } = kept ?? nobody;
        const isSame = timingSafeEqual(await hashOf(password, salt, parameters), hash);
        return isSame && kept !== null;
      }),
  };
}

// Composed and decomposed letters look the same to whoever types them (RFC 8265 section 4.2).
async function hashOf(password: string, nonce: Buffer, parameters: Parameters): Promise<Buffer> {
  const message = Buffer.from(password.normalize('NFC'), 'utf8');
  return Buffer.from(await derive('argon2id', { message, nonce, tagLength: HASH_BYTES, ...parameters }));
}

function textOf({ salt, hash, parameters }: Kept): string {
  const { memory, passes, parallelism } = parameters;
  const encoded = [salt, hash].map((bytes) => bytes.toString('base64').replaceAll('=', ''));
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${encoded.join('$')}`;
}

function parse(text: string): Kept | null {
  const found = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})$/.exec(
    text,
  );
  if (found === null) return null;
  const [memory, passes, parallelism] = found.slice(1, 4).map(Number);
  return {
    salt: Buffer.from(found[4]!, 'base64'),
    hash: Buffer.from(found[5]!, 'base64'),
    parameters: { memory: memory!, passes: passes!, parallelism: parallelism! },
  };
}
