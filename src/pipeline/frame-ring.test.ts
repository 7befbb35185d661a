import { Worker } from 'node:worker_threads';

import { expect, test } from 'vitest';

import { seededRandom } from '#base/random.ts';
import type { Frame } from '#contract/readings.ts';
import {
  createRingMemory,
  createRingReader,
  createRingWriter,
  type FrameRingReader,
} from '#pipeline/frame-ring.ts';
import { frameOf, streamHandle } from '#test/support/frames.ts';

const handle = streamHandle('a', {}, 'fedcba9876543210');
const to = { session: 7, stream: 3 };

function ring(ringBytes = 4096) {
  const memory = createRingMemory(ringBytes);
  return { memory, writer: createRingWriter(memory), reader: createRingReader(memory) };
}

/** The record as it was, copied out of the ring, or null. */
function take(reader: FrameRingReader): (Partial<Frame> & { session: number; stream: number }) | null {
  const seen = reader.peek();
  if (seen === null) return null;
  const { epochHigh, epochLow, ...rest } = seen;
  const hex = (word: number): string => word.toString(16).padStart(8, '0');
  const copy = {
    ...rest,
    epoch: hex(epochHigh) + hex(epochLow),
    deltasUs: rest.deltasUs === null ? null : new Uint8Array(rest.deltasUs),
    payload: new Uint8Array(rest.payload),
  };
  reader.release();
  return copy;
}

/** What a ring carries of a frame. */
const carried = (frame: Frame): object => {
  const { streamId: _1, liveOnly: _2, historical: _3, sentUs: _4, offsetUs: _5, ...rest } = frame;
  return { ...rest, ...to };
};

test('a frame comes out as it went in', () => {
  const { writer, reader } = ring();
  const frames = [
    frameOf(handle, 2 ** 53 - 10, 3, { firstUs: -1_700_000_000_000_001, periodNs: 0xffffffff }),
    frameOf(handle, 3, 2, { deltasUs: new Uint8Array([0, 0, 0, 0, 9, 1, 2, 255]) }),
  ];
  for (const frame of frames) expect(writer.write(to, frame)).toBe(true);
  for (const frame of frames) expect(take(reader)).toEqual(carried(frame));
  expect(take(reader)).toBe(null);
  expect(writer.usedBytes).toBe(0);
});

test('a full ring drops the newest and keeps what is in it', () => {
  const { writer, reader } = ring(1024);
  const written: number[] = [];
  for (let seq = 0; seq < 100; seq += 5) if (writer.write(to, frameOf(handle, seq, 5))) written.push(seq);
  expect(written).toEqual(Array.from({ length: written.length }, (_, i) => i * 5));
  expect(written.length).toBe(Math.floor(1024 / (Math.ceil((56 + 60) / 8) * 8)));
  expect(writer.write(to, frameOf(handle, 500, 300))).toBe(false);
  for (const seq of written) expect(take(reader)).toMatchObject({ firstSeq: seq });
  expect(take(reader)).toBe(null);
  expect(writer.write(to, frameOf(handle, 100, 5))).toBe(true);
});

test('records of any size follow each other for many rounds, also when positions overflow', () => {
  const { memory } = ring(4096);
  // As after 32 GiB.
  const control = new Int32Array(memory.shared);
  control.fill(-200, 0, 1);
  control.fill(-200, 16, 17);
  const writer = createRingWriter(memory);
  const reader = createRingReader(memory);
  const random = seededRandom(4);
  const waiting: Frame[] = [];
  let seq = 0;
  let refused = 0;
  for (let i = 0; i < 5_000; i++) {
    const count = 1 + Math.floor(random.next() * 60);
    const frame = frameOf(handle, seq, count);
    if (random.next() < 0.5) {
      if (writer.write(to, frame)) waiting.push(frame);
      else refused++;
      seq += count;
      continue;
    }
    const next = waiting.shift();
    expect(take(reader)).toEqual(next === undefined ? null : carried(next));
  }
  expect(refused).toBeGreaterThan(100);
});

test('what was not written whole is not seen', () => {
  const { writer, reader } = ring();
  const torn = frameOf(handle, 0, 5, { deltasUs: new Uint8Array(20) });
  Object.defineProperty(torn, 'payload', {
    get(this: { asked?: number }) {
      this.asked = (this.asked ?? 0) + 1;
      if (this.asked > 2) throw new Error('in the middle of the copy');
      return new Uint8Array(60);
    },
  });
  expect(() => writer.write(to, torn)).toThrow('in the middle');
  expect(reader.peek()).toBe(null);
  writer.write(to, frameOf(handle, 5, 5));
  expect(take(reader)).toEqual(carried(frameOf(handle, 5, 5)));
});

test('a reader in another thread sees every record whole and in order', async () => {
  const memory = createRingMemory(2048);
  const writer = createRingWriter(memory);
  const source = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(workerData.module).then(({ createRingReader }) => {
      const reader = createRingReader(workerData.memory);
      const nothing = new Int32Array(new SharedArrayBuffer(4));
      let seen = 0;
      let wrong = 0;
      parentPort.postMessage('ready');
      while (seen < workerData.frames) {
        const frame = reader.peek();
        if (frame === null) {
          Atomics.wait(nothing, 0, 0, 0.1);
          continue;
        }
        // Every byte of a payload is the number of its frame.
        if (frame.firstSeq !== seen || frame.payload.length !== frame.count || frame.payload.some((byte) => byte !== (seen & 255))) wrong++;
        seen++;
        reader.release();
      }
      parentPort.postMessage({ wrong });
    });`;
  const frames = 3_000;
  const module = new URL('./frame-ring.ts', import.meta.url).href;
  const worker = new Worker(source, { eval: true, workerData: { memory, frames, module } });
  const answer = new Promise<unknown>((resolve, reject) => {
    worker.on('error', reject);
    worker.on('message', (message: unknown) => {
      if (message !== 'ready') return resolve(message);
      void write();
    });
  });
  async function write(): Promise<void> {
    for (let seq = 0; seq < frames;) {
      const count = 1 + ((seq * 7) % 200);
      const payload = new Uint8Array(count).fill(seq & 255);
      if (writer.write(to, frameOf(handle, seq, count, { payload }))) seq++;
      else await new Promise((resolve) => setImmediate(resolve));
    }
  }
  expect(await answer).toEqual({ wrong: 0 });
  await worker.terminate();
});
