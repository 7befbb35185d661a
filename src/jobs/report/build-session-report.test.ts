import { expect, test } from 'vitest';

import { printable } from '#jobs/report/sheet.ts';
import { scaleOf } from '#jobs/report/draw-chart.ts';
import { errorText, fixed, shareText } from '#jobs/report/report-numbers.ts';
import { steadyStrides } from '#jobs/report/mean-curves.ts';
import { walkReport } from '#test/support/walk-report.ts';

const flat = (value: number | null): (number | null)[] => Array.from({ length: 101 }, () => value);
const stride = (startUs: number, turnDeg: number) =>
  ({
    side: 'left',
    startUs,
    endUs: startUs + 1_000,
    finalContactUs: startUs + 620,
    turnDeg,
    terrain: 'level',
  }) as never;
const cycle = (startUs: number, value: number | null) => ({
  side: 'left' as const,
  startUs,
  endUs: startUs + 1_000,
  curves: { 'knee-flexion': flat(value) },
});

test('means are of strides straight ahead on the level, and unknown where most strides are', () => {
  const strides = [stride(0, 0), stride(1_000, 30), stride(2_000, 5), stride(3_000, 0)];
  const known = steadyStrides({ strides, cycles: [cycle(0, 10), cycle(1_000, 99), cycle(2_000, 14)] });
  const curve = known.curve('knee-flexion', 'left')!;
  expect(curve.strides).toBe(2);
  expect(curve.mean[50]).toBe(12);
  expect(curve.spread[50]).toBeCloseTo(Math.SQRT2 * 2, 10);
  expect(known.curve('knee-flexion', 'right')).toBeNull();
  expect(known.footOffPercent('left')).toBeCloseTo(62, 10);
  const holes = steadyStrides({ strides, cycles: [cycle(0, null), cycle(2_000, null), cycle(3_000, 14)] });
  expect(holes.curve('knee-flexion', 'left')!.mean[0]).toBeNull();
});

test('a limp is in the report as it is: longer stance on the right-hand figures, nearest norms, own trend', () => {
  const report = walkReport({ seconds: 30, asymmetry: 0.08 });
  const row = (metric: string) => [...report.gait, ...report.symmetry].find((one) => one.metric === metric)!;
  const stance = row('stance-time');
  expect(stance.left!.value! - stance.right!.value!).toBeGreaterThan(0.03);
  expect(row('stance-time-robinson-index').both!.value).toBeLessThan(-5);
  expect(row('speed').norm!.population).toBe('women of 60 to 69 years, own pace');
  expect(row('speed').error!.value).toBe(0.0135);
  expect(report.gait.some(({ metric }) => metric.endsWith('-robinson-index'))).toBe(false);
  expect(report.symmetry.some(({ metric }) => metric.startsWith('pelvis'))).toBe(false);
  const knee = report.angles.find(({ name }) => name === 'knee-flexion')!;
  expect(knee.left!.strides).toBeGreaterThan(10);
  expect(knee.norm!.low).toHaveLength(101);
  expect(report.angles.filter(({ isMirrored }) => isMirrored).map(({ name }) => name)).toEqual([
    'pelvis-obliquity',
    'pelvis-rotation',
  ]);
  const speed = report.trends.find(({ metric }) => metric === 'speed')!;
  expect(speed.left).toHaveLength(7);
  expect(speed.left.at(-1)!.value).toBe(row('speed').left!.value);
});

test('what is missing of each sensor is counted, and what is provisional says why', () => {
  const report = walkReport({ seconds: 20 });
  const foot = report.quality.sensors.find(({ segment }) => segment === 'left-foot')!;
  expect(foot).toMatchObject({ lostReadings: 120, pendingReadings: 0, gaps: 1, rateHz: 200 });
  expect(report.provisional).toBeNull();
});

test('scales have whole steps that hold all values', () => {
  expect(scaleOf([-7.2, 61])).toEqual({ low: -20, high: 80, step: 20 });
  const narrow = scaleOf([1.3, 1.3]);
  expect(narrow.low).toBeLessThan(1.3);
  expect(narrow.high).toBeGreaterThan(1.3);
  expect(scaleOf([])).toEqual({ low: 0, high: 1, step: 1 });
});

test('numbers have honest digits, and letters that Helvetica lacks lose their accents', () => {
  expect([fixed(-0.4, 0), fixed(-1.5, 1)]).toEqual(['0', '–1.5']);
  expect([errorText(0.0145, 2), errorText(0.2, 0), errorText(0, 0)]).toEqual(['± 0.01', '± < 1', '± 0']);
  expect([shareText(1, 100_000), shareText(0, 10), shareText(1, 0)]).toEqual(['< 0.1 %', '0.0 %', '–']);
  expect(printable('Přerov – Łódź ü € \u2212 日')).toBe('Prerov – ?ódz ü € – ?');
});
