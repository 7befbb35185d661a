/** Owns the client processes from the benchmark's side: starting them beside the servers, and telling them what to do. */

import { fileURLToPath } from 'node:url';

import type {
  ClientCommand,
  ClientDone,
  ClientMeasured,
  ClientMeasuring,
} from '#bench/channels/client-messages.ts';
import { pinned } from '#bench/channels/pinning.ts';
import { hear } from '#bench/support/control-channel.ts';
import type { RunScope } from '#bench/support/run-scope.ts';

/** Ten thousand handshakes with the slowest server on a busy machine. */
const ANSWER_MS = 180_000;

export interface Client {
  run(command: ClientCommand): Promise<ClientDone>;
  /** For `loop` and `pace`: `during` is called when the measured window begins and when it ends. */
  runMeasured(command: ClientCommand, during: (moment: 'begin' | 'end') => void): Promise<ClientDone>;
}

export async function startClient(scope: RunScope): Promise<Client> {
  const child = await scope.start({
    name: 'clients',
    ...pinned('load', process.execPath, [fileURLToPath(new URL('./client-process.ts', import.meta.url))]),
  });
  return {
    run(command) {
      child.send(command);
      return hear<ClientDone>(child, 'done', ANSWER_MS);
    },
    async runMeasured(command, during) {
      child.send(command);
      await hear<ClientMeasuring>(child, 'measuring', ANSWER_MS);
      during('begin');
      await hear<ClientMeasured>(child, 'measured', ANSWER_MS);
      during('end');
      return hear<ClientDone>(child, 'done', ANSWER_MS);
    },
  };
}
