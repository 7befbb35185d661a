/** Owns the start of what stores readings: the writer, and the upkeep of what it wrote. */

import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { systemRandom } from '#base/random.ts';
import type { Pools } from '#store/pools.ts';
import { connectWriterDatabase } from '#store/postgres-writer.ts';
import { createWriter, type Writer } from '#store/writer.ts';
import { defaultWriterConfig } from '#store/writer-machine.ts';
import type { Config } from '#app/config.ts';
import type { Lifecycle } from '#app/lifecycle.ts';
import { startUpkeepThread, type UpkeepThread } from '#app/upkeep-thread.ts';

/** A step of upkeep or analysis ends at its next safe place, which is far sooner than this. */
export const UPKEEP_STOP_MS = 20_000;

interface StorageOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  readonly lifecycle: Lifecycle;
}

/** Begins to commit what devices send, into partitions that exist. */
export async function startWriter(
  { config, clock, log, lifecycle }: StorageOptions,
  pools: Pools,
): Promise<Writer> {
  const writer = createWriter({
    database: connectWriterDatabase({ connectionString: pools.writerUrl, log }),
    config: {
      ...defaultWriterConfig,
      flushIntervalMs: config['flush-interval-ms'],
      flushReadings: config['flush-readings'],
    },
    clock,
    random: systemRandom.next,
    log,
  });
  lifecycle.add('writer', () => writer.stop());
  await writer.preparePartitions();
  return writer;
}

/** What the store does beside the flushes, a step at a time. */
export function startUpkeep({ config, clock, log, lifecycle }: StorageOptions, pools: Pools): UpkeepThread {
  const upkeep = startUpkeepThread(
    { writerUrl: pools.writerUrl, logLevel: config['log-level'] },
    { clock, log },
  );
  lifecycle.add('upkeep', () => upkeep.stop(), UPKEEP_STOP_MS);
  return upkeep;
}
