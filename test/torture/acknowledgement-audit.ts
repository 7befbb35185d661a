/**
 * Owns the question that a check at the end cannot answer, since devices send again what a database forgot: is everything
 * that was acknowledged in the database now? Asked once a second, and first of all when the database has come back, before
 * anyone can repair it. Bound: the ranges of every epoch of the run, some hundred bytes each.
 */

import pg from 'pg';

import { emptyRanges, rangesOf, sizeOf, subtract, union, type RangeSet } from '#base/ranges.ts';
import { storedEpoch } from '#test/torture/stored-check.ts';
import { parseRanges } from '#test/torture/stored-rows.ts';

const EVERY_MS = 1_000;
const ANSWER_MS = 5_000;

/** [stream, epoch, from, to]: newly acknowledged numbers. */
export type NewlyAcknowledged = readonly [string, string, number, number];

export interface AcknowledgementAudit {
  note(entry: NewlyAcknowledged): void;
  /** Looks now; a database that cannot be asked is asked again later. */
  look(): Promise<void>;
  /** How often it got an answer. */
  readonly looks: number;
  /** Readings that were acknowledged and were not in the database, or declared, at some time after. */
  forgotten(): number;
  stop(): void;
}

export function startAcknowledgementAudit(
  ownerUrl: string,
  onForgotten: (text: string) => void,
): AcknowledgementAudit {
  // By stream and epoch as the database writes it.
  const acknowledged = new Map<string, RangeSet>();
  const forgotten = new Map<string, RangeSet>();
  let looks = 0;
  let looking: Promise<void> | null = null;
  async function lookOnce(): Promise<void> {
    // What is acknowledged while the question is on its way may be newer than the answer.
    const expected = new Map(acknowledged);
    const settled = await readSettled(ownerUrl).catch(() => null);
    if (settled === null) return;
    looks++;
    let found = 0;
    for (const [key, ranges] of expected) {
      const missing = subtract(ranges, settled.get(key) ?? emptyRanges);
      const known = forgotten.get(key) ?? emptyRanges;
      found += sizeOf(subtract(missing, known));
      if (missing.length > 0) forgotten.set(key, union(known, rangesOf(missing)));
    }
    if (found > 0) onForgotten(`${found} acknowledged readings are not in the database`);
  }
  async function look(): Promise<void> {
    // An answer that is on its way may be of the time before.
    await looking;
    await (looking ??= lookOnce().finally(() => (looking = null)));
  }
  const timer = setInterval(() => void (looking ?? look()), EVERY_MS);
  return {
    note([stream, epoch, from, to]) {
      const key = `${stream}/${storedEpoch(epoch)}`;
      acknowledged.set(key, union(acknowledged.get(key) ?? emptyRanges, [{ from, to }]));
    },
    look,
    get looks() {
      return looks;
    },
    forgotten: () => [...forgotten.values()].reduce((sum, ranges) => sum + sizeOf(ranges), 0),
    stop: () => clearInterval(timer),
  };
}

async function readSettled(ownerUrl: string): Promise<Map<string, RangeSet>> {
  const client = new pg.Client({
    connectionString: ownerUrl,
    connectionTimeoutMillis: ANSWER_MS,
    query_timeout: ANSWER_MS,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('set role kymo_writer');
    const { rows } = await client.query<{ stream_id: string; epoch: string; settled: string }>(
      'select stream_id, epoch, (committed + lost)::text as settled from kymo.stream_epoch',
    );
    return new Map(rows.map((row) => [`${row.stream_id}/${row.epoch}`, parseRanges(row.settled)]));
  } finally {
    void client.end().catch(() => undefined);
  }
}
