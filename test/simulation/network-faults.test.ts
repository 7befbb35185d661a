import { expect, onTestFinished, test } from 'vitest';

import { recordWorld, smallDevice, type RecordedWorld } from '#test/simulation/recorded-world.ts';
import type { WorldOptions } from '#test/simulation/world.ts';

function play(options: Partial<WorldOptions> = {}): RecordedWorld {
  const recorded = recordWorld(options);
  onTestFinished(recorded.end);
  return recorded;
}

const sorted = (ids: Iterable<number>): number[] => [...ids].toSorted((a, b) => a - b);

/** Nothing more is pushed; then everything that was must be stored, once. */
async function expectAllStored({ world, run, stored, pushed }: RecordedWorld): Promise<void> {
  for (const device of world.devices) device.pause(0);
  await run(60_000);
  expect(sorted(stored())).toEqual(sorted(pushed));
}

function closeCodes({ deviceEvents }: RecordedWorld): (number | undefined)[] {
  return deviceEvents.flatMap(({ event }) =>
    event.type === 'state' && event.phase === 'waiting' ? [event.closeCode] : [],
  );
}

const greetings = ({ fromServers }: RecordedWorld): number =>
  fromServers.filter(({ message }) => message.type === 'welcome').length;

const connections = ({ world }: RecordedWorld): (number | undefined)[] =>
  world.servers.map(({ gateway }) => gateway?.statistics.connections);

test('a cut is heard by both ends, and the device comes back', async () => {
  const recorded = play();
  const { world, run } = recorded;
  await run(1000);
  world.network.cut('device');
  await run(20);
  expect(closeCodes(recorded)).toEqual([1006]);
  expect(connections(recorded)).toEqual([0]);
  await run(1000);
  expect(greetings(recorded)).toBe(2);
  await expectAllStored(recorded);
});

test('of a half-open connection nobody hears, until one of them misses the other', async () => {
  for (const direction of ['up', 'down', 'both'] as const) {
    const recorded = play({ gateway: { heartbeatMs: 500 } });
    const { world, run } = recorded;
    await run(1000);
    world.network.halfOpen('device', direction, 3000);
    await run(1000);
    expect([closeCodes(recorded), connections(recorded)]).toEqual([[], [1]]);
    await run(9000);
    expect(closeCodes(recorded)[0]).toBe(4001);
    expect(greetings(recorded)).toBeGreaterThan(1);
    await expectAllStored(recorded);
    recorded.end();
  }
});

test('a short interruption is mended or never, and not heard of at once', async () => {
  const outcomes = new Set<number>();
  for (let seed = 0; seed < 8; seed++) {
    const recorded = play({ seed, gateway: { heartbeatMs: 500 } });
    await recorded.run(1000);
    recorded.world.network.halfOpen('device', 'up', 300);
    await recorded.run(5000);
    outcomes.add(closeCodes(recorded).length);
    await expectAllStored(recorded);
    recorded.end();
  }
  expect(outcomes).toEqual(new Set([0, 1]));
});

test('after a split two servers have connections of one device, and the old one still gets readings', async () => {
  const recorded = play({ servers: 2 });
  const { world, run } = recorded;
  await run(1000);
  expect(connections(recorded)).toEqual([1, 0]);
  const readings = (server: number): number => world.servers[server]!.gateway!.statistics.session.readings;
  world.network.route('device', 1);
  world.network.split('device', 2000);
  await run(1500);
  expect(connections(recorded)).toEqual([1, 1]);
  const before = readings(0);
  await run(1500);
  expect(readings(0)).toBeGreaterThan(before);
  expect(connections(recorded)).toEqual([0, 1]);
  await expectAllStored(recorded);
});

test('a hello that comes late does not put out the connection that was made since', async () => {
  for (let seed = 0; seed < 8; seed++) {
    const recorded = play({ seed, latencyMs: [200, 200] });
    const { world, run, deviceEvents } = recorded;
    await run(470);
    const sent = recorded.fromDevices.map(({ message }) => 'type' in message && message.type);
    expect(sent).toEqual(['hello']);
    world.network.split('device', 1500);
    await run(6000);
    expect(greetings(recorded)).toBeGreaterThan(0);
    expect(deviceEvents.some(({ event }) => event.type === 'state' && event.phase === 'stopped')).toBe(false);
    recorded.end();
  }
});

test('a message that is cut in the middle does not arrive', async () => {
  const recorded = play();
  const { world, fromDevices, run } = recorded;
  await run(1000);
  world.network.cutMidMessage('device');
  await run(600);
  expect(closeCodes(recorded)).toEqual([1006]);
  expect(connections(recorded)[0]).toBeLessThanOrEqual(1);
  const sent = fromDevices.length;
  await run(1000);
  expect(fromDevices.length).toBeGreaterThan(sent);
  await expectAllStored(recorded);
});

test('an unreachable device keeps what it records until it is back', async () => {
  const recorded = play();
  const { world, run, stored } = recorded;
  await run(1000);
  world.network.setUnreachable('device', true);
  await run(300);
  const before = stored().length;
  await run(3000);
  expect(stored().length).toBe(before);
  expect(greetings(recorded)).toBe(1);
  world.network.setUnreachable('device', false);
  await expectAllStored(recorded);
  expect(greetings(recorded)).toBe(2);
});

test('latency and bandwidth hold messages up', async () => {
  const recorded = play();
  const { world, run } = recorded;
  await run(1000);
  world.network.setLatency('device', 400, 400);
  await run(1000);
  const { clock } = world.devices[0]!.device!.status();
  expect(clock!.roundTripUs).toBeLessThan(12_000);
  world.network.cut('device');
  await run(6000);
  expect(world.devices[0]!.device!.status().phase).toBe('online');
  world.network.setLatency('device', 1, 1);
  world.network.setBandwidth('device', 200);
  await run(5000);
  expect(world.devices[0]!.device!.status().bufferedReadings).toBeGreaterThan(300);
  world.network.setBandwidth('device', null);
  await expectAllStored(recorded);
});

test('a killed server is heard of after a while, and another one takes over', async () => {
  const recorded = play({ servers: 2 });
  const { world, run } = recorded;
  await run(1000);
  const old = connections(recorded).indexOf(1);
  world.servers[old]!.kill();
  expect(world.servers[old]!.process).toBeNull();
  expect(closeCodes(recorded)).toEqual([]);
  await run(50);
  expect(closeCodes(recorded)).toEqual([1006]);
  await run(1000);
  expect(connections(recorded)[1 - old]).toBe(1);
  world.servers[old]!.start();
  await expectAllStored(recorded);
});

test('a stopped server keeps its connections half-open', async () => {
  const recorded = play({ servers: 2, gateway: { heartbeatMs: 500 } });
  const { world, run } = recorded;
  await run(1000);
  const old = connections(recorded).indexOf(1);
  world.network.route('device', 1 - old);
  world.servers[old]!.stop();
  await run(1000);
  expect(closeCodes(recorded)).toEqual([]);
  await run(4000);
  expect(closeCodes(recorded)).toEqual([4001]);
  expect(connections(recorded)).toEqual([1, 1]);
  world.servers[old]!.resume();
  await run(10);
  expect(connections(recorded)[old]).toBe(0);
  await expectAllStored(recorded);
});

test('a stopped server wakes up late, and takes what had come for it', async () => {
  const recorded = play({ servers: 2 });
  const { world, run } = recorded;
  await run(1000);
  const old = connections(recorded).indexOf(1);
  world.network.route('device', 1 - old);
  world.servers[old]!.stop();
  await run(300);
  world.network.cut('device');
  await run(3000);
  expect(connections(recorded)).toEqual([1, 1]);
  const readings = (): number => world.servers[old]!.gateway!.statistics.session.readings;
  const before = readings();
  world.servers[old]!.resume();
  await run(10);
  expect(readings()).toBeGreaterThan(before + 20);
  expect(connections(recorded)[old]).toBe(0);
  await expectAllStored(recorded);
});

test('a draining server asks its devices to leave, commits and ends', async () => {
  const recorded = play({ servers: 2 });
  const { world, run, fromServers } = recorded;
  await run(1000);
  const old = connections(recorded).indexOf(1);
  world.servers[old]!.drain();
  await run(5000);
  expect(world.servers[old]!.process).toBeNull();
  expect(fromServers.filter(({ message }) => message.type === 'bye')).toHaveLength(1);
  expect(connections(recorded)[1 - old]).toBe(1);
  world.servers[old]!.start();
  await run(1000);
  expect(world.servers[old]!.process).not.toBeNull();
  await expectAllStored(recorded);
});

test('a slow viewer is skipped, and sees the newest once it reads again', async () => {
  const recorded = play({
    viewers: [{ name: 'viewer', device: 0, org: 'clinic' }],
    hub: { highWaterBytes: 2048 },
    devices: [{ ...smallDevice, streams: [{ axes: 9, rateHz: 200, readingsPerPush: 5 }] }],
  });
  const { world, run, shown, pushed } = recorded;
  await run(2000);
  const before = shown.get('viewer')!.size;
  expect(before).toBeGreaterThan(100);
  world.viewers[0]!.setSlow(true);
  await run(5000);
  expect(shown.get('viewer')!.size).toBe(before);
  expect(world.servers[0]!.hub!.counters.laggingViewers).toBe(1);
  world.viewers[0]!.setSlow(false);
  await run(1000);
  const seen = shown.get('viewer')!;
  expect(Math.max(...seen)).toBeGreaterThan(Math.max(...pushed) - 40);
  expect(seen.size).toBeLessThan(pushed.size - 200);
  await expectAllStored(recorded);
});

test('a viewer that is killed and started again follows its session again', async () => {
  const recorded = play({ viewers: [{ name: 'viewer', device: 0, org: 'clinic' }] });
  const { world, run, shown } = recorded;
  await run(2000);
  world.viewers[0]!.kill();
  const before = shown.get('viewer')!.size;
  await run(1000);
  expect(world.servers[0]!.hub!.counters.viewers).toBe(0);
  expect(shown.get('viewer')!.size).toBe(before);
  world.viewers[0]!.boot();
  await run(2000);
  expect(shown.get('viewer')!.size).toBeGreaterThan(before + 100);
  await expectAllStored(recorded);
});
