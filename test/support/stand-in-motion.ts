/**
 * Owns a chain for tests of the pipeline that knows nothing of walking: every result is made of the bits of all readings
 * before it, so that one reading that is missing, doubled or in another order changes it. A stride each second of
 * placement 0, an angle row each 10 ms. A first value of `breaks.throws` throws, `breaks.hangs` never returns, and
 * `breaks.dies` ends the thread.
 */

import { AppError } from '#base/errors.ts';
import type { BodyModel } from '#motion/body-model.ts';
import type { MetricValue, Stride } from '#motion/results.ts';
import type { AngleBlock, SessionMotion } from '#motion/session-motion.ts';

export const breaks = { throws: 666, hangs: 667, dies: 668 } as const;

/** A body model with this height cannot be begun with. */
export const IMPOSSIBLE_HEIGHT_M = 2.5;

const STEP_US = 10_000;

interface Waiting {
  readonly timeUs: number;
  readonly placement: number;
  readonly values: readonly number[];
}

export function createStandInMotion(model: BodyModel): SessionMotion {
  if (model.heightM === IMPOSSIBLE_HEIGHT_M)
    throw new AppError('invalid-field', 'nobody is that tall', { field: '/heightM' });
  const counters = { readings: 0, late: 0, dropped: 0, gaps: 0 };
  let waiting: Waiting[] = [];
  let passedUs = Number.NEGATIVE_INFINITY;
  let hash = 17;
  let lastSecond: number | null = null;
  let strides: Stride[] = [];
  let rows: { timeUs: number; value: number }[] = [];
  let total = 0;

  function process({ timeUs, placement, values }: Waiting): void {
    counters.readings++;
    const view = new DataView(new ArrayBuffer(4));
    for (const value of [...values, placement, timeUs % 1e6]) {
      view.setFloat32(0, value);
      hash = (Math.imul(hash, 31) + view.getInt32(0)) | 0;
    }
    if (placement !== 0) return;
    if (timeUs % STEP_US === 0) rows.push({ timeUs, value: hash % 100 });
    const second = Math.floor(timeUs / 1e6);
    if (lastSecond !== null && second !== lastSecond) {
      strides.push(strideOf((second - 1) * 1e6, hash / 2 ** 31));
      total++;
    }
    lastSecond = second;
  }

  return {
    model,
    angleNames: ['left-foot-pitch'],
    counters,
    push(placement, { timesUs, values, axes, count }) {
      const first = values[0];
      if (first === breaks.throws) throw new Error('the chain broke');
      if (first === breaks.hangs) for (;;);
      if (first === breaks.dies) throwLater();
      for (let i = 0; i < count; i++) {
        const reading = {
          timeUs: timesUs[i]!,
          placement,
          values: [...values.subarray(i * axes, (i + 1) * axes)],
        };
        if (reading.timeUs < passedUs) counters.late++;
        else waiting.push(reading);
      }
    },
    advance(untilUs) {
      passedUs = untilUs;
      const due = waiting.filter(({ timeUs }) => timeUs < untilUs);
      waiting = waiting.filter(({ timeUs }) => timeUs >= untilUs);
      for (const reading of due.toSorted((a, b) => a.timeUs - b.timeUs || a.placement - b.placement))
        process(reading);
    },
    finish() {
      this.advance(Number.POSITIVE_INFINITY);
    },
    take() {
      const taken = { strides, angles: blocksOf(rows), contacts: [], cycles: [], turns: [], notices: [] };
      strides = [];
      rows = [];
      return taken;
    },
    summary: (): MetricValue[] => [
      { metric: 'cadence', side: null, value: hash, spread: null, count: total, reason: null },
    ],
    save: () => new Uint8Array(),
  };
}

function strideOf(startUs: number, strideLengthM: number): Stride {
  return {
    side: 'left',
    startUs,
    endUs: startUs + 1e6,
    finalContactUs: null,
    strideTimeS: 1,
    stanceTimeS: null,
    swingTimeS: null,
    doubleSupportPercent: null,
    strideLengthM,
    speedMS: null,
    cadenceStepsPerMin: 120,
    clearanceM: null,
    turnDeg: null,
    heightChangeM: null,
    terrain: null,
    bout: 0,
  };
}

function blocksOf(rows: readonly { timeUs: number; value: number }[]): AngleBlock[] {
  return rows.map(({ timeUs, value }) => ({
    firstUs: timeUs,
    stepUs: STEP_US,
    count: 1,
    rows: Float32Array.of(value),
  }));
}

/** Where the worker's loop does not catch it. */
function throwLater(): never {
  process.exit(7);
}
