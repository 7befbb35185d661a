/**
 * Owns the verdict over one stream: what the database holds against what the device's journal says was taken and
 * acknowledged, and against the readings as they are made again from the seed, bit by bit, values and times. It shares no
 * code with what stores. Bound: nine bytes a stored reading of the stream at hand.
 */

import {
  covers,
  emptyRanges,
  gapsOf,
  rangesOf,
  sizeOf,
  subtract,
  union,
  type Range,
  type RangeSet,
} from '#base/ranges.ts';
import type { JournalContent, Taken } from '#test/torture/device-journal.ts';
import { READING_BYTES, readingValues, streamKey } from '#test/torture/reading-values.ts';

export interface StoredChunk {
  /** The epoch as the database has it: a signed 64-bit number in decimal digits. */
  readonly epoch: string;
  readonly firstSeq: number;
  readonly count: number;
  readonly data: Buffer;
  readonly timesUs: Float64Array;
}

/** One epoch's guard row and its declared losses, by epoch as above. */
export interface StoredGuard {
  readonly committed: RangeSet;
  readonly lost: RangeSet;
  readonly declared: RangeSet;
}

export interface StoredStream {
  readonly stream: string;
  /** In (epoch, firstSeq) order. */
  readonly chunks: readonly StoredChunk[];
  readonly guards: ReadonlyMap<string, StoredGuard>;
}

export interface Verdict {
  streams: number;
  /** Readings in the database. */
  stored: number;
  /** Numbers that were acknowledged and are neither stored nor declared lost. */
  lost: number;
  /** Readings that the device's store took and that are nowhere. */
  missing: number;
  doubled: number;
  /** Values that are not those that were made. */
  different: number;
  /** Readings whose time is not the one that was given. */
  otherTime: number;
  /** Readings that come after one that was made later. */
  misordered: number;
  /** Numbers below the highest of their epoch that are neither stored nor declared. */
  gaps: number;
  /** Declared lost: refused by a full disk of the device. */
  declared: number;
  /** Declared lost although the device's store never refused them. */
  wronglyDeclared: number;
  /** Epochs whose guard says something else than the readings do. */
  guardDiffers: number;
  /** Stored and in no journal: taken by a store whose process was killed before it wrote so down. */
  unjournaled: number;
}

export function emptyVerdict(): Verdict {
  return {
    streams: 0,
    stored: 0,
    lost: 0,
    missing: 0,
    doubled: 0,
    different: 0,
    otherTime: 0,
    misordered: 0,
    gaps: 0,
    declared: 0,
    wronglyDeclared: 0,
    guardDiffers: 0,
    unjournaled: 0,
  };
}

/** What must be zero. */
export const mustBeZero = [
  'lost',
  'missing',
  'doubled',
  'different',
  'otherTime',
  'misordered',
  'gaps',
  'wronglyDeclared',
  'guardDiffers',
] as const satisfies readonly (keyof Verdict)[];

/** The readings of one life that were found: how often, and their times; by number. */
interface Found {
  counts: Uint8Array;
  timesUs: Float64Array;
}

/** Adds what is to say about one stream to `verdict`. `journal` holds this stream's lines only. */
export function checkStream(
  stored: StoredStream,
  journal: JournalContent,
  { seed, verdict }: { readonly seed: number; readonly verdict: Verdict },
): void {
  verdict.streams++;
  const key = streamKey(seed, stored.stream);
  const found = new Map<number, Found>();
  const positions = new Map<string, RangeSet>();
  let last = { epoch: '', order: -1 };
  for (const chunk of stored.chunks) {
    if (chunk.epoch !== last.epoch) last = { epoch: chunk.epoch, order: -1 };
    last.order = checkChunk(chunk, { key, found, verdict, lastOrder: last.order });
    const range = { from: chunk.firstSeq, to: chunk.firstSeq + chunk.count };
    positions.set(chunk.epoch, union(positions.get(chunk.epoch) ?? emptyRanges, [range]));
  }
  checkTaken(journal.taken, found, verdict);
  checkPositions(stored, journal, { positions, verdict });
}

/** Returns the order of its last reading: life, then number. */
function checkChunk(
  chunk: StoredChunk,
  {
    key,
    found,
    verdict,
    lastOrder,
  }: { key: number; found: Map<number, Found>; verdict: Verdict; lastOrder: number },
): number {
  const { count, data, timesUs } = chunk;
  verdict.stored += count;
  if (data.length !== count * READING_BYTES || timesUs.length !== count) {
    verdict.different += count;
    return lastOrder;
  }
  let order = lastOrder;
  for (let i = 0; i < count;) {
    const firstNumber = data.readFloatLE(i * READING_BYTES);
    const life = data.readFloatLE(i * READING_BYTES + 4);
    const run = runLength(data, i, { firstNumber, life });
    const bytes = data.subarray(i * READING_BYTES, (i + run) * READING_BYTES);
    const isWhole = isIdentity(firstNumber) && isIdentity(life);
    const made = isWhole ? madeBytes({ key, life, firstNumber, count: run }) : Buffer.alloc(bytes.length);
    for (let k = 0; k < run; k++) {
      const isEqual =
        isWhole &&
        bytes.compare(
          made,
          k * READING_BYTES,
          (k + 1) * READING_BYTES,
          k * READING_BYTES,
          (k + 1) * READING_BYTES,
        ) === 0;
      if (!isEqual) {
        verdict.different++;
        continue;
      }
      const number = firstNumber + k;
      const seen = noteFound(found, { life, number, timeUs: timesUs[i + k]! });
      if (seen > 1) verdict.doubled++;
      else {
        const here = life * 2 ** 25 + number;
        if (here <= order) verdict.misordered++;
        order = Math.max(order, here);
      }
    }
    i += run;
  }
  return order;
}

function isIdentity(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < 2 ** 24;
}

/** How many readings from `from` on count up within one life. */
function runLength(data: Buffer, from: number, first: { firstNumber: number; life: number }): number {
  let run = 1;
  for (let at = (from + 1) * READING_BYTES; at < data.length; at += READING_BYTES, run++)
    if (data.readFloatLE(at) !== first.firstNumber + run || data.readFloatLE(at + 4) !== first.life) break;
  return run;
}

function madeBytes(run: Parameters<typeof readingValues>[0]): Buffer {
  return Buffer.from(readingValues(run).buffer);
}

/** Returns how often this reading was found so far. */
function noteFound(
  found: Map<number, Found>,
  { life, number, timeUs }: { life: number; number: number; timeUs: number },
): number {
  let ofLife = found.get(life);
  if (ofLife === undefined || number >= ofLife.counts.length) {
    const grown: Found = {
      counts: new Uint8Array(Math.max(4096, number * 2)),
      timesUs: new Float64Array(Math.max(4096, number * 2)),
    };
    if (ofLife !== undefined) {
      grown.counts.set(ofLife.counts);
      grown.timesUs.set(ofLife.timesUs);
    }
    found.set(life, (ofLife = grown));
  }
  ofLife.timesUs[number] = timeUs;
  return ++ofLife.counts[number]!;
}

function checkTaken(taken: readonly Taken[], found: ReadonlyMap<number, Found>, verdict: Verdict): void {
  let known = 0;
  for (const entry of taken) {
    const ofLife = found.get(entry.life);
    const deltas = entry.deltas === '' ? null : Buffer.from(entry.deltas, 'hex');
    for (let i = 0; i < entry.count; i++) {
      const number = entry.firstNumber + i;
      if (ofLife === undefined || (ofLife.counts[number] ?? 0) === 0) {
        verdict.missing++;
        continue;
      }
      known++;
      const offsetUs =
        deltas === null ? Math.floor((i * entry.periodNs + 500) / 1000) : deltas.readUInt32LE(i * 4);
      if (ofLife.timesUs[number] !== entry.firstUs + offsetUs) verdict.otherTime++;
    }
  }
  let distinct = 0;
  for (const { counts } of found.values()) for (const count of counts) if (count > 0) distinct++;
  verdict.unjournaled += distinct - known;
}

function checkPositions(
  { guards }: StoredStream,
  journal: JournalContent,
  { positions, verdict }: { positions: ReadonlyMap<string, RangeSet>; verdict: Verdict },
): void {
  const acknowledged = byEpoch(journal.acknowledged);
  const refused = byEpoch(journal.refused);
  for (const epoch of new Set([...positions.keys(), ...guards.keys(), ...acknowledged.keys()])) {
    const stored = positions.get(epoch) ?? emptyRanges;
    const guard = guards.get(epoch) ?? { committed: emptyRanges, lost: emptyRanges, declared: emptyRanges };
    const settled = union(stored, guard.declared);
    verdict.lost += sizeOf(subtract(acknowledged.get(epoch) ?? emptyRanges, settled));
    const whole = union(settled, acknowledged.get(epoch) ?? emptyRanges);
    verdict.gaps += sizeOf(gapsOf(whole));
    verdict.declared += sizeOf(guard.declared);
    verdict.wronglyDeclared += sizeOf(subtract(guard.declared, refused.get(epoch) ?? emptyRanges));
    const isSame =
      areEqual(guard.committed, stored) &&
      areEqual(subtract(guard.lost, stored), subtract(guard.declared, stored));
    if (!isSame) verdict.guardDiffers++;
  }
}

function areEqual(a: RangeSet, b: RangeSet): boolean {
  return a.every((range) => covers(b, range)) && b.every((range) => covers(a, range));
}

function byEpoch(stated: JournalContent['acknowledged']): Map<string, RangeSet> {
  const ranges = new Map<string, Range[]>();
  for (const { epoch, from, to } of stated) {
    const list = ranges.get(storedEpoch(epoch));
    if (list === undefined) ranges.set(storedEpoch(epoch), [{ from, to }]);
    else list.push({ from, to });
  }
  return new Map([...ranges].map(([epoch, list]) => [epoch, rangesOf(list)]));
}

/** 16 hexadecimal digits as PostgreSQL's bigint. */
export function storedEpoch(epoch: string): string {
  return String(BigInt.asIntN(64, BigInt(`0x${epoch}`)));
}
