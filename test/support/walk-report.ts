/** Owns a report to look at and to test with: the real chain over a synthetic limp of a minute, with sessions before it. */

import { readFileSync } from 'node:fs';

import type { MotionAnalysis } from '#contract/motion.ts';
import type { SessionReport } from '#contract/report.ts';
import type { SessionDetail } from '#contract/rest.ts';
import { buildSessionReport, type Norms, type ReportParts } from '#jobs/report/build-session-report.ts';
import { summaryFigures } from '#jobs/report/report-trends.ts';
import { defaultBodyModel } from '#motion/default-body-model.ts';
import { describeMetric } from '#motion/described-metric.ts';
import { readFigureNorms, readJointNorms } from '#motion/norms.ts';
import { createSessionMotion } from '#motion/session-motion.ts';
import { typicalErrors } from '#simulator/sensor-errors.ts';
import { createSyntheticWalker, walkerOfSeed } from '#simulator/synthetic-walker.ts';
import { walkerSegments, type WalkerSegment } from '#simulator/walker-body.ts';
import { createWalkerTable, walkerSource } from '#simulator/walker-source.ts';

const START_US = 1_793_000_000_000_000;
const DAY_MS = 86_400_000;

const read = (file: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../data/norms/${file}`, import.meta.url), 'utf8'));

export const packagedNorms: Norms = {
  joints: readJointNorms(read('joint-angles.json')),
  figures: readFigureNorms(read('spatio-temporal.json')),
};

export interface WalkOptions {
  readonly seconds?: number;
  readonly asymmetry?: number;
  readonly worn?: readonly WalkerSegment[];
}

/** What the analysis stores of a walk with these sensors, as `GET /v1/sessions/{id}/motion` answers it. */
export function walkAnalysis({
  seconds = 60,
  asymmetry = 0.08,
  worn = walkerSegments,
}: WalkOptions = {}): MotionAnalysis {
  const walker = createSyntheticWalker({ ...walkerOfSeed(11), asymmetry });
  const table = createWalkerTable(walker);
  const sources = worn.map((segment, i) =>
    walkerSource(table, { segment, firstRow: 0, errors: { model: typicalErrors, seed: 100 + i } }),
  );
  const bodyModel = defaultBodyModel(
    sources.map(({ definition }) => ({ id: definition.segment, ...definition, synthetic: true })),
  );
  const chain = createSessionMotion(bodyModel);
  const count = seconds * walker.parameters.rateHz;
  const batches = [];
  const step = 10 * walker.parameters.rateHz;
  for (let from = 0; from < count; from += step) {
    for (const [p, { segment }] of bodyModel.placements.entries()) {
      const source = sources.find(({ definition }) => definition.segment === segment)!;
      const axes = source.definition.axes.length;
      const size = Math.min(step, count - from);
      const values = new Float32Array(size * axes);
      source.fill(from, size, values);
      const timesUs = Float64Array.from({ length: size }, (_, i) => START_US + (from + i) * 5_000);
      chain.push(p, { timesUs, values, axes, count: size });
    }
    chain.advance(START_US + (from + step) * 5_000);
    batches.push(chain.take());
  }
  chain.finish();
  batches.push(chain.take());
  return {
    session: detailOf(worn, count).session.id,
    bodyModel: structuredClone(bodyModel) as MotionAnalysis['bodyModel'],
    bodyModelRevision: 2,
    algorithm: 'motion',
    version: 1,
    isProvisional: false,
    reason: null,
    fromUs: START_US,
    untilUs: START_US + count * 5_000,
    metrics: chain.summary().flatMap((value) => describeMetric(value) ?? []),
    contacts: batches.flatMap(({ contacts }) => [...contacts]),
    strides: batches.flatMap(({ strides }) => [...strides]),
    cycles: batches.flatMap(({ cycles }) =>
      cycles.map((cycle) => ({
        ...cycle,
        curves: Object.fromEntries(
          Object.entries(cycle.curves).map(([name, curve]) => [
            name,
            Array.from(curve, (value) => (Number.isFinite(value) ? value : null)),
          ]),
        ),
      })),
    ),
    turns: batches.flatMap(({ turns }) => [...turns]),
    notices: batches.flatMap(({ notices }) => [...notices]),
  };
}

function detailOf(worn: readonly string[], count: number): SessionDetail {
  const startedAt = new Date(START_US / 1000).toISOString();
  const endedAt = new Date(START_US / 1000 + count * 5).toISOString();
  const id = '01993b2e-5c00-7abc-8def-0123456789ab';
  return {
    session: {
      id,
      label: 'overground',
      state: 'ended',
      synthetic: true,
      startedAt,
      endedAt,
      streamCount: worn.length,
      storedReadings: worn.length * count,
      lostReadings: 120,
      revision: 1,
      patient: null,
      protocolId: null,
      plannedFor: null,
      sealedAt: null,
      amended: false,
    },
    hold: null,
    streams: worn.map((segment, i) => ({
      definition: {
        stream: segment,
        session: id,
        segment,
        sensor: 'imu',
        axes: [],
        rateHz: 200,
        encoding: 'float32',
        clock: 'device',
      },
      deviceId: id,
      openedAt: startedAt,
      endedAt,
      epochs: [
        {
          epoch: '1',
          next: count,
          stored: count,
          lost: i === 3 ? [[400, 520]] : [],
          pending: [],
          tailLost: false,
        },
      ],
    })) as SessionDetail['streams'],
  };
}

/** `change` is laid over the parts of the report. */
export function walkReport(options: WalkOptions = {}, change: Partial<ReportParts> = {}): SessionReport {
  const motion = walkAnalysis(options);
  const worn = options.worn ?? walkerSegments;
  const figures = summaryFigures(motion.metrics);
  const past = [0.82, 0.86, 0.85, 0.91, 0.94, 0.97].map((factor, i) => ({
    session: `past-${i}`,
    startedAt: new Date(START_US / 1000 - (6 - i) * 24 * DAY_MS).toISOString(),
    isProvisional: false,
    figures: figures.map((figure) => ({
      ...figure,
      value:
        figure.value === null
          ? null
          : figure.value * (figure.metric.endsWith('index') ? 3 - 2 * factor : factor),
    })),
  }));
  return buildSessionReport({
    motion,
    detail: detailOf(worn, (options.seconds ?? 60) * 200),
    norms: packagedNorms,
    context: {
      organisation: 'Physiotherapy Nord',
      patient: {
        code: 'P-0042',
        ageYears: 61,
        sex: 'female',
        heightM: 1.68,
        massKg: 71,
        affectedSide: 'left',
        diagnosis: 'Total knee replacement, left, 12 weeks',
      },
      past,
      inputRevision: 412,
    },
    made: { at: new Date(START_US / 1000 + 70_000), timeZone: 'Europe/Berlin', program: 'Kymo 0.7.0' },
    ...change,
  });
}
