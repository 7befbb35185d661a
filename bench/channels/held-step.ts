/**
 * Owns the step in which one server process holds many connections: how fast they come, what each costs in memory and in
 * time while nothing is said, and how fast they all subscribe to one channel.
 */

import { setTimeout as sleep } from 'node:timers/promises';

import { startClient } from '#bench/channels/clients.ts';
import { tcpBufferBytes } from '#bench/channels/memory.ts';
import type { ChannelsServer, ChannelsSide } from '#bench/channels/sides.ts';
import {
  cpuSOf,
  fleetPlan,
  perSecond,
  residentBytesOf,
  warmUp,
  withProcesses,
  type ChannelsRun,
  type StepFigures,
} from '#bench/channels/step.ts';
import { rounded } from '#bench/support/report.ts';

const FLEET = 'held';

export async function measureHeld(run: ChannelsRun, side: ChannelsSide): Promise<StepFigures> {
  return withProcesses(async (scope) => {
    const { options } = run;
    const { connections: count } = options;
    const server = await side.startServer(scope, {});
    const client = await startClient(scope);
    const plan = fleetPlan(side, server, { connectingAtOnce: options['connecting-at-once'] });
    await warmUp(client, plan, options);
    const settle = async (): Promise<{ before: number; bytes: number }> => {
      await sleep(options['settle-seconds'] * 1000);
      const before = residentBytesOf(server);
      await server.collect();
      await sleep(options['settle-seconds'] * 200);
      return { before, bytes: residentBytesOf(server) };
    };
    const empty = await settle();
    const emptyKernelBytes = tcpBufferBytes();

    await client.run({ type: 'fleet', fleet: FLEET, plan });
    const cpuBefore = cpuSOf(server);
    const connected = await client.run({ type: 'connect', fleet: FLEET, count });
    const connectCpuS = cpuSOf(server) - cpuBefore;
    const held = await settle();
    const kernelBytes = tcpBufferBytes() - emptyKernelBytes;
    const idleCpuShare = await idleShare(server, options['idle-seconds']);

    const subscribeCpuBefore = cpuSOf(server);
    const subscribed = await client.run({
      type: 'subscribe',
      fleet: FLEET,
      first: 0,
      count,
      roomSize: count,
      prefix: 'bench/all',
    });
    const subscribeCpuS = cpuSOf(server) - subscribeCpuBefore;
    const joined = await settle();
    // Whoever was lost meanwhile fails the run here.
    await client.run({ type: 'close', fleet: FLEET });
    return {
      connections: count,
      connectsPerS: perSecond(count, connected.elapsedMs),
      connectCpuUs: rounded((connectCpuS / count) * 1e6, 0),
      idleBytesPerConnection: rounded((held.bytes - empty.bytes) / count, 0),
      uncollectedBytesPerConnection: rounded((held.before - empty.bytes) / count, 0),
      kernelBytesPerConnection: rounded(kernelBytes / count, 0),
      idleCpuShare: rounded(idleCpuShare, 4),
      subscribesPerS: perSecond(count, subscribed.elapsedMs),
      subscribeCpuUs: rounded((subscribeCpuS / count) * 1e6, 0),
      subscribedBytesPerConnection: rounded((joined.bytes - empty.bytes) / count, 0),
      emptyRssMiB: rounded(empty.bytes / 2 ** 20, 1),
      heldGeneratorBusyShare: rounded((connected.cpuS * 1000) / connected.elapsedMs),
    };
  }, run.scope);
}

async function idleShare(server: ChannelsServer, seconds: number): Promise<number> {
  const startMs = performance.now();
  const before = cpuSOf(server);
  await sleep(seconds * 1000);
  return ((cpuSOf(server) - before) * 1000) / (performance.now() - startMs);
}
