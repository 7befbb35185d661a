/**
 * Owns the process that plays the clients of the channels benchmark: it carries out the commands of client-messages.ts on
 * its connections, one command after the other, and says how long each took and what it cost.
 */

import { setTimeout as sleep } from 'node:timers/promises';

import { assert } from '#base/assert.ts';
import { AppError, messageOf } from '#base/errors.ts';
import type { ClientCommand, ClientDone } from '#bench/channels/client-messages.ts';
import { createFleet, type Fleet, type Member } from '#bench/channels/fleet.ts';
import { createPublishLoop, type GroupPlan } from '#bench/channels/publish-loop.ts';
import { onCommand, say } from '#bench/support/control-channel.ts';
import { createLatencyHistogram } from '#bench/support/latency-histogram.ts';

/** For what is on its way when a loop ends; longer than any server's own rest between writes. */
const ARRIVAL_MS = 10_000;
const POLL_MS = 5;

type CommandOf<T extends ClientCommand['type']> = Extract<ClientCommand, { readonly type: T }>;
type Figures = Partial<Omit<ClientDone, 'type'>>;

const fleets = new Map<string, Fleet>();

function fleetOf(name: string): Fleet {
  const fleet = fleets.get(name);
  assert(fleet !== undefined, 'the fleet comes first');
  return fleet;
}

function slice(fleet: Fleet, { first, count }: { readonly first: number; readonly count: number }): Member[] {
  assert(first + count <= fleet.members.length, 'members are connected before they are used');
  return fleet.members.slice(first, first + count);
}

/** A JSON object of about so many bytes. */
function payloadOf(bytes: number, sentUs: number): string {
  const empty = JSON.stringify({ n: 1, sentUs, text: '' });
  return JSON.stringify({ n: 1, sentUs, text: 'x'.repeat(Math.max(0, bytes - empty.length)) });
}

const handlers: { [T in ClientCommand['type']]: (command: CommandOf<T>) => Promise<Figures> } = {
  async fleet({ fleet, plan }) {
    assert(!fleets.has(fleet), 'a fleet is made once');
    fleets.set(fleet, createFleet(plan));
    return {};
  },
  connect: async ({ fleet, count }) => {
    await fleetOf(fleet).connect(count);
    return {};
  },
  subscribe: async (command) => {
    const fleet = fleetOf(command.fleet);
    const { first, roomSize, prefix } = command;
    await fleet.subscribe(
      slice(fleet, command),
      ({ index }) => `${prefix}${Math.floor((index - first) / roomSize)}`,
    );
    return {};
  },
  loop: runLoop,
  pace: runPace,
  cut: async (command) => {
    const fleet = fleetOf(command.fleet);
    fleet.cut(slice(fleet, command));
    return {};
  },
  async publish({ fleet: name, to, count, payloadBytes }) {
    const fleet = fleetOf(name);
    let left = count;
    fleet.onPublication = ({ index }) => {
      if (index >= to && index < to + count) left--;
    };
    const channel = fleet.members[to]!.channel;
    fleet.members[0]!.send(fleet.dialect.publish(channel, payloadOf(payloadBytes, 0)));
    await arrival(fleet, () => left, 'the single publication');
    return {};
  },
  async 'come-back'(command) {
    const fleet = fleetOf(command.fleet);
    const members = slice(fleet, command);
    let deliveries = 0;
    fleet.onPublication = () => deliveries++;
    await fleet.comeBack(members);
    const awaited = fleet.recovered * command.missed;
    await arrival(fleet, () => awaited - deliveries, 'what was missed');
    return { deliveries, recovered: fleet.recovered };
  },
  async close({ fleet }) {
    const closed = fleetOf(fleet);
    // Connections that were lost while nobody waited for them are no figure.
    checkFailure(closed);
    closed.close();
    fleets.delete(fleet);
    return {};
  },
};

/** Waits until nothing is left; what does not come is an error. */
async function arrival(fleet: Fleet, left: () => number, what: string): Promise<void> {
  const deadlineMs = performance.now() + ARRIVAL_MS;
  while (left() > 0) {
    checkFailure(fleet);
    if (performance.now() > deadlineMs)
      throw new AppError('internal', `${left()} deliveries of ${what} did not arrive`);
    await sleep(POLL_MS);
  }
}

function checkFailure(fleet: Fleet): void {
  if (fleet.failure !== null) throw new AppError('internal', fleet.failure);
}

async function runLoop(command: CommandOf<'loop'>): Promise<Figures> {
  const fleet = fleetOf(command.fleet);
  const { roomSize, firstPublisher, publishers } = command;
  const members = slice(fleet, command);
  const outside = fleet.members.slice(firstPublisher, firstPublisher + publishers);
  const groups: GroupPlan[] = [];
  for (let i = 0; i + roomSize <= members.length; i += roomSize) {
    const subscribers = members.slice(i, i + roomSize);
    groups.push({
      channel: subscribers[0]!.channel,
      subscribers,
      publishers: publishers === 0 ? subscribers : outside,
    });
  }
  const { inFlight, inFlightPerGroup, payloadBytes } = command;
  const loop = createPublishLoop(fleet, {
    groups,
    inFlight,
    inFlightPerGroup,
    json: payloadOf(payloadBytes, 0),
  });
  loop.start();
  await sleep(command.warmUpMs);
  checkFailure(fleet);
  say({ type: 'measuring' });
  const before = {
    ms: performance.now(),
    cpu: process.cpuUsage(),
    delivered: loop.delivered,
    published: loop.published,
  };
  await sleep(command.windowMs);
  const elapsedMs = performance.now() - before.ms;
  const cpu = process.cpuUsage(before.cpu);
  const figures = {
    elapsedMs,
    cpuS: (cpu.user + cpu.system) / 1e6,
    deliveries: loop.delivered - before.delivered,
    publications: loop.published - before.published,
  };
  say({ type: 'measured' });
  loop.stop();
  await arrival(fleet, loop.missing, `${loop.published} publications`);
  checkFailure(fleet);
  return figures;
}

async function runPace(command: CommandOf<'pace'>): Promise<Figures> {
  const from = fleetOf(command.from);
  const to = fleetOf(command.to);
  const channels = to.members.map(({ channel }) => channel);
  const nowUs = (): number => Math.round(performance.now() * 1000);
  const latency = createLatencyHistogram();
  let published = 0;
  let delivered = 0;
  to.onPublication = (_member, bytes, start, end) => {
    delivered++;
    const at = bytes.indexOf(SENT_US, start, 'latin1') + SENT_US.length;
    latency.record(nowUs() - Number.parseInt(bytes.toString('latin1', at, Math.min(end, at + 16)), 10));
  };
  const startedMs = performance.now();
  const pacing = setInterval(() => {
    const due = ((performance.now() - startedMs) / 1000) * command.rateHz;
    while (published < due) {
      const channel = channels[published % channels.length]!;
      from.members[published++ % from.members.length]!.send(
        from.dialect.publish(channel, payloadOf(command.payloadBytes, nowUs())),
      );
    }
  }, 1);
  await sleep(command.warmUpMs);
  latency.reset();
  say({ type: 'measuring' });
  await sleep(command.windowMs);
  clearInterval(pacing);
  say({ type: 'measured' });
  checkFailure(from);
  await arrival(to, () => published - delivered, `${published} publications`);
  return { latency: latency.snapshot(), deliveries: delivered, publications: published };
}

const SENT_US = '"sentUs":';

async function carryOut(command: ClientCommand): Promise<void> {
  const startMs = performance.now();
  const startCpu = process.cpuUsage();
  const handle = handlers[command.type] as (command: ClientCommand) => Promise<Figures>;
  const figures = await handle(command);
  const cpu = process.cpuUsage(startCpu);
  say({
    type: 'done',
    elapsedMs: performance.now() - startMs,
    cpuS: (cpu.user + cpu.system) / 1e6,
    deliveries: 0,
    publications: 0,
    recovered: 0,
    latency: null,
    ...figures,
  } satisfies ClientDone);
}

let last = Promise.resolve();
onCommand((command) => {
  last = last
    .then(() => carryOut(command as ClientCommand))
    .catch((error: unknown) => say({ type: 'failure', message: messageOf(error) }));
});
