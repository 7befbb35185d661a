/** Owns streams and frames of inertial sensors for tests of the pipeline: values follow from stream and number alone. */

import { seededRandom, type Random } from '#base/random.ts';
import type { Frame, StreamHandle } from '#contract/readings.ts';
import type { RingFrame } from '#pipeline/frame-ring.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { frameOf, streamHandle } from '#test/support/frames.ts';

export const imuAxes = ['acc', 'gyr'].flatMap((quantity) =>
  ['x', 'y', 'z'].map((axis) => ({
    name: `${quantity}_${axis}`,
    unit: quantity === 'acc' ? 'm/s2' : 'deg/s',
  })),
);
const PERIOD_US = 5_000;
/** Server minus device clock. */
export const OFFSET_US = 1_000_000_000;

export function imuHandle(segment: string, over: Partial<StreamDefinition> = {}): StreamHandle {
  // The first letters tell segments apart, and an id has room for six.
  return streamHandle(segment.slice(0, 6), { segment, axes: imuAxes, ...over });
}

/** Readings [firstSeq, firstSeq + count) of a stream at 200 Hz, which arrive as the last of them is taken. */
export function imuFrame(
  handle: StreamHandle,
  firstSeq: number,
  count: number,
  over: Partial<Frame> = {},
): Frame {
  const axes = handle.definition.axes.length;
  const values = new Float32Array(count * axes);
  const salt = handle.definition.segment.length;
  for (let i = 0; i < values.length; i++) values[i] = Math.sin((firstSeq * axes + i) * 0.37 + salt);
  return frameOf(handle, firstSeq, count, {
    firstUs: firstSeq * PERIOD_US,
    periodNs: PERIOD_US * 1_000,
    payload: new Uint8Array(values.buffer),
    arrivalUs: OFFSET_US + (firstSeq + count) * PERIOD_US,
    ...over,
  });
}

/** As it comes out of a ring. */
export function ringFrame(stream: number, frame: Frame, session = 1): RingFrame {
  return {
    session,
    stream,
    count: frame.count,
    periodNs: frame.periodNs,
    epochHigh: Number.parseInt(frame.epoch.slice(0, 8), 16),
    epochLow: Number.parseInt(frame.epoch.slice(8), 16),
    firstSeq: frame.firstSeq,
    firstUs: frame.firstUs,
    arrivalUs: frame.arrivalUs,
    deltasUs: frame.deltasUs,
    payload: frame.payload,
  };
}

/** All readings [0, total) of each stream in frames of random sizes, in the order in which they arrive. */
export function cutAnyhow(
  handles: readonly StreamHandle[],
  total: number,
  seed: number,
): { stream: number; frame: Frame }[] {
  const random = seededRandom(seed);
  const all = handles.flatMap((handle, stream) =>
    framesOf(handle, total, random).map((frame) => ({ stream, frame })),
  );
  return all.toSorted((a, b) => a.frame.arrivalUs - b.frame.arrivalUs);
}

function framesOf(handle: StreamHandle, total: number, random: Random): Frame[] {
  const frames: Frame[] = [];
  for (let seq = 0; seq < total;) {
    const count = Math.min(total - seq, 1 + Math.floor(random.next() * 60));
    frames.push(imuFrame(handle, seq, count));
    seq += count;
  }
  return frames;
}
