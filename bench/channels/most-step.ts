/**
 * Owns the step with as many connections as the descriptors of several server processes allow: each server has a client
 * process of its own, and all connect at the same time.
 */

import { setTimeout as sleep } from 'node:timers/promises';

import { startClient, type Client } from '#bench/channels/clients.ts';
import { descriptorLimit } from '#bench/channels/memory.ts';
import type { ChannelsServer, ChannelsSide } from '#bench/channels/sides.ts';
import {
  fleetPlan,
  perSecond,
  residentBytesOf,
  withProcesses,
  type ChannelsRun,
  type StepFigures,
} from '#bench/channels/step.ts';
import { rounded } from '#bench/support/report.ts';

const FLEET = 'most';
/** Descriptors that a server needs for other things: its database, its log, its listeners. */
const OTHER_DESCRIPTORS = 200;

/** `redisUrl`: joins the processes, where there is Redis. */
export async function measureMost(
  run: ChannelsRun,
  side: ChannelsSide,
  redisUrl: string | null,
): Promise<StepFigures> {
  return withProcesses(async (scope) => {
    const { options } = run;
    const count = Math.min(options['most-per-process'], descriptorLimit() - OTHER_DESCRIPTORS);
    const pairs: { readonly server: ChannelsServer; readonly client: Client }[] = [];
    for (let i = 0; i < options.processes; i++)
      pairs.push({
        server: await side.startServer(scope, redisUrl === null ? {} : { redisUrl }),
        client: await startClient(scope),
      });
    const settle = async (): Promise<number> => {
      await sleep(options['settle-seconds'] * 1000);
      await Promise.all(pairs.map(({ server }) => server.collect()));
      return pairs.reduce((sum, { server }) => sum + residentBytesOf(server), 0);
    };
    const emptyBytes = await settle();
    const total = count * pairs.length;
    const startMs = performance.now();
    await Promise.all(
      pairs.map(async ({ server, client }) => {
        const plan = fleetPlan(side, server, { connectingAtOnce: options['connecting-at-once'] });
        await client.run({ type: 'fleet', fleet: FLEET, plan });
        await client.run({ type: 'connect', fleet: FLEET, count });
      }),
    );
    const elapsedMs = performance.now() - startMs;
    const heldBytes = await settle();
    await Promise.all(pairs.map(({ client }) => client.run({ type: 'close', fleet: FLEET })));
    return {
      mostConnections: total,
      mostProcesses: pairs.length,
      mostConnectsPerS: perSecond(total, elapsedMs),
      mostBytesPerConnection: rounded((heldBytes - emptyBytes) / total, 0),
    };
  }, run.scope);
}
