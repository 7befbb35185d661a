/**
 * Owns the target `codecs`: bytes for every decoder of binary forms. Each refuses with a result, never with a throw; what it
 * accepts is whole; and the two that have a second reading (reference-decoder.ts, the encoder) agree with it.
 */

import { crc32 } from 'node:zlib';

import { AssertionError } from '#base/assert.ts';
import { decodeEnvelope, encodeEnvelope } from '#contract/envelope-codec.ts';
import { decodeData, encodeData } from '#protocol/data-codec.ts';
import {
  decodeLive,
  encodeLiveFrames,
  liveFrameBytes,
  LIVE_HEADER_BYTES,
  writeLiveHeader,
  type LiveFrame,
} from '#protocol/live-codec.ts';
import { packBlock, unpackBlock } from '#store/sealed-codec.ts';
import type { Chance } from '#test/fuzz/chance.ts';
import { referenceDecode } from '#test/fuzz/gateway/reference-decoder.ts';
import { encodeRaw, rawMessage, varyBytes } from '#test/fuzz/hostile-bytes.ts';
import type { Step } from '#test/fuzz/step.ts';
import { hold, type Notes, type Target } from '#test/fuzz/target.ts';

/** Of a sealed block: where its head ends, and the checksum in it. */
const BLOCK_HEAD_BYTES = 24;
const BLOCK_CRC_AT = 20;
const sealedBlocks = [await block(1, 'float32'), await block(3, 'int16'), await block(9, 'float32')];
const envelope = encodeEnvelope(anEnvelope());

export const codecTarget: Target = {
  name: 'codecs',
  share: 10,
  about: 'bytes for the decoders: data and live messages, sealed blocks, envelopes',
  generate: (chance) => Array.from({ length: 1 + chance.below(20) }, () => anyStep(chance)),
  run(steps, notes) {
    for (const { do: what, n = 0, bytes = new Uint8Array(0) } of steps) {
      if (what === 'data') data(bytes, notes);
      else if (what === 'live') live(bytes, notes);
      else if (what === 'sealed') sealed(n === 1 ? withChecksum(bytes) : bytes, notes);
      else readEnvelope(bytes, notes);
    }
  },
};

function anyStep(chance: Chance): Step {
  const draw = chance.below(20);
  const noise = (): Uint8Array => Uint8Array.from({ length: chance.below(120) }, () => chance.below(256));
  const varied = (bytes: Uint8Array): Uint8Array => {
    let now = chance.is(0.05) ? noise() : bytes;
    for (let edits = chance.below(3); edits > 0; edits--) now = varyBytes(now, chance);
    return now;
  };
  if (draw < 9)
    return { do: 'data', bytes: varied(encodeRaw(rawMessage(chance, (ref) => 1 + ref, chance.below(2)))) };
  if (draw < 15) return { do: 'live', bytes: varied(liveMessage(chance)) };
  if (draw < 18)
    return { do: 'sealed', n: chance.is(0.8) ? 1 : 0, bytes: varied(chance.among(sealedBlocks)) };
  return { do: 'envelope', bytes: varied(envelope) };
}

function data(bytes: Uint8Array, notes: Notes): void {
  const decoded = decodeData(bytes);
  const reference = referenceDecode(bytes);
  hold(
    decoded.ok === (reference !== null),
    'both readings of a data message agree',
    Buffer.from(bytes.subarray(0, 64)).toString('hex'),
  );
  if (!decoded.ok) {
    notes.refused(decoded.error.code);
    notes.reached(`data ${decoded.error.code} ${decoded.error.field?.replace(/\d+/, 'n') ?? ''}`);
    return;
  }
  hold(Buffer.from(encodeData(decoded.value)).equals(bytes), 'what was read is what was written');
  notes.reached(`data ${decoded.value.frames.length > 1 ? 'frames' : 'frame'}`);
}

function live(bytes: Uint8Array, notes: Notes): void {
  const decoded = decodeLive(bytes);
  if (!decoded.ok) {
    notes.refused(decoded.error.code);
    notes.reached(`live ${decoded.error.message}`);
    return;
  }
  const { frames, offset, publishedUs } = decoded.value;
  hold(
    Number.isSafeInteger(offset) && Number.isSafeInteger(publishedUs),
    'numbers of a live message are exact',
  );
  const size = frames.reduce((sum, frame) => sum + liveFrameBytes(frame), LIVE_HEADER_BYTES);
  hold(size === bytes.length, 'a live message is read to its end');
  for (const { count, deltasUs } of frames)
    hold(deltasUs === null || deltasUs.length === count * 4, 'a frame has its times');
  notes.reached(`live ${Math.min(frames.length, 4)} frames`);
}

function sealed(bytes: Uint8Array, notes: Notes): void {
  const unpacked = unpackBlock(bytes);
  notes.reached(`sealed ${unpacked.ok ? 'read' : unpacked.error.replaceAll(/\d+/g, 'n')}`);
  if (!unpacked.ok) notes.refused('damaged-readings');
  else
    hold(
      unpacked.value.deltas === null || unpacked.value.deltas.length === unpacked.value.n * 4,
      'a block has its times',
    );
}

/** The head's checksum made to fit, as by somebody who means it. */
function withChecksum(bytes: Uint8Array): Uint8Array {
  if (bytes.length < BLOCK_HEAD_BYTES) return bytes;
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  const headBytes = BLOCK_HEAD_BYTES + 4 * view.getUint16(2, true);
  view.setUint32(BLOCK_CRC_AT, 0, true);
  view.setUint32(BLOCK_CRC_AT, crc32(copy.subarray(0, headBytes)), true);
  return copy;
}

/** An envelope comes from our own server, so its reader may assert; it must not take what is not whole. */
function readEnvelope(bytes: Uint8Array, notes: Notes): void {
  try {
    const { startUs, axes, min } = decodeEnvelope(bytes.slice().buffer);
    notes.reached('envelope read');
    hold(
      min.length === axes.length && min.every((list) => list.length === startUs.length),
      'an envelope is whole',
    );
  } catch (error) {
    const isExpected =
      error instanceof AssertionError || error instanceof SyntaxError || error instanceof TypeError;
    if (!isExpected) throw error;
    notes.reached(`envelope ${error.name}`);
  }
}

function liveMessage(chance: Chance): Uint8Array {
  const frames = Array.from({ length: chance.below(4) }, (): LiveFrame => {
    const count = 1 + chance.below(10);
    return {
      streamId: '01900000-0000-7000-8000-000000005000',
      epoch: '00000000000000ff',
      count,
      firstSeq: chance.below(1_000),
      firstUs: 1_700_000_000_000_000,
      periodNs: 5_000_000,
      deltasUs: chance.is(0.3) ? new Uint8Array(count * 4) : null,
      payload: new Uint8Array(count * 6),
      liveOnly: chance.is(0.3),
      sentUs: -1,
      arrivalUs: 0,
      offsetUs: 1,
    };
  });
  const body = encodeLiveFrames(frames);
  const bytes = new Uint8Array(LIVE_HEADER_BYTES + body.length);
  writeLiveHeader(bytes, { channel: 1, offset: chance.below(100), publishedUs: 0 });
  bytes.set(body, LIVE_HEADER_BYTES);
  return bytes;
}

async function block(axisCount: number, encoding: 'float32' | 'int16'): Promise<Uint8Array> {
  const n = 40;
  const segments = new Uint8Array(24);
  const view = new DataView(segments.buffer);
  view.setUint16(0, n, true);
  view.setUint32(4, 5_000_000, true);
  const values = Uint8Array.from(
    { length: n * axisCount * (encoding === 'float32' ? 4 : 2) },
    (_, i) => (i * 7) & 0xff,
  );
  return packBlock([{ n, segments, deltas: null, data: values }], { axisCount, encoding });
}

function anEnvelope(): Parameters<typeof encodeEnvelope>[0] {
  const list = (): Float64Array => Float64Array.of(1, 2, 3);
  return {
    stream: '01900000-0000-7000-8000-000000005000',
    axes: [{ name: 'x', unit: '1' }],
    fromUs: 0,
    toUs: 3,
    firstUs: 0,
    lastUs: 3,
    bucketUs: 1,
    rawDropped: false,
    unrolled: 0,
    gaps: [],
    startUs: list(),
    endUs: list(),
    count: list(),
    lateUs: list(),
    min: [list()],
    max: [list()],
    mean: [list()],
  };
}
