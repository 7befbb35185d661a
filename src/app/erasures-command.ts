/** Owns `kymo erasures`: the list of what was erased, to be kept beside the back-ups, and erasing by it after a restore. */

import { open } from 'node:fs/promises';

import type pg from 'pg';

import { systemClock as clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { createAuditLog } from '#clinic/audit-log.ts';
import { eraseAgain, erasureLines, parseErasures, type ErasedAgain } from '#clinic/erasure-list.ts';
import { openAuditStore } from '#store/audit-store.ts';
import type { Pools } from '#store/pools.ts';
import { settingsHelp } from '#app/config.ts';
import { parseOwnArguments } from '#app/own-arguments.ts';
import { withStoredData } from '#app/stored-data.ts';

const usage = 'kymo erasures [--apply LIST] [--json]';

export const erasuresCommand = {
  help: `Usage: ${usage} [settings]

Prints what was erased: patients, sessions and streams, by id and time, one JSON object a line. A back-up that is older
brings it back when it is restored. Keep the list outside the database, and write it more often than back-ups:

  kymo erasures > erasures.new && mv erasures.new erasures.jsonl

  --apply <list>  erase all of a list again, as kymo restore --erasures does; interrupted, the same command finishes it
  --json          with --apply: print JSON

${settingsHelp()}`,

  async run(args: readonly string[]): Promise<number> {
    const own = { apply: 'string', json: 'boolean' } as const;
    const { positionals, texts, has, rest } = parseOwnArguments(args, own, usage);
    if (positionals.length > 0) throw new AppError('invalid-field', `it is ${usage}`);
    const { apply } = texts;
    if (apply !== undefined) await checkList(apply);
    return withStoredData(rest, async ({ owner, pools }) => {
      if (apply === undefined) {
        for await (const line of erasureLines(owner)) console.log(line);
        return 0;
      }
      const outcome = await applyList({ owner, pools }, apply);
      console.log(has('json') ? JSON.stringify(outcome) : describeErased(outcome));
      return outcome.held.count === 0 ? 0 : 1;
    });
  },
};

/** Reads all of a list, so that nothing is begun by one that is cut or is none. Throws AppError. */
export async function checkList(path: string): Promise<void> {
  for await (const _ of readList(path)) continue;
}

/** Erases again all of a list that was checked, each recorded in the audit log before. */
export async function applyList(
  { owner, pools }: { readonly owner: pg.Pool; readonly pools: Pick<Pools, 'app' | 'writer' | 'auditUrl'> },
  path: string,
): Promise<ErasedAgain> {
  const store = openAuditStore(pools.auditUrl);
  const audit = createAuditLog({ store, clock });
  try {
    return await eraseAgain(
      {
        owner,
        pools,
        record: ({ org, kind, id }) =>
          audit.record({
            orgId: org,
            actor: { kind: 'system', role: 'service', subject: 'kymo erasures' },
            action: kind === 'patient' ? 'patient.erase' : 'retention.manage',
            route: 'kymo erasures',
            requestId: null,
            patientId: kind === 'patient' ? id : null,
            resource: kind === 'patient' ? null : { kind, id },
            status: null,
            address: null,
          }),
      },
      readList(path),
    );
  } finally {
    await store.close();
  }
}

async function* readList(path: string): ReturnType<typeof parseErasures> {
  const file = await open(path).catch((cause: unknown) => {
    throw new AppError('invalid-field', `${path} cannot be read: ${(cause as Error).message}`, { cause });
  });
  try {
    yield* parseErasures(file.readLines());
  } finally {
    await file.close();
  }
}

export function describeErased({ erased, remembered, elsewhere, held }: ErasedAgain): string {
  const lines = [`Erased again: ${erased}. Not there, and remembered as erased: ${remembered}.`];
  if (elsewhere > 0) lines.push(`Of organisations that are not here: ${elsewhere}.`);
  if (held.count > 0)
    lines.push(
      `Under a legal hold, and left: ${held.count}. End the holds (kymo hold SESSION off), and apply the list again:`,
      ...held.named.map(({ kind, id }) => `  ${kind} ${id}`),
    );
  return lines.join('\n');
}
