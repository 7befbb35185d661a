/**
 * Owns how the analysis of a session, what is stored of it and the patient's earlier sessions become a SessionReport: which
 * figures are in which table, which norm stands beside them, and what a reader must know before believing them. Pure; bounds
 * are `reportBounds`.
 */

import type { MotionAnalysis } from '#contract/motion.ts';
import {
  reportBounds,
  type ReportAngle,
  type ReportCurve,
  type ReportFigure,
  type ReportNotice,
  type ReportPatient,
  type ReportQuality,
  type ReportRange,
  type ReportRow,
  type ReportSensor,
  type ReportSide,
  type ReportSideCurve,
  type SessionReport,
} from '#contract/report.ts';
import type { SessionDetail, StreamDetail } from '#contract/rest.ts';
import { metricOf, type MetricGroup } from '#motion/metric-catalogue.ts';
import {
  gaitVariableScore,
  normBand,
  normOf,
  unknownPerson,
  type FigureNorms,
  type JointNorms,
  type NormBand,
  type Person,
} from '#motion/norms.ts';
import { steadyStrides, type SteadyStrides } from '#jobs/report/mean-curves.ts';
import { reportTrends, type PastSummary } from '#jobs/report/report-trends.ts';

export interface Norms {
  readonly joints: JointNorms;
  readonly figures: FigureNorms;
}

/** Beside the stored analysis: what the report says of the visit. */
export interface ReportContext {
  readonly organisation: string;
  readonly patient: ReportPatient | null;
  /** Oldest first, without this session. */
  readonly past: readonly PastSummary[];
  readonly inputRevision: number;
}

export interface ReportParts {
  readonly detail: SessionDetail;
  readonly motion: MotionAnalysis;
  readonly context: ReportContext;
  readonly norms: Norms;
  readonly made: { readonly at: Date; readonly timeZone: string; readonly program: string };
}

type Metric = MotionAnalysis['metrics'][number];

const gaitGroups: readonly MetricGroup[] = ['pace', 'time', 'distance', 'angles', 'amount'];

export function buildSessionReport(parts: ReportParts): SessionReport {
  const { detail, motion, context, norms, made } = parts;
  const { session } = detail;
  const person = personOf(context.patient);
  const rows = rowsOf(motion.metrics, (metric) => rangeOf(norms.figures, metric, person));
  const inGroups = (groups: readonly MetricGroup[]): ReportRow[] =>
    groups.flatMap((group) => rows.filter((row) => row.group === group));
  return {
    madeAt: made.at.toISOString(),
    timeZone: made.timeZone,
    organisation: context.organisation,
    patient: context.patient,
    session: {
      id: session.id,
      startedAt: session.startedAt,
      endedAt: session.endedAt,
      durationS: durationOf(session.startedAt, session.endedAt ?? made.at.toISOString()),
      isSynthetic: session.synthetic,
      isAmended: session.amended,
      revision: session.revision,
    },
    provisional: motion.isProvisional ? (motion.reason ?? 'the analysis is not finished') : null,
    gait: inGroups(gaitGroups).filter(({ metric }) => !metric.endsWith('-robinson-index')),
    symmetry: [
      ...inGroups(['symmetry']),
      // An angle of neither side is the same in the strides of both.
      ...rows.filter(({ metric }) => /^(?:hip|knee|ankle|foot)-.*-range-robinson-index$/.test(metric)),
    ],
    variability: inGroups(['variability', 'regularity']),
    angles: anglesOf(steadyStrides(motion), norms.joints, person),
    trends: reportTrends({ session, motion, past: context.past, rows }),
    quality: qualityOf(detail, motion),
    method: {
      program: made.program,
      algorithm: motion.algorithm,
      algorithmVersion: String(motion.version),
      bodyModelRevision: motion.bodyModelRevision,
      inputRevision: context.inputRevision,
      sensors: gaitSensorsOf(motion),
      norms: [...new Set([norms.figures.attribution, norms.joints.attribution])],
    },
  };
}

function durationOf(startedAt: string, endedAt: string): number {
  return Math.max(0, (Date.parse(endedAt) - Date.parse(startedAt)) / 1000);
}

/** Norms are of women and men; of others they are those of both. */
function personOf(patient: ReportPatient | null): Person {
  if (patient === null) return unknownPerson;
  const sex = patient.sex === 'female' || patient.sex === 'male' ? patient.sex : null;
  return { ageYears: patient.ageYears, sex };
}

function rangeOf(norms: FigureNorms, metric: string, person: Person): ReportRange | null {
  const found = normOf(norms, metric, person);
  return found === null ? null : { low: found.low, high: found.high, population: found.population };
}

/** In the order in which the metrics first come; one row for both sides. */
function rowsOf(metrics: readonly Metric[], normFor: (metric: string) => ReportRange | null): ReportRow[] {
  const rows = new Map<string, { -readonly [K in keyof ReportRow]: ReportRow[K] }>();
  for (const given of metrics) {
    const known = metricOf(given.metric);
    if (known === null) continue;
    const row = rows.get(given.metric) ?? {
      metric: given.metric,
      label: given.label,
      unit: given.unit,
      digits: given.digits,
      group: known.group,
      left: null,
      right: null,
      both: null,
      norm: normFor(given.metric),
      error: given.error,
      hint: known.hint,
    };
    rows.set(given.metric, row);
    row[given.side ?? 'both'] = figureOf(given);
  }
  return [...rows.values()];
}

function figureOf({ value, spread, count, reason }: Metric): ReportFigure {
  return { value, spread, count, reason: value === null ? (reason ?? 'not enough to tell') : null };
}

/** Hip, knee and ankle first, as gait reports have them; then what else moves. */
const angleOrder = ['pelvis', 'hip', 'knee', 'ankle', 'foot', 'trunk', 'thigh', 'shank'];

function anglesOf(strides: SteadyStrides, norms: JointNorms, person: Person): ReportAngle[] {
  const placeOf = (name: string): number => {
    const place = angleOrder.indexOf(name.split('-')[0]!);
    return place === -1 ? angleOrder.length : place;
  };
  return strides.names
    .toSorted((a, b) => placeOf(a) - placeOf(b))
    .map((name) => angleOf(name, { strides, norms, person }))
    .filter(({ left, right }) => left !== null || right !== null)
    .slice(0, reportBounds.curves);
}

function angleOf(
  name: string,
  parts: { readonly strides: SteadyStrides; readonly norms: JointNorms; readonly person: Person },
): ReportAngle {
  const { strides, norms, person } = parts;
  const bandOf = (side: ReportSide): NormBand | null => normBand(norms, { name, side }, person);
  const sideOf = (side: ReportSide): ReportSideCurve | null => {
    const found = strides.curve(name, side);
    if (found === null) return null;
    const band = bandOf(side);
    const curve = Float32Array.from(found.mean, (value) => value ?? Number.NaN);
    return {
      ...found,
      footOffPercent: strides.footOffPercent(side),
      score: band === null ? null : gaitVariableScore(curve, band),
    };
  };
  const [left, right] = [sideOf('left'), sideOf('right')];
  const shown = bandOf('left');
  const mirrored = bandOf('right');
  const words = name.replaceAll('-', ' ');
  return {
    name,
    label: `${words[0]!.toUpperCase()}${words.slice(1)}`,
    left,
    right,
    isMirrored: shown !== null && mirrored !== null && shown.mean[0] !== mirrored.mean[0],
    norm:
      shown === null
        ? null
        : { population: shown.population, low: curveOf(shown.low), high: curveOf(shown.high) },
  };
}

function curveOf(values: Float32Array): ReportCurve {
  return Array.from(values);
}

function qualityOf({ session, streams }: SessionDetail, motion: MotionAnalysis): ReportQuality {
  const sensors = streams.map((stream) => sensorOf(stream, motion));
  return {
    storedReadings: session.storedReadings,
    lostReadings: session.lostReadings,
    pendingReadings: sensors.reduce((sum, { pendingReadings }) => sum + pendingReadings, 0),
    tailLost: streams.some(({ epochs }) => epochs.some(({ tailLost }) => tailLost)),
    sensors: sensors.slice(0, reportBounds.sensors),
    notices: noticesOf(motion),
  };
}

function sensorOf({ definition, epochs }: StreamDetail, { bodyModel }: MotionAnalysis): ReportSensor {
  const sum = (sizes: readonly number[]): number => sizes.reduce((total, size) => total + size, 0);
  const widths = (ranges: readonly (readonly [number, number])[]): number[] =>
    ranges.map(([from, to]) => to - from);
  const placement = bodyModel.placements.find(({ stream }) => stream === definition.stream);
  return {
    segment: placement?.segment ?? definition.segment,
    sensor: definition.sensor,
    rateHz: definition.rateHz,
    storedReadings: sum(epochs.map(({ stored }) => stored)),
    lostReadings: sum(epochs.flatMap(({ lost }) => widths(lost))),
    pendingReadings: sum(epochs.flatMap(({ pending }) => widths(pending))),
    gaps: sum(epochs.map(({ lost, pending }) => lost.length + pending.length)),
    alignment: placement === undefined ? 'not used by the analysis' : alignmentWords(placement.alignment),
  };
}

type Alignment = MotionAnalysis['bodyModel']['placements'][number]['alignment'];

function alignmentWords(alignment: Alignment): string {
  if (alignment.kind === 'aligned') return 'sits as its segment';
  if (alignment.kind === 'from-movement') return 'found from the movement itself';
  const doubt = alignment.reason === null ? '' : ` (${alignment.reason})`;
  return `calibrated: ${alignment.method}, quality ${Math.round(100 * alignment.quality)} %${doubt}`;
}

/** One of each kind and segment, with how many there were. */
function noticesOf({ notices, fromUs }: MotionAnalysis): ReportNotice[] {
  const kinds = new Map<string, { -readonly [K in keyof ReportNotice]: ReportNotice[K] }>();
  for (const { code, segment, text, timeUs } of notices) {
    const known = kinds.get(`${code} ${segment}`);
    if (known !== undefined) known.count += 1;
    else {
      const firstS = Math.max(0, (timeUs - (fromUs ?? timeUs)) / 1e6);
      kinds.set(`${code} ${segment}`, { code, segment, text, count: 1, firstS });
    }
  }
  return [...kinds.values()].slice(0, reportBounds.notices);
}

function gaitSensorsOf({ bodyModel }: MotionAnalysis): string {
  const worn = bodyModel.placements.map(({ segment }) => segment);
  if (worn.some((segment) => segment.endsWith('foot'))) return 'gait recognised at the feet';
  if (worn.some((segment) => segment === 'pelvis' || segment === 'lower-back'))
    return 'gait recognised at the lower back';
  return 'no sensor that gait is recognised at';
}
