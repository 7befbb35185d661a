import { expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import { silentLog } from '#base/log.ts';
import type { Broker } from '#bus/broker.ts';
import { createMemoryBroker } from '#bus/memory-broker.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';
import { createMemoryPresence } from '#bus/memory-presence.ts';
import type { Principal } from '#contract/principal.ts';
import type { CommandLine, DeviceCommand, Greeting } from '#ingest/gateway-output.ts';
import { createChannels } from '#live/create-channels.ts';
import { createBuiltInChannels } from '#app/channels/built-in.ts';
import { createCommandDelivery, deliveryLimits } from '#app/command-delivery.ts';
import { createLostDevices, LOST_MS } from '#app/lost-devices.ts';
import { createManualClock, type ManualClock } from '#test/support/manual-clock.ts';

const DEVICE = '01900000-0000-7000-8000-0000000000d1';
const greeting: Greeting = {
  identity: { orgId: 'org', deviceId: DEVICE },
  generation: 7,
  incarnation: '01900000-0000-7000-8000-000000000001',
};
const anyone: Principal = {
  kind: 'access',
  orgId: 'org',
  subject: 'ann',
  role: 'service',
  patientId: null,
  permissions: null,
  grants: null,
  expiresAtUs: Number.POSITIVE_INFINITY,
  revocationId: null,
};
const idOf = (n: number): string => `01900000-0000-7000-8000-0000000c${String(n).padStart(4, '0')}`;
/** Lets everything that is not waiting for time come to rest. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** Like a store that keeps everything. */
const KEPT = { messages: 1_000, seconds: 86_400 };

interface Shared {
  readonly clock: ManualClock;
  readonly broker: Broker;
  /** What the store throws; null: it works. */
  failure: AppError | null;
  generation: number;
}

function createShared(): Shared {
  const clock = createManualClock();
  const memory = createMemoryBroker({ clock });
  const shared: Shared = {
    clock,
    failure: null,
    generation: 7,
    broker: {
      ...memory,
      publish: (request) =>
        shared.failure === null
          ? memory.publish({ ...request, history: KEPT })
          : Promise.reject(shared.failure),
      history: (address, query) =>
        shared.failure === null ? memory.history(address, query) : Promise.reject(shared.failure),
    },
  };
  return shared;
}

/** One instance; several may share the store. */
function createInstance(shared: Shared) {
  const { clock, broker } = shared;
  const builtIn = createBuiltInChannels((of, command) => delivery.requested(of, command));
  const channels = createChannels({
    definitions: builtIn.definitions,
    bus: createMemoryBus(),
    brokers: { volatile: broker, durable: broker },
    presence: createMemoryPresence(),
    clock,
    services: {
      clock,
      log: silentLog,
      sessionExists: async () => true,
      deviceExists: async () => true,
      sessionIds: async () => [],
    },
    onFailure: () => undefined,
  });
  const { publishAs } = channels;
  const devices = { generationOf: async () => shared.generation };
  const lost = createLostDevices({ publishAs, devices, clock, log: silentLog });
  const delivery = createCommandDelivery({
    channels: () => ({ publishAs, broker, commands: builtIn.commands }),
    lost: lost.left,
    clock,
    log: silentLog,
  });
  const name = `device/${DEVICE}/commands`;
  return {
    delivery,
    lost,
    async request(n: number, expiresMs = 10_000) {
      const data = { command: 'cue', id: idOf(n), expiresMs, params: { strength: n } };
      const answer = await channels.publish(channels.find(name)!, anyone, { event: 'request', data });
      await settle();
      return answer.ok;
    },
    async events(of = name): Promise<string[]> {
      const page = await channels.history(channels.find(of)!, anyone, { after: 0, limit: 256 });
      if (!page.ok) throw new Error(page.error.message);
      return page.value.publications.map(({ payload }) => {
        const { event, data } = JSON.parse(new TextDecoder().decode(payload)) as {
          event: string;
          data: { id?: string; message?: string; device?: string };
        };
        return [event, data.id?.slice(-4) ?? data.device, data.message]
          .filter((part) => part !== undefined)
          .join(' ');
      });
    },
    async connect(): Promise<{ sent: DeviceCommand[]; line: CommandLine }> {
      const sent: DeviceCommand[] = [];
      const line = delivery.connected(greeting, (command) => sent.push(command));
      await settle();
      return { sent, line };
    },
  };
}

test('a command goes to the connected device, and its answers come back', async () => {
  const instance = createInstance(createShared());
  const { sent, line } = await instance.connect();
  await instance.request(1);
  expect(sent).toEqual([{ id: idOf(1), name: 'cue', argument: '{"strength":1}' }]);
  line.received(idOf(1));
  line.received(idOf(1));
  await settle();
  line.answered({ id: idOf(1), ok: true, message: 'felt' });
  await settle();
  await instance.request(2);
  line.answered({ id: idOf(2), ok: false, message: 'no motor' });
  await settle();
  expect(await instance.events()).toEqual([
    'requested 0001',
    'delivered 0001',
    'completed 0001 felt',
    'requested 0002',
    'refused 0002 no motor',
  ]);
  expect(await instance.events('notifications')).toEqual(['command-refused 0002 no motor']);
  expect(instance.delivery.counters).toMatchObject({ sent: 2, completed: 1, refused: 1, expired: 0 });
});

test('what is open when a device connects is sent, what has ended is not', async () => {
  const shared = createShared();
  const instance = createInstance(shared);
  for (const n of [1, 2, 3]) await instance.request(n);
  const first = await instance.connect();
  expect(first.sent.map(({ id }) => id)).toEqual([idOf(1), idOf(2), idOf(3)]);
  first.line.answered({ id: idOf(2), ok: true });
  await settle();
  first.line.stop(true);
  await instance.request(4);
  expect(first.sent).toHaveLength(3);
  // On another instance, which has seen none of it.
  const second = await createInstance(shared).connect();
  expect(second.sent.map(({ id }) => id)).toEqual([idOf(1), idOf(3), idOf(4)]);
});

test('a command that nobody answers ends once, by whichever instance comes first, and a later answer changes nothing', async () => {
  const shared = createShared();
  const [here, there] = [createInstance(shared), createInstance(shared)];
  const { line, sent } = await there.connect();
  await here.request(1, 2_000);
  line.received(idOf(1));
  await settle();
  shared.clock.advance(2_000);
  await settle();
  line.answered({ id: idOf(1), ok: true });
  await settle();
  const events = ['requested 0001', 'delivered 0001', 'expired 0001'];
  expect(await here.events()).toEqual(events);
  expect(await here.events('notifications')).toEqual(['command-expired 0001']);
  line.stop(false);
  expect((await there.connect()).sent).toEqual([]);
  expect(sent).toHaveLength(1);
  expect(await here.events()).toEqual(events);
});

test('a command whose instance died before its end is ended when the device comes back', async () => {
  const shared = createShared();
  const dead = createInstance(shared);
  await dead.request(1, 2_000);
  dead.delivery.close();
  shared.clock.advance(3_000);
  await settle();
  const next = createInstance(shared);
  expect(await next.events()).toEqual(['requested 0001']);
  const { sent } = await next.connect();
  shared.clock.advance(1);
  await settle();
  expect(sent).toEqual([]);
  expect(await next.events()).toEqual(['requested 0001', 'expired 0001']);
});

test('an end that an answer and the expiry tell at once is the one that the store took first', async () => {
  const shared = createShared();
  const instance = createInstance(shared);
  const { line } = await instance.connect();
  await instance.request(1, 2_000);
  line.answered({ id: idOf(1), ok: false, message: 'no' });
  shared.clock.advance(2_000);
  await settle();
  expect(await instance.events()).toEqual(['requested 0001', 'refused 0001 no']);
  expect(await instance.events('notifications')).toEqual(['command-refused 0001 no']);
});

test('while the store is away an answer waits for it, and so does the way to the device', async () => {
  const shared = createShared();
  const instance = createInstance(shared);
  const { line } = await instance.connect();
  await instance.request(1);
  shared.failure = new AppError('store-unavailable', 'away', { temporary: true });
  line.answered({ id: idOf(1), ok: true });
  const late = await instance.connect();
  shared.clock.advance(deliveryLimits.retryMs * 3);
  await settle();
  expect(late.sent).toEqual([]);
  shared.failure = null;
  for (let i = 0; i < 3; i++) {
    shared.clock.advance(deliveryLimits.retryMs);
    await settle();
  }
  expect(await instance.events()).toEqual(['requested 0001', 'completed 0001']);
});

test('an announcement that was lost is found by looking', async () => {
  const shared = createShared();
  const memory = shared.broker;
  const deaf = { ...shared, broker: { ...memory, listen: () => memory.listen('nowhere', SILENT) } };
  const instance = createInstance(deaf);
  const { sent } = await instance.connect();
  await instance.request(1);
  expect(sent).toEqual([]);
  shared.clock.advance(deliveryLimits.lookMs);
  await settle();
  expect(sent.map(({ id }) => id)).toEqual([idOf(1)]);
});

const SILENT = { publication: () => undefined, resumed: () => undefined };

test('a device has so many open commands and no more', async () => {
  const instance = createInstance(createShared());
  const { sent } = await instance.connect();
  for (let n = 0; n <= deliveryLimits.open; n++) await instance.request(n);
  expect(sent).toHaveLength(deliveryLimits.open);
  expect((await instance.events()).at(-1)).toBe(
    `refused ${String(deliveryLimits.open).padStart(4, '0')} too many commands wait for this device`,
  );
});

test('an answer to what was not asked, or not of this device, is not told', async () => {
  const instance = createInstance(createShared());
  const { line } = await instance.connect();
  line.received(idOf(9));
  line.answered({ id: idOf(9), ok: true });
  await settle();
  expect(await instance.events()).toEqual([]);
});

test('a device that is away for long is lost, one that came back or was sent away is not', async () => {
  const shared = createShared();
  const instance = createInstance(shared);
  (await instance.connect()).line.stop(true);
  (await instance.connect()).line.stop(false);
  shared.clock.advance(LOST_MS - 1);
  await settle();
  expect(await instance.events('notifications')).toEqual([]);
  shared.clock.advance(1);
  await settle();
  expect(await instance.events('notifications')).toEqual([`device-lost ${DEVICE}`]);
  // A newer connection, wherever it is.
  (await instance.connect()).line.stop(true);
  shared.generation = 8;
  shared.clock.advance(LOST_MS);
  await settle();
  expect(await instance.events('notifications')).toEqual([`device-lost ${DEVICE}`]);
  expect(instance.delivery.followed).toBe(0);
});

test('an instance holds so many timers and tells so many ends at once; more are left to others, and counted', async () => {
  const shared = createShared();
  const { delivery } = createInstance(shared);
  const requested = { id: idOf(1), command: 'cue' as const, expiresAtUs: shared.clock.nowUs() + 1_000_000 };
  const before = shared.clock.timerCount;
  for (let n = 0; n <= deliveryLimits.timers; n++)
    delivery.requested({ orgId: 'org', device: DEVICE }, requested);
  expect(shared.clock.timerCount - before).toBe(deliveryLimits.timers);
  delivery.close();
  expect(shared.clock.timerCount).toBe(before);

  const instance = createInstance(shared);
  const { line } = await instance.connect();
  await instance.request(2);
  shared.failure = new AppError('store-unavailable', 'away', { temporary: true });
  for (let n = 0; n <= deliveryLimits.ends; n++) line.answered({ id: idOf(2), ok: true });
  expect(instance.delivery.counters.dropped).toBe(1);
  instance.delivery.close();
});

test('so many lost devices are waited for and no more', () => {
  const clock = createManualClock();
  const publishAs = (): Promise<null> => Promise.resolve(null);
  const devices = { generationOf: async () => 7 };
  const lost = createLostDevices({ publishAs, devices, clock, log: silentLog, maxWaiting: 2 });
  for (let n = 0; n < 3; n++) lost.left(greeting);
  expect([clock.timerCount, lost.counters.dropped]).toEqual([2, 1]);
  lost.close();
  expect(clock.timerCount).toBe(0);
});
