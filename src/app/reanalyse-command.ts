/**
 * Owns `kymo reanalyse SESSION`: an analysis of motion from the beginning, done here unless a server is quicker. Both may
 * work at once; interrupted, a server goes on, or the same command does.
 */

import type pg from 'pg';

import { systemClock as clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { silentLog } from '#base/log.ts';
import { createSessionMotion, motionVersion } from '#motion/session-motion.ts';
import { createMotionQueries } from '#store/motion-queries.ts';
import { createAnalysisTask } from '#app/analysis-task.ts';
import { settingsHelp } from '#app/config.ts';
import { parseOwnArguments } from '#app/own-arguments.ts';
import { describeSession, findSession, withStoredData } from '#app/stored-data.ts';
import { printProgress } from '#app/terminal.ts';
import { formatCount } from '#app/work-progress.ts';

const usage = 'kymo reanalyse SESSION [--json]';
/** While a server has the session, it is looked at this often. */
const LOOK_MS = 200;

export const reanalyseCommand = {
  help: `Usage: ${usage} [settings]

Analyses the motion of a session again from its first committed reading, with the body model that is stored and the
algorithms of this version, and replaces what was stored. The server may run. docs/analysis.md tells when that is needed.

  --json  print one JSON object

${settingsHelp()}`,

  async run(args: readonly string[]): Promise<number> {
    const { positionals, has, rest } = parseOwnArguments(args, { json: 'boolean' }, usage);
    const [id, ...more] = positionals;
    if (id === undefined || more.length > 0) throw new AppError('invalid-field', `it is ${usage}`);
    const isJson = has('json');
    const startedMs = clock.monotonicMs();
    const ending = new AbortController();
    const stop = (): void => ending.abort();
    process.once('SIGINT', stop).once('SIGTERM', stop);
    try {
      return await withStoredData(rest, async ({ owner, pools, writer }) => {
        const session = await findSession(owner, id);
        if (session === null) throw new AppError('not-found', `there is no session ${id}`);
        if (!isJson) console.log(describeSession(session));
        const asked = (await createMotionQueries(pools.app).askAnew(session.orgId, session.id)) ?? 0;
        const progress = await workUntilDone(
          { owner, writer, sessionId: session.id, asked, signal: ending.signal },
          isJson ? () => undefined : draw,
        );
        if (!isJson) printProgress(null);
        const { windows, failure } = progress;
        const seconds = (clock.monotonicMs() - startedMs) / 1000;
        if (isJson) console.log(JSON.stringify({ session: session.id, windows, seconds, failure }));
        else if (failure === null)
          console.log(`${formatCount(windows)} windows were analysed in ${seconds.toFixed(1)} s.`);
        if (failure !== null && !isJson)
          throw new AppError('conflict', `it could not be analysed: ${failure}`);
        return failure === null ? 0 : 1;
      });
    } finally {
      process.off('SIGINT', stop).off('SIGTERM', stop);
    }
  },
};

interface Progress {
  readonly windows: number;
  readonly done: number;
  readonly isBusy: boolean;
  readonly failure: string | null;
}

interface Work {
  readonly owner: pg.Pool;
  readonly writer: pg.Pool;
  readonly sessionId: string;
  readonly asked: number;
  readonly signal: AbortSignal;
}

async function workUntilDone(work: Work, onProgress: (progress: Progress) => void): Promise<Progress> {
  const task = createAnalysisTask({
    create: createSessionMotion,
    version: motionVersion,
    clock,
    log: silentLog,
    sessionId: work.sessionId,
  });
  for (;;) {
    if (work.signal.aborted)
      throw new AppError('conflict', 'interrupted; a server, or the same command, goes on');
    const found = await task.step(work.writer, work.signal);
    const progress = await look(work);
    onProgress(progress);
    if (!progress.isBusy) return progress;
    if (found === 'idle') await new Promise<void>((resolve) => void clock.after(LOOK_MS, resolve));
  }
}

async function look({ owner, sessionId, asked }: Work): Promise<Progress> {
  const { rows } = await owner.query<Progress>(
    `select count(w.start_us)::int as windows,
            (count(w.start_us) filter (where a.answered >= $2 and w.start_us < a.next_us))::int as done,
            a.is_dirty or a.attempts > 0 as "isBusy", a.failure
       from kymo.motion_analysis a
       left join kymo.session_window w on w.session_id = a.session_id and w.revision > 0
      where a.session_id = $1 group by a.session_id`,
    [sessionId, asked],
  );
  const [progress] = rows;
  if (progress === undefined) throw new AppError('not-found', 'the session was erased');
  return progress;
}

function draw({ windows, done }: Progress): void {
  printProgress({
    done,
    of: Math.max(1, windows),
    text: `${formatCount(done)} of ${formatCount(windows)} windows`,
  });
}
