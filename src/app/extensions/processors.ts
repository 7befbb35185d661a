/**
 * Owns the running of the processors of extensions: each follows the windows of every organisation in the order of their
 * changes, one server at a time, and stores one result a window. It stands where the last stored page ended, so a server that
 * dies repeats a page at most, and what is stored already stays. A processor that breaks at a window leaves it out until it
 * changes; it holds up neither the server nor the others. Bounds: PAGE windows at once, ANSWER_MS a window.
 */

import pg from 'pg';

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { Random } from '#base/random.ts';
import type { ChannelServices } from '#contract/channel-definition.ts';
import type { ExtensionDefinition, ProcessorDefinition } from '#contract/extension.ts';
import { windowLimits, type SessionWindow } from '#contract/windows.ts';
import type { Pools } from '#store/pools.ts';
import { createProcessorProgress, type ProcessorPage } from '#store/processor-progress.ts';
import { createWindowQueries, type WindowQueries } from '#store/window-queries.ts';
import { createBackOff } from '#app/extensions/back-off.ts';

/** Of one organisation before the next has its turn. */
const PAGE = 20;
const IDLE_MS = 1_000;
/** A handler that does not answer is given up; JavaScript cannot end it, so its promise is forgotten. */
const ANSWER_MS = 30_000;

export interface ProcessorCounters {
  /** By `extension.processor`. */
  readonly windows: Record<string, number>;
  readonly failures: Record<string, number>;
}

export interface ProcessorOptions {
  readonly extensions: readonly ExtensionDefinition[];
  readonly services: ChannelServices;
  readonly pools: Pick<Pools, 'app' | 'writerUrl'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface Processors {
  readonly counters: ProcessorCounters;
  /** Resolves when every processor has ended its window. */
  stop(): Promise<void>;
}

interface Run extends ProcessorOptions {
  readonly processor: ProcessorDefinition;
  readonly algorithm: string;
  readonly windows: WindowQueries;
  readonly signal: AbortSignal;
  readonly counters: ProcessorCounters;
}

export function startProcessors(options: ProcessorOptions): Processors {
  const stopping = new AbortController();
  const counters: ProcessorCounters = { windows: {}, failures: {} };
  const windows = createWindowQueries(options.pools.app);
  const runs = options.extensions.flatMap((extension) =>
    (extension.processors ?? []).map((processor) =>
      keepRunning({
        ...options,
        processor,
        algorithm: `${extension.name}.${processor.name}`,
        windows,
        signal: stopping.signal,
        counters,
      }),
    ),
  );
  return {
    counters,
    async stop() {
      stopping.abort();
      await Promise.all(runs);
    },
  };
}

/** Follows until it is told to stop; what fails (the database, as a rule) is tried again, later each time. */
async function keepRunning(run: Run): Promise<void> {
  const { algorithm, signal, log } = run;
  const backOff = createBackOff(run);
  while (!signal.aborted) {
    const client = new pg.Client({
      connectionString: run.pools.writerUrl,
      application_name: 'kymo processor',
      connectionTimeoutMillis: 5_000,
      statement_timeout: 10_000,
      keepAlive: true,
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await follow(run, client, backOff.reset);
    } catch (error) {
      // oxlint-disable-next-line typescript/no-unnecessary-condition -- it may have aborted meanwhile
      if (!signal.aborted)
        log.warn('a processor begins again', { processor: algorithm, error: messageOf(error) });
    } finally {
      await client.end().catch(() => undefined);
    }
    await backOff.pause();
  }
}

async function follow(run: Run, client: pg.Client, onProgress: () => void): Promise<void> {
  const { signal, algorithm, processor } = run;
  const progress = createProcessorProgress(client, { algorithm, version: processor.version });
  while (!signal.aborted) {
    // Held until the connection ends: another server waits its turn.
    const pages = (await progress.claim()) ? await progress.pages(PAGE) : [];
    for (const page of pages) {
      await takePage(run, page);
      // oxlint-disable-next-line typescript/no-unnecessary-condition -- it may have aborted meanwhile
      if (signal.aborted) return;
      await progress.advance(page);
      onProgress();
    }
    if (pages.length === 0) await pause(run, IDLE_MS);
  }
}

function pause({ clock, signal }: Run, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const cancel = clock.after(ms, end);
    signal.addEventListener('abort', end, { once: true });
  });
}

async function takePage(run: Run, { orgId, windows }: ProcessorPage): Promise<void> {
  for (const name of windows) {
    if (run.signal.aborted) return;
    const found = await run.windows.readings(orgId, name, windowLimits.readingValues);
    // Erased, dropped by retention, or larger than any sensor makes it.
    if (found === null || found === 'dropped' || found === 'too-many') continue;
    if (!(await isStored(run, orgId, found.window))) await takeWindow(run, orgId, found);
  }
}

/** A window comes again when it becomes settled, and after a server died: what is stored of its readings stays. */
async function isStored(
  run: Run,
  orgId: string,
  { session, startUs, revision }: SessionWindow,
): Promise<boolean> {
  const { algorithm, processor, windows } = run;
  const query = { sessionId: session, algorithm, version: processor.version, fromUs: startUs, limit: 1 };
  const [stored] = await windows.results(orgId, query);
  return stored?.startUs === startUs && stored.revision === revision;
}

async function takeWindow(
  run: Run,
  orgId: string,
  found: Exclude<Awaited<ReturnType<WindowQueries['readings']>>, string | null>,
): Promise<void> {
  const { algorithm, processor, counters, log } = run;
  let payload: string | null;
  try {
    const result = await inTime(run, async () =>
      processor.window({
        orgId,
        window: found.window,
        streams: found.streams.map(({ readings, ...stream }) => ({
          ...stream,
          timesUs: readings.timesUs,
          values: readings.values,
        })),
        services: run.services,
        signal: run.signal,
      }),
    );
    payload = result === undefined ? null : payloadOf(result);
  } catch (error) {
    counters.failures[algorithm] = (counters.failures[algorithm] ?? 0) + 1;
    log.error('a processor failed at a window', {
      processor: algorithm,
      error: error instanceof Error ? error.stack : messageOf(error),
    });
    return;
  }
  counters.windows[algorithm] = (counters.windows[algorithm] ?? 0) + 1;
  if (payload === null) return;
  const outcome = await run.windows.store(orgId, {
    ...nameOf(found.window),
    algorithm,
    version: processor.version,
    revision: found.window.revision,
    payload,
  });
  if (outcome === 'other')
    log.warn('a processor gave another result for the same readings; the first stays', {
      processor: algorithm,
    });
}

function nameOf({ session, startUs }: SessionWindow): { sessionId: string; startUs: number } {
  return { sessionId: session, startUs };
}

function payloadOf(result: unknown): string {
  const payload = JSON.stringify(result) as string | undefined;
  if (payload === undefined) throw new Error('the result is no JSON');
  if (Buffer.byteLength(payload) > windowLimits.resultBytes)
    throw new Error(`the result has more than ${windowLimits.resultBytes} bytes`);
  return payload;
}

async function inTime<T>({ clock }: Run, work: () => Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const cancel = clock.after(ANSWER_MS, () => reject(new Error(`no answer within ${ANSWER_MS} ms`)));
  try {
    return await Promise.race([work(), late]);
  } finally {
    cancel();
  }
}
