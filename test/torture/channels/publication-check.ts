/**
 * Owns the judgement over what subscribers saw: of each room, every offset once, in order, with the same number for all
 * and no number twice, or a gap that was told. It judges as things come and keeps eight bytes a publication, so that a run of millions fits.
 */

import type { Position } from '#protocol/publication.ts';

export interface PublicationCheck {
  /** The publisher was told that number `n` is at this position. */
  acknowledged(room: string, position: Position, n: number): void;
  /** What one subscriber of one room sees. */
  reader(name: string, room: string): RoomReader;
  /** Something else that must not be. */
  wrong(text: string): void;
  readonly violations: readonly string[];
  readonly counts: {
    readonly acknowledged: number;
    readonly delivered: number;
    readonly gaps: number;
    readonly resumptions: number;
  };
}

export interface RoomReader {
  /** Where it is; null before the first subscription. */
  readonly position: Position | null;
  /** It is subscribed: `isRecovered` null when it gave no position. */
  subscribed(position: Position, isRecovered: boolean | null): void;
  saw(epoch: string, offset: number, n: number): void;
  /** A gap was told while it was subscribed; what follows comes after this position, where that is known. */
  reset(position: Position | null): void;
}

/** More say nothing new. */
const MAX_VIOLATIONS = 50;

export function createPublicationCheck(): PublicationCheck {
  const truths = new Map<string, { numbers: Int32Array; offsets: Int32Array }>();
  const violations: string[] = [];
  const counts = { acknowledged: 0, delivered: 0, gaps: 0, resumptions: 0 };
  const violate = (text: string): void => {
    if (violations.length < MAX_VIOLATIONS) violations.push(text);
  };
  /** Whoever comes first says which number an offset has, and with it which offset the number has; 0: nobody yet. */
  const compare = (room: string, { epoch, offset }: Position, n: number): void => {
    const key = `${room} ${epoch}`;
    const truth = truths.get(key) ?? { numbers: new Int32Array(1024), offsets: new Int32Array(1024) };
    truths.set(key, truth);
    const numbers = (truth.numbers = withRoom(truth.numbers, offset));
    const offsets = (truth.offsets = withRoom(truth.offsets, n));
    if (numbers[offset] === n) return;
    if (numbers[offset] !== 0)
      violate(`${room}: offset ${offset} of ${epoch} is ${n} for one and ${numbers[offset]} for another`);
    else if (offsets[n] !== 0)
      violate(`${room}: ${n} is published at ${offset} and at ${offsets[n]} of ${epoch}`);
    numbers[offset] = n;
    offsets[n] = offset;
  };
  return {
    wrong: violate,
    violations,
    counts,
    acknowledged(room, position, n) {
      counts.acknowledged++;
      compare(room, position, n);
    },
    reader(name, room) {
      let at: Position | null = null;
      const who = `${name} in ${room}`;
      const gap = (position: Position | null): void => {
        counts.gaps++;
        at = position;
      };
      return {
        get position() {
          return at;
        },
        subscribed(position, isRecovered) {
          if (at !== null) counts.resumptions++;
          if (isRecovered === false) gap(position);
          else if (at === null) at = position;
          else if (position.epoch !== at.epoch || position.offset !== at.offset)
            violate(
              `${who}: was at ${at.epoch} ${at.offset} and is put at ${position.epoch} ${position.offset}`,
            );
        },
        saw(epoch, offset, n) {
          counts.delivered++;
          if (at === null) violate(`${who}: ${offset} without a subscription`);
          else if (epoch !== at.epoch) violate(`${who}: epoch ${epoch} after ${at.epoch} without a word`);
          else if (offset <= at.offset) violate(`${who}: ${offset} again or late after ${at.offset}`);
          else if (offset > at.offset + 1) violate(`${who}: ${offset} after ${at.offset} without a word`);
          at = { epoch, offset };
          compare(room, at, n);
        },
        reset: gap,
      };
    },
  };
}

function withRoom(array: Int32Array, index: number): Int32Array {
  if (index < array.length) return array;
  const larger = new Int32Array(2 ** Math.ceil(Math.log2(index + 1)));
  larger.set(array);
  return larger;
}
