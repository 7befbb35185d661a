/**
 * Owns the comparison at one rate: rounds in which every side takes its turn, then the check of all that was stored,
 * then the figures and ratios of BENCH.md.
 */

import type { FastapiLayout } from '#bench/ingest/fastapi-peer.ts';
import type { Figures, IngestShape } from '#bench/ingest/figures.ts';
import type { IngestOptions } from '#bench/ingest/options.ts';
import { measurePlainCopy, type CopyFigures } from '#bench/ingest/plain-copy.ts';
import {
  createReceiveSide,
  receiveServers,
  type ReceiveFigures,
  type ReceiveServer,
  type ReceiveSide,
} from '#bench/ingest/receive-side.ts';
import type { StoringSide } from '#bench/ingest/sides.ts';
import type { StoringRun } from '#bench/ingest/storing-side.ts';
import { comparisonTable, type ReceiveCost } from '#bench/ingest/tables.ts';
import { demandExactlyOnce, type CheckResult } from '#bench/support/reading-checker.ts';
import { rounded } from '#bench/support/report.ts';
import type { RunScope } from '#bench/support/run-scope.ts';

const RECEIVE_WARM_UP_S = 1;
/** A flood brings some fifty times the messages of the usual rate. */
const FLOOD_WINDOW_S = 1;
/** Node reads up to 2 MB of a connection before it looks elsewhere: with more of them a server answers nothing else. */
const FLOOD_SESSIONS = 32;

export interface IngestContext {
  readonly scope: RunScope;
  readonly options: IngestOptions;
  readonly run: StoringRun;
  readonly kymo: StoringSide;
  readonly fastapi: ReadonlyMap<FastapiLayout, StoringSide>;
  readonly say: (text: string) => void;
}

export interface Outcome {
  /** For people. */
  readonly table: string;
  /** For the JSON line. */
  readonly result: object;
}

interface Measured {
  readonly receivers: readonly ReceiveSide[];
  readonly receive: Record<'paced' | 'flooded', Record<ReceiveServer, ReceiveFigures[]>>;
  readonly copies: CopyFigures[];
}

export async function compareSides(context: IngestContext): Promise<Outcome> {
  const { options, kymo, fastapi, say } = context;
  const measured: Measured = {
    receivers: await Promise.all(receiveServers.map((name) => createReceiveSide(context.scope, name))),
    receive: {
      paced: { 'drop-server': [], 'counting-server': [] },
      flooded: { 'drop-server': [], 'counting-server': [] },
    },
    copies: [],
  };
  for (let round = 1; round <= options.rounds; round++) await runRound(context, measured, round);
  const shape: IngestShape = {
    sessions: options.sessions,
    sensors: options.sensors,
    rateHz: options.rate,
    readingsPerFrame: options['readings-per-frame'],
  };
  const sides = new Map<string, Figures>();
  for (const side of [kymo, ...fastapi.values()]) {
    say(`checking what ${side.name} stored`);
    const check = await side.check();
    // A peer that loses readings is shown with what it lost; ours that does is an error.
    if (side === kymo) demandExactlyOnce(side.name, check);
    sides.set(side.name, { ...(await side.figures(shape, check)), ...faultsOf(check) });
  }
  const paced = costOf(measured.receive.paced);
  const flooded = costOf(measured.receive.flooded);
  const copy = copyCost(measured.copies);
  const ours = sides.get(kymo.name)!;
  const databaseUs =
    typeof ours['databaseCpuUsPerReading'] === 'number' ? ours['databaseCpuUsPerReading'] : Number.NaN;
  const ratios = {
    receiveRatioToDrop: rounded(paced.ratio, 3),
    receiveRatioToDropFlooded: rounded(flooded.ratio, 3),
    storeRatioToCopy: rounded(copy.cpuUsPerReading / databaseUs, 3),
  };
  return {
    table: comparisonTable({
      sides,
      ratios,
      receive: { paced, flooded },
      copy,
      readingsPerFrame: shape.readingsPerFrame,
    }),
    result: {
      ...ours,
      ...ratios,
      receive: { paced, flooded },
      plainCopy: copy,
      peers: peersOf(context, sides),
    },
  };
}

async function runRound(context: IngestContext, measured: Measured, round: number): Promise<void> {
  const { options, run, kymo, fastapi, say } = context;
  const turn = `round ${round} of ${options.rounds}`;
  say(`${turn}: ${kymo.name}`);
  const stored = await kymo.measure(run);
  say(`${turn}: plain COPY`);
  measured.copies.push(
    await measurePlainCopy(
      kymo.database,
      stored.end.streams.map((stream) => stream.streamId),
    ),
  );
  // The flood first: its many messages leave both servers' code compiled for the paced measurement.
  for (const pace of ['flooded', 'paced'] as const)
    for (const receiver of measured.receivers) {
      say(`${turn}: ${receiver.name}, ${pace}`);
      const load = {
        ...run.load,
        flood: pace === 'flooded',
        keys: Array.from({ length: pace === 'flooded' ? FLOOD_SESSIONS : options.sessions }, () => 'none'),
      };
      const windowS = pace === 'flooded' ? FLOOD_WINDOW_S : options['receive-seconds'];
      measured.receive[pace][receiver.name].push(
        await receiver.measure({ load, warmUpS: RECEIVE_WARM_UP_S, windowS }),
      );
    }
  for (const side of fastapi.values()) {
    say(`${turn}: ${side.name}`);
    await side.measure(run);
  }
}

function costOf(rounds: Record<ReceiveServer, readonly ReceiveFigures[]>): ReceiveCost {
  const usPerMessage = (list: readonly ReceiveFigures[]): number => {
    const cpuS = list.reduce((sum, figures) => sum + figures.cpuS, 0);
    return (cpuS * 1e6) / list.reduce((sum, figures) => sum + figures.messages, 0);
  };
  const dropUs = usPerMessage(rounds['drop-server']);
  const countingUs = usPerMessage(rounds['counting-server']);
  return {
    dropUsPerMessage: rounded(dropUs),
    countingUsPerMessage: rounded(countingUs),
    ratio: countingUs / dropUs,
    generatorBound: Object.values(rounds).some((list) => list.some((figures) => figures.generatorBound)),
  };
}

function copyCost(copies: readonly CopyFigures[]) {
  const sum = (of: (figures: CopyFigures) => number): number => copies.reduce((total, c) => total + of(c), 0);
  const readings = sum((c) => c.readings);
  return {
    readings,
    readingsPerCopy: rounded(readings / sum((c) => c.batches), 0),
    readingsPerS: rounded((readings / sum((c) => c.elapsedMs)) * 1000, 0),
    cpuUsPerReading: (sum((c) => c.cpuS) * 1e6) / readings,
  };
}

function faultsOf(check: CheckResult): { corrupt: number; strange: number } {
  return { corrupt: check.corrupt, strange: check.strange };
}

/** `fastapi` is the variant that stores what we store; `fastapiRows` has a row a reading. Null when it cannot be had. */
function peersOf(context: IngestContext, sides: ReadonlyMap<string, Figures>): object {
  const of = (layout: FastapiLayout): Figures | null => {
    const side = context.fastapi.get(layout);
    return side === undefined ? null : (sides.get(side.name) ?? null);
  };
  return { fastapi: of('chunks'), fastapiRows: of('rows') };
}
