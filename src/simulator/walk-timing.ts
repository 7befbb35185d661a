/**
 * Owns when and how far a synthetic walker steps: the gait phase over time and the distance over nominal distance, both
 * wandering smoothly with the period of the loop so that strides differ, and the contacts that follow.
 */

import { seededRandom, type Random } from '#base/random.ts';
import { STANCE_FRACTION } from '#simulator/gait-curves.ts';
import type { SideTiming } from '#simulator/walker-trajectory.ts';

/** Strides in a loop: enough that variability shows, few enough that a table of seven sensors is 0.6 MB at 200 Hz. */
export const LOOP_STRIDES = 16;

export interface Contact {
  readonly side: 'left' | 'right';
  readonly kind: 'initial' | 'final';
  readonly timeS: number;
  /** Length of this foot's stride to where it stands or stood. */
  readonly strideLengthM: number;
}

/** The part of the walker's parameters that timing needs; see WalkerParameters for their meaning. */
export interface TimingParameters {
  readonly seed: number;
  readonly rateHz: number;
  readonly cadenceStepsPerMin: number;
  readonly stepLengthM: number;
  readonly asymmetry: number;
  readonly strideTimeVariability: number;
  readonly strideLengthVariability: number;
}

export interface WalkTiming {
  readonly loopReadings: number;
  readonly loopS: number;
  /** Means over the loop. */
  readonly strideTimeS: number;
  readonly strideLengthM: number;
  readonly left: SideTiming;
  readonly right: SideTiming;
  /** Gait phase of a time within the first loop, or a little around it. */
  phaseAt(timeS: number): number;
  /** The time at which the phase, counted over all loops, is reached. */
  timeAt(phase: number): number;
  /** Nominal to actual distance walked. */
  readonly distanceAt: (nominalM: number) => number;
}

export function createWalkTiming(parameters: TimingParameters): WalkTiming {
  const { rateHz, cadenceStepsPerMin, stepLengthM } = parameters;
  const random = seededRandom(parameters.seed);
  const strideLengthM = 2 * stepLengthM;
  const loopReadings = Math.round(((LOOP_STRIDES * 120) / cadenceStepsPerMin) * rateHz);
  const loopS = loopReadings / rateHz;
  const strideTimeS = loopS / LOOP_STRIDES;
  const phaseWander = wander(random, parameters.strideTimeVariability);
  const distanceWander = wander(random, parameters.strideLengthVariability);
  const phaseAt = (timeS: number): number => timeS / strideTimeS + phaseWander(timeS / strideTimeS);
  return {
    loopReadings,
    loopS,
    strideTimeS,
    strideLengthM,
    ...sideTimings(parameters.asymmetry),
    phaseAt,
    timeAt(phase) {
      const loop = Math.floor(phase / LOOP_STRIDES);
      const inLoop = phase - loop * LOOP_STRIDES;
      let low = (inLoop - 1) * strideTimeS;
      let high = (inLoop + 1) * strideTimeS;
      // The phase wanders by much less than a stride and always grows: 60 halvings reach the last bit.
      for (let i = 0; i < 60; i++) {
        const middle = (low + high) / 2;
        if (phaseAt(middle) < inLoop) low = middle;
        else high = middle;
      }
      return loop * loopS + high;
    },
    distanceAt: (nominalM) => nominalM + strideLengthM * distanceWander(nominalM / strideLengthM),
  };
}

/** Contacts in [fromS, toS), in the order of time. */
export function contactsBetween(timing: WalkTiming, fromS: number, toS: number): Contact[] {
  const { strideTimeS, strideLengthM } = timing;
  const contacts: Contact[] = [];
  for (const side of ['left', 'right'] as const) {
    const { contactPhase, stanceFraction } = timing[side];
    const last = Math.ceil(toS / strideTimeS) + 3;
    for (let stride = Math.floor(fromS / strideTimeS) - 3; stride <= last; stride++) {
      const phase = stride + contactPhase;
      const lengthM =
        timing.distanceAt(phase * strideLengthM) - timing.distanceAt((phase - 1) * strideLengthM);
      contacts.push(
        { side, kind: 'initial', timeS: timing.timeAt(phase), strideLengthM: lengthM },
        { side, kind: 'final', timeS: timing.timeAt(phase + stanceFraction), strideLengthM: lengthM },
      );
    }
  }
  return contacts.filter(({ timeS }) => timeS >= fromS && timeS < toS).toSorted((a, b) => a.timeS - b.timeS);
}

/** Stance times by the asymmetry, both double supports equally long. */
function sideTimings(asymmetry: number): { left: SideTiming; right: SideTiming } {
  const left = STANCE_FRACTION * (1 + asymmetry / 2);
  const right = STANCE_FRACTION * (1 - asymmetry / 2);
  return {
    left: { contactPhase: 0, stanceFraction: left },
    right: { contactPhase: (1 + left - right) / 2, stanceFraction: right },
  };
}

/**
 * A smooth function of the stride number with the period of the loop, 0 at 0, whose differences over one stride have
 * the standard deviation `deviation` and no correlation: all harmonics below half a cycle a stride, equally strong.
 */
function wander(random: Random, deviation: number): (strides: number) => number {
  const harmonics = LOOP_STRIDES / 2 - 1;
  const terms = Array.from({ length: harmonics }, (_, i) => {
    const turn = (2 * Math.PI * (i + 1)) / LOOP_STRIDES;
    const amplitude = (deviation * Math.sqrt(2 / harmonics)) / (2 * Math.sin(turn / 2));
    const offset = 2 * Math.PI * random.next();
    return { turn, amplitude, offset, atZero: amplitude * Math.sin(offset) };
  });
  return (strides) => {
    let sum = 0;
    for (const { turn, amplitude, offset, atZero } of terms)
      sum += amplitude * Math.sin(turn * strides + offset) - atZero;
    return sum;
  };
}
