/**
 * Owns the thread of the analysis of motion from the server's side: its counters, and what it found, told on the channel of
 * the session. Tells are lost when the channel cannot take them; whoever needs all reads the analysis.
 */

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { PublishTo } from '#contract/channel-definition.ts';
import type { Analysed } from '#app/analysis-task.ts';
import type { AnalysisWorkerData, FromAnalysisWorker } from '#app/analysis-worker.ts';
import { startBackgroundThread } from '#app/background-thread.ts';
import { sessionGait } from '#app/channels/motion-channels.ts';

export interface AnalysisCounts {
  readonly windows: number;
  readonly readings: number;
  readonly steps: number;
  readonly revisions: number;
  readonly failures: number;
  /** Sessions that wait, and how long the one has waited that waits longest; over all servers. */
  readonly backlog: number;
  readonly lagS: number;
  /** Tells that no channel took. */
  readonly untold: number;
  readonly deaths: number;
}

export interface AnalysisThread {
  /** As the thread told them last, at most a second ago; they begin again when it does. */
  readonly counts: AnalysisCounts;
  stop(): Promise<void>;
}

export function startAnalysisThread(
  data: AnalysisWorkerData,
  {
    clock,
    log,
    publish,
    onAnalysed,
  }: {
    readonly clock: Clock;
    readonly log: Log;
    readonly publish: PublishTo;
    readonly onAnalysed: (analysed: Analysed) => void;
  },
): AnalysisThread {
  let counters: Readonly<Record<string, number>> = {};
  let untold = 0;
  const tell = async ({ orgId, sessionId, windows }: Analysed): Promise<void> => {
    try {
      await publish(
        sessionGait,
        { orgId, params: { session: sessionId } },
        { event: 'committed', data: { windows: [...windows] } },
      );
    } catch (error) {
      untold++;
      log.debug('nobody could be told of analysed windows', { error: messageOf(error) });
    }
  };
  const thread = startBackgroundThread<FromAnalysisWorker>({
    entry: new URL('./analysis-worker.ts', import.meta.url),
    data,
    onMessage(message) {
      if ('counters' in message) counters = message.counters.tasks;
      else {
        onAnalysed(message.analysed);
        void tell(message.analysed);
      }
    },
    clock,
    log,
  });
  const count = (name: string): number => counters[`analysis_${name}`] ?? 0;
  return {
    get counts() {
      return {
        windows: count('windows'),
        readings: count('readings'),
        steps: count('steps'),
        revisions: count('revisions'),
        failures: count('failures'),
        backlog: count('backlog'),
        lagS: count('lagS'),
        untold,
        deaths: thread.deaths,
      };
    },
    stop: () => thread.stop(),
  };
}
