/**
 * Owns the running of watchers: each runs from the start of the server to its stop, is started again with a growing pause
 * when it throws, and can neither take the server nor another watcher with it. At most as many as extensions define.
 */

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { Random } from '#base/random.ts';
import type { ChannelServices } from '#contract/channel-definition.ts';
import type { ExtensionDefinition, WatcherDefinition } from '#contract/extension.ts';
import type { WatcherContext } from '#contract/watcher.ts';
import { createBackOff } from '#app/extensions/back-off.ts';
import { listenToDatabase } from '#app/extensions/database-listener.ts';
import { followFeed, type SourceContext } from '#app/extensions/feed-reader.ts';
import { createWatcherCounters, type WatcherCounters } from '#app/extensions/watcher-counters.ts';

/** Who ran for so long begins with a short pause again. */
const HEALTHY_MS = 60_000;

export interface WatcherOptions {
  readonly extensions: readonly ExtensionDefinition[];
  readonly services: ChannelServices;
  /** Where `listenToDatabase` listens when the watcher says nothing else. */
  readonly databaseUrl: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface Watchers {
  readonly counters: Readonly<WatcherCounters>;
  /** Tells all to stop, and resolves when the last has. */
  stop(): Promise<void>;
}

export function startWatchers(options: WatcherOptions): Watchers {
  const stopping = new AbortController();
  const counters = createWatcherCounters();
  const runs = options.extensions.flatMap((extension) =>
    (extension.watchers ?? []).map((watcher) =>
      keepRunning(watcher, {
        ...options,
        name: `${extension.name}/${watcher.name}`,
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

interface Run extends WatcherOptions, SourceContext {
  readonly name: string;
}

async function keepRunning(watcher: WatcherDefinition, run: Run): Promise<void> {
  const { name, signal, counters, clock, log } = run;
  const backOff = createBackOff(run);
  while (!signal.aborted) {
    const startedMs = clock.monotonicMs();
    counters.starts[name] = (counters.starts[name] ?? 0) + 1;
    counters.running++;
    // What a watcher began and did not wait for ends with it, before it is started again.
    const ended = new AbortController();
    try {
      await watcher.run(contextOf({ ...run, signal: AbortSignal.any([signal, ended.signal]) }));
      log.info('a watcher is done', { watcher: name });
      return;
    } catch (error) {
      // Who is told to stop may say so by throwing.
      // oxlint-disable-next-line typescript/no-unnecessary-condition -- it may have aborted meanwhile
      if (signal.aborted) return;
      counters.failures[name] = (counters.failures[name] ?? 0) + 1;
      log.error('a watcher failed and is started again', {
        watcher: name,
        error: error instanceof Error ? error.stack : messageOf(error),
      });
    } finally {
      ended.abort();
      counters.running--;
    }
    if (clock.monotonicMs() - startedMs >= HEALTHY_MS) backOff.reset();
    await backOff.pause();
  }
}

function contextOf(run: Run): WatcherContext {
  return {
    signal: run.signal,
    services: run.services,
    listenToDatabase: (listening) =>
      listenToDatabase({ ...listening, url: listening.url ?? run.databaseUrl }, run),
    followFeed: (feed) => followFeed(feed, run),
  };
}
