/**
 * Owns the whole chain for one session: readings of all streams in, orientation, joint angles, contacts, strides, cycles and
 * summaries out. The chain takes readings in the order of (time, placement), whatever the order and the pieces in which they
 * came, so that live, re-analysis and a continued checkpoint give the same bits. Bounds: readings that wait (session/
 * reading-queue.ts), results that nobody took (below), strides behind a summary (SUMMARY_STRIDES).
 */

import type { BodyModel } from '#motion/body-model.ts';
import { mayBridge } from '#motion/bridged-holes.ts';
import { createPlacementCheck } from '#motion/calibration/placement-check.ts';
import { createSideCheck, type SideCheckRecord } from '#motion/calibration/side-check.ts';
import { isSteady } from '#motion/gait/summary-state.ts';
import { createStrideSummary } from '#motion/gait/summary.ts';
import { createBodyTracker } from '#motion/joints/body-tracker.ts';
import type { Contact, Cycle, MetricValue, MotionNotice, Stride, Turn } from '#motion/results.ts';
import { checkBodyModel } from '#motion/session/check-body-model.ts';
import { createCycleRecorder } from '#motion/session/cycle-recorder.ts';
import { RESET_GAP_US } from '#motion/session/gait-source.ts';
import { createGaitSources, trunkPlacementOf } from '#motion/session/gait-sources.ts';
import { createReadingQueue } from '#motion/session/reading-queue.ts';
import { createResultsQueue } from '#motion/session/results-queue.ts';
import { packState, partOf, unpackState, type StatePart } from '#motion/session/state.ts';
import {
  createStrideAssembly,
  LONGEST_STRIDE_S,
  type AssemblyRecord,
} from '#motion/session/stride-assembly.ts';
import { createTrunkWindow } from '#motion/symmetry/trunk-window.ts';

/** Angles on the chain's own grid of time, for every joint that the worn segments allow. */
export interface AngleBlock {
  readonly firstUs: number;
  readonly stepUs: number;
  readonly count: number;
  /** Row by row, a value for each of `angleNames`, in degrees; NaN where unknown. */
  readonly rows: Float32Array;
}

/** What came out since the last `take`. */
export interface MotionBatch {
  readonly angles: readonly AngleBlock[];
  readonly contacts: readonly Contact[];
  readonly strides: readonly Stride[];
  readonly cycles: readonly Cycle[];
  readonly turns: readonly Turn[];
  readonly notices: readonly MotionNotice[];
}

export interface SessionMotion {
  readonly model: BodyModel;
  /** Columns of angle rows: `left-knee-flexion`, ... */
  readonly angleNames: readonly string[];
  /**
   * Readings of `model.placements[placement]`, in order of seq: `values` row by row with all axes of the stream. A jump of
   * time is a gap. Readings of a time that was passed by `advance` are left out and counted.
   */
  push(
    placement: number,
    readings: {
      readonly timesUs: Float64Array;
      readonly values: Float32Array;
      readonly axes: number;
      readonly count: number;
    },
  ): void;
  /** Processes all readings before this time. Nothing earlier will come any more. */
  advance(untilUs: number): void;
  /** No reading will come any more: what waits for the future is decided without it. */
  finish(): void;
  /**
   * Results since the last call, oldest first. Bounded: who does not take loses the oldest, counted. Who says that it wants no
   * angles is spared the copying of them.
   */
  take(wantsAngles?: boolean): MotionBatch;
  /** Figures over everything up to now, from before a checkpoint too. */
  summary(): readonly MetricValue[];
  readonly counters: SessionMotionCounters;
  /** The whole state, but results that were not taken. */
  save(): Uint8Array;
}

export interface SessionMotionCounters {
  readonly readings: number;
  /** Readings that came after their time had been processed. */
  readonly late: number;
  /** Readings and results that found no room. */
  readonly dropped: number;
  readonly gaps: number;
}

/** The same for live, re-analysis and files. */
export type CreateSessionMotion = (model: BodyModel, saved?: Uint8Array) => SessionMotion;

/** Part of the key of stored results: grows whenever the same readings may give other numbers. */
export const motionVersion = 1;

/** Angles are given so often: 100 Hz shows what joints do while walking, and bounds what is kept. */
const STEP_US = 10_000;
/** From 1.5 periods on a reading is missing; below this none is, whatever the rounding. */
const SURE_PERIODS = 1.4;
/** A hole of more than this many readings is told. */
const TOLD_GAP_S = 0.1;

interface Records {
  readonly assembly: AssemblyRecord;
  readonly sides: SideCheckRecord;
  readonly summary: string;
  readonly counters: { -readonly [K in keyof SessionMotionCounters]: number };
}

/**
 * A chain for the body model, from the beginning or from what `save` gave. Throws AppError `invalid-field` with the field of
 * the body model that is wrong, `conflict` for a checkpoint of another chain.
 */
export function createSessionMotion(model: BodyModel, saved?: Uint8Array): SessionMotion {
  checkBodyModel(model);
  const counters = { readings: 0, late: 0, dropped: 0, gaps: 0 };
  const tracker = createBodyTracker(model, STEP_US);
  const { angleNames } = tracker;
  const row = new Float32Array(angleNames.length);
  const results = createResultsQueue({ width: angleNames.length, stepUs: STEP_US }, counters);
  const gait = createGaitSources(model, {
    contact(contact) {
      assembly.contact(contact);
      sides.contact(contact);
      results.contacts.push(contact);
      summary.add({ strides: [], contacts: [contact] });
    },
    stride: (stride) => assembly.stride(stride),
    turn(turn) {
      results.turns.push(turn);
      summary.add({ strides: [], turns: [turn] });
    },
  });
  const recorder = createCycleRecorder(angleNames, {
    stepUs: STEP_US,
    // A stride is told after the latency, and its curves are taken then, once more as late as its contacts.
    keptS: 2 * gait.latencyS + LONGEST_STRIDE_S,
  });
  const trunkPlacement = trunkPlacementOf(model);
  const trunk = trunkPlacement === -1 ? null : createTrunkWindow(model.placements[trunkPlacement]!.rateHz);
  const places = createPlacementCheck(model);
  const sides = createSideCheck(model);
  const assembly = createStrideAssembly(Math.ceil(1e6 * gait.latencyS));
  const placed = model.placements.map((placement, p) => ({
    queue: createReadingQueue(placement, counters),
    periodUs: 1e6 / placement.rateHz,
    segment: placement.segment,
    gait: gait.of(p),
  }));
  const debts = new Float64Array(placed.length);
  /** Times of the newest readings taken, by placement; NaN before the first. */
  const lasts = new Float64Array(placed.length).fill(Number.NaN);
  /** Times of the oldest readings that wait, by placement. */
  const heads = new Float64Array(placed.length).fill(Number.POSITIVE_INFINITY);
  let summary = createStrideSummary();
  if (trunk !== null) summary.addRegularity(null);
  const wearing = gait.sensors === null ? {} : { sensors: gait.sensors };
  let passedUs = Number.NEGATIVE_INFINITY;

  const parts: StatePart[] = [
    ...placed.map(({ queue }) => queue),
    partOf(tracker),
    recorder,
    ...gait.parts,
    ...(trunk === null ? [] : [trunk]),
    partOf(places),
    ...(sides.algorithm === null ? [] : [partOf(sides.algorithm)]),
    { save: () => lasts.slice(), load: (from) => lasts.set(from) },
    { save: () => Float64Array.of(passedUs), load: (from) => void (passedUs = from[0]!) },
    { save: () => debts.slice(), load: (from) => debts.set(from) },
  ];
  const takeRows = (): void => {
    for (let timeUs = tracker.takeRow(row); !Number.isNaN(timeUs); timeUs = tracker.takeRow(row)) {
      recorder.add(timeUs, row);
      results.addRow(timeUs, row);
    }
  };
  const settle = (nowUs: number): void => {
    for (const stride of assembly.settle(nowUs)) {
      const stretch = trunk?.stride(stride, isSteady(stride)) ?? null;
      if (stretch !== null) summary.addRegularity(stretch);
      results.strides.push(stride);
      const cycle = recorder.cycle(stride);
      if (cycle !== null) results.cycles.push(cycle);
      summary.add({ strides: [stride], cycles: cycle === null ? [] : [cycle] });
    }
  };
  const noteHole = (p: number, timeUs: number): void => {
    const { periodUs, segment, gait: source } = placed[p]!;
    const lastUs = lasts[p]!;
    // Nearly always, and without the division.
    if (debts[p] === 0 && timeUs - lastUs < SURE_PERIODS * periodUs) return;
    if (Number.isNaN(lastUs)) return;
    const missing = Math.max(0, Math.round((timeUs - lastUs) / periodUs) - 1);
    if (missing === 0 && debts[p] === 0) return;
    const isBridged = mayBridge(debts, p, { missing, rateHz: 1e6 / periodUs });
    if (missing < 1) return;
    counters.gaps++;
    const holeUs = timeUs - lastUs;
    if (holeUs > TOLD_GAP_S * 1e6)
      results.notices.push({
        timeUs: lastUs,
        code: 'gap',
        segment,
        text: `nothing from the ${segment.replace('-', ' ')} for ${(holeUs / 1e6).toFixed(1)} s`,
      });
    if (p === sides.placement) sides.reset();
    if (holeUs > RESET_GAP_US || !isBridged) source?.reset();
    else source?.skip(missing, lastUs, timeUs);
  };
  /** The placement whose oldest reading is the first of all; -1 when none is before the time. */
  const firstBefore = (untilUs: number): number => {
    let first = -1;
    let firstUs = untilUs;
    for (let p = 0; p < placed.length; p++) {
      if (heads[p]! < firstUs) {
        first = p;
        firstUs = heads[p]!;
      }
    }
    return first;
  };
  const advance = (untilUs: number): void => {
    for (let p = firstBefore(untilUs); p !== -1; p = firstBefore(untilUs)) {
      const { queue, gait: source } = placed[p]!;
      const { values, at } = queue;
      const timeUs = heads[p]!;
      noteHole(p, timeUs);
      tracker.update(p, timeUs, values, at);
      takeRows();
      source?.take(timeUs, values, at);
      if (p === trunkPlacement) trunk?.take(timeUs, values, at);
      places.update(p, timeUs, values, at);
      if (p === sides.placement) sides.take(timeUs, values, at);
      queue.shift();
      heads[p] = queue.headUs;
      lasts[p] = timeUs;
      counters.readings++;
      if (assembly.isWaiting) settle(timeUs);
    }
    for (const notice of [...tracker.takeNotices(), ...places.takeNotices(), ...sides.takeNotices()])
      results.notices.push(notice);
    if (untilUs > passedUs && Number.isFinite(untilUs)) passedUs = untilUs;
  };
  const chain: SessionMotion = {
    model,
    angleNames,
    counters,
    push(placement, readings) {
      const { queue } = placed[placement]!;
      queue.push(readings, passedUs);
      heads[placement] = queue.headUs;
    },
    advance,
    finish() {
      advance(Number.POSITIVE_INFINITY);
      settle(Number.POSITIVE_INFINITY);
    },
    take: (wantsAngles = true) => results.take(wantsAngles),
    summary: () => summary.values().map((value) => ({ ...value, ...wearing })),
    save: () =>
      packState(parts, {
        assembly: assembly.record(),
        sides: sides.record(),
        summary: summary.save(),
        counters,
      } satisfies Records),
  };
  if (saved !== undefined) {
    const records = unpackState(saved, parts) as Records;
    for (const [p, { queue }] of placed.entries()) heads[p] = queue.headUs;
    assembly.restore(records.assembly);
    sides.restore(records.sides);
    summary = createStrideSummary(records.summary);
    Object.assign(counters, records.counters);
  }
  return chain;
}
