/** Owns what a torture run says in the end: its figures for machines, and a time line, tables and a verdict for people. */

import { formatFigure, formatTable, rounded } from '#bench/support/report.ts';
import type { FaultRecord, Undisturbed } from '#test/torture/recorder.ts';
import { mustBeZero, type Verdict } from '#test/torture/stored-check.ts';
import type { TortureOutcome, TortureSettings } from '#test/torture/torture-run.ts';

interface Spread {
  readonly median: number | null;
  readonly worst: number | null;
}

export interface KindFigures {
  readonly kind: string;
  readonly group: string;
  readonly count: number;
  /** Milliseconds from the return of what was taken away to the first acknowledgement, and to one for each device hit. */
  readonly firstAckMs: Spread;
  readonly allAckMs: Spread;
  /** p99 of sessions that were not hit; of all calm ones where everything was. */
  readonly undisturbedLiveP99Ms: Spread;
  readonly undisturbedLagP99Ms: Spread;
}

export type Figures = ReturnType<typeof figuresOf>;

export function figuresOf(
  outcome: TortureOutcome,
  settings: Pick<TortureSettings, 'minutes' | 'seed' | 'devices' | 'streams' | 'servers' | 'heartbeatMs'>,
) {
  const { recorder, attackS, verdict } = outcome;
  return {
    torture: outcome.isGood ? ('passed' as const) : ('failed' as const),
    ...settings,
    attackSeconds: rounded(attackS[1] - attackS[0], 1),
    machine: outcome.machine,
    database: outcome.databaseMedium,
    network: outcome.networkMedium,
    notPossibleHere: outcome.absent,
    verdict,
    drainSeconds: rounded(outcome.drainS, 1),
    notDelivered: outcome.left,
    serversEndedByThemselves: outcome.serverDeaths,
    acknowledgedAndForgotten: outcome.forgotten,
    looksAtTheDatabase: outcome.looks,
    live: { frames: outcome.liveFrames, wrong: outcome.liveWrong },
    baseline: outcome.baseline,
    faults: recorder.faults.length,
    kinds: kindsOf(recorder.faults),
    troubles: Object.fromEntries(outcome.troubles),
    timeline: recorder.faults,
    points: recorder.points,
  };
}

function kindsOf(faults: readonly FaultRecord[]): KindFigures[] {
  const kinds = Map.groupBy(faults, ({ kind }) => kind);
  return [...kinds].map(([kind, records]) => {
    const undisturbed = records.flatMap((record) => record.undisturbed ?? []);
    const spread = (take: (of: Undisturbed) => number): Spread => spreadOf(undisturbed.map(take));
    return {
      kind,
      group: records[0]!.group,
      count: records.length,
      firstAckMs: spreadOf(records.map(({ firstAckMs }) => firstAckMs)),
      allAckMs: spreadOf(records.map(({ allAckMs }) => allAckMs)),
      undisturbedLiveP99Ms: spread(({ liveP99Ms }) => liveP99Ms),
      undisturbedLagP99Ms: spread(({ lagP99Ms }) => lagP99Ms),
    };
  });
}

function spreadOf(values: readonly (number | null)[]): Spread {
  const sorted = values.filter((value) => value !== null && Number.isFinite(value)).sort((a, b) => a! - b!);
  return { median: sorted[Math.floor((sorted.length - 1) / 2)] ?? null, worst: sorted.at(-1) ?? null };
}

const meanings: Record<keyof Verdict, string> = {
  streams: 'streams',
  stored: 'readings stored',
  lost: 'acknowledged and lost',
  missing: 'taken by a device and missing',
  doubled: 'doubled',
  different: 'different by a bit or more',
  otherTime: 'with another time',
  misordered: 'out of order',
  gaps: 'numbers missing undeclared',
  declared: 'declared lost (disk of the device full)',
  wronglyDeclared: 'declared lost without cause',
  guardDiffers: 'epochs whose guard disagrees',
  unjournaled: 'stored, and taken just before a kill',
};

/** Everything for people. */
export function reportOf(outcome: TortureOutcome, figures: Figures): string {
  const { verdict, recorder, baseline } = outcome;
  const both = ({ median, worst }: Spread): string => `${formatFigure(median)} / ${formatFigure(worst)}`;
  const lines = [
    'Time line',
    formatTable(
      ['s', 'fault', 'hit', 'lasted s', 'first ack ms', 'all ack ms', 'others live p99', 'others ack p99'],
      recorder.faults
        .toSorted((a, b) => a.struckS - b.struckS)
        .map((fault) => [
          fault.struckS.toFixed(1),
          `${fault.isCompanion ? '+ ' : ''}${fault.kind}`,
          fault.target,
          (fault.healedS - fault.struckS).toFixed(1),
          fault.failure ?? formatFigure(fault.firstAckMs),
          formatFigure(fault.allAckMs),
          formatFigure(fault.undisturbed?.liveP99Ms),
          formatFigure(fault.undisturbed?.lagP99Ms),
        ]),
    ),
    'By kind, median / worst, milliseconds',
    formatTable(
      ['fault', 'times', 'first ack', 'all acked', 'others live p99', 'others ack p99'],
      figures.kinds.map((kind) => [
        kind.kind,
        String(kind.count),
        both(kind.firstAckMs),
        both(kind.allAckMs),
        both(kind.undisturbedLiveP99Ms),
        both(kind.undisturbedLagP99Ms),
      ]),
    ),
    `Before the first fault: live p50 ${formatFigure(baseline?.liveP50Ms)} ms, p99 ${formatFigure(baseline?.liveP99Ms)} ms; ` +
      `acknowledged p50 ${formatFigure(baseline?.lagP50Ms)} ms, p99 ${formatFigure(baseline?.lagP99Ms)} ms`,
    `Database on ${outcome.databaseMedium}; network: ${figures.network}`,
    ...outcome.absent.map(({ kind, why }) => `Not possible here: ${kind} (${why})`),
    '',
    formatTable(
      ['Verdict', ''],
      Object.entries(meanings).map(([name, meaning]) => [
        meaning,
        formatFigure(verdict[name as keyof Verdict]),
      ]),
    ),
    `Looked ${formatFigure(outcome.looks)} times whether all that was acknowledged is in the database: ${formatFigure(outcome.forgotten)} readings were not`,
    ...outcome.left,
    ...(outcome.serverDeaths === 0 ? [] : [`${outcome.serverDeaths} servers ended by themselves`]),
    ...(outcome.liveWrong === 0
      ? []
      : [`${outcome.liveWrong} of ${outcome.liveFrames} live frames were wrong`]),
    verdictOf(outcome, figures),
    '',
  ];
  return lines.join('\n');
}

function verdictOf(
  { verdict, isGood, recorder, forgotten }: TortureOutcome,
  { minutes, seed }: Figures,
): string {
  const wrong = mustBeZero.filter((name) => verdict[name] > 0).map((name) => `${name} ${verdict[name]}`);
  const stuck = recorder.faults.filter(({ failure }) => failure !== null).length;
  if (isGood)
    return `Passed: ${formatFigure(verdict.stored)} readings in ${minutes} min under ${recorder.faults.length} faults, lost 0, doubled 0, different 0 (seed ${seed})`;
  if (forgotten > 0) wrong.push(`forgotten ${forgotten}`);
  const why = [...wrong, ...(stuck > 0 ? [`${stuck} faults without recovery`] : [])];
  return `Failed: ${why.join(', ') || 'see above'} (seed ${seed})`;
}
