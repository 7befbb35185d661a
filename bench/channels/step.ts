/** Owns what the steps of the channels benchmark share: the run, a server with its clients, and how their cost is read. */

import { setTimeout as sleep } from 'node:timers/promises';

import type { Client } from '#bench/channels/clients.ts';
import type { FleetPlan } from '#bench/channels/fleet.ts';
import type { ChannelsOptions } from '#bench/channels/options.ts';
import type { ChannelsServer, ChannelsSide } from '#bench/channels/sides.ts';
import { rounded } from '#bench/support/report.ts';
import { treeUsage } from '#bench/support/process-usage.ts';
import { createRunScope, type RunScope } from '#bench/support/run-scope.ts';

export interface ChannelsRun {
  readonly scope: RunScope;
  readonly options: ChannelsOptions;
  readonly say: (text: string) => void;
  /** False when it failed; the reason is kept for the report. */
  attempt(side: ChannelsSide, step: string, body: () => Promise<void>): Promise<boolean>;
}

/** What one step found out about one side. What could not be measured is null. */
export type StepFigures = Readonly<Record<string, number | boolean | string | null>>;

/** From 127.0.0.1 to this. Sixty thousand connections to one port need three. */
const SOURCE_ADDRESSES = 8;
/** After connections were reset, until their server has noticed. */
const FORGET_MS = 250;

export function fleetPlan(
  side: ChannelsSide,
  server: ChannelsServer,
  {
    connectingAtOnce,
    isResuming = false,
  }: { readonly connectingAtOnce: number; readonly isResuming?: boolean },
): FleetPlan {
  return {
    dialect: side.dialect,
    host: '127.0.0.1',
    port: server.port,
    keys: server.keys,
    connectingAtOnce,
    sourceAddresses: SOURCE_ADDRESSES,
    isResuming,
  };
}

/** Runs `body` with processes of its own, which end with it. */
export async function withProcesses<T>(body: (scope: RunScope) => Promise<T>, run: RunScope): Promise<T> {
  const scope = createRunScope();
  run.defer('the processes of a step', () => scope.close());
  try {
    return await body(scope);
  } finally {
    await scope.close();
  }
}

export function cpuSOf(server: ChannelsServer): number {
  return treeUsage(server.child.pid).cpuS;
}

export function residentBytesOf(server: ChannelsServer): number {
  return treeUsage(server.child.pid).rssMiB * 2 ** 20;
}

/** Has the server compile what it will run, and grow what it will need anyway, with some connections that end again. */
export async function warmUp(client: Client, plan: FleetPlan, options: ChannelsOptions): Promise<void> {
  const fleet = 'warm-up';
  // Few: what they leave free is used again by those that are measured.
  const count = Math.max(10, Math.min(200, Math.floor(options.connections / 50)));
  const publishers = 1;
  await client.run({ type: 'fleet', fleet, plan });
  await client.run({ type: 'connect', fleet, count: count + publishers });
  await client.run({ type: 'subscribe', fleet, first: 0, count, roomSize: count, prefix: 'bench/warm' });
  await client.run({
    type: 'loop',
    fleet,
    first: 0,
    count,
    roomSize: count,
    firstPublisher: count,
    publishers,
    inFlight: 2,
    inFlightPerGroup: 2,
    payloadBytes: options['payload-bytes'],
    warmUpMs: 0,
    windowMs: options['warm-up-seconds'] * 500,
  });
  await client.run({ type: 'close', fleet });
  await sleep(FORGET_MS);
}

export async function closeFleet(client: Client, fleet: string): Promise<void> {
  await client.run({ type: 'close', fleet });
  await sleep(FORGET_MS);
}

export const perSecond = (count: number, elapsedMs: number): number | null =>
  rounded((count / elapsedMs) * 1000, 0);
