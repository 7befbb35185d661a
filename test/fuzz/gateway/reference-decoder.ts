/**
 * Owns a second reading of the data message, made from the tables of docs/protocol.md alone and with big integers, to hold
 * the decoder of the product against: what it takes for valid must be valid here too, and the other way round.
 */

const MESSAGE_BYTES = 262_144n;
const TIME_LIMIT = 2n ** 53n - 2n ** 32n;
/** Sequence numbers are below this, and so is the number after the last, which acknowledgements state. */
const SEQ_LIMIT = 2n ** 53n;

export interface ReferenceFrame {
  readonly ref: number;
  readonly count: number;
  readonly firstSeq: bigint;
  readonly payloadAt: number;
  readonly payloadBytes: number;
  /** In credit. */
  readonly cost: number;
}

export interface ReferenceMessage {
  readonly isLiveOnly: boolean;
  readonly frames: readonly ReferenceFrame[];
}

/** The message, or null when these bytes are none. */
export function referenceDecode(bytes: Uint8Array): ReferenceMessage | null {
  if (BigInt(bytes.length) > MESSAGE_BYTES || bytes.length < 16) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [kind, version, flags, count] = [bytes[0]!, bytes[1]!, bytes[2]!, bytes[3]!];
  if (kind !== 1 || version !== 1 || flags > 2 || count < 1 || count > 32) return null;
  if (view.getUint32(4, true) !== 0 || !isTime(view.getBigInt64(8, true))) return null;
  const frames: ReferenceFrame[] = [];
  let at = 16;
  for (let i = 0; i < count; i++) {
    if (at + 32 > bytes.length) return null;
    const frame = frameAt(view, at);
    if (frame === null || frame.payloadAt + frame.payloadBytes > bytes.length) return null;
    frames.push(frame);
    at += frame.cost;
  }
  return at === bytes.length ? { isLiveOnly: flags === 1, frames } : null;
}

function frameAt(view: DataView, at: number): ReferenceFrame | null {
  const count = view.getUint16(at + 2, true);
  const flags = view.getUint16(at + 4, true);
  const firstSeq = view.getBigUint64(at + 8, true);
  const payloadBytes = view.getUint32(at + 28, true);
  const timeBytes = flags === 1 ? 4 * count : 0;
  const isValid =
    count >= 1 &&
    count <= 500 &&
    flags <= 1 &&
    view.getUint16(at + 6, true) === 0 &&
    firstSeq + BigInt(count) < SEQ_LIMIT &&
    isTime(view.getBigInt64(at + 16, true)) &&
    payloadBytes > 0 &&
    payloadBytes % count === 0;
  if (!isValid) return null;
  return {
    ref: view.getUint16(at, true),
    count,
    firstSeq,
    payloadAt: at + 32 + timeBytes,
    payloadBytes,
    cost: 32 + timeBytes + payloadBytes,
  };
}

function isTime(value: bigint): boolean {
  return value < TIME_LIMIT && value > -TIME_LIMIT;
}
