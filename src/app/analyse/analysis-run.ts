/** Owns the running of the chain over readings in memory, window by window as live and re-analysis do, with its progress. */

import { setImmediate as nextTurn } from 'node:timers/promises';

import { AppError } from '#base/errors.ts';
import type { BodyModel } from '#motion/body-model.ts';
import type { Contact, Cycle, MetricValue, MotionNotice, Stride, Turn } from '#motion/results.ts';
import { createSessionMotion } from '#motion/session-motion.ts';
import type { AnalysisStream, Step } from '#app/analyse/analysis-input.ts';

const WINDOW_US = 10_000_000;

export interface AnalysisResult {
  readonly model: BodyModel;
  readonly fromUs: number;
  readonly toUs: number;
  readonly readings: number;
  readonly gaps: number;
  readonly angleNames: readonly string[];
  readonly metrics: readonly MetricValue[];
  readonly contacts: readonly Contact[];
  readonly strides: readonly Stride[];
  readonly cycles: readonly Cycle[];
  readonly turns: readonly Turn[];
  readonly notices: readonly MotionNotice[];
}

/** Throws AppError `invalid-field` when the body model names a stream or an axis that the input does not have. */
export async function runAnalysis(
  streams: readonly AnalysisStream[],
  model: BodyModel,
  step: Step,
): Promise<AnalysisResult> {
  const worn = model.placements.map((placement, i) => {
    const stream = streams.find(({ id }) => id === placement.stream);
    if (stream === undefined)
      throw new AppError(
        'invalid-field',
        `the body model has the stream "${placement.stream}", which is not there: there are ${streams.map(({ id }) => id).join(', ')}`,
        { field: `/placements/${i}/stream` },
      );
    for (const { axes } of [placement.acc, placement.gyr, ...(placement.mag === null ? [] : [placement.mag])])
      if (Math.max(...axes) >= stream.axes.length)
        throw new AppError(
          'invalid-field',
          `the body model has an axis ${Math.max(...axes)} of the stream "${stream.id}", whose axes are 0 to ${stream.axes.length - 1}`,
          { field: `/placements/${i}` },
        );
    return { stream, at: 0 };
  });
  const chain = createSessionMotion(model);
  const found = {
    contacts: [] as Contact[],
    strides: [] as Stride[],
    cycles: [] as Cycle[],
    turns: [] as Turn[],
    notices: [] as MotionNotice[],
  };
  const collect = (): void => {
    const batch = chain.take();
    found.contacts.push(...batch.contacts);
    found.strides.push(...batch.strides);
    found.cycles.push(...batch.cycles);
    found.turns.push(...batch.turns);
    found.notices.push(...batch.notices);
  };
  const all = worn.reduce((sum, { stream }) => sum + stream.timesUs.length, 0);
  const nextUs = (): number =>
    worn.reduce((least, { stream, at }) => Math.min(least, stream.timesUs[at] ?? least), Infinity);
  const fromUs = nextUs();
  for (let startUs = fromUs; Number.isFinite(startUs); startUs = nextUs()) {
    const endUs = startUs + WINDOW_US;
    for (const [placement, one] of worn.entries()) {
      const { timesUs, values, axes } = one.stream;
      let to = one.at;
      while (to < timesUs.length && !(timesUs[to]! >= endUs)) to++;
      chain.push(placement, {
        timesUs: timesUs.subarray(one.at, to),
        values: values.subarray(one.at * axes.length, to * axes.length),
        axes: axes.length,
        count: to - one.at,
      });
      one.at = to;
    }
    chain.advance(endUs);
    collect();
    step(
      'analysing',
      worn.reduce((sum, { at }) => sum + at, 0),
      all,
    );
    await nextTurn();
  }
  chain.finish();
  collect();
  return {
    model,
    fromUs: Number.isFinite(fromUs) ? fromUs : 0,
    toUs: Math.max(0, ...worn.map(({ stream }) => stream.timesUs.at(-1) ?? 0)),
    readings: chain.counters.readings,
    gaps: chain.counters.gaps,
    angleNames: chain.angleNames,
    metrics: chain.summary(),
    ...found,
  };
}
