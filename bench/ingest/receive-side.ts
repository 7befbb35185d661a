/**
 * Owns the measurement of a receive path: a server process that only receives, the common load generator, and the
 * server's CPU time per message. The process lives for the whole run, so that later rounds find its code compiled.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { hear } from '#bench/support/control-channel.ts';
import { startLoad, type LoadOptions } from '#bench/support/load.ts';
import { treeUsage } from '#bench/support/process-usage.ts';
import type { RunScope } from '#bench/support/run-scope.ts';

const ANSWER_MS = 30_000;

export const receiveServers = ['drop-server', 'counting-server'] as const;
export type ReceiveServer = (typeof receiveServers)[number];

export interface ReceiveFigures {
  readonly cpuS: number;
  readonly messages: number;
  readonly generatorBound: boolean;
}

export interface ReceiveRun {
  readonly load: Omit<LoadOptions, 'port' | 'host' | 'path'>;
  readonly warmUpS: number;
  readonly windowS: number;
}

export interface ReceiveSide {
  readonly name: ReceiveServer;
  /** Messages and CPU time are both the server's own, between the same two moments. */
  measure(run: ReceiveRun): Promise<ReceiveFigures>;
}

interface Counted {
  readonly type: 'counted';
  readonly messages: number;
}

export async function createReceiveSide(scope: RunScope, name: ReceiveServer): Promise<ReceiveSide> {
  const child = await scope.start({
    name,
    command: process.execPath,
    args: [fileURLToPath(new URL(`../peers/${name}.ts`, import.meta.url))],
  });
  const { port } = await hear<{ type: 'ready'; port: number }>(child, 'ready', ANSWER_MS);
  const count = async (): Promise<{ cpuS: number; messages: number }> => {
    child.send({ type: 'count' });
    const { messages } = await hear<Counted>(child, 'counted', ANSWER_MS);
    return { messages, cpuS: treeUsage(child.pid).cpuS };
  };
  return {
    name,
    async measure({ load: options, warmUpS, windowS }) {
      const load = await startLoad(scope, { ...options, host: '127.0.0.1', port, path: '/v1/device' });
      load.start();
      await sleep(warmUpS * 1000);
      load.measure();
      const before = await count();
      await sleep(windowS * 1000);
      const after = await count();
      const { generatorBound } = await load.stop(0);
      await load.end(0);
      return {
        cpuS: after.cpuS - before.cpuS,
        messages: after.messages - before.messages,
        generatorBound,
      };
    },
  };
}
