/**
 * Owns streams, frames and data messages for tests of ingest and store: readings of three float32 axes whose values
 * follow from their number alone, so that a repeated reading is bit-equal.
 */

import type { Frame, StreamHandle } from '#contract/readings.ts';
import { encodeData, type DataFrame } from '#protocol/data-codec.ts';
import type { StreamDefinition } from '#protocol/messages.ts';

const AXES = 3;
/** Bytes of one reading. */
export const READING_BYTES = AXES * 4;

/** The packed values of reading `seq`: any bit pattern of finite floats. */
function writeReading(view: DataView, at: number, seq: number): void {
  for (let axis = 0; axis < AXES; axis++)
    view.setUint32(at + axis * 4, (Math.imul(seq * AXES + axis + 1, 0x9e3779b1) & 0xbfffffff) >>> 0, true);
}

/** The packed values of readings [firstSeq, firstSeq + count). */
export function payloadOf(firstSeq: number, count: number): Uint8Array<ArrayBuffer> {
  const payload = new Uint8Array(count * READING_BYTES);
  const view = new DataView(payload.buffer);
  for (let i = 0; i < count; i++) writeReading(view, i * READING_BYTES, firstSeq + i);
  return payload;
}

/** As the catalogue would give it, without a database. */
export function streamHandle(
  name = 'a',
  overrides: Partial<StreamDefinition> = {},
  epoch = '0000000000000001',
): StreamHandle {
  const definition: StreamDefinition = {
    stream: `01900000-0000-7000-8000-${Buffer.from(name).toString('hex').padStart(12, '0').slice(-12)}`,
    session: '01900000-0000-7000-8000-00000000ffff',
    segment: name,
    sensor: 'imu',
    axes: ['x', 'y', 'z'].map((axis) => ({ name: axis, unit: '1' })),
    rateHz: 200,
    encoding: 'float32',
    clock: 'device',
    ...overrides,
  };
  return {
    key: `${definition.stream}/${epoch}`,
    orgId: '01900000-0000-7000-8000-000000000aaa',
    deviceId: '01900000-0000-7000-8000-000000000ddd',
    epoch,
    definition,
    retentionClass: 0,
    readingBytes: definition.axes.length * (definition.encoding === 'float32' ? 4 : 2),
  };
}

/** A frame on its way through the server, taken at 200 Hz from device time 0 on. */
export function frameOf(
  handle: StreamHandle,
  firstSeq: number,
  count: number,
  overrides: Partial<Frame> = {},
): Frame {
  return {
    streamId: handle.definition.stream,
    epoch: handle.epoch,
    firstSeq,
    count,
    firstUs: firstSeq * 5_000,
    periodNs: 5_000_000,
    deltasUs: null,
    payload: payloadOf(firstSeq, count),
    liveOnly: false,
    historical: false,
    sentUs: 0,
    arrivalUs: 1_700_000_000_000_000,
    offsetUs: 0,
    ...overrides,
  };
}

/** A frame of a data message. */
export function wireFrame(
  ref: number,
  firstSeq: number,
  count: number,
  overrides: Partial<DataFrame> = {},
): DataFrame {
  return {
    ref,
    firstSeq,
    count,
    firstUs: firstSeq * 5_000,
    periodNs: 5_000_000,
    deltasUs: null,
    payload: payloadOf(firstSeq, count),
    ...overrides,
  };
}

export function dataBytes(
  frames: readonly DataFrame[],
  kind: { liveOnly?: boolean; historical?: boolean } = {},
): Uint8Array {
  return encodeData({ liveOnly: false, historical: false, sentUs: 0, frames, ...kind });
}
