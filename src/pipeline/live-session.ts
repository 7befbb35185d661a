/**
 * Owns the chain of one session in a worker: frames become values and device times, are pushed, and the chain goes as far
 * as the slowest of the session's streams has come, so that what it gives is what an offline run over the same frames
 * gives, bit for bit. A stream that has been silent for `HOLD_US` does not hold the others. Pure; without a bound of its
 * own, since the chain keeps readings and results bounded.
 */

import type { RingFrame } from '#pipeline/frame-ring.ts';
import type { BodyModel } from '#motion/body-model.ts';
import type { Cycle, MetricValue, MotionNotice, Stride, Turn } from '#motion/results.ts';
import type { AngleBlock, CreateSessionMotion, SessionMotion } from '#motion/session-motion.ts';
import { readingTimeUs } from '#protocol/data-codec.ts';
import { limits } from '#protocol/limits.ts';
import { unpackReadings, type Packing } from '#protocol/reading-values.ts';
import { thinAngles } from '#pipeline/thin-angles.ts';

/** Arrival time. Ten messages of a usual device, and as long as a gap that the eye calls a stop. */
const HOLD_US = 1_000_000;
/** A session that sends nothing for so long is shown to its end; devices that reconnect take 1 to 2 s. */
const SILENT_US = 3_000_000;
/** Device times that are this much before what was processed are those of a clock that was set back. */
const BACK_US = 5_000_000;
/** A chain takes some 10 ms to begin: a clock that is set back with every frame would leave its worker nothing else to do. */
const ANEW_US = 10_000_000;
/** Angles and events leave this often, and a chain is let on just before: until then nobody would see what it gives. */
const FLUSH_US = 100_000;
/** Sessions leave at different moments, so that their work is spread over the time between. */
const APART_US = 20_000;
/** The contract's: at most once a second. */
const SUMMARY_US = 1_000_000;
/** Where nobody looks: figures and cycles this often, so that who comes finds some and 500 sessions cost little. */
const UNWATCHED_US = 10_000_000;
/** Of the session itself, not of its chain, between two tellings. */
const OWN_NOTICES = 4;

/** What the main thread says of a session that begins here. */
export interface SessionPlan {
  /** Of this beginning of the session; a chain that is begun anew has another. */
  readonly session: number;
  readonly model: BodyModel;
  /** By the number that records in the ring carry. */
  readonly streams: readonly { readonly placement: number; readonly packing: Packing }[];
}

export interface Watched {
  readonly angles: boolean;
  /** Somebody looks at the session at all. */
  readonly details: boolean;
}

export interface SessionResults {
  readonly session: number;
  readonly angleNames: readonly string[];
  readonly angles: readonly AngleBlock[];
  readonly strides: readonly Stride[];
  readonly cycles: readonly Cycle[];
  readonly turns: readonly Turn[];
  readonly notices: readonly MotionNotice[];
  readonly summary: SessionSummary | null;
  /** Server time at which the newest reading of the session arrived. */
  readonly arrivalUs: number;
}

export interface SessionSummary {
  readonly metrics: readonly MetricValue[];
  readonly strides: number;
  readonly untilUs: number;
}

export interface ChainLosses {
  /** Readings that the chain left out: late, or more than it holds. */
  readonly left: number;
  readonly gaps: number;
}

export interface LiveSession {
  watched: Watched;
  /** Since it was asked last. */
  takeLosses(): ChainLosses;
  /** Takes a frame of one of the plan's streams. Nothing of it is kept. */
  frame(frame: RingFrame): void;
  /** It is time to let the chain on and to tell what it gives. Changes with `flush`. */
  isDue(nowUs: number): boolean;
  /** Processes what no stream can add to any more. */
  advance(nowUs: number): void;
  /** What is to be told now; null when there is nothing, or it is not time yet and nobody insists. */
  flush(nowUs: number, isLast?: boolean): SessionResults | null;
  /** No frame will come any more. */
  finish(): void;
}

// Of one thread, filled anew for every frame: a frame at its limit.
const values = new Float32Array(limits.readingsPerFrame * limits.axesPerStream);
const timesUs = new Float64Array(limits.readingsPerFrame);

interface StreamState {
  readonly placement: number;
  readonly packing: Packing;
  epochHigh: number;
  epochLow: number;
  nextSeq: number;
  newestUs: number;
  arrivalUs: number;
}

export function createLiveSession(plan: SessionPlan, create: CreateSessionMotion): LiveSession {
  const streams = plan.streams.map((stream): StreamState => ({
    ...stream,
    epochHigh: 0,
    epochLow: 0,
    nextSeq: 0,
    newestUs: Number.NEGATIVE_INFINITY,
    arrivalUs: Number.NEGATIVE_INFINITY,
  }));
  let motion = create(plan.model);
  let counted: ChainLosses = { left: 0, gaps: 0 };
  let firstArrivalUs = Number.NEGATIVE_INFINITY;
  let arrivalUs = Number.NEGATIVE_INFINITY;
  let advancedUs = Number.NEGATIVE_INFINITY;
  let anewUs = Number.NEGATIVE_INFINITY;
  const telling = createTelling(plan.session);

  /** The clock of the device was set back: what is there cannot be continued. */
  function beginAnew(timeUs: number): void {
    motion.finish();
    motion = create(plan.model);
    counted = { left: 0, gaps: 0 };
    advancedUs = Number.NEGATIVE_INFINITY;
    for (const stream of streams) stream.newestUs = Number.NEGATIVE_INFINITY;
    telling.notice({
      timeUs,
      code: 'clock-set-back',
      segment: null,
      text: 'The clock of the device was set back; the live analysis began anew.',
    });
  }

  function goTo(untilUs: number): void {
    if (untilUs <= advancedUs) return;
    motion.advance(untilUs);
    advancedUs = untilUs;
  }

  return {
    watched: { angles: false, details: false },
    takeLosses() {
      const losses = lossesOf(motion, counted);
      counted = { left: counted.left + losses.left, gaps: counted.gaps + losses.gaps };
      return losses;
    },
    frame(frame) {
      const stream = streams[frame.stream];
      if (stream === undefined) return;
      if (firstArrivalUs === Number.NEGATIVE_INFINITY) firstArrivalUs = frame.arrivalUs;
      arrivalUs = Math.max(arrivalUs, frame.arrivalUs);
      stream.arrivalUs = frame.arrivalUs;
      const skipped = skippedOf(stream, frame);
      if (skipped >= frame.count) return;
      const { axisCount } = stream.packing;
      unpackReadings(frame.payload, stream.packing, { count: frame.count, out: values });
      for (let i = 0; i < frame.count; i++) timesUs[i] = readingTimeUs(frame, i);
      const lastUs = timesUs[frame.count - 1]!;
      // Until then its readings are late, and counted.
      if (lastUs < advancedUs - BACK_US && frame.arrivalUs - anewUs >= ANEW_US) {
        anewUs = frame.arrivalUs;
        beginAnew(lastUs);
      }
      motion.push(stream.placement, {
        // Nearly always the whole frame, which needs no view of its own.
        timesUs: skipped === 0 ? timesUs : timesUs.subarray(skipped),
        values: skipped === 0 ? values : values.subarray(skipped * axisCount),
        axes: axisCount,
        count: frame.count - skipped,
      });
      stream.newestUs = Math.max(stream.newestUs, lastUs);
    },
    isDue: telling.isDue,
    advance(nowUs) {
      if (nowUs - arrivalUs > SILENT_US) {
        const newestUs = Math.max(...streams.map((stream) => stream.newestUs));
        if (newestUs > Number.NEGATIVE_INFINITY) goTo(newestUs + 1);
        return;
      }
      let untilUs = Number.POSITIVE_INFINITY;
      for (const stream of streams) {
        // One that was never heard is waited for from the beginning on.
        const heardUs = stream.arrivalUs === Number.NEGATIVE_INFINITY ? firstArrivalUs : stream.arrivalUs;
        if (heardUs >= arrivalUs - HOLD_US) untilUs = Math.min(untilUs, stream.newestUs);
      }
      if (untilUs < Number.POSITIVE_INFINITY) goTo(untilUs);
    },
    flush(nowUs, isLast = false) {
      if (!isLast && !telling.isDue(nowUs)) return null;
      return telling.tell(motion, { nowUs, arrivalUs, untilUs: advancedUs, watched: this.watched, isLast });
    },
    finish() {
      motion.finish();
    },
  };
}

/** Readings at the beginning of a frame that were there already. Moves on what is expected next. */
function skippedOf(stream: StreamState, frame: RingFrame): number {
  if (stream.epochHigh !== frame.epochHigh || stream.epochLow !== frame.epochLow) {
    stream.epochHigh = frame.epochHigh;
    stream.epochLow = frame.epochLow;
    stream.nextSeq = 0;
  }
  const skipped = Math.max(0, stream.nextSeq - frame.firstSeq);
  stream.nextSeq = Math.max(stream.nextSeq, frame.firstSeq + frame.count);
  return skipped;
}

interface Moment {
  readonly nowUs: number;
  readonly arrivalUs: number;
  /** Device time up to which the chain has come. */
  readonly untilUs: number;
  readonly watched: Watched;
  /** Nothing is told of the session after this. */
  readonly isLast: boolean;
}

/** What is told of a session and when. Holds one cycle a side, and a few notices of its own. */
function createTelling(session: number) {
  const phaseUs = (session * APART_US) % FLUSH_US;
  const periodOf = (nowUs: number): number => Math.floor((nowUs + phaseUs) / FLUSH_US);
  /** In which period of its own it told last. */
  let toldIn = Number.NaN;
  let summarisedUs = Number.NEGATIVE_INFINITY;
  let cyclesUs = Number.NEGATIVE_INFINITY;
  let strides = 0;
  let summarisedStrides = 0;
  let notices: MotionNotice[] = [];
  let kept: readonly Cycle[] = [];

  function summaryOf(motion: SessionMotion, moment: Moment): SessionSummary | null {
    const { nowUs, watched, isLast, untilUs } = moment;
    const everyUs = watched.details ? SUMMARY_US : UNWATCHED_US;
    if (strides === summarisedStrides || (!isLast && nowUs - summarisedUs < everyUs)) return null;
    summarisedUs = nowUs;
    summarisedStrides = strides;
    return { metrics: motion.summary(), strides, untilUs };
  }

  /** All of them where somebody looks, else the newest of each side from time to time. */
  function cyclesOf(fresh: readonly Cycle[], { nowUs, watched, isLast }: Moment): readonly Cycle[] {
    if (fresh.length === 0 && kept.length === 0) return kept;
    const all = [...kept, ...fresh];
    if (watched.details || isLast || nowUs - cyclesUs >= UNWATCHED_US) {
      if (all.length > 0) cyclesUs = nowUs;
      kept = [];
      return watched.details ? all : newestOfEachSide(all);
    }
    kept = newestOfEachSide(all);
    return [];
  }

  return {
    notice(notice: MotionNotice): void {
      notices = [...notices, notice].slice(-OWN_NOTICES);
    },
    isDue: (nowUs: number): boolean => periodOf(nowUs) !== toldIn,
    tell(motion: SessionMotion, moment: Moment): SessionResults | null {
      toldIn = periodOf(moment.nowUs);
      const batch = motion.take(moment.watched.angles);
      strides += batch.strides.length;
      const results: SessionResults = {
        session,
        angleNames: motion.angleNames,
        angles: moment.watched.angles ? thinAngles(batch.angles, motion.angleNames.length) : [],
        strides: batch.strides,
        cycles: cyclesOf(batch.cycles, moment),
        turns: batch.turns,
        notices: notices.length === 0 ? batch.notices : [...notices, ...batch.notices],
        summary: summaryOf(motion, moment),
        arrivalUs: moment.arrivalUs,
      };
      if (notices.length > 0) notices = [];
      return isEmpty(results) ? null : results;
    },
  };
}

function newestOfEachSide(cycles: readonly Cycle[]): readonly Cycle[] {
  const last = new Map(cycles.map((cycle) => [cycle.side, cycle]));
  return [...last.values()];
}

function isEmpty({ angles, strides, cycles, turns, notices, summary }: SessionResults): boolean {
  return (
    summary === null && angles.length + strides.length + cycles.length + turns.length + notices.length === 0
  );
}

function lossesOf({ counters }: SessionMotion, counted: ChainLosses): ChainLosses {
  return { left: counters.late + counters.dropped - counted.left, gaps: counters.gaps - counted.gaps };
}
