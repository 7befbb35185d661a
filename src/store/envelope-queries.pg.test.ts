import fc from 'fast-check';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import type { EnvelopeData } from '#contract/envelope.ts';
import { createEnvelopeQueries } from '#store/envelope-queries.ts';
import { envelopeBounds, type EnvelopeQuery } from '#store/envelope-statements.ts';
import { ensurePartitions } from '#store/partitions.ts';
import { openPools, type Pools, type RolePool } from '#store/pools.ts';
import { createRollupTask } from '#store/rollup-keeper.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { createRecorder, type RecordedFrame, type Recorder } from '#test/support/recorded-streams.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

const START_US = 1_700_000_000_000_000;

let database: TestDatabase;
let pools: Pools;
let writer: pg.Pool;
let owner: pg.Pool;
let tenantA: Tenant;
let tenantB: Tenant;
let recorder: Recorder;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  writer = openTestPool(pools.writerUrl);
  owner = openTestPool(database.ownerUrl);
  await ensurePartitions(writer);
  tenantA = await createTenant(database.ownerUrl, pools, 'A');
  tenantB = await createTenant(database.ownerUrl, pools, 'B');
  recorder = createRecorder(pools, tenantA);
});

afterAll(async () => {
  await recorder.stop();
  await pools.close();
  await writer.end();
  await owner.end();
  await database.drop();
});

/** Rolls up all that is committed. */
async function rollUp(): Promise<void> {
  const task = createRollupTask({ clock: systemClock, policy: { quietS: 0, liveS: 0 } });
  while ((await task.step(writer, new AbortController().signal)) === 'more');
}

async function read(query: Partial<EnvelopeQuery> & { streamId: string }): Promise<EnvelopeData> {
  const answer = await createEnvelopeQueries(pools.app).read(tenantA.orgId, {
    fromUs: null,
    toUs: null,
    width: 100,
    ...query,
  });
  if (answer === 'unknown-stream') throw new Error(answer);
  return answer;
}

/** 20 frames a second of 10 readings, values that a plain formula gives. */
function frames(fromS: number, toS: number, startUs = START_US): RecordedFrame[] {
  return Array.from({ length: (toS - fromS) * 20 }, (_, i) => {
    const firstSeq = (fromS * 20 + i) * 10;
    return {
      firstSeq,
      firstUs: startUs + firstSeq * 5_000,
      periodUs: 5_000,
      lagUs: 20_000,
      rows: Array.from({ length: 10 }, (__, j) => [firstSeq + j, Math.sin(firstSeq + j), -1]),
    };
  });
}

test('a range of single readings, the same before and after it was rolled up', async () => {
  const stream = await recorder.open({ rateHz: 200 });
  await stream.write(frames(0, 90));
  const query = {
    streamId: stream.definition.stream,
    fromUs: START_US + 10_000_000,
    toUs: START_US + 10_100_000,
  };
  const fresh = await read(query);
  expect(fresh).toMatchObject({ bucketUs: 0, rawDropped: false, unrolled: 0, gaps: [] });
  expect([fresh.firstUs, fresh.lastUs]).toEqual([START_US, START_US + 90_000_000 - 5_000]);
  expect([...fresh.min[0]!]).toEqual(Array.from({ length: 20 }, (_, i) => 2_000 + i));
  expect([...fresh.startUs]).toEqual(Array.from({ length: 20 }, (_, i) => query.fromUs + i * 5_000));
  await rollUp();
  expect(await read(query)).toEqual(fresh);
  const whole = await read({ streamId: stream.definition.stream, width: 40 });
  expect(whole.bucketUs).toBe(1_000_000);
  expect(whole.count.reduce((sum, n) => sum + n, 0)).toBe(18_000);
});

test("another organisation's stream is unknown, as is none at all", async () => {
  const stream = await recorder.open();
  await stream.write(frames(0, 1));
  const query = { streamId: stream.definition.stream, fromUs: null, toUs: null, width: 100 };
  const queries = createEnvelopeQueries(pools.app);
  expect(await queries.read(tenantB.orgId, query)).toBe('unknown-stream');
  const streamId = '00000000-0000-7000-8000-000000000000';
  expect(await queries.read(tenantA.orgId, { ...query, streamId })).toBe('unknown-stream');
});

interface Reading {
  readonly timeUs: number;
  readonly values: readonly number[];
}

const readingsOf = (all: readonly RecordedFrame[]): Reading[] =>
  all.flatMap((frame) =>
    frame.rows.map((values, i) => ({
      timeUs: frame.firstUs + i * frame.periodUs,
      values: values.map(Math.fround),
    })),
  );

/** Asserts that columns are disjoint, hold every reading of the range, and say of each what its readings are. */
function expectFaithful(envelope: EnvelopeData, all: readonly Reading[], width: number): void {
  const { startUs, endUs, count } = envelope;
  const columns = [...startUs.keys()];
  expect(columns.length).toBeLessThanOrEqual(2 * width);
  expect(columns.every((c) => startUs[c]! < endUs[c]!)).toBe(true);
  // Single readings of one time are columns of one time.
  const pieces = new Map<number, { endUs: number; columns: number[] }>();
  for (const c of columns) {
    const piece = pieces.get(startUs[c]!) ?? { endUs: endUs[c]!, columns: [] };
    piece.columns.push(c);
    pieces.set(startUs[c]!, piece);
  }
  const starts = [...pieces.keys()];
  expect(starts).toEqual(starts.toSorted((a, b) => a - b));
  expect(starts.every((start, i) => i === 0 || pieces.get(starts[i - 1]!)!.endUs <= start)).toBe(true);
  for (const [start, piece] of pieces) {
    const covered = all.filter(({ timeUs }) => timeUs >= start && timeUs < piece.endUs);
    expect(piece.columns.reduce((sum, c) => sum + count[c]!, 0)).toBe(covered.length);
    for (let axis = 0; axis < 3; axis++) {
      const finite = covered.map(({ values }) => values[axis]!).filter(Number.isFinite);
      const found = piece.columns.flatMap((c) => [envelope.min[axis]![c]!, envelope.max[axis]![c]!]);
      const numbers = found.filter((value) => !Number.isNaN(value));
      expect([Math.min(...numbers), Math.max(...numbers)]).toEqual([
        Math.min(...finite),
        Math.max(...finite),
      ]);
    }
  }
  const isCovered = ({ timeUs }: Reading): boolean =>
    starts.some((start) => timeUs >= start && timeUs < pieces.get(start)!.endUs);
  const inRange = all.filter(({ timeUs }) => timeUs >= envelope.fromUs && timeUs < envelope.toUs);
  expect(inRange.every(isCovered)).toBe(true);
}

const wildFrames = fc
  .array(
    fc.record({
      firstUs: fc.oneof(
        { weight: 6, arbitrary: fc.integer({ min: 0, max: 200 }).map((s) => START_US + s * 1_000_000) },
        fc.constantFrom(0, -1, 4_294_967_296_000_000),
      ),
      periodUs: fc.constantFrom(0, 5_000, 700_000),
      rows: fc.array(
        fc.array(fc.oneof(fc.float(), fc.constantFrom(Number.NaN, Infinity)), { minLength: 3, maxLength: 3 }),
        { minLength: 1, maxLength: 60 },
      ),
    }),
    { minLength: 1, maxLength: 10 },
  )
  .map((list) => {
    let firstSeq = 0;
    return list.map((frame) => {
      const placed = { ...frame, firstSeq, lagUs: 1_000 };
      firstSeq += frame.rows.length;
      return placed;
    });
  });

test('for every range and width, columns hold every reading and hide no peak, rolled up or not', async () => {
  const second = (s: number): number => START_US + s * 1_000_000;
  await fc.assert(
    fc.asyncProperty(
      wildFrames,
      wildFrames,
      fc.integer({ min: 1, max: 10 }),
      fc.array(
        fc.record({
          from: fc.option(fc.integer({ min: -5, max: 205 }).map(second)),
          length: fc.option(fc.constantFrom(1, 7_000, 100_000, 3_000_000, 100_000_000, 5_000_000_000)),
          width: fc.constantFrom(16, 100, 1_000),
        }),
        { minLength: 1, maxLength: 6 },
      ),
      async (first, later, rolledFrames, ranges) => {
        const stream = await recorder.open({ rateHz: 200 });
        await stream.write(first.slice(0, rolledFrames));
        await rollUp();
        await stream.write(first);
        const next = await stream.nextEpoch();
        await next.write(later);
        const all = readingsOf([...first, ...later]);
        for (const { from, length, width } of [...ranges, { from: null, length: null, width: 16 }]) {
          const toUs = length === null ? null : (from ?? START_US) + length;
          const envelope = await read({ streamId: stream.definition.stream, fromUs: from, toUs, width });
          expectFaithful(envelope, all, width);
          expect(envelope.firstUs).toBe(Math.min(...all.map(({ timeUs }) => timeUs)));
          expect(envelope.lastUs).toBe(Math.max(...all.map(({ timeUs }) => timeUs)));
        }
      },
    ),
    { numRuns: 30, interruptAfterTimeLimit: 60_000 },
  );
});

test('an envelope is one round trip, whatever it shows', async () => {
  const stream = await recorder.open({ rateHz: 200 });
  await stream.write(frames(0, 70));
  await rollUp();
  await stream.write(frames(70, 80));
  const batches: number[] = [];
  const counting: RolePool = {
    run(statements, mode) {
      batches.push(statements.length);
      return pools.app.run(statements, mode);
    },
    stats: pools.app.stats,
  };
  const query = { streamId: stream.definition.stream, fromUs: START_US, width: 100 };
  for (const lengthUs of [1_000_000, 40_000_000, 80_000_000, 1e12])
    await createEnvelopeQueries(counting).read(tenantA.orgId, { ...query, toUs: START_US + lengthUs });
  expect(batches).toEqual([6, 6, 6, 6]);
});

test('gaps stand between their neighbours, with what is known of them', async () => {
  const stream = await recorder.open({ rateHz: 200 });
  const [, ...list] = frames(0, 10);
  // Numbers 0 to 9 never came; 500 to 599 were lost, 1000 to 1099 may still come.
  const kept = list.filter(
    ({ firstSeq }) => (firstSeq < 500 || firstSeq >= 600) && (firstSeq < 1_000 || firstSeq >= 1_100),
  );
  await stream.write(kept, [{ from: 500, to: 600 }]);
  const at = (seq: number): number => START_US + seq * 5_000;
  const gaps = [
    { fromUs: at(-1), toUs: at(10), readings: 10, state: 'pending', reason: null },
    { fromUs: at(499), toUs: at(600), readings: 100, state: 'lost', reason: 'overwritten' },
    { fromUs: at(999), toUs: at(1_100), readings: 100, state: 'pending', reason: null },
  ];
  const query = { streamId: stream.definition.stream };
  expect((await read({ ...query, fromUs: START_US - 10_000_000 })).gaps).toEqual(gaps);
  await rollUp();
  expect((await read({ ...query, fromUs: START_US - 10_000_000 })).gaps).toEqual(gaps);
  // A range within a gap shows the gap and nothing else.
  const within = await read({ ...query, fromUs: at(520), toUs: at(530) });
  expect(within.startUs).toHaveLength(0);
  expect(within.gaps).toEqual([gaps[1]]);
  const next = await stream.nextEpoch(true);
  await next.write(frames(0, 1, at(3_000)));
  expect((await read(query)).gaps.at(-1)).toEqual({
    fromUs: at(1_999),
    toUs: at(3_000),
    readings: null,
    state: 'tail-lost',
    reason: null,
  });
});

test('single readings that retention has dropped are shown as roll-ups, and said so', async () => {
  const stream = await recorder.open({ rateHz: 200 });
  await stream.write(frames(0, 30));
  await rollUp();
  const query = {
    streamId: stream.definition.stream,
    fromUs: START_US + 10_100_000,
    toUs: START_US + 12_100_000,
    width: 1_000,
  };
  expect(await read(query)).toMatchObject({ bucketUs: 0, rawDropped: false });
  await owner.query('delete from kymo.chunk where stream_id = $1 and first_seq < 2100', [query.streamId]);
  const dropped = await read(query);
  expect(dropped).toMatchObject({ bucketUs: 1_000_000, rawDropped: true, firstUs: START_US });
  expect([...dropped.count]).toEqual([200, 200, 200]);
  expectFaithful(dropped, readingsOf(frames(0, 30)), 1_000);
  // A part of the recording that is still there is shown as it is.
  const whole = { fromUs: START_US + 20_000_000, toUs: START_US + 21_000_000 };
  expect(await read({ ...query, ...whole })).toMatchObject({ bucketUs: 0, rawDropped: false });
});

test('late readings say how late', async () => {
  const stream = await recorder.open({ rateHz: 200 });
  const all = frames(0, 2);
  await stream.write(
    all.map((frame) => (frame.firstSeq === 200 ? { ...frame, lagUs: 3_600_020_000 } : frame)),
  );
  await rollUp();
  const { lateUs } = await read({ streamId: stream.definition.stream, width: 1_000 });
  // Ten readings of one message; the last one of every message waits for nothing.
  expect(lateUs[0]).toBe(45_000);
  expect(lateUs[9]).toBe(0);
  expect(Math.max(...lateUs)).toBe(3_600_045_000);
});

test('streams without readings, and without any finite value, have envelopes too', async () => {
  const empty = await recorder.open();
  const nothing = await read({ streamId: empty.definition.stream });
  expect(nothing).toMatchObject({ firstUs: null, lastUs: null, gaps: [], unrolled: 0 });
  expect(nothing.startUs).toHaveLength(0);
  const odd = await recorder.open();
  await odd.write([{ ...frames(0, 1)[0]!, rows: [[Number.NaN, Infinity, -Infinity]] }]);
  for (let i = 0; i < 2; i++) {
    const { count, min, max, mean } = await read({ streamId: odd.definition.stream, fromUs: START_US - 5e9 });
    expect([...count]).toEqual([1]);
    expect([min, max, mean].flat().every(([value]) => Number.isNaN(value))).toBe(true);
    await rollUp();
  }
});

test('an upload that roll-ups have not caught up with is shown in part, and says so', async () => {
  const stream = await recorder.open({ rateHz: 200 });
  const frame = frames(0, 1)[0]!;
  const single = (firstSeq: number): RecordedFrame => ({
    ...frame,
    firstSeq,
    firstUs: START_US + firstSeq * 5_000,
    rows: [[firstSeq, 0, 0]],
  });
  // Every other number, so that each is a chunk of its own, with the gaps declared lost.
  const count = envelopeBounds.unrolledChunks + 10;
  await stream.write(Array.from({ length: 250 }, (_, i) => single(i * 2)));
  await owner.query(
    `insert into kymo.chunk select org_id, stream_id, epoch, first_seq + k * 500, first_us + k * 2500000,
            last_us + k * 2500000, n, commit_day, retention_class, segments, deltas, data
       from kymo.chunk cross join generate_series(1, 16) k where stream_id = $1`,
    [stream.definition.stream],
  );
  await owner.query(
    `update kymo.stream_epoch set committed = (select range_agg(int8range(i * 2, i * 2 + 1)) from generate_series(0, $2::int - 1) i)
      where stream_id = $1`,
    [stream.definition.stream, count],
  );
  const envelope = await read({ streamId: stream.definition.stream });
  expect(envelope.unrolled).toBe(10);
  expect(envelope.bucketUs).toBeGreaterThan(0);
});
