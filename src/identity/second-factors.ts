/**
 * Owns people's second factors: an authenticator's secret, sealed, and back-up codes, as keyed hashes. A code is good once
 * (RFC 6238 section 5.2), also when two show it at the same time. Wrong codes fill a bucket in the database, so that a
 * restart or another instance gives no new guesses: MAX_FAILURES, one more every DRAIN_S.
 */

import { randomBytes } from 'node:crypto';

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { accountLimits, type TotpEnrolment } from '#contract/account.ts';
import type { Opened, SecretBox } from '#identity/secret-box.ts';
import { base32, findStep, otpauthUri, TOTP_SECRET_BYTES } from '#identity/totp.ts';
import type { RolePool } from '#store/pools.ts';

const MAX_FAILURES = 10;
const DRAIN_S = 360;
/** 60 bits. */
const BACKUP_CODE_LETTERS = 12;
/** Crockford's base 32: nothing in it looks like anything else in it. */
const backupAlphabet = '0123456789abcdefghjkmnpqrstvwxyz';

export interface SecondFactors {
  /** A new secret that does not count yet. Throws AppError `conflict` when there is one that counts. */
  enrol(person: { readonly id: string; readonly email: string }): Promise<TotpEnrolment>;
  /** The secret counts from now on; returns back-up codes. Null: the code is wrong. Throws AppError `conflict`. */
  confirm(personId: string, code: string): Promise<readonly string[] | null>;
  /** `totp` or `backup-code` when the code is right, and used up by that. Throws AppError `limit-exceeded` (temporary). */
  use(personId: string, code: string): Promise<'totp' | 'backup-code' | null>;
  /** New back-up codes in place of the old. Throws AppError `conflict` when there is no second factor. */
  renewBackupCodes(personId: string): Promise<readonly string[]>;
  remove(personId: string): Promise<void>;
}

interface Kept {
  readonly secret: Buffer;
  readonly last_step: number;
  readonly confirmed_at: Date | null;
}

export function createSecondFactors(options: {
  authPool: RolePool;
  clock: Clock;
  box: SecretBox;
  issuer: string;
}): SecondFactors {
  const { authPool, clock, box, issuer } = options;

  async function count(text: string, values: readonly unknown[]): Promise<number> {
    const [result] = await authPool.run([{ text, values }]);
    return result?.rowCount ?? 0;
  }

  /** Counts an attempt before anything is compared. */
  async function begin(personId: string): Promise<Kept | null> {
    const results = await authPool.run([
      {
        text: `update kymo.two_factor set failed_at = now(),
            failures = greatest(0, failures - extract(epoch from now() - failed_at) / ${DRAIN_S}) + 1
          where person_id = $1
            and greatest(0, failures - extract(epoch from now() - failed_at) / ${DRAIN_S}) <= ${MAX_FAILURES - 1}
          returning secret, last_step, confirmed_at`,
        values: [personId],
      },
      { text: 'select from kymo.two_factor where person_id = $1', values: [personId] },
    ]);
    const kept = results[0]?.rows[0] as Kept | undefined;
    if (kept === undefined && results[1]?.rowCount === 1)
      throw new AppError('limit-exceeded', 'too many wrong codes; try again in some minutes', {
        temporary: true,
      });
    return kept ?? null;
  }

  const stepOf = (code: string, { secret }: Opened, lastStep: number): number | null =>
    findStep(secret, code, { timeUs: clock.nowUs(), lastStep });

  const newCodes = (opened: Opened): { codes: string[]; hashes: Buffer[] } => {
    const codes = Array.from({ length: accountLimits.backupCodes }, newBackupCode);
    return { codes, hashes: codes.map((code) => opened.mac(plain(code))) };
  };

  return {
    async enrol({ id, email }) {
      const secret = randomBytes(TOTP_SECRET_BYTES);
      const made = await count(
        `insert into kymo.two_factor (person_id, secret) values ($1, $2)
          on conflict (person_id) do update set secret = excluded.secret, created_at = now()
            where two_factor.confirmed_at is null`,
        [id, await box.seal(secret, id)],
      );
      if (made === 0) throw new AppError('conflict', 'there is a second factor already: turn it off first');
      return { secret: base32(secret), uri: otpauthUri(secret, { issuer, email }) };
    },
    async confirm(personId, code) {
      const kept = await begin(personId);
      if (kept === null || kept.confirmed_at !== null)
        throw new AppError('conflict', 'no second factor waits to be confirmed');
      const opened = await box.open(kept.secret, personId);
      const step = stepOf(code, opened, kept.last_step);
      if (step === null) return null;
      const { codes, hashes } = newCodes(opened);
      const confirmed = await count(
        `update kymo.two_factor set confirmed_at = now(), last_step = $2, backup_hashes = $3, failures = 0
          where person_id = $1 and confirmed_at is null`,
        [personId, step, hashes],
      );
      return confirmed === 0 ? null : codes;
    },
    async use(personId, code) {
      const kept = await begin(personId);
      if (kept === null || kept.confirmed_at === null) return null;
      const opened = await box.open(kept.secret, personId);
      const step = /^\d{6}$/.test(code) ? stepOf(code, opened, kept.last_step) : null;
      if (step !== null) {
        const used = await count(
          'update kymo.two_factor set last_step = $2, failures = 0 where person_id = $1 and last_step < $2',
          [personId, step],
        );
        return used === 1 ? 'totp' : null;
      }
      if (plain(code).length !== BACKUP_CODE_LETTERS) return null;
      const used = await count(
        `update kymo.two_factor set backup_hashes = array_remove(backup_hashes, $2), failures = 0
          where person_id = $1 and $2 = any(backup_hashes)`,
        [personId, opened.mac(plain(code))],
      );
      return used === 1 ? 'backup-code' : null;
    },
    async renewBackupCodes(personId) {
      const [found] = await authPool.run([
        {
          text: 'select secret from kymo.two_factor where person_id = $1 and confirmed_at is not null',
          values: [personId],
        },
      ]);
      const kept = found?.rows[0] as Pick<Kept, 'secret'> | undefined;
      if (kept === undefined) throw new AppError('conflict', 'there is no second factor');
      const { codes, hashes } = newCodes(await box.open(kept.secret, personId));
      const renewed = await count(
        'update kymo.two_factor set backup_hashes = $2 where person_id = $1 and confirmed_at is not null',
        [personId, hashes],
      );
      if (renewed === 0) throw new AppError('conflict', 'there is no second factor');
      return codes;
    },
    async remove(personId) {
      await count('delete from kymo.two_factor where person_id = $1', [personId]);
    },
  };
}

/** xxxx-xxxx-xxxx. 256 is a multiple of 32: every letter is as likely. */
function newBackupCode(): string {
  const letters = [...randomBytes(BACKUP_CODE_LETTERS)]
    .map((byte) => backupAlphabet.charAt(byte & 31))
    .join('');
  return `${letters.slice(0, 4)}-${letters.slice(4, 8)}-${letters.slice(8)}`;
}

/** As people type it: capitals, spaces, and what Crockford reads as 1 and 0. */
function plain(code: string): string {
  return code.toLowerCase().replaceAll(/[\s-]/g, '').replaceAll(/[il]/g, '1').replaceAll('o', '0');
}
