/** Owns a simulated instance: a process that runs the real hub and channel engine on its face of the shared place. */

import { silentLog } from '#base/log.ts';
import { integerBelow, seededRandom } from '#base/random.ts';
import { closeCodes } from '#protocol/codes.ts';
import { createChannels } from '#live/create-channels.ts';
import { createHub, type Hub } from '#live/hub.ts';
import type { HubLimits } from '#live/hub-limits.ts';
import type { Transport, ViewerPort } from '#live/transport.ts';
import { simulatedDefinitions } from '#test/simulation/channels/channel-definitions.ts';
import type { SharedPlace } from '#test/simulation/channels/shared-place.ts';
import type { ServerSocket, UpgradeRequest } from '#test/simulation/connection.ts';
import { createSimulatedClock, type Process, type Scheduler } from '#test/simulation/scheduler.ts';
import { testPrincipal } from '#test/support/principals.ts';

export interface ChannelInstance {
  readonly name: string;
  /** Null: not running. */
  readonly process: Process | null;
  start(): void;
  /** SIGKILL. */
  kill(): void;
  stop(): void;
  resume(): void;
  /** SIGTERM: its viewers are sent away, then it ends. */
  drain(): void;
  upgrade(request: UpgradeRequest, subject: string): void;
}

export interface ChannelInstanceOptions {
  readonly name: string;
  readonly scheduler: Scheduler;
  readonly place: SharedPlace;
  readonly limits: Partial<HubLimits>;
  readonly ended: (process: Process, isTold: boolean) => void;
  readonly failed: (cause: unknown) => void;
}

interface Running {
  readonly process: Process;
  readonly hub: Hub;
  isDraining: boolean;
}

export function createChannelInstance(options: ChannelInstanceOptions): ChannelInstance {
  const { name, scheduler, place, limits, ended, failed } = options;
  const clock = createSimulatedClock(scheduler, 1_700_000_000_000_000, () => running?.process ?? null);
  let running: Running | null = null;
  let lives = 0;

  function end(own: Running, isTold: boolean): void {
    own.process.kill();
    if (running === own) running = null;
    ended(own.process, isTold);
  }

  return {
    name,
    get process() {
      return running === null || running.isDraining ? null : running.process;
    },
    start() {
      if (running !== null) return;
      const process = scheduler.process(`${name}#${++lives}`);
      const { broker, bus, presence } = place.face(name, process);
      const channels = createChannels({
        definitions: simulatedDefinitions,
        bus,
        brokers: { volatile: broker, durable: null },
        presence,
        services: {
          clock,
          log: silentLog,
          sessionExists: async () => true,
          deviceExists: async () => true,
          sessionIds: async () => [],
        },
        clock,
        onFailure: failed,
      });
      const hub = createHub({
        channels,
        clock,
        limits,
        random: seededRandom(integerBelow(scheduler.random, 2 ** 32)),
        endOfTurn: (callback) => void scheduler.after(0, process, callback),
        authenticate: async () => null,
        onFailure: failed,
      });
      running = { process, hub, isDraining: false };
    },
    kill() {
      if (running !== null) end(running, true);
    },
    stop: () => running?.process.stop(),
    resume: () => running?.process.resume(),
    drain() {
      const own = running;
      if (own === null || own.isDraining) return;
      own.isDraining = true;
      scheduler.after(0, own.process, () => void own.hub.drain().then(() => end(own, true)));
    },
    upgrade(request, subject) {
      const own = running;
      const accepted = own === null || own.isDraining ? null : request.accept();
      if (own === null || accepted === null) return request.refuse(1006, '');
      let port: ViewerPort | null = null;
      accepted.serve({
        text: (text) => port?.receiveText(text),
        binary: () => port?.receiveBinary(),
        gone: () => port?.ended(),
      });
      port = own.hub.connect(transportOf(accepted.socket), testPrincipal({ subject }));
    },
  };
}

/** As live-socket.ts; one write is as many messages. */
function transportOf(socket: ServerSocket): Transport {
  return {
    write(items, sent) {
      const last = items.length - 1;
      for (const [i, { message }] of items.entries())
        socket.sendText(Buffer.from(message).toString(), i === last ? sent : undefined);
    },
    close: (reason) => socket.close(closeCodes[reason], reason),
  };
}
