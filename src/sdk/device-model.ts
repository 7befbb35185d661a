/**
 * Owns what the device's tests play against: a clock that only moves when told, and a model of the server that follows the
 * protocol to the letter. It throws when the device breaks a rule: overdrawn credit, unknown streams, a number used twice.
 */

import { assert } from '#base/assert.ts';
import type { Clock } from '#base/clock.ts';
import {
  covers,
  firstMissing,
  intersect,
  rangesOf,
  rangesOfPairs,
  subtract,
  union,
  type RangeSet,
} from '#base/ranges.ts';
import { uuidv7 } from '#base/uuid.ts';
import { crc32 } from '#protocol/crc32.ts';
import { decodeData, frameBytes, readingTimeUs, type DataFrame } from '#protocol/data-codec.ts';
import type { DeviceMessage, ServerMessage } from '#protocol/messages.ts';

export interface TestClock extends Clock {
  /** Moves time forward, calling what becomes due on the way. */
  advance(ms: number): void;
  /** Sets the wall clock without moving time. */
  setWall(us: number): void;
}

export function createTestClock(startUs = 1_700_000_000_000_000): TestClock {
  let nowMs = 1000;
  let wallUs = startUs - nowMs * 1000;
  let due: { atMs: number; callback: () => void }[] = [];
  return {
    nowUs: () => Math.round(wallUs + nowMs * 1000),
    monotonicMs: () => nowMs,
    after: (delayMs, callback) => {
      const entry = { atMs: nowMs + delayMs, callback };
      due.push(entry);
      return () => void (due = due.filter((other) => other !== entry));
    },
    advance: (ms) => {
      const endMs = nowMs + ms;
      for (;;) {
        const next = due.toSorted((a, b) => a.atMs - b.atMs)[0];
        if (next === undefined || next.atMs > endMs) break;
        due = due.filter((other) => other !== next);
        nowMs = Math.max(nowMs, next.atMs);
        next.callback();
      }
      nowMs = endMs;
    },
    setWall: (us) => void (wallUs = us - nowMs * 1000),
  };
}

/** What the database holds of one (stream, epoch). */
export interface ModelEpoch {
  committed: RangeSet;
  lost: RangeSet;
  /** Content of every committed reading: its time and its bytes. */
  readonly readings: Map<number, string>;
  readonly losses: { from: number; to: number; reason: string }[];
  isEnded: boolean;
  replacedOther: boolean;
}

export interface ModelDatabase {
  incarnation: string;
  readonly epochs: Map<string, ModelEpoch>;
  /** Streams that were erased: what comes of them is acknowledged and not stored. */
  readonly erased: Set<string>;
}

export function newDatabase(clock: Clock): ModelDatabase {
  return { incarnation: uuidv7(clock), epochs: new Map(), erased: new Set() };
}

/** A copy to restore later: what comes after it was never committed. It gets a new incarnation. */
export function copyOf(database: ModelDatabase, clock: Clock): ModelDatabase {
  return { ...structuredClone(database), incarnation: uuidv7(clock) };
}

export function epochOf(database: ModelDatabase, stream: string, epoch: string): ModelEpoch {
  const key = `${stream}/${epoch}`;
  let found = database.epochs.get(key);
  if (found === undefined) {
    found = {
      committed: [],
      lost: [],
      readings: new Map(),
      losses: [],
      isEnded: false,
      replacedOther: false,
    };
    database.epochs.set(key, found);
  }
  return found;
}

/** Content of all readings of a stream, over all its epochs, in no order. */
export function readingsOf(database: ModelDatabase, stream: string): string[] {
  return [...database.epochs]
    .filter(([key]) => key.startsWith(stream))
    .flatMap(([, epoch]) => [...epoch.readings.values()]);
}

export interface Received {
  readonly frames: readonly DataFrame[];
  readonly liveOnly: boolean;
  readonly historical: boolean;
}

export interface ModelOptions {
  readonly database: ModelDatabase;
  readonly clock: Clock;
  readonly send: (message: ServerMessage) => void;
  /** Bytes that may be on their way to the store at once. Default 64 KiB. */
  readonly durableWindow?: number;
  readonly liveWindow?: number;
  /** Server time minus device time, microseconds. */
  readonly offsetUs?: number;
  /** Answers an `open` with this error code instead. */
  readonly refuse?: (open: Open) => string | null;
}

/** The server's end of one connection. */
export interface ModelConnection {
  readonly received: Received[];
  readonly messages: DeviceMessage[];
  /** The durable window of grants to come. */
  windowBytes: number;
  text(json: string): void;
  binary(bytes: Uint8Array): void;
  /**
   * Commits what was received, as the store does at a flush, and acknowledges it. Frames that `isTaken` leaves out wait
   * for the next commit, as when several paths deliver one stream.
   */
  commit(isTaken?: () => boolean): void;
  /** Drops what was received and not committed, and asks for it again. */
  drop(): void;
  /** Stops and resumes granting durable credit. */
  setDurable(isGranted: boolean): void;
  send(message: ServerMessage): void;
}

type Open = Extract<DeviceMessage, { type: 'open' }>;

interface OpenStream {
  readonly ref: number;
  readonly stream: string;
  readonly epoch: string;
  pending: { firstSeq: number; contents: string[] }[];
  losses: { from: number; to: number; reason: string }[];
  close: { next: number; ended: boolean } | null;
  /** Declared lost, and held by the device after all. */
  wanted: RangeSet;
}

interface ModelState {
  readonly options: ModelOptions;
  readonly open: Map<number, OpenStream>;
  /** References of erased streams. */
  readonly discarded: Set<number>;
  readonly received: Received[];
  readonly messages: DeviceMessage[];
  readonly used: { durable: number; live: number };
  readonly granted: { durable: number; live: number };
  windowBytes: number;
  isGranting: boolean;
  isGreeted: boolean;
}

let generation = 0;

export function modelConnection(options: ModelOptions): ModelConnection {
  const state: ModelState = {
    options,
    open: new Map(),
    discarded: new Set(),
    received: [],
    messages: [],
    used: { durable: 0, live: 0 },
    granted: { durable: options.durableWindow ?? 65_536, live: options.liveWindow ?? 65_536 },
    windowBytes: options.durableWindow ?? 65_536,
    isGranting: true,
    isGreeted: false,
  };
  return {
    received: state.received,
    messages: state.messages,
    get windowBytes() {
      return state.windowBytes;
    },
    set windowBytes(bytes) {
      state.windowBytes = bytes;
    },
    text: (json) => take(state, JSON.parse(json) as DeviceMessage),
    binary: (bytes) => takeData(state, bytes),
    commit: (isTaken = () => true) => commit(state, isTaken),
    drop: () => drop(state),
    setDurable: (isGranted) => {
      state.isGranting = isGranted;
      if (isGranted) options.send({ type: 'credit', credit: credit(state) });
    },
    send: options.send,
  };
}

function credit(state: ModelState): { durable: number; live: number } {
  if (state.isGranting)
    state.granted.durable = Math.max(state.granted.durable, state.used.durable + state.windowBytes);
  state.granted.live = state.used.live + (state.options.liveWindow ?? 65_536);
  return { ...state.granted };
}

function take(state: ModelState, message: DeviceMessage): void {
  const { clock, database, send, offsetUs = 0 } = state.options;
  state.messages.push(message);
  assert(state.isGreeted === (message.type !== 'hello'), 'hello comes first, and once');
  const serverUs = clock.nowUs() + offsetUs;
  switch (message.type) {
    case 'hello':
      state.isGreeted = true;
      return send({
        type: 'welcome',
        version: message.version,
        incarnation: database.incarnation,
        generation: ++generation,
        serverUs,
        heartbeatMs: 5000,
        credit: { ...state.granted },
      });
    case 'open':
      return opened(state, message);
    case 'tombstone':
      return declared(streamOf(state, message.ref), message);
    case 'close':
      if (state.discarded.delete(message.ref)) return send({ type: 'closed', ref: message.ref });
      return void (streamOf(state, message.ref).close = message);
    case 'probe':
      return send({ ...message, t1Us: serverUs, t2Us: serverUs });
    case 'reclaimed':
      return void (state.granted.durable = Math.min(state.granted.durable, message.durable));
    case 'clock':
    case 'commandReceived':
    case 'commandResult':
    case 'heartbeat':
    case 'bye':
      return;
  }
}

function declared(stream: OpenStream, loss: Extract<DeviceMessage, { type: 'tombstone' }>): void {
  stream.wanted = subtract(stream.wanted, [loss]);
  stream.losses.push(loss);
}

function streamOf(state: ModelState, ref: number): OpenStream {
  const found = state.open.get(ref);
  assert(found !== undefined, `reference ${ref} is open`);
  return found;
}

function opened(state: ModelState, message: Open): void {
  const { database, send, refuse } = state.options;
  const { ref, epoch, definition, newest, held } = message;
  if (database.erased.has(definition.stream)) {
    state.discarded.add(ref);
    return send({ type: 'opened', ref, settled: { next: 2 ** 53 - 1, ranges: [] }, discarded: true });
  }
  const stored = epochOf(database, definition.stream, epoch);
  const kept = newest === undefined ? undefined : stored.readings.get(newest.seq);
  const code =
    refuse?.(message) ?? (kept !== undefined && crcOf(kept) !== newest!.crc32 ? 'new-epoch-required' : null);
  if (code !== null) return send({ type: 'error', code, message: code, ref });
  const stream = streamFor(state, message);
  stored.replacedOther ||= message.previousStoreLost ?? false;
  state.open.set(ref, stream);
  stream.wanted = union(stream.wanted, intersect(stored.lost, rangesOfPairs(held ?? [])));
  const compared = held === undefined ? stored.committed : intersect(stored.committed, rangesOfPairs(held));
  const seq = (compared.at(-1)?.to ?? 0) - 1;
  const reading = seq < 0 || seq === newest?.seq ? undefined : stored.readings.get(seq);
  send({
    type: 'opened',
    ref,
    settled: statement(stored, stream.wanted),
    ...(reading === undefined
      ? {}
      : { newest: { seq, timeUs: Number(reading.split(' ')[0]), crc32: crcOf(reading) } }),
  });
}

/** The same may be opened again under its reference. */
function streamFor(state: ModelState, { ref, definition: { stream }, epoch }: Open): OpenStream {
  const known = state.open.get(ref);
  assert(
    known === undefined || (known.stream === stream && known.epoch === epoch),
    'a reference names one stream',
  );
  return known ?? { ref, stream, epoch, pending: [], losses: [], close: null, wanted: [] };
}

/** The model keeps a reading as `time crc bytes`. */
function crcOf(content: string): number {
  return Number(content.split(' ')[1]);
}

function statement(epoch: ModelEpoch, wanted: RangeSet): { next: number; ranges: [number, number][] } {
  const settled = union(epoch.committed, subtract(epoch.lost, wanted));
  const next = firstMissing(settled);
  return {
    next,
    ranges: settled
      .filter((r) => r.from > next)
      .slice(0, 32)
      .map((r) => [r.from, r.to]),
  };
}

function takeData(state: ModelState, bytes: Uint8Array): void {
  const decoded = decodeData(bytes);
  assert(decoded.ok, 'a well-formed data message');
  const message = decoded.value;
  state.received.push(message);
  for (const frame of message.frames) {
    const stream = streamOf(state, frame.ref);
    const account = message.liveOnly ? 'live' : 'durable';
    state.used[account] += frameBytes(frame);
    assert(state.used[account] <= state.granted[account], `the ${account} credit is not overdrawn`);
    if (!message.liveOnly) stream.pending.push({ firstSeq: frame.firstSeq, contents: contentsOf(frame) });
  }
}

export function contentsOf(frame: DataFrame): string[] {
  const width = frame.payload.length / frame.count;
  return Array.from({ length: frame.count }, (_, i) =>
    contentOf(readingTimeUs(frame, i), frame.payload.subarray(i * width, (i + 1) * width)),
  );
}

export function contentOf(timeUs: number, axes: Uint8Array): string {
  return `${timeUs} ${crc32(axes)} ${Buffer.from(axes).toString('hex')}`;
}

function commit(state: ModelState, isTaken: () => boolean): void {
  const { database, send } = state.options;
  const streams: { ref: number; next: number; ranges: [number, number][] }[] = [];
  const closedRefs: number[] = [];
  for (const stream of state.open.values()) {
    const stored = epochOf(database, stream.stream, stream.epoch);
    const left = stream.pending.filter(({ firstSeq, contents }) => {
      if (isTaken()) store(stored, firstSeq, contents);
      else return true;
      return false;
    });
    for (const loss of stream.losses) {
      stored.lost = subtract(union(stored.lost, [loss]), stored.committed);
      stored.losses.push(loss);
    }
    stream.pending = left;
    stream.losses = [];
    streams.push({ ref: stream.ref, ...statement(stored, stream.wanted) });
    if (stream.close === null || left.length > 0) continue;
    const whole = { from: 0, to: stream.close.next };
    assert(
      covers(union(stored.committed, stored.lost), whole),
      'an end is stated when all before it is settled',
    );
    stored.isEnded = stream.close.ended;
    closedRefs.push(stream.ref);
  }
  send({ type: 'ack', streams, credit: credit(state) });
  for (const ref of closedRefs) {
    state.open.delete(ref);
    send({ type: 'closed', ref });
  }
}

/** The guard: what is committed is left as it is, and must be equal. */
function store(stored: ModelEpoch, firstSeq: number, contents: readonly string[]): void {
  contents.forEach((content, i) => {
    const known = stored.readings.get(firstSeq + i);
    assert(known === undefined || known === content, `number ${firstSeq + i} names one reading`);
    stored.readings.set(firstSeq + i, content);
  });
  const range = { from: firstSeq, to: firstSeq + contents.length };
  stored.committed = union(stored.committed, [range]);
  stored.lost = subtract(stored.lost, [range]);
}

function drop(state: ModelState): void {
  for (const stream of state.open.values()) {
    const from = rangesOf(stream.pending.map((p) => ({ from: p.firstSeq, to: p.firstSeq + 1 })))[0]?.from;
    stream.pending = [];
    if (from !== undefined) state.options.send({ type: 'rewind', ref: stream.ref, fromSeq: from });
  }
  // What was dropped uses no credit any more.
  state.options.send({ type: 'credit', credit: credit(state) });
}
