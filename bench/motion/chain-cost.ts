/**
 * Owns what the whole chain costs: sessions of a synthetic walker with seven sensors, frame by frame in turn as they come
 * live, on one thread. How late the results are is computed from the time that each frame took: frames of as many sessions as
 * a given share of a core carries come evenly spread, and wait for each other on the one core. Frames in which another
 * program had the core are left out, and their share is told.
 */

import { createLatencyHistogram } from '#bench/support/latency-histogram.ts';
import { defaultBodyModel } from '#motion/default-body-model.ts';
import { createSessionMotion, type SessionMotion } from '#motion/session-motion.ts';
import { createSyntheticWalker, walkerOfSeed } from '#simulator/synthetic-walker.ts';
import { walkerSegments } from '#simulator/walker-body.ts';
import { createWalkerTable, walkerSource } from '#simulator/walker-source.ts';
import type { ReadingSource } from '#simulator/reading-source.ts';

export interface ChainOptions {
  readonly sessions: number;
  readonly seconds: number;
  readonly rateHz: number;
  /** Of a core, for the delay. */
  readonly heldShare: number;
}

export interface ChainCost {
  readonly sensors: number;
  readonly readingsPerFrame: number;
  readonly sessionsPerCore: number;
  readonly cpuUsPerReading: number;
  readonly windowSessions: number;
  readonly windowMsP50: number;
  readonly windowMsP99: number;
  /** Of the frames, left out of the window since another program had the core. */
  readonly windowLeftOut: number;
  readonly sessionKiB: number;
  readonly strides: number;
}

/** As devices send by default. */
const READINGS_PER_FRAME = 10;
/** Sensors are aligned by how they move in the first minute: the chain is past that when it is measured. */
const WARM_UP_S = 60;
/** Sessions begin at different moments, so that what comes once in a while does not come to all at once. */
const APART_FRAMES = 13;
const APART_S = 10;
/** Different people; their tables are shared by the sessions. */
const WALKERS = 4;
const AXES = 6;

export function measureChain(options: ChainOptions, say: (text: string) => void): ChainCost {
  const { sessions: count, rateHz, seconds } = options;
  const people = createSessions(options);
  const frameS = READINGS_PER_FRAME / rateHz;
  const warmUpFrames = Math.round(WARM_UP_S / frameS);
  const frames = Math.round(seconds / frameS);
  const serviceMs: number[] = [];
  const apart = Math.round(APART_S / frameS);
  for (const [i, person] of people.entries()) {
    person.ahead = (i * APART_FRAMES) % apart;
    for (let frame = 0; frame < person.ahead; frame++) takeFrame(person, frame, rateHz);
  }
  let cpuBefore = process.threadCpuUsage();
  for (let frame = 0; frame < warmUpFrames + frames; frame++) {
    if (frame === warmUpFrames) cpuBefore = process.threadCpuUsage();
    if (frame % Math.round(2 / frameS) === 0)
      say(`chain: ${Math.round(frame * frameS)} of ${WARM_UP_S + seconds} s of ${count} sessions`);
    for (const person of people) {
      const lost = lostCores();
      const startedMs = performance.now();
      takeFrame(person, person.ahead + frame, rateHz);
      const tookMs = performance.now() - startedMs;
      if (frame >= warmUpFrames && lostCores() === lost) serviceMs.push(tookMs);
    }
  }
  const used = process.threadCpuUsage(cpuBefore);
  const cpuS = (used.user + used.system) / 1e6;
  const sessionsPerCore = (count * frames * frameS) / cpuS;
  const windowSessions = Math.max(1, Math.floor(options.heldShare * sessionsPerCore));
  const delays = delaysOf(serviceMs, (1000 * frameS) / windowSessions);
  return {
    sensors: walkerSegments.length,
    readingsPerFrame: READINGS_PER_FRAME,
    sessionsPerCore: Math.round(sessionsPerCore),
    cpuUsPerReading:
      Math.round((1e9 * cpuS) / (count * frames * READINGS_PER_FRAME * walkerSegments.length)) / 1000,
    windowSessions,
    windowMsP50: Math.round(1000 * delays.quantileMs(0.5)) / 1000,
    windowMsP99: Math.round(1000 * delays.quantileMs(0.99)) / 1000,
    windowLeftOut: Math.round(1000 * (1 - serviceMs.length / (count * frames))) / 1000,
    sessionKiB: Math.round(people[0]!.chain.save().length / 1024),
    strides: people.reduce((sum, person) => sum + person.strides, 0),
  };
}

/**
 * How often a thread of this process lost its core to another program. CPU time comes in ticks of 4 ms, nothing for most frames
 * of 0.1 ms and 4 ms for a few, so frames are timed by the clock; those in which the core was taken say nothing of the chain.
 */
function lostCores(): number {
  return process.resourceUsage().involuntaryContextSwitches;
}

interface Person {
  readonly chain: SessionMotion;
  readonly sources: readonly ReadingSource[];
  readonly values: Float32Array;
  readonly timesUs: Float64Array;
  /** Frames before those of the others. */
  ahead: number;
  strides: number;
}

function createSessions({ sessions, rateHz }: ChainOptions): Person[] {
  const tables = Array.from({ length: WALKERS }, (_, i) =>
    createWalkerTable(createSyntheticWalker(walkerOfSeed(100 + i, { rateHz }))),
  );
  return Array.from({ length: sessions }, (_, i) => {
    const table = tables[i % WALKERS]!;
    const firstRow = (i * 97) % table.walker.loopReadings;
    const sources = walkerSegments.map((segment) => walkerSource(table, { segment, firstRow }));
    const model = defaultBodyModel(
      sources.map(({ definition }, k) => ({ id: String(k), ...definition, synthetic: false })),
    );
    return {
      chain: createSessionMotion(model),
      // The model has its own order of the streams.
      sources: model.placements.map(({ stream }) => sources[Number(stream)]!),
      values: new Float32Array(READINGS_PER_FRAME * AXES),
      timesUs: new Float64Array(READINGS_PER_FRAME),
      ahead: 0,
      strides: 0,
    };
  });
}

/** Everything that a frame of all sensors of a session causes, until its results are taken. */
function takeFrame(person: Person, frame: number, rateHz: number): void {
  const { chain, sources, values, timesUs } = person;
  const first = frame * READINGS_PER_FRAME;
  for (let i = 0; i < READINGS_PER_FRAME; i++) timesUs[i] = Math.round((1e6 * (first + i)) / rateHz);
  for (const [placement, source] of sources.entries()) {
    source.fill(first, READINGS_PER_FRAME, values);
    chain.push(placement, { timesUs, values, axes: AXES, count: READINGS_PER_FRAME });
  }
  chain.advance(Math.round((1e6 * (first + READINGS_PER_FRAME)) / rateHz));
  person.strides += chain.take().strides.length;
}

/** From when a frame came to when its results were there, for frames that come evenly and wait for each other. */
export function delaysOf(
  serviceMs: readonly number[],
  everyMs: number,
): ReturnType<typeof createLatencyHistogram> {
  const delays = createLatencyHistogram();
  let freeMs = 0;
  for (const [i, ms] of serviceMs.entries()) {
    const cameMs = i * everyMs;
    freeMs = Math.max(freeMs, cameMs) + ms;
    delays.record(1000 * (freeMs - cameMs));
  }
  return delays;
}
