/**
 * Owns streams for tests of sealing: hot chunks with values, jitter and gaps like a device's, as they would be flushed,
 * and every reading of a stream read back from the tables.
 */

import type pg from 'pg';

import { seededRandom } from '#base/random.ts';
import { randomEpoch } from '#base/uuid.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { chunkStatement, unpackChunks } from '#store/chunk-reader.ts';
import { decodeTimes } from '#store/chunk-codec.ts';
import { epochToInt8 } from '#store/epoch.ts';
import type { Pools } from '#store/pools.ts';
import { storeChunk } from '#test/support/stored-chunks.ts';
import { streamDefinition, type Tenant } from '#test/support/tenants.ts';

export const START_US = 1_700_000_000_000_000;

export interface TestStream {
  readonly orgId: string;
  readonly streamId: string;
  readonly sessionId: string;
  readonly epoch: string;
  readonly readingBytes: number;
}

/** Where tests of sealing write: as the application and as the writer. */
export interface TestStore {
  readonly pools: Pools;
  readonly writer: pg.Pool;
  readonly tenant: Tenant;
}

export async function openStream(
  { pools, tenant }: TestStore,
  overrides: Partial<StreamDefinition> = {},
): Promise<TestStream> {
  const definition = streamDefinition(overrides);
  const epoch = randomEpoch();
  const opened = await createCatalogue(pools).openStream(tenant.device, { definition, epoch });
  if (!opened.ok) throw new Error(opened.error.message);
  return {
    orgId: tenant.orgId,
    streamId: definition.stream,
    sessionId: definition.session,
    epoch,
    readingBytes: definition.axes.length * (definition.encoding === 'float32' ? 4 : 2),
  };
}

/** Marks the stream (and with the last one its session) as ended, `agoS` seconds ago. */
export async function endStream(store: TestStore, stream: TestStream, agoS = 120): Promise<void> {
  await createCatalogue(store.pools).endStream(store.tenant.device, stream.streamId);
  await store.pools.app.run([
    { text: `select set_config('kymo.org', $1, true)`, values: [stream.orgId] },
    {
      text: `update kymo.stream set ended_at = now() - $2 * interval '1 second' where id = $1`,
      values: [stream.streamId, agoS],
    },
  ]);
}

/** Hot chunks of 50 readings that hold [fromSeq, toSeq): every third one with explicit times, values of any bits. */
export async function storeReadings(
  { writer }: Pick<TestStore, 'writer'>,
  stream: TestStream,
  { fromSeq, toSeq }: { fromSeq: number; toSeq: number },
): Promise<void> {
  for (let firstSeq = fromSeq; firstSeq < toSeq; firstSeq += 50) {
    const count = Math.min(50, toSeq - firstSeq);
    const random = seededRandom(firstSeq + 1);
    const firstUs = START_US + firstSeq * 5_000;
    const deltas = Array.from({ length: count }, (_, i) => i * 5_000 + Math.floor(random.next() * 3));
    const data = Buffer.alloc(count * stream.readingBytes);
    for (let i = 0; i < data.length; i++) data[i] = Math.floor(random.next() * 256);
    await storeChunk(writer, {
      orgId: stream.orgId,
      streamId: stream.streamId,
      epoch: stream.epoch,
      firstSeq,
      firstUs,
      lastUs: firstUs + count * 5_000,
      segments: [
        { firstUs, periodNs: 5_000_000, arrivalUs: firstUs + Math.floor(random.next() * 9_000), count },
      ],
      deltas: (firstSeq / 50) % 3 === 2 ? deltas : null,
      data,
    });
  }
}

/** One line a stored reading: seq, device time, the bits of its values. Throws when a seq comes twice. */
export async function readAll(writer: pg.Pool, stream: TestStream): Promise<string[]> {
  const range = { streamId: stream.streamId, epoch: stream.epoch, fromSeq: 0, toSeq: 2 ** 53 - 1 };
  const { text, values } = chunkStatement(range, 100_000);
  const { rows } = await writer.query(text, [...values!]);
  const lines: string[] = [];
  let end = 0;
  for (const chunk of unpackChunks(rows)) {
    if (chunk.firstSeq < end) throw new Error(`reading ${chunk.firstSeq} comes twice`);
    end = chunk.firstSeq + chunk.n;
    const times = decodeTimes(chunk);
    for (let i = 0; i < chunk.n; i++) {
      const at = i * stream.readingBytes;
      const bits = Buffer.from(chunk.data.subarray(at, at + stream.readingBytes)).toString('hex');
      lines.push(`${chunk.firstSeq + i} ${times[i]} ${bits}`);
    }
  }
  return lines;
}

/** Arrival stamps and frame starts in the order of seq, which no reading shows. */
export async function readSegments(writer: pg.Pool, stream: TestStream): Promise<string> {
  const range = { streamId: stream.streamId, epoch: stream.epoch, fromSeq: 0, toSeq: 2 ** 53 - 1 };
  const { text, values } = chunkStatement(range, 100_000);
  const { rows } = await writer.query(text, [...values!]);
  return Buffer.concat(unpackChunks(rows).map((chunk) => chunk.segments)).toString('hex');
}

/** Rows of the two tables. */
export async function countRows(
  writer: pg.Pool,
  stream: TestStream,
): Promise<{ hot: number; sealed: number }> {
  const { rows } = await writer.query<{ hot: number; sealed: number }>(
    `select (select count(*)::int from kymo.chunk where stream_id = $1 and epoch = $2) as hot,
            (select count(*)::int from kymo.sealed_chunk where stream_id = $1 and epoch = $2) as sealed`,
    [stream.streamId, epochToInt8(stream.epoch)],
  );
  return rows[0]!;
}

/** Moves what is stored of a stream to a commit day in the past. Partitions of that day must exist. */
export async function moveToDay(writer: pg.Pool, stream: TestStream, day: string): Promise<void> {
  await writer.query('update kymo.chunk set commit_day = $3::date where stream_id = $1 and epoch = $2', [
    stream.streamId,
    epochToInt8(stream.epoch),
    day,
  ]);
  await writer.query(
    `update kymo.stream_epoch set first_commit_day = least(first_commit_day, $3::date)
      where stream_id = $1 and epoch = $2`,
    [stream.streamId, epochToInt8(stream.epoch), day],
  );
}
