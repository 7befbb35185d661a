import { expect, onTestFinished, test } from 'vitest';

import { recordWorld, smallDevice, type RecordedWorld } from '#test/simulation/recorded-world.ts';
import type { WorldOptions } from '#test/simulation/world.ts';

function play(options: Partial<WorldOptions> = {}): RecordedWorld {
  const recorded = recordWorld(options);
  onTestFinished(recorded.end);
  return recorded;
}

const memoryDevice = { ...smallDevice, store: 'memory' } as const;
const sorted = (ids: Iterable<number>): number[] => [...ids].toSorted((a, b) => a - b);
const eventsOf = ({ deviceEvents }: RecordedWorld, type: string): number =>
  deviceEvents.filter(({ event }) => event.type === type).length;

/** Nothing more is pushed, and everything has the time to arrive. */
async function comeToRest({ world, run }: RecordedWorld): Promise<void> {
  for (const device of world.devices) device.pause(0);
  await run(20_000);
}

test('a killed process keeps what its files held, and goes on from there', async () => {
  const recorded = play();
  const { world, boots, pushed, stored, run } = recorded;
  await run(1000);
  world.devices[0]!.kill();
  expect(world.devices[0]!.process).toBeNull();
  const before = pushed.size;
  await run(1000);
  expect(pushed.size).toBe(before);
  world.devices[0]!.boot();
  await run(1000);
  await comeToRest(recorded);
  expect(boots.map(({ why }) => why)).toEqual(['boot', 'kill']);
  expect(boots[1]!.held).toBeGreaterThan(50);
  // What was pushed and not yet in the store died with the process; nothing else did.
  expect(pushed.size - stored().length).toBeLessThanOrEqual(5);
  expect(world.database.tables.epochs.size).toBe(1);
});

test('a memory store dies with its process, and its stream goes on in a new epoch', async () => {
  const recorded = play({ devices: [memoryDevice] });
  const { world, boots, run } = recorded;
  await run(1000);
  world.devices[0]!.kill();
  world.devices[0]!.boot();
  await run(1000);
  expect(boots[1]).toMatchObject({ why: 'kill', held: 0 });
  expect(world.database.tables.epochs.size).toBe(2);
});

test('a loss of power takes what was not synced, and ends the epoch', async () => {
  const recorded = play();
  const { world, boots, pushed, stored, run } = recorded;
  world.network.setUnreachable('device', true);
  await run(2500);
  world.devices[0]!.losePower(1000);
  world.devices[0]!.boot();
  world.network.setUnreachable('device', false);
  await comeToRest(recorded);
  expect(boots[1]!.why).toBe('power');
  expect(boots[1]!.held).toBeLessThan(pushed.size - 10);
  expect(boots[1]!.held).toBeGreaterThan(100);
  expect(stored().length).toBe(boots[1]!.held);
  expect(world.devices[0]!.store!.previousStoreLost).toBe(true);
});

test('a corrupt tail is found, declared and survived', async () => {
  const recorded = play();
  const { world, boots, pushed, stored, run } = recorded;
  world.network.setUnreachable('device', true);
  await run(2000);
  world.devices[0]!.corruptTail(400);
  world.devices[0]!.boot();
  world.network.setUnreachable('device', false);
  await comeToRest(recorded);
  expect(boots[1]!.why).toBe('corrupt');
  expect(boots[1]!.held).toBeLessThan(pushed.size);
  expect(stored().length).toBe(boots[1]!.held);
});

test('a death within a write leaves a torn record that costs nothing else', async () => {
  const recorded = play();
  const { world, boots, pushed, stored, run } = recorded;
  await run(1000);
  world.devices[0]!.killInWrite(7);
  await run(200);
  expect(world.devices[0]!.process).toBeNull();
  world.devices[0]!.boot();
  await run(500);
  await comeToRest(recorded);
  expect(boots[1]!.why).toBe('kill');
  expect(pushed.size - stored().length).toBeLessThanOrEqual(10);
  expect(new Set(stored()).size).toBe(stored().length);
});

test('a wiped device begins anew', async () => {
  const recorded = play();
  const { world, boots, run } = recorded;
  await run(1000);
  world.devices[0]!.wipe();
  world.devices[0]!.boot();
  await run(1000);
  expect(boots[1]).toMatchObject({ why: 'wipe', held: 0 });
  expect(world.database.tables.epochs.size).toBe(2);
});

test('a clone of the store fights for the stream, and both keep what is theirs', async () => {
  const recorded = play();
  const { world, boots, deviceEvents, run } = recorded;
  await run(1000);
  const clone = world.devices[0]!.clone();
  await run(20_000);
  expect(boots[1]).toMatchObject({ name: 'device+1', why: 'clone' });
  expect(boots[1]!.held).toBeGreaterThan(50);
  const superseded = deviceEvents.filter(
    ({ event }) => event.type === 'state' && event.phase === 'stopped' && event.closeCode === 4501,
  );
  expect(new Set(superseded.map(({ name }) => name))).toEqual(new Set(['device', 'device+1']));
  expect(eventsOf(recorded, 'epoch')).toBeGreaterThan(0);
  expect(clone.identity).toEqual(world.devices[0]!.identity);
});

test('a full disk costs the newest readings, which are declared', async () => {
  const recorded = play();
  const { world, pushed, stored, run } = recorded;
  await run(500);
  world.devices[0]!.setDiskRoom(300);
  await run(1000);
  expect(eventsOf(recorded, 'store-full-disk')).toBeGreaterThan(0);
  world.devices[0]!.setDiskRoom(null);
  await run(1000);
  await comeToRest(recorded);
  const [epoch] = world.database.tables.epochs.values();
  const lost = epoch!.lost.reduce((sum, { from, to }) => sum + to - from, 0);
  expect(lost).toBeGreaterThan(20);
  expect(stored().length + lost).toBe(pushed.size);
});

test('a clock that jumps or drifts changes times and no reading', async () => {
  const recorded = play();
  const { world, pushed, stored, run } = recorded;
  await run(500);
  world.devices[0]!.clock.jump(-86_400_000);
  await run(500);
  world.devices[0]!.clock.setDrift(200_000);
  await run(2000);
  await comeToRest(recorded);
  expect(pushed.size).toBeGreaterThan(300);
  expect(sorted(stored())).toEqual(sorted(pushed));
  const times = [...world.database.tables.epochs.values()].flatMap(({ chunks }) =>
    chunks.flatMap(({ timesUs }) => [...timesUs]),
  );
  expect(Math.max(...times) - Math.min(...times)).toBeGreaterThan(86_000_000_000);
});

test('a stream with other axes goes on under another id, whoever refuses it', async () => {
  for (const device of [smallDevice, memoryDevice]) {
    const recorded = play({ devices: [device] });
    const { world, run } = recorded;
    await run(1000);
    world.devices[0]!.reopenWithOtherAxes(0);
    await run(2000);
    recorded.end();
    const axes = [...world.database.tables.streams.values()].map(({ definition }) => definition.axes.length);
    expect(axes).toEqual([3, 4]);
    // The memory store knows nothing of the axes: the server refuses them.
    expect(eventsOf(recorded, 'refused')).toBe(device.store === 'memory' ? 1 : 0);
  }
});

test('what the sensor failed to give is declared, and an ended stream begins under another id', async () => {
  const recorded = play();
  const { world, run } = recorded;
  const [device] = world.devices;
  await run(500);
  device!.lose(0, 7);
  await run(500);
  device!.end(0);
  await run(1000);
  device!.record(0);
  await run(1000);
  const streams = [...world.database.tables.streams.values()];
  expect(streams.map(({ isEnded }) => isEnded)).toEqual([true, false]);
  const [first] = world.database.tables.epochs.values();
  expect(first!.lost.map(({ from, to }) => to - from)).toEqual([7]);
});
