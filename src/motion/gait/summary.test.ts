import { expect, test } from 'vitest';

import { createStrideSummary, summariseStrides, type StrideRecords } from '#motion/gait/summary.ts';
import { metricOf } from '#motion/metric-catalogue.ts';
import { CYCLE_POINTS, type Cycle, type MetricValue, type Stride } from '#motion/results.ts';

function stride(given: Partial<Stride>): Stride {
  const startUs = given.startUs ?? 0;
  const strideTimeS = given.strideTimeS ?? 1;
  return {
    side: 'left',
    startUs,
    endUs: startUs + strideTimeS * 1e6,
    finalContactUs: null,
    strideTimeS,
    stanceTimeS: 0.6,
    swingTimeS: 0.4,
    doubleSupportPercent: 20,
    strideLengthM: 1.2,
    speedMS: 1.2,
    cadenceStepsPerMin: 120,
    clearanceM: 0.1,
    turnDeg: 0,
    heightChangeM: 0,
    terrain: 'level',
    bout: 0,
    ...given,
  };
}

/** `count` strides of each foot; the right one starts `phaseS` after the left one. */
function walk(count: number, right: Partial<Stride> = {}, phaseS = 0.5): Stride[] {
  return Array.from({ length: count }, (_, i) => [
    stride({ startUs: i * 1e6 }),
    stride({ side: 'right', startUs: (i + phaseS) * 1e6, ...right }),
  ]).flat();
}

function find(records: StrideRecords, metric: string, side: MetricValue['side'] = null): MetricValue {
  const value = summariseStrides(records).find((entry) => entry.metric === metric && entry.side === side);
  if (value === undefined) throw new Error(`no ${metric}`);
  return value;
}

test('gives mean, spread and count of each side and of both', () => {
  const strides = [
    stride({ strideLengthM: 1 }),
    stride({ startUs: 1e6, strideLengthM: 1.4 }),
    stride({ side: 'right', startUs: 0.5e6, strideLengthM: 0.9 }),
  ];
  expect(find({ strides }, 'stride-length', 'left')).toEqual({
    metric: 'stride-length',
    side: 'left',
    value: 1.2,
    spread: expect.closeTo(Math.sqrt(0.08), 12),
    count: 2,
    reason: null,
  });
  expect(find({ strides }, 'stride-length', 'right')).toMatchObject({ value: 0.9, spread: null, count: 1 });
  expect(find({ strides }, 'stride-length').value).toBeCloseTo(1.1, 12);
  expect(find({ strides }, 'step-length').value).toBeCloseTo(0.55, 12);
  expect(find({ strides }, 'clearance', 'left').value).toBeCloseTo(10, 12);
  expect(find({ strides }, 'swing-share', 'left').value).toBeCloseTo(40, 12);
});

test('leaves turns and stairs out of the means but counts them', () => {
  const strides = [
    stride({}),
    stride({ startUs: 1e6, turnDeg: -45, strideLengthM: 0.5 }),
    stride({ startUs: 2e6, terrain: 'up', strideLengthM: 0.5 }),
    stride({ startUs: 3e6, terrain: null, turnDeg: null }),
  ];
  expect(find({ strides }, 'stride-length')).toMatchObject({ value: 1.2, count: 2 });
  expect(find({ strides }, 'strides').value).toBe(4);
  expect(find({ strides }, 'steady-strides', 'left').value).toBe(2);
  expect(find({ strides }, 'walking-distance').value).toBeCloseTo(3.4, 12);
});

test('times the step that ends with the stride from the contacts of both feet', () => {
  const strides = walk(4, {}, 0.45);
  expect(find({ strides }, 'step-time', 'left').value).toBeCloseTo(0.55, 9);
  expect(find({ strides }, 'step-time', 'right').value).toBeCloseTo(0.45, 9);
  expect(find({ strides }, 'step-time').value).toBeCloseTo(0.5, 9);
});

test('takes no step time from a stride with a contact too many', () => {
  const contacts = [{ side: 'right', kind: 'initial', timeUs: 0.3e6 } as const];
  const strides = [stride({}), stride({ side: 'right', startUs: 0.6e6 }), stride({ startUs: 1e6 })];
  expect(find({ strides }, 'step-time', 'left').count).toBe(2);
  expect(find({ strides, contacts }, 'step-time', 'left').count).toBe(1);
});

test('takes a step time from a contact of a foot without a stride', () => {
  const contacts = [{ side: 'right', kind: 'initial', timeUs: 0.6e6 } as const];
  expect(find({ strides: [stride({})], contacts }, 'step-time', 'left').value).toBeCloseTo(0.4, 12);
});

test('says why there is no value', () => {
  expect(find({ strides: [] }, 'speed')).toEqual({
    metric: 'speed',
    side: null,
    value: null,
    spread: null,
    count: 0,
    reason: 'no stride',
  });
  const left = [stride({ stanceTimeS: null, speedMS: null })];
  expect(find({ strides: left }, 'speed', 'right').reason).toBe('no stride of the right foot');
  expect(find({ strides: left }, 'speed', 'left').reason).toBe('no length of strides from the sensors worn');
  expect(find({ strides: left }, 'stance-time').reason).toBe('no final contacts');
  expect(find({ strides: left }, 'step-time').reason).toBe('needs contacts of both feet');
  expect(find({ strides: left }, 'swing-time-robinson-index').reason).toBe(
    'needs 5 steady strides of the left foot',
  );
  expect(find({ strides: [stride({ turnDeg: 90 })] }, 'speed').reason).toBe(
    'no stride straight ahead on the level',
  );
});

test('compares the sides from five strides of each on', () => {
  const right = { swingTimeS: 0.5 };
  expect(find({ strides: walk(4, right) }, 'swing-time-ratio').value).toBeNull();
  const strides = walk(5, right);
  expect(find({ strides }, 'swing-time-ratio')).toMatchObject({ value: 1.25, count: 10 });
  expect(find({ strides }, 'swing-time-robinson-index').value).toBeCloseTo(100 * (0.1 / 0.45), 10);
  expect(find({ strides }, 'swing-time-asymmetry').value).toBeCloseTo(100 * Math.log(1.25), 10);
  expect(find({ strides }, 'swing-time-normalised-index').value).toBeCloseTo(20, 10);
  expect(find({ strides }, 'stance-time-symmetry-angle').value).toBeCloseTo(0, 10);
  expect(find({ strides: walk(5, { swingTimeS: 0 }) }, 'swing-time-asymmetry').reason).toBe(
    'the values of the sides cannot be compared',
  );
});

test('gives a variation without what the sides differ by, from fifteen strides on', () => {
  expect(find({ strides: walk(14) }, 'stride-length-cv', 'left').reason).toBe(
    'needs 15 steady strides of the left foot',
  );
  const strides = walk(16, { strideLengthM: 1 }).map((entry, i) =>
    entry.side === 'left' ? { ...entry, strideLengthM: i % 4 === 0 ? 1.1 : 1.3 } : entry,
  );
  const variance = (16 * 0.01) / 15;
  expect(find({ strides }, 'stride-length-cv', 'left').value).toBeCloseTo(
    (100 * Math.sqrt(variance)) / 1.2,
    9,
  );
  expect(find({ strides }, 'stride-length-cv', 'right').value).toBeCloseTo(0, 9);
  expect(find({ strides }, 'stride-length-cv').value).toBeCloseTo((100 * Math.sqrt(variance / 2)) / 1.1, 9);
});

test('tells the trend over the session in units a minute, and half its interval', () => {
  const strides = walk(60).map((entry) => ({ ...entry, speedMS: 1.2 - (0.1 * entry.endUs) / 60e6 }));
  const value = find({ strides }, 'speed-trend');
  expect(value.value).toBeCloseTo(-0.1, 9);
  expect(value.spread).toBeCloseTo(0, 9);
  expect(find({ strides: walk(14) }, 'speed-trend').reason).toBe('needs 30 steady strides with a value');
});

test('tells the trend of the symmetry of swing from strides that overlap', () => {
  const strides = walk(60).map((entry) =>
    entry.side === 'left' ? entry : { ...entry, swingTimeS: 0.4 * (1 + 0.1 * (entry.endUs / 60e6)) },
  );
  const { value } = find({ strides }, 'swing-time-robinson-index-trend');
  expect(value).toBeGreaterThan(8);
  expect(value).toBeLessThan(10);
});

test('gives ranges of motion of steady strides and leaves out curves with a hole', () => {
  const cycle = (startUs: number, range: number, hole = false): Cycle => ({
    side: 'left',
    startUs,
    endUs: startUs + 1e6,
    curves: {
      'knee-flexion': Float32Array.from({ length: CYCLE_POINTS }, (_, i) =>
        hole && i === 50 ? NaN : (range * i) / (CYCLE_POINTS - 1),
      ),
    },
  });
  const strides = [0, 1, 2, 3].map((i) => stride({ startUs: i * 1e6, turnDeg: i === 3 ? 90 : 0 }));
  const cycles = [cycle(0, 60), cycle(1e6, 64), cycle(2e6, 90, true), cycle(3e6, 20)];
  expect(find({ strides, cycles }, 'knee-flexion-range', 'left')).toMatchObject({ value: 62, count: 2 });
  expect(find({ strides, cycles }, 'knee-flexion-range', 'right').reason).toBe(
    'no whole steady stride of the right foot with this angle',
  );
});

test('compares the ranges of motion of the sides from five steady strides of each on', () => {
  const strides = walk(5);
  const cycles = strides.map(({ side, startUs, endUs }) => ({
    side,
    startUs,
    endUs,
    curves: { 'knee-flexion': Float32Array.from([0, side === 'left' ? 60 : 40]) },
  }));
  const metric = 'knee-flexion-range-robinson-index';
  expect(find({ strides, cycles }, metric)).toMatchObject({ value: -40, count: 10 });
  expect(find({ strides, cycles: cycles.slice(0, 9) }, metric).reason).toBe(
    'needs 5 steady strides of the right foot',
  );
});

test('counts bouts, time, turns', () => {
  const strides = [stride({}), stride({ startUs: 1e6 }), stride({ startUs: 9e6, bout: 1 })];
  const turns = [
    { startUs: 0, endUs: 2e6, angleDeg: -170 },
    { startUs: 0, endUs: 1e6, angleDeg: 190 },
  ];
  expect(find({ strides }, 'bouts').value).toBe(2);
  expect(find({ strides }, 'walking-time').value).toBe(3);
  expect(find({ strides, turns }, 'turn-angle').value).toBe(180);
  expect(find({ strides, turns }, 'turn-time').value).toBe(1.5);
  expect(find({ strides }, 'turns').value).toBe(0);
});

test('gives the same bits in pieces, continued from what was saved, and at once', () => {
  const strides = walk(300).map((entry, i) => ({
    ...entry,
    speedMS: 1 + Math.sin(i),
    bout: Math.floor(i / 50),
  }));
  const contacts = strides.map(({ side, startUs: timeUs }) => ({ side, kind: 'initial', timeUs }) as const);
  const cycles = strides.map(({ side, startUs, endUs }, i) => ({
    side,
    startUs,
    endUs,
    curves: { 'knee-flexion': Float32Array.from({ length: CYCLE_POINTS }, (_, k) => Math.cos(i + k)) },
  }));
  let summary = createStrideSummary();
  for (let i = 0; i < strides.length; i += 7) {
    summary.add({
      // The contact in the middle of the last stride is the next stride's beginning.
      contacts: contacts.slice(i === 0 ? 0 : i + 1, i + 8),
      strides: strides.slice(i, i + 7),
      cycles: cycles.slice(i, i + 7),
    });
    summary = createStrideSummary(summary.save());
  }
  expect(summary.values()).toEqual(summariseStrides({ strides, contacts, cycles }));
  expect(summary.save().length).toBeLessThan(20_000);
});

test('gives the regularity of the trunk over stretches, and why not', () => {
  const summary = createStrideSummary();
  const metric = 'step-regularity';
  expect(summary.values().some((value) => value.metric === metric)).toBe(false);
  summary.addRegularity(null);
  expect(summary.values().find((value) => value.metric === metric)).toMatchObject({
    value: null,
    reason: 'needs 5 steady strides one after the other',
  });
  summary.addRegularity({ step: 0.5, stride: 0.8, symmetry: 0.625 });
  summary.addRegularity({ step: 0.7, stride: 0, symmetry: null });
  const again = createStrideSummary(summary.save()).values();
  expect(again.find((value) => value.metric === metric)).toMatchObject({ value: 0.6, count: 2 });
  expect(again.find((value) => value.metric === 'trunk-symmetry')).toMatchObject({ value: 0.625, count: 1 });
});

test('has every metric that it gives in the catalogue', () => {
  const cycles = [
    { side: 'left', startUs: 0, endUs: 1, curves: { 'hip-flexion': new Float32Array(101) } } as const,
  ];
  const summary = createStrideSummary();
  summary.addRegularity(null);
  summary.add({ strides: walk(40), cycles, turns: [] });
  const values = summary.values();
  for (const { metric } of values) expect(metricOf(metric), metric).not.toBeNull();
  expect(metricOf('hip-flexion-range')).toMatchObject({ label: 'Hip flexion, range of motion', unit: 'deg' });
  expect(metricOf('nothing')).toBeNull();
  const keys = values.map(({ metric, side }) => `${metric} ${side}`);
  expect(new Set(keys).size).toBe(keys.length);
});
