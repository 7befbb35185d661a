/**
 * Owns which session is analysed next: those whose windows, body model or wishes changed, those first that were not tried
 * for longest, one server at a time each. A session that cannot be analysed says why and waits for its next change; one
 * that ends the thread again and again is given up after ATTEMPTS. Neither holds up the others.
 */

import type pg from 'pg';

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { CreateSessionMotion } from '#motion/session-motion.ts';
import {
  attemptStatement,
  backlogStatement,
  failStatement,
  standingOf,
  waitingStatement,
  type Standing,
  type WaitingSession,
} from '#store/motion-statements.ts';
import type { Statement } from '#store/pools.ts';
import { underSessionLock } from '#store/session-lock.ts';
import type { UpkeepTask } from '#store/upkeep.ts';
import { analyseStep, AnalysisFailure, type StepOutcome, type StepParts } from '#app/analysis-step.ts';

const IDLE_MS = 1_000;
/** Sessions looked up at once. */
const CANDIDATES = 16;
const STEP_MS = 400;
/** A session whose attempts end without an answer, with the thread or its connection, is given up after so many. */
const ATTEMPTS = 5;
const BACKLOG_MS = 10_000;
const FAILURE_CHARACTERS = 500;
const LOCK_MS = 5_000;
/** The chain works between statements. */
const IDLE_IN_STEP_MS = 60_000;

/** Windows of a session whose results are new. */
export interface Analysed extends WaitingSession {
  readonly windows: StepOutcome['windows'];
}

export interface AnalysisTaskOptions {
  readonly create: CreateSessionMotion;
  readonly version: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Called after the commit. */
  readonly onAnalysed?: (analysed: Analysed) => void;
  readonly limits?: NonNullable<StepParts['limits']>;
  /** Only this session. */
  readonly sessionId?: string;
}

export interface AnalysisCounters {
  windows: number;
  readings: number;
  steps: number;
  /** Times that a change went back to an earlier state. */
  revisions: number;
  failures: number;
  /** As looked up last, over all servers. */
  backlog: number;
  lagS: number;
  [name: string]: number;
}

export function createAnalysisTask(
  options: AnalysisTaskOptions,
): UpkeepTask & { counters: AnalysisCounters } {
  const { clock } = options;
  const counters: AnalysisCounters = {
    windows: 0,
    readings: 0,
    steps: 0,
    revisions: 0,
    failures: 0,
    backlog: 0,
    lagS: 0,
  };
  let lookedMs = Number.NEGATIVE_INFINITY;
  return {
    name: 'analysis',
    everyMs: IDLE_MS,
    counters,
    async step(db, signal) {
      const startedMs = clock.monotonicMs();
      const client = await db.connect();
      let broken: Error | undefined;
      try {
        if (startedMs - lookedMs > BACKLOG_MS) {
          lookedMs = startedMs;
          const [backlog] = (await query(client, backlogStatement)) as { sessions: number; lag_s: number }[];
          counters.backlog = backlog?.sessions ?? 0;
          counters.lagS = backlog?.lag_s ?? 0;
        }
        const found = await query(client, waitingStatement(CANDIDATES, options.sessionId ?? null));
        let isMore = false;
        for (const row of found as { session_id: string; org_id: string }[]) {
          if (signal.aborted) return 'idle';
          if (clock.monotonicMs() - startedMs > STEP_MS) return 'more';
          const session = { sessionId: row.session_id, orgId: row.org_id };
          const outcome = await underSessionLock(
            client,
            { kind: 'analysis', sessionId: row.session_id },
            () => attempt(options, { client, session, counters }),
          );
          isMore ||= outcome === 'more';
        }
        return isMore || found.length === CANDIDATES ? 'more' : 'idle';
      } catch (error) {
        broken = error instanceof Error ? error : new Error(String(error));
        throw error;
      } finally {
        client.release(broken);
      }
    },
  };
}

interface Attempt {
  readonly client: pg.PoolClient;
  readonly session: WaitingSession;
  readonly counters: AnalysisCounters;
}

async function attempt(options: AnalysisTaskOptions, { client, session, counters }: Attempt) {
  const { sessionId } = session;
  const [row] = await query(client, attemptStatement(sessionId));
  if (row === undefined) return 'done';
  const standing = standingOf(row);
  if (standing.attempts > ATTEMPTS) {
    await fail(`${ATTEMPTS} attempts in a row ended without an answer`);
    return 'done';
  }
  try {
    const outcome = await inTransaction(options, { client, session }, standing);
    counters.steps++;
    counters.windows += outcome.windows.length;
    counters.readings += outcome.readings;
    if (outcome.isRevision) counters.revisions++;
    if (outcome.windows.length > 0) options.onAnalysed?.({ ...session, windows: outcome.windows });
    return outcome.isMore ? 'more' : 'done';
  } catch (error) {
    if (!isOwnFault(error)) throw error;
    await fail(messageOf(error));
    return 'done';
  }

  async function fail(reason: string): Promise<void> {
    counters.failures++;
    options.log.warn('a session could not be analysed, and waits for its next change', { reason });
    await query(client, failStatement(sessionId, reason.slice(0, FAILURE_CHARACTERS)));
  }
}

/** Of the session: the chain's and the readings', and values that the database refuses. Not those that pass by themselves. */
function isOwnFault(error: unknown): boolean {
  if (error instanceof AnalysisFailure) return true;
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && (/^2[23]/.test(code) || code === 'damaged-readings');
}

async function inTransaction(
  options: AnalysisTaskOptions,
  { client, session }: Pick<Attempt, 'client' | 'session'>,
  standing: Standing,
): Promise<StepOutcome> {
  const { create, version, clock, limits } = options;
  await client.query(`begin; set local synchronous_commit = off; set local lock_timeout = ${LOCK_MS};
    set local idle_in_transaction_session_timeout = ${IDLE_IN_STEP_MS}`);
  try {
    const parts = { client, session, create, version, clock, ...(limits === undefined ? {} : { limits }) };
    const outcome = await analyseStep(parts, standing);
    await client.query('commit');
    return outcome;
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}

async function query(
  client: pg.ClientBase,
  { name, text, values = [] }: Statement,
): Promise<readonly unknown[]> {
  const config = name === undefined ? { text, values: [...values] } : { name, text, values: [...values] };
  return (await client.query(config)).rows as unknown[];
}
