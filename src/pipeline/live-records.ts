/**
 * Owns the records of live results as channels carry them (contract/motion.ts): rounded to what a screen shows, and in as
 * many pieces as messages need that each stay below `publicationLimits.payloadBytes`.
 */

import type { Static } from 'typebox';

import type { gaitEvents, LiveAngles, Metric } from '#contract/motion.ts';
import { describeMetric } from '#motion/described-metric.ts';
import type { Cycle, Stride, Turn } from '#motion/results.ts';
import type { SessionResults, SessionSummary } from '#pipeline/live-session.ts';

/** One event of the gait channel. */
export type GaitEvent = {
  [E in keyof typeof gaitEvents]: { readonly event: E; readonly data: Static<(typeof gaitEvents)[E]> };
}[keyof typeof gaitEvents];

/** An angle takes at most eight characters (-123.45,), and a message of 16 KiB has its head, too. */
const ANGLES_PER_MESSAGE = 1_800;
const CURVES_PER_MESSAGE = 16;
/** Of UTF-8, with room for the head of the message. A figure with its words takes some 250. */
const SUMMARY_BYTES = 15 * 1024;
const TEXT_CHARACTERS = 500;

const encoder = new TextEncoder();

/** Hundredths of a degree: a tenth of what any sensor knows. */
const shownAngle = (degrees: number): number | null =>
  Number.isFinite(degrees) ? Math.round(degrees * 100) / 100 : null;

export function liveAngles({ angleNames, angles, arrivalUs }: SessionResults, nowUs: number): LiveAngles[] {
  const columns = angleNames.length;
  if (columns === 0) return [];
  const perMessage = Math.max(1, Math.floor(ANGLES_PER_MESSAGE / columns));
  const computeMs = Math.max(0, nowUs - arrivalUs) / 1_000;
  const messages: LiveAngles[] = [];
  for (const { firstUs, stepUs, count, rows } of angles)
    for (let from = 0; from < count; from += perMessage)
      messages.push({
        columns: [...angleNames],
        firstUs: Math.round(firstUs + from * stepUs),
        stepUs: Math.round(stepUs),
        rows: Array.from({ length: Math.min(perMessage, count - from) }, (_, i) =>
          Array.from(rows.subarray((from + i) * columns, (from + i + 1) * columns), shownAngle),
        ),
        computeMs,
      });
  return messages;
}

/** What is told on the gait channel, in the order in which it makes sense. */
export function gaitEventsOf(results: SessionResults): GaitEvent[] {
  const { strides, cycles, turns, notices, summary } = results;
  return [
    ...notices.map(({ timeUs, code, segment, text }): GaitEvent => {
      const data = { timeUs: Math.round(timeUs), code, segment, text: text.slice(0, TEXT_CHARACTERS) };
      return { event: 'notice', data };
    }),
    ...strides.map((stride): GaitEvent => ({ event: 'stride', data: strideRecord(stride) })),
    ...cycles.flatMap(cycleEvents),
    ...turns.map((turn): GaitEvent => ({ event: 'turn', data: turnRecord(turn) })),
    ...(summary === null ? [] : summaryEvents(summary)),
  ];
}

/** Times are whole microseconds on the wire. */
function strideRecord(stride: Stride): Static<(typeof gaitEvents)['stride']> {
  const { startUs, endUs, finalContactUs } = stride;
  return {
    ...stride,
    startUs: Math.round(startUs),
    endUs: Math.round(endUs),
    finalContactUs: finalContactUs === null ? null : Math.round(finalContactUs),
  };
}

function turnRecord({ startUs, endUs, angleDeg }: Turn): Turn {
  return { startUs: Math.round(startUs), endUs: Math.round(endUs), angleDeg };
}

function cycleEvents({ side, startUs, endUs, curves }: Cycle): GaitEvent[] {
  const all = Object.entries(curves);
  const span = { side, startUs: Math.round(startUs), endUs: Math.round(endUs) };
  return pieces(all, CURVES_PER_MESSAGE).map((some) => ({
    event: 'cycle',
    data: {
      ...span,
      curves: Object.fromEntries(some.map(([name, curve]) => [name, Array.from(curve, shownAngle)])),
    },
  }));
}

/** In as few messages as possible: each stands in the channel's history. */
function summaryEvents({ metrics, strides, untilUs }: SessionSummary): GaitEvent[] {
  const messages: Metric[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const value of metrics) {
    const described = describeMetric(value);
    if (described === null) continue;
    const size = encoder.encode(JSON.stringify(described)).length + 1;
    if (bytes + size > SUMMARY_BYTES) {
      messages.push([]);
      bytes = 0;
    }
    bytes += size;
    messages.at(-1)!.push(described);
  }
  return messages.map((some) => ({
    event: 'summary',
    data: { metrics: some, strides, untilUs: Math.round(untilUs) },
  }));
}

function pieces<T>(all: readonly T[], most: number): (readonly T[])[] {
  return Array.from({ length: Math.ceil(all.length / most) }, (_, i) => all.slice(i * most, (i + 1) * most));
}
