/**
 * Owns the sealing of all stored secrets (second factors, webhooks) under another master key, as the owner of the tables,
 * one at a time: what a person or server changes meanwhile stays, and a rotation that stops half way goes on where it is
 * called again. Secrets of webhooks that stand there in clear are sealed with them.
 */

import type pg from 'pg';

import { AppError } from '#base/errors.ts';
import {
  createSecretBox,
  masterKeyIdOf,
  type MasterKeySource,
  type SecretBox,
} from '#identity/secret-box.ts';
import { bytesOfSealedText, sealedText } from '#identity/sealed-texts.ts';

export interface SecretRotation {
  readonly resealed: number;
  /** Sealed under master keys that are not here; left as they are. */
  readonly unknown: number;
}

/** One stored secret, by the id that is bound into it. */
interface Kept<T> {
  readonly id: string;
  readonly secret: T;
}

const webhookColumns = ['secret', 'previous_secret'] as const;

export async function resealSecrets(owner: pg.Pool, masters: MasterKeySource): Promise<SecretRotation> {
  const box = createSecretBox(masters);
  const done = { resealed: 0, unknown: 0 };
  const count = async (step: () => Promise<number>): Promise<void> => {
    try {
      done.resealed += await step();
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      done.unknown++;
    }
  };
  for (const kept of await secondFactorsOf(owner)) await count(() => resealSecondFactor(owner, box, kept));
  for (const column of webhookColumns)
    for (const kept of await webhookSecretsOf(owner, column))
      await count(() => resealWebhook({ owner, box, column }, kept));
  return done;
}

/** The ids of the master keys that some stored secret is sealed under. */
export async function usedSecretKeys(owner: pg.Pool): Promise<ReadonlySet<string>> {
  const used = new Set((await secondFactorsOf(owner)).map(({ secret }) => masterKeyIdOf(secret)));
  for (const column of webhookColumns)
    for (const { secret } of await webhookSecretsOf(owner, column)) {
      const sealed = bytesOfSealedText(secret);
      if (sealed !== null) used.add(masterKeyIdOf(sealed));
    }
  return used;
}

async function secondFactorsOf(owner: pg.Pool): Promise<Kept<Buffer>[]> {
  const { rows } = await owner.query<Kept<Buffer>>('select person_id as id, secret from kymo.two_factor');
  return rows;
}

async function webhookSecretsOf(
  owner: pg.Pool,
  column: (typeof webhookColumns)[number],
): Promise<Kept<string>[]> {
  const { rows } = await owner.query<Kept<string>>(
    `select id, ${column} as secret from kymo.webhook_endpoint where ${column} is not null`,
  );
  return rows;
}

async function resealSecondFactor(
  owner: pg.Pool,
  box: SecretBox,
  { id, secret }: Kept<Buffer>,
): Promise<number> {
  const resealed = await box.reseal(secret, id);
  if (resealed === null) return 0;
  const text = 'update kymo.two_factor set secret = $3 where person_id = $1 and secret = $2';
  return (await owner.query(text, [id, secret, resealed])).rowCount ?? 0;
}

async function resealWebhook(
  {
    owner,
    box,
    column,
  }: {
    readonly owner: pg.Pool;
    readonly box: SecretBox;
    readonly column: (typeof webhookColumns)[number];
  },
  { id, secret }: Kept<string>,
): Promise<number> {
  const sealed = bytesOfSealedText(secret);
  const resealed =
    sealed === null ? await box.seal(Buffer.from(secret, 'utf8'), id) : await box.reseal(sealed, id);
  if (resealed === null) return 0;
  const text = `update kymo.webhook_endpoint set ${column} = $3 where id = $1 and ${column} = $2`;
  return (await owner.query(text, [id, secret, sealedText(resealed)])).rowCount ?? 0;
}
