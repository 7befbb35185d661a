/**
 * Owns one step of the analysis of one session: it goes on where the last one stood, or back to the state before the
 * earliest window whose readings changed, takes windows in the order of time through the chain, and stores their results
 * and the state behind them in one transaction. So a step that dies leaves nothing, and whatever the steps, deaths and late
 * readings were, the results are those of one run over all readings, bit for bit. Bounds: WINDOWS and WORK_MS a step.
 */

import { isDeepStrictEqual } from 'node:util';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

import type pg from 'pg';

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import { sizeOf } from '#base/ranges.ts';
import type { BodyModel } from '#motion/body-model.ts';
import { defaultBodyModel } from '#motion/default-body-model.ts';
import type { MotionNotice } from '#motion/results.ts';
import type { CreateSessionMotion, SessionMotion } from '#motion/session-motion.ts';
import type { PackedLayout } from '#store/chunk-codec.ts';
import type { Statement } from '#store/pools.ts';
import {
  advanceStatement,
  analysedStreamsStatement,
  bodyModelStatement,
  checkpointStatement,
  dropCheckpointsStatement,
  dropOldRunsStatement,
  dropTailStatement,
  outlookOf,
  outlookStatement,
  storeCheckpointStatement,
  storeResultsStatement,
  thinCheckpointsStatement,
  type AnalysedStream,
  type Outlook,
  type Standing,
  type StoredResult,
  type WaitingSession,
} from '#store/motion-statements.ts';
import { WINDOW_US } from '#store/window-grid.ts';
import {
  createWindowReader,
  windowRows,
  windowsStatement,
  type StreamReadings,
  type WindowReader,
  type WindowRow,
} from '#store/window-reader.ts';
import { encodeWindow } from '#app/analysis-payload.ts';

export const analysisLimits = {
  /** Windows of one step: results and the transaction stay small. */
  windows: 60,
  /** After this a step takes no further window: the session's lock is not held for long. */
  workMs: 250,
  /** A state is kept this often, to go back to: five minutes of walking are analysed in about a second. */
  checkpointUs: 30 * WINDOW_US,
  /** States of a session; beyond them every second goes. */
  checkpoints: 64,
  /** Readings of a stream in one window, of those that its rate makes: so many wait in the chain (motion/session/reading-queue.ts). */
  flood: 3,
} as const;

/** What only the readings or the chain can be blamed for: the session cannot be analysed as it is. */
export class AnalysisFailure extends Error {
  override readonly name = 'AnalysisFailure';
}

export interface StepParts {
  /** In a transaction. */
  readonly client: pg.ClientBase;
  readonly session: WaitingSession;
  readonly create: CreateSessionMotion;
  readonly version: number;
  readonly clock: Clock;
  readonly limits?: { readonly windows: number; readonly workMs: number };
}

export interface StepOutcome {
  readonly windows: readonly {
    readonly startUs: number;
    readonly endUs: number;
    readonly revision: number;
  }[];
  readonly readings: number;
  /** It went back to an earlier state. */
  readonly isRevision: boolean;
  readonly isMore: boolean;
}

/** Throws AnalysisFailure, or what the database throws. */
export async function analyseStep(parts: StepParts, standing: Standing): Promise<StepOutcome> {
  const { session, version } = parts;
  const { sessionId } = session;
  const ask = (statement: Statement) => rowsOf(parts.client, statement);
  const streams = (await ask(analysedStreamsStatement(sessionId))) as AnalysedStream[];
  const { model, modelRevision } = await modelOf(ask, sessionId, streams);
  const isSame =
    standing.version === version &&
    standing.answered === standing.asked &&
    isDeepStrictEqual(standing.model, JSON.parse(JSON.stringify(model)));
  const begin: Begin = isSame
    ? await beginWhere(ask, sessionId, standing)
    : { nextUs: null, state: null, outlook: await outlook(ask, sessionId, 0, null), isRevision: false };
  if (!isSame) await ask(dropCheckpointsStatement(sessionId, null));
  const run = standing.run + (isSame ? 0 : 1);
  const isIdle = isSame && begin.outlook.waiting === 0 && standing.isFinished === begin.outlook.isEnded;
  // What was decided at an end that is none any more.
  if (!isIdle && standing.isFinished && standing.nextUs !== null)
    await ask(dropTailStatement(sessionId, standing.nextUs));
  const work: Work = isIdle
    ? { ...nothing, nextUs: begin.nextUs, isFinished: standing.isFinished, summary: standing.summary }
    : model.placements.length === 0
      ? { ...nothing, nextUs: null, isFinished: false, summary: null }
      : await takeWindows(parts, { model, streams, begin });
  if (work.results.length > 0)
    await ask(storeResultsStatement(session, { version, run, results: work.results }));
  for (const checkpoint of work.checkpoints) await ask(storeCheckpointStatement(session, checkpoint));
  await ask(
    thinCheckpointsStatement(sessionId, {
      everyUs: analysisLimits.checkpointUs,
      limit: analysisLimits.checkpoints,
    }),
  );
  if (!work.isMore) await ask(dropOldRunsStatement(sessionId, { version, run }));
  await ask(
    advanceStatement(sessionId, {
      version,
      model,
      modelRevision,
      answered: standing.asked,
      run,
      nextUs: work.nextUs,
      change: begin.outlook.newest,
      isFinished: work.isFinished,
      summary: work.summary,
      isMore: work.isMore,
    }),
  );
  return {
    windows: work.results.map(({ startUs, revision }) => ({ startUs, endUs: startUs + WINDOW_US, revision })),
    readings: work.readings,
    isRevision: begin.isRevision,
    isMore: work.isMore,
  };
}

type AskRows = (statement: Statement) => Promise<readonly unknown[]>;

async function modelOf(
  ask: AskRows,
  sessionId: string,
  streams: readonly AnalysedStream[],
): Promise<{ model: BodyModel; modelRevision: number }> {
  const [stored] = (await ask(bodyModelStatement(sessionId))) as { model: BodyModel; revision: number }[];
  return stored === undefined
    ? { model: defaultBodyModel(streams), modelRevision: 0 }
    : { model: stored.model, modelRevision: stored.revision };
}

/** Where a step takes up: the state before the window that begins at `nextUs`. Null: the beginning. */
interface Begin {
  readonly nextUs: number | null;
  readonly state: Uint8Array | null;
  readonly outlook: Outlook;
  readonly isRevision: boolean;
}

async function outlook(
  ask: AskRows,
  sessionId: string,
  change: number,
  nextUs: number | null,
): Promise<Outlook> {
  return outlookOf((await ask(outlookStatement(sessionId, change, nextUs)))[0]);
}

/** Back to the newest state before what changed. */
async function beginWhere(ask: AskRows, sessionId: string, standing: Standing): Promise<Begin> {
  const now = await outlook(ask, sessionId, standing.change, standing.nextUs);
  const atUs = now.changedUs ?? standing.nextUs;
  if (atUs === null) return { nextUs: null, state: null, outlook: now, isRevision: false };
  const [found] = (await ask(checkpointStatement(sessionId, atUs))) as { start_us: string; state: Buffer }[];
  const nextUs = found === undefined ? null : Number(found.start_us);
  const isRevision = nextUs !== standing.nextUs;
  if (isRevision) await ask(dropCheckpointsStatement(sessionId, nextUs));
  return {
    nextUs,
    state: found === undefined ? null : zstdDecompressSync(found.state),
    outlook: isRevision ? await outlook(ask, sessionId, standing.change, nextUs) : now,
    isRevision,
  };
}

interface Work {
  readonly results: readonly StoredResult[];
  readonly checkpoints: readonly { readonly startUs: number; readonly state: Uint8Array }[];
  readonly nextUs: number | null;
  readonly isFinished: boolean;
  readonly summary: string | null;
  readonly readings: number;
  readonly isMore: boolean;
}

const nothing = { results: [], checkpoints: [], readings: 0, isMore: false } as const;

interface Task {
  readonly model: BodyModel;
  readonly streams: readonly AnalysedStream[];
  readonly begin: Begin;
}

async function takeWindows(parts: StepParts, { model, streams, begin }: Task): Promise<Work> {
  const { client, session, create, clock, limits = analysisLimits } = parts;
  const ask = (statement: Statement) => rowsOf(client, statement);
  const startedMs = clock.monotonicMs();
  const rows = await ask(windowsStatement(session.sessionId, begin.nextUs, limits.windows));
  const windows = windowRows(rows);
  const layouts = new Map(
    streams
      .filter(({ id }) => model.placements.some(({ stream }) => stream === id))
      .map(({ id, axes, encoding, scale }) => [id, { axisCount: axes.length, encoding, scale }] as const),
  );
  const reader = createWindowReader(ask, {
    layoutOf: (streamId): PackedLayout | null => layouts.get(streamId) ?? null,
    windows,
  });
  const chain = inChain(() => create(model, begin.state ?? undefined));
  const results: StoredResult[] = [];
  const checkpoints: { startUs: number; state: Uint8Array }[] = [];
  let revision = begin.nextUs === null ? 0 : begin.outlook.newestBefore;
  let { nextUs } = begin;
  let readings = 0;
  let taken = 0;
  for (const window of windows) {
    if (taken > 0 && clock.monotonicMs() - startedMs > limits.workMs) break;
    if (periodOf(nextUs) !== periodOf(window.startUs))
      checkpoints.push({ startUs: window.startUs, state: packedState(chain) });
    const { kept, notices } = withoutFloods(window, model);
    readings += await pushWindow(chain, model, await readWindow(reader, kept));
    const endUs = window.startUs + WINDOW_US;
    revision = Math.max(revision, window.inputChange);
    const payload = inChain(() => {
      chain.advance(endUs);
      const batch = chain.take();
      return encodeWindow({ ...batch, notices: [...batch.notices, ...notices] }, endUs);
    });
    results.push({ startUs: window.startUs, revision, payload });
    nextUs = endUs;
    taken++;
  }
  const isMore = taken < begin.outlook.waiting;
  const isFinished = !isMore && begin.outlook.isEnded && nextUs !== null;
  if (nextUs !== null) checkpoints.push({ startUs: nextUs, state: packedState(chain) });
  if (isFinished && nextUs !== null) {
    const endUs = nextUs;
    const payload = inChain(() => {
      chain.finish();
      return encodeWindow(chain.take(), endUs);
    });
    // What was waiting for the future is decided without it: behind the last window.
    results.push({ startUs: endUs, revision, payload });
  }
  const summary = inChain(() => JSON.stringify(chain.summary()));
  return { results, checkpoints: lastOfEach(checkpoints), nextUs, isFinished, summary, readings, isMore };
}

/** Half a megabyte for seven sensors, of which a step writes one or two; 40 % less when compressed, which takes 2 ms. */
function packedState(chain: SessionMotion): Uint8Array {
  return zstdCompressSync(
    inChain(() => chain.save()),
    { params: { [constants.ZSTD_c_compressionLevel]: 1 } },
  );
}

function periodOf(timeUs: number | null): number | null {
  return timeUs === null ? null : Math.floor(timeUs / analysisLimits.checkpointUs);
}

function lastOfEach<T extends { readonly startUs: number }>(checkpoints: readonly T[]): T[] {
  return [...new Map(checkpoints.map((checkpoint) => [checkpoint.startUs, checkpoint])).values()];
}

/** A device whose clock stands still puts hours into one window, more than there is memory for: the window goes without them. */
function withoutFloods(
  window: WindowRow,
  { placements }: BodyModel,
): { readonly kept: WindowRow; readonly notices: readonly MotionNotice[] } {
  const notices = placements.flatMap(({ stream, rateHz, segment }): MotionNotice[] => {
    const count = window.spans
      .filter(({ streamId }) => streamId === stream)
      .reduce((sum, { seqs }) => sum + sizeOf(seqs), 0);
    if (count <= (analysisLimits.flood * rateHz * WINDOW_US) / 1e6) return [];
    const text = `${count} readings of one stretch of ${WINDOW_US / 1e6} s are more than the sensor can have made; they were left out`;
    return [{ timeUs: window.startUs, code: 'too-much', segment, text }];
  });
  const flooding = placements.flatMap(({ segment, stream }) =>
    notices.some((notice) => notice.segment === segment) ? [stream] : [],
  );
  return {
    kept: { ...window, spans: window.spans.filter(({ streamId }) => !flooding.includes(streamId)) },
    notices,
  };
}

async function readWindow(reader: WindowReader, window: WindowRow): Promise<readonly StreamReadings[]> {
  const streams = await reader.read(window);
  if (streams !== null) return streams;
  const at = new Date(window.startUs / 1000).toISOString();
  throw new AnalysisFailure(
    `readings of ${at} are stored no longer, so what came later cannot be joined to them; the results from before stay`,
  );
}

async function pushWindow(
  chain: SessionMotion,
  model: BodyModel,
  streams: readonly StreamReadings[],
): Promise<number> {
  let readings = 0;
  for (const [placement, { stream }] of model.placements.entries()) {
    const found = streams.find(({ streamId }) => streamId === stream);
    if (found === undefined || found.count === 0) continue;
    const { timesUs, axisCount: axes, count } = found;
    inChain(() => chain.push(placement, { timesUs, values: Float32Array.from(found.values), axes, count }));
    readings += count;
  }
  return readings;
}

/** What the chain throws is the session's failure, not the database's. */
function inChain<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new AnalysisFailure(messageOf(cause), { cause });
  }
}

async function rowsOf(client: pg.ClientBase, { name, text, values = [] }: Statement): Promise<unknown[]> {
  const config = name === undefined ? { text, values: [...values] } : { name, text, values: [...values] };
  return (await client.query(config)).rows;
}
