/** What was erased stays erased after a restore: the list of erasures and its use, as an operator calls the commands. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { backupCommand } from '#app/backup-command.ts';
import { eraseCommand } from '#app/erase-command.ts';
import { erasuresCommand } from '#app/erasures-command.ts';
import { holdCommand } from '#app/hold-command.ts';
import { restoreCommand } from '#app/restore-command.ts';
import { erasePatient } from '#clinic/patient-erasure.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { openPools } from '#store/pools.ts';
import { clinician, openTestClinic, type TestClinic } from '#test/support/clinic.ts';
import { createTestDatabase } from '#test/support/database.ts';
import { createTemporaryDirectory } from '#test/support/temporary-directory.ts';
import { streamDefinition } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let clinic: TestClinic;
let folder: string;
const endings: (() => unknown)[] = [];

beforeEach(async () => {
  clinic = await openTestClinic();
  endings.push(() => clinic.close());
  const directory = createTemporaryDirectory();
  folder = directory.path;
  endings.push(() => directory.remove());
});
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

type Command = { run(args: readonly string[]): Promise<number> };

async function run(command: Command, ownerUrl: string, ...args: string[]) {
  const printed: string[] = [];
  const spy = vi.spyOn(console, 'log').mockImplementation((text: string = '') => void printed.push(text));
  try {
    const code = await command.run([...args, '--database-url', ownerUrl, '--data', folder]);
    return { code, printed };
  } finally {
    spy.mockRestore();
  }
}

async function record(session?: string): Promise<{ readonly session: string; readonly stream: string }> {
  const definition = streamDefinition(session === undefined ? {} : { session });
  const catalogue = createCatalogue(clinic.pools);
  const opened = await catalogue.openStream(clinic.tenant.device, { definition, epoch: '00000000000000aa' });
  expect(opened.ok).toBe(true);
  return definition;
}

/** A clinic that was backed up, and erased a patient, a session, a stream and a later session after that. */
async function erasedAfterBackup() {
  const { owner, ownerUrl, make, pools, cache, tenant } = clinic;
  const { id: patient } = await make({ identifiers: { name: 'Erika Muster' } });
  const ofPatient = await record();
  await owner.query('update kymo.session set patient_id = $2 where id = $1', [ofPatient.session, patient]);
  const [alone, kept] = [await record(), await record()];
  const part = await record(kept.session);
  const backup = join(folder, 'clinic.kymo-backup');
  expect((await run(backupCommand, ownerUrl, backup)).code).toBe(0);
  const later = await record();
  const chief = clinician(tenant.orgId, { role: 'owner' });
  expect(await erasePatient({ pools, cache }, chief, patient)).toBe('erased');
  await run(eraseCommand, ownerUrl, alone.session, '--yes');
  await run(eraseCommand, ownerUrl, part.session, '--stream', part.stream, '--yes');
  await run(eraseCommand, ownerUrl, later.session, '--yes');
  const list = join(folder, 'erasures.jsonl');
  writeFileSync(list, `${(await run(erasuresCommand, ownerUrl)).printed.join('\n')}\n`);
  return { patient, ofPatient, alone, kept, part, later, backup, list };
}

type Erased = Awaited<ReturnType<typeof erasedAfterBackup>>;

async function emptyDatabase(): Promise<string> {
  const database = await createTestDatabase();
  endings.push(() => database.drop());
  return database.ownerUrl;
}

/** What of it is there, and which of two sessions a device may not open. */
async function standing(ownerUrl: string, { patient, ofPatient, alone, kept, part, later }: Erased) {
  const owner = openTestPool(ownerUrl);
  const pools = await openPools(ownerUrl);
  try {
    const { rows } = await owner.query<{ there: string[] }>(
      `select array(select p.id::text from kymo.patient p union all select s.id::text from kymo.session s
         union all select t.id::text from kymo.stream t) as there`,
    );
    const names = {
      patient,
      ofPatient: ofPatient.session,
      alone: alone.session,
      part: part.stream,
      kept: kept.stream,
    };
    const catalogue = createCatalogue(pools);
    const { device } = clinic.tenant;
    return {
      there: Object.entries(names).flatMap(([name, id]) => (rows[0]!.there.includes(id) ? [name] : [])),
      discarded: [await catalogue.isErased(device, alone), await catalogue.isErased(device, later)],
    };
  } finally {
    await pools.close();
    await owner.end();
  }
}

test('a restore brings back what was erased later, and with the list of erasures it does not', async () => {
  const erased = await erasedAfterBackup();
  const without = await emptyDatabase();
  await run(restoreCommand, without, erased.backup);
  expect(await standing(without, erased)).toEqual({
    there: ['patient', 'ofPatient', 'alone', 'part', 'kept'],
    discarded: [false, false],
  });
  const place = await emptyDatabase();
  const restored = await run(restoreCommand, place, erased.backup, '--erasures', erased.list, '--json');
  expect(restored.code).toBe(0);
  // The patient's recording goes with the patient, and again by itself.
  expect(JSON.parse(restored.printed.at(-1)!)).toMatchObject({ erased: 4, remembered: 1, elsewhere: 0 });
  expect(await standing(place, erased)).toEqual({ there: ['kept'], discarded: [true, true] });
  const owner = openTestPool(place);
  const { rows } = await owner.query<{ entries: number }>(
    `select count(*)::int as entries from kymo.audit_entry where route = 'kymo erasures'`,
  );
  await owner.end();
  expect(rows[0]!.entries).toBe(4);
  // Again changes nothing, and whoever restored without the list erases by it afterwards.
  for (const [database, count] of [
    [place, 0],
    [without, 4],
  ] as const) {
    const again = await run(erasuresCommand, database, '--apply', erased.list, '--json');
    expect([again.code, JSON.parse(again.printed[0]!)]).toMatchObject([0, { erased: count }]);
    expect(await standing(database, erased)).toEqual({ there: ['kept'], discarded: [true, true] });
  }
});

test('what is under a legal hold in the back-up is left, named, and erased once the hold has ended', async () => {
  const { ownerUrl } = clinic;
  const held = await record();
  await run(holdCommand, ownerUrl, held.session, 'on', '--reason', 'court file 7');
  const backup = join(folder, 'held.kymo-backup');
  await run(backupCommand, ownerUrl, backup);
  await run(holdCommand, ownerUrl, held.session, 'off');
  await run(eraseCommand, ownerUrl, held.session, '--yes');
  const list = join(folder, 'erasures.jsonl');
  writeFileSync(list, (await run(erasuresCommand, ownerUrl)).printed.join('\n'));
  const place = await emptyDatabase();
  const restored = await run(restoreCommand, place, backup, '--erasures', list);
  expect(restored.code).toBe(1);
  expect(restored.printed.join('\n')).toContain(`session ${held.session}`);
  await run(holdCommand, place, held.session, 'off');
  expect(await run(erasuresCommand, place, '--apply', list)).toMatchObject({ code: 0 });
});

test('a list that was cut, or is none, is refused before anything is restored or erased', async () => {
  const { backup, list } = await erasedAfterBackup();
  const place = await emptyDatabase();
  const lines = readFileSync(list, 'utf8').trimEnd().split('\n');
  const broken: readonly (readonly [string, string])[] = [
    [lines.slice(0, -1).join('\n'), 'its end is missing'],
    [lines.slice(1).join('\n'), 'stand before it'],
    ['', 'its end is missing'],
    ['{"org":"x"}', 'line 1 of the list'],
    [`${lines[0]!.replace('patient', 'person')}\n{"end":1}`, 'line 1 of the list'],
  ];
  for (const [text, message] of broken) {
    const path = join(folder, 'broken.jsonl');
    writeFileSync(path, text);
    await expect(run(restoreCommand, place, backup, '--erasures', path)).rejects.toThrow(message);
    await expect(run(erasuresCommand, place, '--apply', path)).rejects.toThrow(message);
  }
  // Lists may stand behind each other.
  writeFileSync(list, `${lines.join('\n')}\n${lines.join('\n')}\n`);
  expect(await run(restoreCommand, place, backup, '--erasures', list)).toMatchObject({ code: 0 });
});
