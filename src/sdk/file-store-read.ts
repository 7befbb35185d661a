/**
 * Owns reading frames back from a file store's segments. A frame whose bytes are no longer what was written is declared
 * lost; a disk that merely refuses to read costs a later attempt, and no reading.
 */

import { AppError, messageOf } from '#base/errors.ts';
import { subtract } from '#base/ranges.ts';
import type { Loss, StoredFrame } from '#sdk/device-store.ts';
import type { FileLog } from '#sdk/file-store-load.ts';
import { closeSegment, findFrame, readFrame, type Segment } from '#sdk/file-store-segment.ts';
import { declareLost, type FileState } from '#sdk/file-store-write.ts';

/** The first frame at or after `fromSeq`; for who would take its absence for a loss. Throws AppError `overloaded`. */
export function readSurely(state: FileState, log: FileLog, fromSeq: number): StoredFrame | undefined {
  const out: StoredFrame[] = [];
  try {
    readInto(out, state, log, { fromSeq, maxPayloadBytes: 0 });
  } catch (cause) {
    throw new AppError('overloaded', 'the store cannot be read now', { temporary: true, cause });
  }
  return out[0];
}

/** What DeviceStore.read promises. */
export function read(
  state: FileState,
  log: FileLog,
  fromSeq: number,
  maxPayloadBytes: number,
): StoredFrame[] {
  const out: StoredFrame[] = [];
  try {
    readInto(out, state, log, { fromSeq, maxPayloadBytes });
  } catch (thrown) {
    // Too many open files, a medium that hesitates: the readings may be there the next time they are asked for.
    state.emit({ type: 'store-unreadable', message: messageOf(thrown) });
  }
  return out;
}

function readInto(
  out: StoredFrame[],
  state: FileState,
  log: FileLog,
  { fromSeq, maxPayloadBytes }: { fromSeq: number; maxPayloadBytes: number },
): void {
  let bytes = 0;
  const hint = log.hint !== null && log.hint.seq <= fromSeq ? log.hint : null;
  for (const segment of state.segments) {
    if (hint !== null && segment.number < hint.segment) continue;
    let at = findFrame(segment, log.id, fromSeq, segment.number === hint?.segment ? hint.index : 0);
    for (; at >= 0; at = findFrame(segment, log.id, fromSeq, at + 1)) {
      const frame = readFrame(state.disk, segment, at);
      if (frame === null) {
        declareUnreadable(state, log, segment, at);
        continue;
      }
      bytes += frame.payload.length;
      if (out.length > 0 && bytes > maxPayloadBytes) return;
      out.push(frame);
      log.hint = { segment: segment.number, index: at, seq: frame.firstSeq };
    }
    if (segment !== state.segments.at(-1) && !segment.isUnsynced) closeSegment(segment);
  }
}

/** A frame was whole when it was written or loaded and is not any more. */
function declareUnreadable(state: FileState, log: FileLog, segment: Segment, index: number): void {
  const from = segment.columns.firstSeq[index]!;
  const to = from + segment.columns.count[index]!;
  segment.columns.count[index] = 0;
  for (const range of subtract([{ from, to }], log.settled)) {
    const loss: Loss = { ...range, reason: 'device-store-damaged' };
    declareLost(state, log, loss);
    state.emit({ type: 'loss', log, loss });
  }
}
