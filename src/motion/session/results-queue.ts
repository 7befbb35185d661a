/**
 * Owns the results of a chain until somebody takes them, oldest first. Bounded: MAX_BLOCKS blocks of angles and MAX_RESULTS
 * records of each kind; who does not take loses the oldest, counted.
 */

import type { Contact, Cycle, MotionNotice, Stride, Turn } from '#motion/results.ts';
import type { AngleBlock, MotionBatch } from '#motion/session-motion.ts';

/** Rows of angles in one block: half a second at 100 Hz. */
const BLOCK_ROWS = 50;
/** A minute of angles, and an hour of walking. */
const MAX_BLOCKS = 120;
const MAX_RESULTS = 8_192;

interface BoundedList<T> {
  push(one: T): void;
  take(): readonly T[];
}

export interface ResultsQueue {
  readonly contacts: Pick<BoundedList<Contact>, 'push'>;
  readonly strides: Pick<BoundedList<Stride>, 'push'>;
  readonly cycles: Pick<BoundedList<Cycle>, 'push'>;
  readonly turns: Pick<BoundedList<Turn>, 'push'>;
  readonly notices: Pick<BoundedList<MotionNotice>, 'push'>;
  addRow(timeUs: number, row: Float32Array): void;
  /** Without angles, those that were held are forgotten. */
  take(wantsAngles: boolean): MotionBatch;
}

/** What is taken mostly: ten times a second there is seldom a stride. */
const none: readonly never[] = [];

export function createResultsQueue(
  { width, stepUs }: { readonly width: number; readonly stepUs: number },
  counters: { dropped: number },
): ResultsQueue {
  const list = <T>(bound: number): BoundedList<T> => {
    let held: T[] = [];
    return {
      push(one) {
        if (held.length === bound) {
          held.shift();
          counters.dropped++;
        }
        held.push(one);
      },
      take() {
        if (held.length === 0) return none;
        const taken = held;
        held = [];
        return taken;
      },
    };
  };
  const contacts = list<Contact>(MAX_RESULTS);
  const strides = list<Stride>(MAX_RESULTS);
  const cycles = list<Cycle>(MAX_RESULTS);
  const turns = list<Turn>(MAX_RESULTS);
  const notices = list<MotionNotice>(MAX_RESULTS);
  const blocks = list<AngleBlock>(MAX_BLOCKS);
  const rows = new Float32Array(BLOCK_ROWS * width);
  let firstUs = 0;
  let count = 0;

  const closeBlock = (): void => {
    if (count === 0) return;
    blocks.push({ firstUs, stepUs, count, rows: rows.slice(0, count * width) });
    count = 0;
  };
  return {
    contacts,
    strides,
    cycles,
    turns,
    notices,
    addRow(timeUs, row) {
      if (width === 0) return;
      if (count === BLOCK_ROWS || (count > 0 && timeUs !== firstUs + count * stepUs)) closeBlock();
      if (count === 0) firstUs = timeUs;
      for (let i = 0; i < width; i++) rows[count * width + i] = row[i]!;
      count++;
    },
    take(wantsAngles) {
      if (wantsAngles) closeBlock();
      count = 0;
      const angles = blocks.take();
      return {
        angles: wantsAngles ? angles : none,
        contacts: contacts.take(),
        strides: strides.take(),
        cycles: cycles.take(),
        turns: turns.take(),
        notices: notices.take(),
      };
    },
  };
}
