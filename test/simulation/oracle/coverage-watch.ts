/**
 * Owns the translation of what happens in a world into names that the coverage counts: transitions of the machines, as
 * they show from outside, and the counters of the parts when a process ends.
 */

import type { DeviceEvent } from '#sdk/device-state.ts';
import type { DeviceMessage, ServerMessage } from '#protocol/messages.ts';
import type { DataMessage } from '#protocol/data-codec.ts';
import type { Coverage } from '#test/simulation/coverage.ts';
import type { DeviceNode } from '#test/simulation/device-node.ts';
import type { ServerNode } from '#test/simulation/server-node.ts';
import type { World } from '#test/simulation/world.ts';

export interface CoverageWatch {
  deviceSaid(device: DeviceNode, message: DeviceMessage | DataMessage): void;
  serverSaid(device: DeviceNode, message: ServerMessage, streamKey: (ref: number) => string | null): void;
  deviceEvent(device: DeviceNode, event: DeviceEvent): void;
  booted(device: DeviceNode): void;
  note(what: string, detail: Readonly<Record<string, unknown>> | undefined): void;
  /** Looks at machines that say nothing of themselves. */
  poll(): void;
  /** This server's process is about to end. */
  ends(server: ServerNode): void;
  /** The history is over. */
  finish(): void;
}

export function createCoverageWatch(coverage: Coverage, world: () => World): CoverageWatch {
  const phases = new Map<DeviceNode, string>();
  const channels = new Map<DeviceNode, Map<number, string>>();
  const sessions = new Map<DeviceNode, string>();
  const writers = new Map<ServerNode, string>();
  /** Of processes whose counters were added already. */
  const counted = new WeakSet<object>();

  function move(group: 'channel', device: DeviceNode, ref: number, to: string): void {
    const states = channels.get(device);
    const from = states?.get(ref);
    if (states === undefined || from === to) return;
    if (from !== undefined) coverage.count(group, `${from} > ${to}`);
    if (to === 'closed' || to === 'discarded') states.delete(ref);
    else states.set(ref, to);
  }

  function session(device: DeviceNode, to: string): void {
    const from = sessions.get(device) ?? 'closed';
    if (from === to) return;
    if (to !== 'authenticating') coverage.count('gateway session', `${from} > ${to}`);
    else coverage.count('gateway session', 'hello > authenticating');
    sessions.set(device, to);
  }

  function ends(server: ServerNode): void {
    const { gateway, writer, hub } = server;
    if (gateway === null || counted.has(gateway)) return;
    counted.add(gateway);
    const { statistics } = gateway;
    coverage.count('gateway', 'superseded', statistics.superseded);
    coverage.count('gateway', 'refusedGreetings', statistics.refusedGreetings);
    coverage.count('gateway', 'overwrittenFrames', statistics.overwrittenFrames);
    coverage.count('gateway', 'credit shortage', statistics.credit.shortages);
    for (const name of ['liveOnlyFrames', 'historicalFrames', 'lateFrames', 'discardedFrames'] as const)
      coverage.count('gateway', name, statistics.session[name]);
    if (writer !== null) {
      const { failures, storedReadings: _, ...counters } = writer.counters;
      for (const [name, times] of Object.entries(counters)) coverage.count('writer', name, times);
      for (const [kind, times] of Object.entries(failures)) coverage.count('writer', `failed ${kind}`, times);
    }
    if (hub !== null)
      for (const name of ['ticks', 'ticksEvicted', 'ticksSkipped'] as const)
        coverage.count('hub', name, hub.counters[name]);
  }

  return {
    deviceSaid(device, message) {
      if ('frames' in message) {
        const kind = message.liveOnly ? 'live-only' : message.historical ? 'replayed' : 'new';
        return coverage.count('device says', `data ${kind}`);
      }
      coverage.count('device says', message.type);
      if (message.type === 'hello') {
        channels.set(device, new Map());
        session(device, 'authenticating');
      } else if (message.type === 'open') {
        if (message.newest !== undefined) coverage.count('device says', 'open with newest');
        if (message.previousStoreLost === true) coverage.count('device says', 'open after loss');
        move('channel', device, message.ref, 'opening');
      } else if (message.type === 'close') move('channel', device, message.ref, 'closing');
    },
    serverSaid(device, message) {
      coverage.count('server says', message.type);
      switch (message.type) {
        case 'welcome':
          return session(device, 'ready');
        case 'opened':
          if (message.newest !== undefined) coverage.count('server says', 'opened with newest');
          if (message.discarded === true) coverage.count('server says', 'opened discarded');
          return move('channel', device, message.ref, message.discarded === true ? 'discarded' : 'open');
        case 'ack':
          if (message.streams.some(({ ranges }) => ranges.length > 0))
            coverage.count('server says', 'ack with ranges');
          return;
        case 'closed':
          return move('channel', device, message.ref, 'closed');
        case 'error':
          coverage.count('error code', message.code);
          if (message.ref !== undefined && message.code !== 'too-many-fragments')
            move('channel', device, message.ref, 'refused');
          return;
        default:
      }
    },
    deviceEvent(device, event) {
      if (event.type !== 'state') return coverage.count('device event', event.type);
      const from = phases.get(device) ?? 'idle';
      coverage.count('device phase', `${from} > ${event.phase}`);
      phases.set(device, event.phase);
      if (event.closeCode !== undefined) coverage.count('close code', String(event.closeCode));
      if (event.phase === 'waiting' || event.phase === 'stopped') session(device, 'closed');
    },
    booted: (device) => void phases.delete(device),
    note(what, detail) {
      if (what === 'live machine' && detail !== undefined)
        coverage.count('live machine', `${String(detail['from'])} > ${String(detail['to'])}`);
    },
    poll() {
      for (const server of world().servers) {
        if (server.writer === null) continue;
        const from = writers.get(server) ?? 'idle';
        const { phase } = server.writer;
        if (phase === from) continue;
        coverage.count('writer phase', `${from} > ${phase}`);
        writers.set(server, phase);
      }
    },
    ends,
    finish() {
      for (const server of world().servers) ends(server);
      const { counters } = world().database;
      for (const [name, times] of Object.entries(counters)) coverage.count('database', name, times);
    },
  };
}
