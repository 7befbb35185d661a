/**
 * A short torture run: every main kind of fault once on a small fleet, and nothing is lost, doubled or different. Then the
 * stored rows are damaged, and the same check must say so: a checker that cannot fail proves nothing.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import pg from 'pg';
import { afterEach, expect, test } from 'vitest';

import { processFaults } from '#test/torture/process-faults.ts';
import { figuresOf } from '#test/torture/run-report.ts';
import { drawRun } from '#test/torture/run-picture.ts';
import type { Verdict } from '#test/torture/stored-check.ts';
import { surroundingFaults } from '#test/torture/surrounding-faults.ts';
import { runTorture } from '#test/torture/torture-run.ts';

const logDirectory = mkdtempSync(join(tmpdir(), 'kymo-torture-test-'));
afterEach(() => rmSync(logDirectory, { recursive: true, force: true }));

/** One hot chunk of some readings, by its key. */
const someChunk = `(select stream_id, epoch, first_seq from kymo.chunk where n > 4 order by stream_id, epoch, first_seq
  limit 1)`;

/** What the check says while `damage` is done; `repair` takes it back. */
async function verdictWith(
  client: pg.Client,
  check: () => Promise<Verdict>,
  { damage, repair }: { damage: string; repair: string },
): Promise<Verdict> {
  await client.query(damage);
  const verdict = await check();
  await client.query(repair);
  return verdict;
}

async function expectDamageFound(ownerUrl: string, check: () => Promise<Verdict>): Promise<void> {
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    await client.query('set role kymo_writer');
    await client.query(`create temporary table kept as select * from kymo.chunk
      where (stream_id, epoch, first_seq) in ${someChunk}`);
    const { rows } = await client.query<{ n: number }>('select n from kept');
    const n = rows[0]!.n;
    const itself = 'where (stream_id, epoch, first_seq) in (select stream_id, epoch, first_seq from kept)';
    const good = await check();

    // The first byte of the third value of its second reading.
    const byte = 24 + 8;
    const flipped = await verdictWith(client, check, {
      damage: `update kymo.chunk set data = set_byte(data, ${byte}, get_byte(data, ${byte}) # 1) ${itself}`,
      repair: `update kymo.chunk set data = set_byte(data, ${byte}, get_byte(data, ${byte}) # 1) ${itself}`,
    });
    expect(flipped).toEqual({ ...good, different: 1, missing: 1 });
    const deleted = await verdictWith(client, check, {
      damage: `delete from kymo.chunk ${itself}`,
      repair: 'insert into kymo.chunk select * from kept',
    });
    expect(deleted).toMatchObject({ stored: good.stored - n, lost: n, missing: n, guardDiffers: 1 });
    const doubled = await verdictWith(client, check, {
      damage: 'insert into kymo.chunk select * from kept',
      repair: `delete from kymo.chunk c ${itself}
        and ctid > (select min(ctid) from kymo.chunk o ${itself} and o.tableoid = c.tableoid)`,
    });
    expect(doubled).toEqual({ ...good, stored: good.stored + n, doubled: n });
    expect(await check()).toEqual(good);
  } finally {
    await client.end();
  }
}

test('a small fleet survives every main kind of fault, and damage done afterwards is found', async () => {
  const settings = { minutes: 0.5, seed: 4, devices: 4, streams: 2, servers: 2, heartbeatMs: 1000 };
  const said: string[] = [];
  const outcome = await runTorture(
    {
      ...settings,
      logDirectory,
      say: (text) => void said.push(text),
      afterwards: ({ ownerUrl, check }) => expectDamageFound(ownerUrl, check),
    },
    new AbortController().signal,
  );
  const { recorder, verdict, left, absent } = outcome;
  expect(recorder.faults.filter(({ failure }) => failure !== null)).toEqual([]);
  expect(
    { ...verdict, left, wrong: outcome.liveWrong, deaths: outcome.serverDeaths },
    said.join('\n'),
  ).toMatchObject({
    lost: 0,
    missing: 0,
    doubled: 0,
    different: 0,
    left: [],
    wrong: 0,
    deaths: 0,
  });
  expect({ forgotten: outcome.forgotten, hasLooked: outcome.looks > 10 }).toEqual({
    forgotten: 0,
    hasLooked: true,
  });
  expect(outcome.isGood, said.join('\n')).toBe(true);
  expect(verdict.stored).toBeGreaterThan(10_000);
  expect(outcome.liveFrames).toBeGreaterThan(0);
  const possible = [...processFaults, ...surroundingFaults].filter(
    ({ name }) => !absent.some(({ kind }) => kind === name),
  );
  const struck = new Set(recorder.faults.map(({ kind }) => kind));
  expect(possible.filter(({ isMain, name }) => isMain && !struck.has(name))).toEqual([]);
  expect(drawRun(outcome, figuresOf(outcome, settings))).toContain('</svg>');
}, 300_000);
