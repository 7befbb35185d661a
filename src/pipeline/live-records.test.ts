import { Compile } from 'typebox/compile';
import { expect, test } from 'vitest';

import { gaitEvents, LiveAngles } from '#contract/motion.ts';
import { metricCatalogue } from '#motion/metric-catalogue.ts';
import { CYCLE_POINTS, type MetricValue } from '#motion/results.ts';
import { gaitEventsOf, liveAngles } from '#pipeline/live-records.ts';
import type { SessionResults } from '#pipeline/live-session.ts';
import { publicationLimits } from '#protocol/publication.ts';

const nothing: SessionResults = {
  session: 1,
  angleNames: [],
  angles: [],
  strides: [],
  cycles: [],
  turns: [],
  notices: [],
  summary: null,
  arrivalUs: 1_000_000,
};
const fits = (data: unknown): boolean =>
  Buffer.byteLength(JSON.stringify(data)) < publicationLimits.payloadBytes - 256;

test('angles are rounded, unknown ones null, and as many rows as fit a message', () => {
  const angleNames = Array.from({ length: 40 }, (_, i) => `left-joint-motion-${i}`);
  const count = 200;
  const rows = new Float32Array(count * 40).fill(-123.456);
  rows[40 * 199 + 39] = Number.NaN;
  const block = { firstUs: 10_000.4, stepUs: 20_000, count, rows };
  const messages = liveAngles({ ...nothing, angleNames, angles: [block] }, 1_025_000);
  const check = Compile(LiveAngles);
  for (const message of messages) {
    expect(check.Check(message)).toBe(true);
    expect(fits(message)).toBe(true);
  }
  const all = messages.flatMap(({ firstUs, stepUs, rows: own }) =>
    own.map((row, i) => [firstUs + i * stepUs, row] as const),
  );
  expect(all.map(([timeUs]) => timeUs)).toEqual(Array.from({ length: count }, (_, i) => 10_000 + i * 20_000));
  expect(all[0]![1][0]).toBe(-123.46);
  expect(all[199]![1][39]).toBe(null);
  expect(messages[0]!.computeMs).toBe(25);
});

test('every event is one of the channel, with whole microseconds', () => {
  const side = 'left';
  const results: SessionResults = {
    ...nothing,
    strides: [
      {
        side,
        startUs: 0.5,
        endUs: 1e6 + 0.2,
        finalContactUs: 600_000.7,
        strideTimeS: 1,
        stanceTimeS: null,
        swingTimeS: null,
        doubleSupportPercent: null,
        strideLengthM: 1.2,
        speedMS: 1.2,
        cadenceStepsPerMin: 120,
        clearanceM: null,
        turnDeg: null,
        heightChangeM: null,
        terrain: 'level',
        bout: 0,
      },
    ],
    cycles: [
      {
        side,
        startUs: 0.5,
        endUs: 1e6,
        curves: { 'knee-flexion': new Float32Array(CYCLE_POINTS).fill(1.005) },
      },
    ],
    turns: [{ startUs: 0.1, endUs: 2.2, angleDeg: 90.5 }],
    notices: [{ timeUs: 7.7, code: 'gap', segment: null, text: 'x'.repeat(900) }],
    summary: {
      metrics: [{ metric: 'cadence', side: null, value: 110, spread: 2, count: 3, reason: null }],
      strides: 3,
      untilUs: 1e6 + 0.3,
    },
  };
  const events = gaitEventsOf(results);
  expect(events.map(({ event }) => event)).toEqual(['notice', 'stride', 'cycle', 'turn', 'summary']);
  for (const { event, data } of events) expect(Compile(gaitEvents[event]).Check(data)).toBe(true);
});

test('a cycle of many curves and a summary of many figures come in pieces that fit and lack nothing', () => {
  const names = Array.from({ length: 40 }, (_, i) => `joint-motion-${i}`);
  const curve = new Float32Array(CYCLE_POINTS).fill(-123.456);
  const curves = Object.fromEntries(names.map((name) => [name, curve]));
  const metrics = (['left', 'right', null] as const).flatMap((side) =>
    metricCatalogue.map(({ name: metric }): MetricValue => ({
      metric,
      side,
      value: null,
      spread: null,
      count: 0,
      reason: 'ü'.repeat(150),
    })),
  );
  const events = gaitEventsOf({
    ...nothing,
    cycles: [{ side: 'left', startUs: 5, endUs: 9, curves }],
    summary: { metrics, strides: 3, untilUs: 9 },
  });
  for (const { data } of events) expect(fits(data)).toBe(true);
  const cycles = events.flatMap(({ event, data }) => (event === 'cycle' ? [data] : []));
  expect(cycles.every(({ side, startUs }) => side === 'left' && startUs === 5)).toBe(true);
  expect(cycles.flatMap((cycle) => Object.keys(cycle.curves))).toEqual(names);
  const summaries = events.flatMap(({ event, data }) => (event === 'summary' ? [data] : []));
  expect(summaries.length).toBeGreaterThan(1);
  expect(summaries.flatMap((one) => one.metrics.map(({ metric, side }) => [metric, side]))).toEqual(
    metrics.map(({ metric, side }) => [metric, side]),
  );
});
