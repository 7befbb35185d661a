/**
 * Owns one measurement of a receive path: a server process that only receives, the common load generator, and the
 * server's CPU time per message in the measured window.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { hear } from '#bench/support/control-channel.ts';
import { startLoad, type LoadOptions } from '#bench/support/load.ts';
import { treeUsage } from '#bench/support/process-usage.ts';
import type { RunScope } from '#bench/support/run-scope.ts';

const ANSWER_MS = 30_000;

export type ReceiveServer = 'drop-server' | 'counting-server';

export interface ReceiveFigures {
  readonly cpuS: number;
  readonly messages: number;
  readonly generatorBound: boolean;
}

interface Counted {
  readonly type: 'counted';
  readonly messages: number;
}

/** Warm-up and window in seconds. The window is counted at the server: what it received while its CPU was counted. */
export async function measureReceive(
  scope: RunScope,
  server: ReceiveServer,
  run: {
    readonly load: Omit<LoadOptions, 'port' | 'host' | 'path'>;
    readonly warmUpS: number;
    readonly windowS: number;
  },
): Promise<ReceiveFigures> {
  const child = await scope.start({
    name: server,
    command: process.execPath,
    args: [fileURLToPath(new URL(`../peers/${server}.ts`, import.meta.url))],
  });
  const { port } = await hear<{ type: 'ready'; port: number }>(child, 'ready', ANSWER_MS);
  const load = await startLoad(scope, { ...run.load, host: '127.0.0.1', port, path: '/v1/device' });
  const count = async (): Promise<{ cpuS: number; messages: number }> => {
    child.send({ type: 'count' });
    const { messages } = await hear<Counted>(child, 'counted', ANSWER_MS);
    return { messages, cpuS: treeUsage(child.pid).cpuS };
  };
  load.start();
  await sleep(run.warmUpS * 1000);
  load.measure();
  const before = await count();
  await sleep(run.windowS * 1000);
  const after = await count();
  const { generatorBound } = await load.stop(0);
  await load.end(0);
  await child.stop();
  return { cpuS: after.cpuS - before.cpuS, messages: after.messages - before.messages, generatorBound };
}
