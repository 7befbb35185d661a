import { expect, test } from 'vitest';

import { createLine, type Line, type Path } from '#test/simulation/line.ts';
import { createScheduler, type Process, type Scheduler } from '#test/simulation/scheduler.ts';

interface Setting {
  readonly scheduler: Scheduler;
  readonly path: Path;
  readonly line: Line;
  readonly receiver: Process;
  /** What arrived, and when. */
  readonly arrived: [string, number][];
  send(name: string, bytes?: number): void;
}

function createSetting(path: Path = { minMs: 10, maxMs: 10, bytesPerSecond: null }): Setting {
  const scheduler = createScheduler(1);
  const [sender, receiver] = [scheduler.process('sender'), scheduler.process('receiver')];
  const line = createLine(scheduler, path, { sender, receiver });
  const arrived: [string, number][] = [];
  const send = (name: string, bytes = 1): void =>
    line.send(bytes, () => arrived.push([name, Math.round(scheduler.nowMs)]));
  return { scheduler, path, line, receiver, arrived, send };
}

test('messages arrive in their order, however the latency falls', async () => {
  const { scheduler, path, arrived, send } = createSetting({ minMs: 1, maxMs: 100, bytesPerSecond: null });
  for (let i = 0; i < 50; i++) send(String(i));
  path.maxMs = 1;
  send('last');
  await scheduler.run(1000);
  expect(arrived.map(([name]) => name)).toEqual([...Array.from({ length: 50 }, (_, i) => String(i)), 'last']);
});

test('a narrow line takes its time, and what has not left counts as unsent', async () => {
  const { scheduler, line, arrived, send } = createSetting({ minMs: 10, maxMs: 10, bytesPerSecond: 1000 });
  send('one', 100);
  send('two', 100);
  expect(line.unsentBytes()).toBe(200);
  await scheduler.run(150);
  expect(line.unsentBytes()).toBe(100);
  await scheduler.run(1000);
  expect(arrived).toEqual([
    ['one', 110],
    ['two', 210],
  ]);
  expect(line.unsentBytes()).toBe(0);
});

test('what is held waits, and a sender notices once the kernel is full', async () => {
  const { scheduler, line, arrived, send } = createSetting();
  let told = 0;
  line.hold(() => told++);
  for (let i = 0; i < 5; i++) send(String(i), 1000);
  await scheduler.run(100);
  expect([told, arrived.length, line.underWay(), line.unsentBytes()]).toEqual([1, 0, 5, 904]);
  line.release();
  await scheduler.run(200);
  expect(arrived.map(([, atMs]) => atMs)).toEqual([110, 110, 110, 110, 110]);
  expect(line.unsentBytes()).toBe(0);
});

test('what is delayed comes later and in order, what is cleared never', async () => {
  const { scheduler, line, arrived, send } = createSetting();
  send('late');
  line.delay(500);
  send('after');
  await scheduler.run(100);
  expect(arrived).toEqual([]);
  await scheduler.run(1000);
  expect(arrived.map(([name]) => name)).toEqual(['late', 'after']);
  send('lost');
  line.dropLast();
  send('lost too');
  line.clear();
  send('heard');
  await scheduler.run(2000);
  line.sever();
  send('in vain');
  await scheduler.run(3000);
  expect(arrived.slice(2).map(([name]) => name)).toEqual(['heard']);
});

test('what has arrived at a stopped process is there when it goes on, whatever became of the line', async () => {
  const { scheduler, line, receiver, arrived, send } = createSetting();
  receiver.stop();
  send('arrived');
  await scheduler.run(50);
  send('under way');
  line.sever();
  await scheduler.run(100);
  receiver.resume();
  await scheduler.run(200);
  expect(arrived).toEqual([['arrived', 100]]);
});

test('what a receiver does not read leaves the sender up to a kernel full, and comes when it reads', async () => {
  const { scheduler, line, arrived } = createSetting();
  let left = 0;
  line.setReading(false);
  for (let i = 0; i < 5; i++)
    line.send(
      1000,
      () => arrived.push([String(i), scheduler.nowMs]),
      () => left++,
    );
  await scheduler.run(100);
  expect([left, arrived.length]).toEqual([4, 0]);
  line.setReading(true);
  await scheduler.run(200);
  expect([left, arrived.length]).toEqual([5, 5]);
});
