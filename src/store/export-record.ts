/**
 * Owns what an export tells of a session beside its readings: for each epoch what is stored, what is missing and the
 * reason that the device gave, and the clock observations of its devices. One round trip. Bounds: the ranges of an epoch
 * (protocol/limits.ts), and MAX_CLOCKS observations, evenly left out beyond that.
 */

import { intersect, subtract, type RangeSet } from '#base/ranges.ts';
import type { ClockReading, ExportEpoch, ExportGap, ExportStream } from '#contract/export.ts';
import { int8ToEpoch } from '#store/epoch.ts';
import { parseMultirange } from '#store/multirange.ts';
import { runAsOrg, type RolePool, type Statement } from '#store/pools.ts';
import { definitionOf } from '#store/session-queries.ts';
import type { StreamRow } from '#store/stream-definition.ts';

/** Two devices of an hour at the usual pace; as JSON about 1.5 MB. */
const MAX_CLOCKS = 10_000;

export interface StreamsRecord {
  readonly streams: ExportStream[];
  readonly clockObservations: ClockReading[];
  readonly clockEvery: number;
}

/** Of an unknown session, and of another organisation's, there are no streams. */
export async function readStreamsRecord(
  app: RolePool,
  orgId: string,
  sessionId: string,
): Promise<StreamsRecord> {
  const [streams, epochs, losses, clocks] = await runAsOrg(app, orgId, {
    statements: statementsOf(sessionId),
    mode: 'snapshot',
  });
  const epochRows = (epochs?.rows ?? []) as EpochRow[];
  const lossRows = (losses?.rows ?? []) as LossRow[];
  const clockRows = (clocks?.rows ?? []) as ClockRow[];
  return {
    streams: ((streams?.rows ?? []) as StreamRecordRow[]).map((stream) => ({
      definition: definitionOf(stream, stream),
      deviceId: stream.device_id,
      openedAt: stream.opened_at.toISOString(),
      endedAt: stream.ended_at?.toISOString() ?? null,
      epochs: epochRows
        .filter((epoch) => epoch.stream_id === stream.id)
        .map((epoch) =>
          epochOf(
            epoch,
            lossRows.filter((loss) => loss.stream_id === stream.id && loss.epoch === epoch.epoch),
          ),
        ),
    })),
    clockObservations: clockRows.map((row) => ({
      deviceId: row.device_id,
      observedAt: row.observed_at.toISOString(),
      deviceUs: row.device_us,
      offsetUs: row.offset_us,
      roundTripUs: row.round_trip_us,
    })),
    clockEvery: clockRows[0]?.every ?? 1,
  };
}

interface StreamRecordRow extends StreamRow {
  readonly label: string;
  readonly opened_at: Date;
  readonly ended_at: Date | null;
}

interface EpochRow {
  readonly stream_id: string;
  readonly epoch: string;
  readonly opened_at: Date;
  readonly committed: string;
  readonly lost: string;
  readonly tail_lost: boolean;
}

interface LossRow {
  readonly stream_id: string;
  readonly epoch: string;
  readonly from_seq: number;
  readonly to_seq: number;
  readonly reason: string;
}

interface ClockRow {
  readonly device_id: string;
  readonly observed_at: Date;
  readonly device_us: number;
  readonly offset_us: number;
  readonly round_trip_us: number;
  readonly every: number;
}

function epochOf(row: EpochRow, losses: readonly LossRow[]): ExportEpoch {
  const committed = parseMultirange(row.committed);
  const lost = parseMultirange(row.lost);
  return {
    epoch: int8ToEpoch(row.epoch),
    openedAt: row.opened_at.toISOString(),
    stored: committed.map(({ from, to }) => [from, to]),
    gaps: gapsOf(committed, lost, losses),
    tailLost: row.tail_lost,
  };
}

/** What is missing, in the order of seq. A loss holds only where the guard still counts it as lost. */
function gapsOf(committed: RangeSet, lost: RangeSet, losses: readonly LossRow[]): ExportGap[] {
  const gaps: ExportGap[] = [];
  let unexplained = lost;
  for (const { from_seq: from, to_seq: to, reason } of losses) {
    const declared = intersect(unexplained, [{ from, to }]);
    if (declared.length === 0) continue;
    unexplained = subtract(unexplained, declared);
    for (const range of declared) gaps.push({ fromSeq: range.from, toSeq: range.to, state: 'lost', reason });
  }
  for (const { from, to } of unexplained)
    gaps.push({ fromSeq: from, toSeq: to, state: 'lost', reason: null });
  const below = [{ from: 0, to: committed.at(-1)?.to ?? 0 }];
  for (const { from, to } of subtract(subtract(below, committed), lost))
    gaps.push({ fromSeq: from, toSeq: to, state: 'pending', reason: null });
  return gaps.toSorted((a, b) => a.fromSeq - b.fromSeq);
}

function statementsOf(sessionId: string): Statement[] {
  const values = [sessionId];
  return [
    {
      name: 'session-record-streams',
      text: `select s.id, s.org_id, s.session_id, s.device_id, s.segment, s.sensor, s.axes, s.rate_hz, s.encoding,
          s.scale, s.clock, s.retention_class, s.opened_at, s.ended_at, t.synthetic, t.label
        from kymo.stream s join kymo.session t on t.id = s.session_id
        where s.session_id = $1 order by s.opened_at, s.id`,
      values,
    },
    {
      name: 'session-record-epochs',
      text: `select e.stream_id, e.epoch::text, e.opened_at, e.committed::text, e.lost::text, e.tail_lost
        from kymo.stream s join kymo.stream_epoch e on e.stream_id = s.id
        where s.session_id = $1 order by e.opened_at, e.epoch`,
      values,
    },
    {
      name: 'session-record-losses',
      text: `select l.stream_id, l.epoch::text, l.from_seq, l.to_seq, l.reason
        from kymo.stream s join kymo.loss l on l.stream_id = s.id
        where s.session_id = $1 order by l.declared_at, l.from_seq`,
      values,
    },
    {
      name: 'session-record-clocks',
      // Devices are asked when they connect, so the last hour before the session counts too.
      text: `with observed as (
          select o.*, row_number() over (partition by o.device_id order by o.observed_at) as number,
                 ceil(count(*) over () / ${MAX_CLOCKS}::numeric)::integer as every
            from kymo.session t
            join kymo.clock_observation o
              on o.device_id in (select s.device_id from kymo.stream s where s.session_id = t.id)
             and o.observed_at between t.started_at - interval '1 hour' and coalesce(t.ended_at, now())
           where t.id = $1)
        select device_id, observed_at, device_us, offset_us, round_trip_us, every
          from observed where number % every = 0 order by observed_at, device_id`,
      values,
    },
  ];
}
