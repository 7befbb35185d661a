/**
 * Owns the reconnect storm: all connections are cut at the same moment, one message is published meanwhile, and all come
 * back at once. It ends when every one is subscribed again and, where the server recovers, has the message that it missed.
 */

import { startClient } from '#bench/channels/clients.ts';
import type { ChannelsSide } from '#bench/channels/sides.ts';
import {
  cpuSOf,
  fleetPlan,
  perSecond,
  warmUp,
  withProcesses,
  type ChannelsRun,
  type StepFigures,
} from '#bench/channels/step.ts';
import { rounded } from '#bench/support/report.ts';

const FLEET = 'storm';

export async function measureReconnect(run: ChannelsRun, side: ChannelsSide): Promise<StepFigures> {
  return withProcesses(async (scope) => {
    const { options } = run;
    const { connections: count } = options;
    const payloadBytes = options['payload-bytes'];
    const server = await side.startServer(scope, { isResuming: true });
    const client = await startClient(scope);
    const connectingAtOnce = options['connecting-at-once'];
    await warmUp(client, fleetPlan(side, server, { connectingAtOnce }), options);
    await client.run({
      type: 'fleet',
      fleet: FLEET,
      plan: fleetPlan(side, server, { connectingAtOnce, isResuming: true }),
    });
    // Member 0 stays: it publishes, and sees that the message is out.
    const storm = { fleet: FLEET, first: 1, count } as const;
    const all = { fleet: FLEET, first: 0, count: count + 1 } as const;
    await client.run({ type: 'connect', fleet: FLEET, count: count + 1 });
    await client.run({ type: 'subscribe', ...all, roomSize: count + 1, prefix: 'bench/storm' });
    const toAll = await client.run({ type: 'publish', fleet: FLEET, to: 0, count: count + 1, payloadBytes });
    const cpuBefore = cpuSOf(server);
    const startMs = performance.now();
    await client.run({ type: 'cut', ...storm });
    await client.run({ type: 'publish', fleet: FLEET, to: 0, count: 1, payloadBytes });
    const back = await client.run({ type: 'come-back', ...storm, missed: 1 });
    const elapsedMs = performance.now() - startMs;
    const cpuS = cpuSOf(server) - cpuBefore;
    await client.run({ type: 'close', fleet: FLEET });
    return {
      reconnectS: rounded(elapsedMs / 1000),
      reconnectsPerS: perSecond(count, elapsedMs),
      reconnectCpuUs: rounded((cpuS / count) * 1e6, 0),
      recoveredShare: rounded(back.recovered / count, 4),
      oneToAllMs: rounded(toAll.elapsedMs, 0),
      reconnectGeneratorBusyShare: rounded((back.cpuS * 1000) / back.elapsedMs),
    };
  }, run.scope);
}
