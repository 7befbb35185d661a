/**
 * Owns the bookkeeping that every device store shares: the state of one (stream, epoch) and the rules by which it
 * changes. No storage: a store keeps frames beside it and writes down what changed. Losses are bounded by
 * storeLimits.lossesPerLog; beyond, the two oldest are merged, which declares what lies between them.
 */

import { assert } from '#base/assert.ts';
import { AppError } from '#base/errors.ts';
import { intersect, subtract, type RangeSet } from '#base/ranges.ts';
import { derivedEpoch, randomEpoch } from '#base/uuid.ts';
import { crc32 } from '#protocol/crc32.ts';
import { limits } from '#protocol/limits.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { cutFrame } from '#sdk/device-frame.ts';
import {
  isSettled,
  storeLimits,
  type DeviceLog,
  type FrameContent,
  type LogPhase,
  type Loss,
  type StoredFrame,
} from '#sdk/device-store.ts';

/** A DeviceLog that its store may change. */
export interface LogState extends DeviceLog {
  previousStoreLost: boolean;
  phase: LogPhase;
  nextSeq: number;
  settled: RangeSet;
  losses: readonly Loss[];
}

export function newLog(
  identity: Pick<DeviceLog, 'id' | 'epoch' | 'definition' | 'previousStoreLost'>,
): LogState {
  return {
    ...identity,
    readingBytes: readingBytesOf(identity.definition),
    phase: 'recording',
    nextSeq: 0,
    settled: [],
    losses: [],
  };
}

/** Bytes of one packed reading. */
export function readingBytesOf(definition: Pick<StreamDefinition, 'axes' | 'encoding'>): number {
  return definition.axes.length * (definition.encoding === 'float32' ? 4 : 2);
}

/** Gives the next `count` numbers of the log and returns the first of them. */
export function assignNumbers(log: LogState, count: number): number {
  assert(Number.isSafeInteger(count) && count > 0, 'a positive number of readings');
  assert(log.phase === 'recording', 'only a log that records gives numbers');
  const first = log.nextSeq;
  assert(first + count < limits.seqExclusive, 'sequence numbers stay exact');
  log.nextSeq = first + count;
  return first;
}

/** Adds a loss; neighbours of the same reason become one. Parts that are declared already keep their reason. */
export function addLoss(log: LogState, loss: Loss): void {
  assert(
    loss.from >= 0 && loss.from < loss.to && loss.to <= log.nextSeq,
    'a loss names numbers that were given',
  );
  const last = log.losses.at(-1);
  // The common case, the store overflowing or the sensor failing once more, extends the newest loss.
  if (last !== undefined && last.reason === loss.reason && last.to === loss.from) {
    log.losses = [...log.losses.slice(0, -1), { ...last, to: loss.to }];
    return;
  }
  let from = loss.from;
  const pieces: Loss[] = [];
  for (const known of log.losses) {
    if (known.to <= from || known.from >= loss.to) continue;
    if (known.from > from) pieces.push({ from, to: known.from, reason: loss.reason });
    from = Math.max(from, known.to);
  }
  if (from < loss.to) pieces.push({ from, to: loss.to, reason: loss.reason });
  if (pieces.length > 0) log.losses = bounded(joined([...log.losses, ...pieces].sort(byStart)));
}

function byStart(a: Loss, b: Loss): number {
  return a.from - b.from;
}

function joined(sorted: readonly Loss[]): Loss[] {
  const out: Loss[] = [];
  for (const loss of sorted) {
    const last = out.at(-1);
    if (last !== undefined && last.to === loss.from && last.reason === loss.reason)
      out[out.length - 1] = { ...last, to: loss.to };
    else out.push(loss);
  }
  return out;
}

function bounded(losses: Loss[]): Loss[] {
  while (losses.length > storeLimits.lossesPerLog) {
    const [first, second] = losses;
    losses.splice(0, 2, { from: first!.from, to: second!.to, reason: first!.reason });
  }
  return losses;
}

/** True when nothing of the log needs to be delivered any more. */
export function isDone(log: DeviceLog): boolean {
  return (log.phase === 'finished' || log.phase === 'replaced') && isSettled(log);
}

/** Of several logs of one stream the one that takes readings or took the last: the others were replaced. */
export function currentLog<L extends DeviceLog>(logs: Iterable<L>, streamId: string): L | undefined {
  for (const log of logs) if (log.definition.stream === streamId && log.phase !== 'replaced') return log;
  return undefined;
}

/** Throws AppError unless `definition` may go on in `log`. */
export function assertSameStream(log: DeviceLog, definition: StreamDefinition): void {
  const field = firstDifference(log.definition, definition);
  if (field !== null)
    throw new AppError('stream-mismatch', `stream ${definition.stream} has another ${field}`, {
      field: `/${field}`,
    });
  if (log.phase !== 'recording') throw new AppError('stream-closed', `stream ${definition.stream} has ended`);
}

const definitionFields = [
  'session',
  'segment',
  'sensor',
  'axes',
  'rateHz',
  'encoding',
  'scale',
  'clock',
] as const;

/** The first field in which two definitions differ, of those that fix what a reading means. */
function firstDifference(a: StreamDefinition, b: StreamDefinition): string | null {
  for (const field of definitionFields)
    if (JSON.stringify(a[field]) !== JSON.stringify(b[field])) return field;
  return null;
}

/** Throws AppError when a definition could not be opened. */
export function assertUsable(definition: StreamDefinition): void {
  const { axes, rateHz, encoding, scale } = definition;
  const bad = (field: string, message: string): never => {
    throw new AppError('invalid-field', message, { field: `/${field}` });
  };
  if (axes.length < 1 || axes.length > limits.axesPerStream) bad('axes', '1 to 32 axes');
  if (!(rateHz > 0 && rateHz <= limits.rateHz)) bad('rateHz', `above 0, at most ${limits.rateHz} Hz`);
  if (encoding === 'int16' && scale?.length !== axes.length) bad('scale', 'int16 needs one scale an axis');
  if (encoding === 'float32' && scale !== undefined) bad('scale', 'only int16 has a scale');
  if (scale?.some((s) => !Number.isFinite(s) || s === 0) === true) bad('scale', 'finite and not zero');
  for (const name of [definition.segment, definition.sensor, ...axes.flatMap((a) => [a.name, a.unit])])
    if (name.length < 1 || name.length > limits.nameCharacters)
      bad('axes', `'${name}' is not 1 to 64 characters`);
}

export interface Move {
  readonly from: LogState;
  readonly fromSeq: number;
  /** The frame that holds `seq`, or the next one after it. */
  readonly read: (seq: number) => StoredFrame | undefined;
  readonly to: LogState;
  readonly append: (content: FrameContent) => void;
}

/**
 * Gives the unsettled readings of `from` from `fromSeq` on new numbers in `to`, in order, losses included, and cuts
 * `from` there. What is neither held nor declared was damaged.
 */
export function moveReadings(move: Move): void {
  const { from, fromSeq, to } = move;
  for (const range of subtract([{ from: fromSeq, to: from.nextSeq }], from.settled)) {
    for (let seq = range.from; seq < range.to;) {
      const frame = move.read(seq);
      const heldFrom = frame === undefined ? range.to : Math.min(range.to, Math.max(seq, frame.firstSeq));
      if (heldFrom > seq) skipAs(from, to, seq, heldFrom);
      if (frame === undefined || heldFrom === range.to) break;
      const end = Math.min(range.to, frame.firstSeq + frame.count);
      move.append(cutFrame(frame, heldFrom, end));
      seq = end;
    }
  }
  cutLog(from, fromSeq);
}

/** Ends a log at `fromSeq`: another one goes on from there. */
export function cutLog(log: LogState, fromSeq: number): void {
  log.nextSeq = fromSeq;
  log.phase = 'replaced';
  log.settled = intersect(log.settled, [{ from: 0, to: fromSeq }]);
  log.losses = log.losses
    .filter((loss) => loss.from < fromSeq)
    .map((loss) => ({ ...loss, to: Math.min(loss.to, fromSeq) }));
}

/** What a log that takes over from another begins with: the end of a moved log must be stated anew. */
export function successorOf(log: DeviceLog): { previousStoreLost: boolean; phase: LogPhase } {
  return {
    // A leftover's readings do not replace the epoch that is current now.
    previousStoreLost: log.phase !== 'replaced',
    phase: log.phase === 'finished' ? 'ended' : log.phase,
  };
}

/**
 * The epoch that takes over what `log` has from `fromSeq` on. It follows from the first reading that moves, so that two copies of
 * a store, which both find that a third life of it was quicker, give what both have the same numbers: the server then has each
 * once. Random where nothing moves.
 */
export function successorEpoch(log: DeviceLog, fromSeq: number, read: Move['read']): string {
  const [range] = subtract([{ from: fromSeq, to: log.nextSeq }], log.settled);
  const frame = range === undefined ? undefined : read(range.from);
  if (range === undefined || frame === undefined || frame.firstSeq >= range.to) return randomEpoch();
  const seq = Math.max(range.from, frame.firstSeq);
  const first = cutFrame(frame, seq, seq + 1);
  return derivedEpoch(log.epoch, [seq, first.firstUs, crc32(first.payload)]);
}

/** Numbers [start, end) of `from` that are not held become losses of `to`, each for its own reason. */
function skipAs(from: LogState, to: LogState, start: number, end: number): void {
  let seq = start;
  const skip = (until: number, reason: Loss['reason']): void => {
    if (until <= seq) return;
    const first = assignNumbers(to, until - seq);
    addLoss(to, { from: first, to: to.nextSeq, reason });
    seq = until;
  };
  for (const loss of from.losses) {
    if (loss.to <= seq || loss.from >= end) continue;
    skip(loss.from, 'device-store-damaged');
    skip(Math.min(loss.to, end), loss.reason);
  }
  skip(end, 'device-store-damaged');
}
