/**
 * Owns the step with two instances that Redis joins: some connections publish on the first, others are subscribed on the
 * second, and what is measured is how long a message takes from the one to the other, at a modest rate.
 */

import { startClient } from '#bench/channels/clients.ts';
import type { ChannelsSide } from '#bench/channels/sides.ts';
import { fleetPlan, withProcesses, type ChannelsRun, type StepFigures } from '#bench/channels/step.ts';
import { createLatencyHistogram } from '#bench/support/latency-histogram.ts';
import { rounded } from '#bench/support/report.ts';

/** Channels with a subscriber each. */
const CHANNELS = 50;
/** A server may limit what one connection publishes. */
const PUBLISHERS = 10;

export async function measureRedis(
  run: ChannelsRun,
  side: ChannelsSide,
  redisUrl: string,
): Promise<StepFigures> {
  return withProcesses(async (scope) => {
    const { options } = run;
    const first = await side.startServer(scope, { redisUrl });
    const second = await side.startServer(scope, { redisUrl });
    const client = await startClient(scope);
    const connectingAtOnce = options['connecting-at-once'];
    for (const [fleet, server, count] of [
      ['from', first, PUBLISHERS],
      ['to', second, CHANNELS],
    ] as const) {
      await client.run({ type: 'fleet', fleet, plan: fleetPlan(side, server, { connectingAtOnce }) });
      await client.run({ type: 'connect', fleet, count });
    }
    await client.run({
      type: 'subscribe',
      fleet: 'to',
      first: 0,
      count: CHANNELS,
      roomSize: 1,
      prefix: 'bench/far',
    });
    const windowMs = options['redis-seconds'] * 1000;
    const done = await client.runMeasured(
      {
        type: 'pace',
        from: 'from',
        to: 'to',
        rateHz: options['redis-rate'],
        payloadBytes: options['payload-bytes'],
        warmUpMs: windowMs / 4,
        windowMs,
      },
      () => undefined,
    );
    const latency = createLatencyHistogram();
    if (done.latency !== null) latency.add(done.latency);
    return {
      crossRedisMsP50: rounded(latency.quantileMs(0.5), 3),
      crossRedisMsP99: rounded(latency.quantileMs(0.99), 3),
      crossRedisMsMax: rounded(latency.maxMs(), 3),
      crossRedisMessages: latency.count,
    };
  }, run.scope);
}
