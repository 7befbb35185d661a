/**
 * Owns the shared memory by which live frames go to one worker thread: a ring of records with one writer and one reader,
 * neither of which ever waits for the other. A record is copied whole before the position that shows it moves, so the
 * reader never sees a part of one. Bound: `ringBytes`; a frame that does not fit is the one that is dropped, and counted by
 * whoever writes. What waits too long is dropped by the reader (worker-loop.ts), so that a full ring is not old for ever.
 *
 * Layout: CONTROL_WORDS words of 32 bits, then the ring in units of 8 bytes. A record (little endian): u32 units of the
 * whole record, u32 session, u16 stream, u16 count, u32 periodNs, u32 epoch high, u32 epoch low, u32 payload bytes, u32 1
 * with explicit times, f64 firstSeq, f64 firstUs, f64 arrivalUs, times, payload. Zero units: go on at the beginning.
 */

import { assert } from '#base/assert.ts';
import type { Frame } from '#contract/readings.ts';

/**
 * A second of 500 sessions with seven six-axis sensors at 200 Hz in frames of ten readings (20 MB), which is longer than
 * any pause of garbage collection that we saw, and nothing beside what one chain of a session takes.
 */
export const defaultRingBytes = 16 * 1024 * 1024;

const UNIT = 8;
const HEADER_BYTES = 56;
/** Two lines of cache, so that what both sides write beside the positions does not slow them. */
const CONTROL_WORDS = 64;
const WRITE = 0;
const READ = 16;

/** Words of the control block that others than the ring use (worker-signals.ts); those of the ring are below. */
export const firstFreeControlWord = 32;

export interface RingMemory {
  readonly shared: SharedArrayBuffer;
  readonly ringBytes: number;
}

export function createRingMemory(ringBytes = defaultRingBytes): RingMemory {
  assert(
    ringBytes >= 1024 && ringBytes <= 2 ** 30 && Number.isInteger(Math.log2(ringBytes)),
    'a ring is a power of two, so that positions may overflow',
  );
  return { shared: new SharedArrayBuffer(CONTROL_WORDS * 4 + ringBytes), ringBytes };
}

export interface FrameRingWriter {
  /** False: there is no room, and nothing was written. */
  write(to: { readonly session: number; readonly stream: number }, frame: Frame): boolean;
  /** Bytes that wait for the reader. */
  readonly usedBytes: number;
}

/** What the reader sees of a record. One object that is filled again; its bytes are in the ring until `release`. */
export interface RingFrame {
  session: number;
  stream: number;
  count: number;
  periodNs: number;
  epochHigh: number;
  epochLow: number;
  firstSeq: number;
  firstUs: number;
  /** Server time of arrival. */
  arrivalUs: number;
  deltasUs: Uint8Array | null;
  payload: Uint8Array;
}

export interface FrameRingReader {
  /** The oldest record, or null. Until `release`, asking again gives the same. */
  peek(): RingFrame | null;
  /** Gives the room of the peeked record back. */
  release(): void;
  readonly usedBytes: number;
}

export function createRingWriter({ shared, ringBytes }: RingMemory): FrameRingWriter {
  const control = new Int32Array(shared, 0, CONTROL_WORDS);
  const bytes = new Uint8Array(shared, CONTROL_WORDS * 4, ringBytes);
  const view = new DataView(shared, CONTROL_WORDS * 4, ringBytes);
  const units = ringBytes / UNIT;
  // Only this side moves it. It may go on where an earlier writer of the same memory was.
  let position = Atomics.load(control, WRITE) >>> 0;
  const used = (): number => (position - Atomics.load(control, READ)) >>> 0;
  return {
    get usedBytes() {
      return used() * UNIT;
    },
    write({ session, stream }, frame) {
      const deltas = frame.deltasUs === null ? 0 : frame.deltasUs.length;
      const needed = Math.ceil((HEADER_BYTES + deltas + frame.payload.length) / UNIT);
      const start = position % units;
      // A record lies in one piece: what is left at the end is passed over.
      const passed = start + needed > units ? units - start : 0;
      if (used() + passed + needed > units) return false;
      const at = passed > 0 ? 0 : start * UNIT;
      if (passed > 0) view.setUint32(start * UNIT, 0, true);
      view.setUint32(at, needed, true);
      view.setUint32(at + 4, session, true);
      view.setUint16(at + 8, stream, true);
      view.setUint16(at + 10, frame.count, true);
      view.setUint32(at + 12, frame.periodNs, true);
      view.setUint32(at + 16, Number.parseInt(frame.epoch.slice(0, 8), 16), true);
      view.setUint32(at + 20, Number.parseInt(frame.epoch.slice(8), 16), true);
      view.setUint32(at + 24, frame.payload.length, true);
      view.setUint32(at + 28, frame.deltasUs === null ? 0 : 1, true);
      view.setFloat64(at + 32, frame.firstSeq, true);
      view.setFloat64(at + 40, frame.firstUs, true);
      view.setFloat64(at + 48, frame.arrivalUs, true);
      if (frame.deltasUs !== null) bytes.set(frame.deltasUs, at + HEADER_BYTES);
      bytes.set(frame.payload, at + HEADER_BYTES + deltas);
      position = (position + passed + needed) >>> 0;
      Atomics.store(control, WRITE, position | 0);
      return true;
    },
  };
}

export function createRingReader({ shared, ringBytes }: RingMemory): FrameRingReader {
  const control = new Int32Array(shared, 0, CONTROL_WORDS);
  const bytes = new Uint8Array(shared, CONTROL_WORDS * 4, ringBytes);
  const view = new DataView(shared, CONTROL_WORDS * 4, ringBytes);
  const units = ringBytes / UNIT;
  let position = Atomics.load(control, READ) >>> 0;
  let peeked = 0;
  const used = (): number => (Atomics.load(control, WRITE) - position) >>> 0;
  const frame: RingFrame = {
    session: 0,
    stream: 0,
    count: 0,
    periodNs: 0,
    epochHigh: 0,
    epochLow: 0,
    firstSeq: 0,
    firstUs: 0,
    arrivalUs: 0,
    deltasUs: null,
    payload: bytes.subarray(0, 0),
  };
  const moveTo = (next: number): void => {
    position = next >>> 0;
    Atomics.store(control, READ, position | 0);
  };
  return {
    get usedBytes() {
      return used() * UNIT;
    },
    peek() {
      if (used() === 0) return null;
      if (view.getUint32((position % units) * UNIT, true) === 0)
        moveTo(position + units - (position % units));
      const at = (position % units) * UNIT;
      peeked = view.getUint32(at, true);
      frame.session = view.getUint32(at + 4, true);
      frame.stream = view.getUint16(at + 8, true);
      frame.count = view.getUint16(at + 10, true);
      frame.periodNs = view.getUint32(at + 12, true);
      frame.epochHigh = view.getUint32(at + 16, true);
      frame.epochLow = view.getUint32(at + 20, true);
      frame.firstSeq = view.getFloat64(at + 32, true);
      frame.firstUs = view.getFloat64(at + 40, true);
      frame.arrivalUs = view.getFloat64(at + 48, true);
      const deltas = view.getUint32(at + 28, true) === 0 ? 0 : frame.count * 4;
      const payloadAt = at + HEADER_BYTES + deltas;
      frame.deltasUs = deltas === 0 ? null : bytes.subarray(at + HEADER_BYTES, payloadAt);
      frame.payload = bytes.subarray(payloadAt, payloadAt + view.getUint32(at + 24, true));
      return frame;
    },
    release() {
      assert(peeked > 0, 'only what was looked at is released');
      moveTo(position + peeked);
      peeked = 0;
    },
  };
}
