/**
 * Owns what is told of a session's motion to those who ask: stored results and where the analysis stands, put into the words
 * of the contract, and body models, checked against the session's own streams before they are stored.
 */

import { AppError } from '#base/errors.ts';
import type { MotionAnswers } from '#api/motion-routes.ts';
import type { BodyModel as BodyModelRecord, MotionAnalysis, SessionBodyModel } from '#contract/motion.ts';
import type { BodyModel } from '#motion/body-model.ts';
import { defaultBodyModel } from '#motion/default-body-model.ts';
import { describeMetric } from '#motion/described-metric.ts';
import { summariseStrides } from '#motion/gait/summary.ts';
import type { Cycle, MetricValue } from '#motion/results.ts';
import { checkBodyModel } from '#motion/session/check-body-model.ts';
import { motionVersion } from '#motion/session-motion.ts';
import type { MotionQueries, StoredAnalysis, StoredBodyModel } from '#store/motion-queries.ts';
import { MOTION, type AnalysedStream } from '#store/motion-statements.ts';
import { decodeWindow, type StoredCycle, type WindowMotion } from '#app/analysis-payload.ts';

/** Six hours of windows: 20,000 strides. */
const WINDOWS = 2_160;

export interface FiguresOfMotion {
  /** The analysis of the whole session without its records, which take seconds to read of a long one. */
  figures(orgId: string, sessionId: string): Promise<MotionAnalysis | null>;
}

type Pending = Pick<StoredAnalysis, 'waiting' | 'open' | 'unsettled' | 'isDirty' | 'failure'>;

/** `onBodyModel` hears of every body model that was stored here. */
export function createMotionAnswers(
  queries: MotionQueries,
  onBodyModel: (orgId: string, sessionId: string) => void = () => undefined,
): MotionAnswers & FiguresOfMotion {
  async function modelOf(orgId: string, sessionId: string) {
    const stored = await queries.bodyModel(orgId, sessionId);
    if (stored === null) return null;
    const { revision } = stored;
    const bodyModel = recordOf(currentModel(stored));
    return { session: sessionId, revision, bodyModel, isDefault: revision === 0 };
  }
  return {
    bodyModel: modelOf,
    async setBodyModel(orgId, { sessionId, bodyModel: given, revision, madeBy }) {
      const stored = await queries.bodyModel(orgId, sessionId);
      if (stored === null) return null;
      const bodyModel = withIdsAsStored(given);
      checkAgainstStreams(bodyModel, stored.streams);
      const isStored = await queries.storeBodyModel(orgId, { sessionId, revision, model: bodyModel, madeBy });
      if (!isStored)
        throw new AppError(
          'conflict',
          `the body model of revision ${revision} is not the newest: read it again`,
          { field: '/revision' },
        );
      onBodyModel(orgId, sessionId);
      return { session: sessionId, revision: revision + 1, bodyModel, isDefault: false };
    },
    analyseAnew: (orgId, sessionId) => queries.askAnew(orgId, sessionId),
    async figures(orgId, sessionId) {
      const model = await modelOf(orgId, sessionId);
      if (model === null) return null;
      // No window is of this range.
      const none = { fromUs: Number.MIN_SAFE_INTEGER, toUs: Number.MIN_SAFE_INTEGER, windows: 0 };
      const analysis = await queries.analysis(orgId, { sessionId, ...none });
      return {
        ...standingOf(model, analysis),
        metrics: metricsOf(analysis, null),
        ...joinWindows([]),
        cycles: [],
      };
    },
    async analysis(orgId, { sessionId, cycles, fromUs, toUs }) {
      const model = await modelOf(orgId, sessionId);
      if (model === null) return null;
      const analysis = await queries.analysis(orgId, { sessionId, fromUs, toUs, windows: WINDOWS });
      const isWhole = fromUs <= (analysis?.fromUs ?? fromUs) && toUs >= (analysis?.untilUs ?? toUs);
      const records = joinWindows((analysis?.payloads ?? []).map(decodeWindow));
      return {
        ...standingOf(model, analysis),
        metrics: metricsOf(analysis, isWhole && analysis?.isCut !== true ? null : records),
        ...records,
        cycles: records.cycles
          .slice(records.cycles.length - Math.min(cycles, records.cycles.length))
          .map(cycleOf),
      };
    },
  };
}

function standingOf(
  model: Omit<SessionBodyModel, 'mayEdit' | 'isDefault'>,
  analysis: StoredAnalysis | null,
): Omit<MotionAnalysis, 'metrics' | keyof ReturnType<typeof joinWindows>> {
  const reason = reasonOf(analysis, model.bodyModel.placements.length);
  return {
    session: model.session,
    bodyModel: model.bodyModel,
    bodyModelRevision: model.revision,
    algorithm: MOTION,
    version: analysis?.version ?? motionVersion,
    isProvisional: reason !== null,
    reason,
    fromUs: analysis?.fromUs ?? null,
    untilUs: analysis?.untilUs ?? null,
  };
}

/** The body model that somebody stored; null: there is none, and the streams' own counts. */
export async function findBodyModel(
  queries: Pick<MotionQueries, 'bodyModel'>,
  orgId: string,
  sessionId: string,
): Promise<BodyModel | null> {
  const stored = await queries.bodyModel(orgId, sessionId);
  return stored === null || stored.revision === 0 ? null : (stored.model as BodyModel);
}

function currentModel({ revision, model, streams }: StoredBodyModel): BodyModel {
  return revision === 0 ? defaultBodyModel(streams) : (model as BodyModel);
}

/** The same, as the contract has it: arrays that may be changed. */
function recordOf(model: BodyModel): BodyModelRecord {
  return structuredClone(model) as BodyModelRecord;
}

/** An id is the same in capitals; readings are found by the one that is stored. */
function withIdsAsStored({ placements, ...rest }: BodyModelRecord): BodyModelRecord {
  return {
    ...rest,
    placements: placements.map((placement) => ({ ...placement, stream: placement.stream.toLowerCase() })),
  };
}

/** PostgreSQL keeps no text with U+0000 or half a surrogate pair. */
function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\u0000');
}

/** Throws AppError `invalid-field` with the field of the request. */
function checkAgainstStreams(record: BodyModelRecord, streams: readonly AnalysedStream[]): void {
  const within = (check: () => void): void => {
    try {
      check();
    } catch (cause) {
      if (!(cause instanceof AppError) || cause.field === undefined) throw cause;
      throw new AppError(cause.code, cause.message, { field: `/bodyModel${cause.field}`, cause });
    }
  };
  const wrong = (field: string, what: string): AppError => new AppError('invalid-field', what, { field });
  within(() => {
    for (const [i, { stream: id, rateHz, acc, gyr, mag, alignment }] of record.placements.entries()) {
      const field = `/placements/${i}`;
      if (alignment.kind === 'calibrated')
        for (const name of ['method', 'reason'] as const)
          if (!isStorable(alignment[name] ?? ''))
            throw wrong(`${field}/alignment/${name}`, 'the text has characters that cannot be stored');
      const stream = streams.find((one) => one.id === id);
      if (stream === undefined) throw wrong(`${field}/stream`, 'the session has no such stream');
      if (stream.rateHz !== rateHz)
        throw wrong(`${field}/rateHz`, `the stream has ${stream.rateHz} readings a second`);
      for (const [name, triple] of Object.entries({ acc, gyr, mag }))
        for (const [k, axis] of (triple?.axes ?? []).entries())
          if (axis >= stream.axes.length)
            throw wrong(`${field}/${name}/axes/${k}`, `the stream has ${stream.axes.length} axes, from 0`);
    }
    checkBodyModel(record as BodyModel);
  });
}

function joinWindows(windows: readonly WindowMotion[]) {
  return {
    contacts: windows.flatMap(({ contacts }) => [...contacts]),
    strides: windows.flatMap(({ strides }) => [...strides]),
    cycles: windows.flatMap(({ cycles }) => [...cycles]),
    turns: windows.flatMap(({ turns }) => [...turns]),
    notices: windows.flatMap(({ notices }) => [...notices]),
  };
}

function cycleOf({ side, startUs, endUs, curves }: StoredCycle): MotionAnalysis['cycles'][number] {
  return {
    side,
    startUs,
    endUs,
    curves: Object.fromEntries(Object.entries(curves).map(([name, curve]) => [name, [...curve]])),
  };
}

/** Figures over the whole session as the chain gave them, or over the records of a range. */
function metricsOf(
  analysis: StoredAnalysis | null,
  range: ReturnType<typeof joinWindows> | null,
): MotionAnalysis['metrics'] {
  if (analysis === null || analysis.summary === null) return [];
  const values =
    range === null
      ? (JSON.parse(analysis.summary) as MetricValue[])
      : summariseStrides({ ...range, cycles: range.cycles.map(curvesOf) });
  return values.flatMap((value) => describeMetric(value) ?? []);
}

function curvesOf(cycle: StoredCycle): Cycle {
  const curves = Object.entries(cycle.curves).map(
    ([name, curve]) => [name, Float32Array.from(curve, (value) => value ?? Number.NaN)] as const,
  );
  return { ...cycle, curves: Object.fromEntries(curves) };
}

/** Why more may come or what there is may change; null when it is final. */
function reasonOf(analysis: Pending | null, placements: number): string | null {
  if (placements === 0)
    return 'no stream is known to be a sensor of acceleration and angular velocity on a segment of the body: the body model says which is';
  if (analysis === null) return 'nothing of this session was analysed yet';
  if (analysis.failure !== null && !analysis.isDirty)
    return `the analysis could not go on: ${analysis.failure}`;
  if (analysis.waiting > 0)
    return `${analysis.waiting} ${analysis.waiting === 1 ? 'window waits' : 'windows wait'} to be analysed`;
  if (analysis.isDirty) return 'a change waits to be analysed';
  if (analysis.unsettled > 0)
    return 'readings are missing that may still come, and would change what follows them';
  if (analysis.open > 0) return 'the newest readings wait until their window is over';
  return null;
}
