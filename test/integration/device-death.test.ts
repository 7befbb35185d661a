/**
 * A device that dies again and again, on real parts: its process is killed with SIGKILL while it records, and the
 * server once too. Whatever its store had taken is in the database afterwards, once, under the number it was given.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { afterEach, expect, test } from 'vitest';

import { startEmbeddedDatabase } from '#app/embedded-database.ts';
import { systemClock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import { freePort, runKymo, startKymo } from '#test/support/kymo-process.ts';
import { readStored } from '#test/support/stored-readings.ts';

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

/** Records values that no other life of the device has, and prints what its store took: number, then the values. */
const recorder = `
import { openDevice } from '#sdk/device-client.ts';
import { fileStore } from '#sdk/file-store.ts';
const [url, key, dir, stream, session, life] = process.argv.slice(1);
const store = fileStore(dir);
const append = store.append;
store.append = (log, content) => {
  const frame = append(log, content);
  const values = new Float32Array(content.payload.slice().buffer);
  process.stdout.write('took ' + frame.firstSeq + ' ' + [...values].join(',') + '\\n');
  return frame;
};
const device = await openDevice({ url, key, store, timing: { backoff: { baseMs: 50, capMs: 500 } } });
const foot = device.stream({
  stream, session, segment: 'left-foot', sensor: 'imu', axes: [{ name: 'x', unit: '1' }], rateHz: 200,
});
let value = Number(life) * 100_000;
const timer = setInterval(() => foot.push([value++, value++]), 10);
process.stdin.once('data', async () => {
  clearInterval(timer);
  await foot.end();
  process.stdout.write((await device.drained({ timeoutMs: 30_000 })) ? 'drained\\n' : 'stuck\\n');
  await device.close();
  process.exit(0);
});
process.stdout.write('recording\\n');
`;

interface Life {
  readonly child: ChildProcess;
  /** Resolves with the first line that begins so. */
  line(start: string): Promise<string>;
}

function live(args: readonly string[], took: Map<number, number>): Life {
  const child = spawn(process.execPath, ['--input-type=module', '-e', recorder, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  endings.push(() => child.kill('SIGKILL'));
  const waiting = new Map<string, (line: string) => void>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    const [word, seq, values] = line.split(' ');
    values?.split(',').forEach((value, i) => took.set(Number(seq) + i, Number(value)));
    waiting.get(word!)?.(line);
  });
  return { child, line: (start) => new Promise((resolve) => waiting.set(start, resolve)) };
}

test('a device that is killed six times has every reading that its store took stored once', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'kymo-device-'));
  endings.push(() => rm(dataDir, { recursive: true, force: true }));
  const embedded = await startEmbeddedDatabase({ dataDir });
  endings.push(() => embedded.stop());
  const port = await freePort();
  let kymo = await startKymo({ dataDir, port });
  endings.push(() => kymo.signal('SIGKILL'));
  const key = await runKymo(['device', 'add', 'mortal', '--data', dataDir]);
  const stream = uuidv7(systemClock);
  const session = uuidv7(systemClock);
  const took = new Map<number, number>();
  const argsOf = (life: number): string[] => [
    `http://127.0.0.1:${port}`,
    key,
    join(dataDir, 'device'),
    stream,
    session,
    String(life),
  ];
  for (let life = 0; life < 6; life++) {
    const { child, line } = live(argsOf(life), took);
    await line('recording');
    await new Promise((resolve) => setTimeout(resolve, 300 + Math.random() * 1500));
    if (life === 3) {
      await kymo.signal('SIGKILL');
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    child.kill('SIGKILL');
    await once(child, 'close');
    if (life === 4) kymo = await startKymo({ dataDir, port });
  }
  const { child, line } = live(argsOf(6), took);
  await line('recording');
  await new Promise((resolve) => setTimeout(resolve, 500));
  const drained = line('drained');
  child.stdin!.write('end\n');
  expect(await drained).toBe('drained');

  const stored = await readStored(embedded.ownerUrl, stream);
  expect(stored.losses).toEqual([]);
  expect(new Set(stored.chunks.map((chunk) => chunk.epoch)).size).toBe(1);
  const numbers = stored.chunks.flatMap(({ firstSeq, count }) =>
    Array.from({ length: count }, (_, i) => firstSeq + i),
  );
  // No number twice and none left out; the last frame of a life may be there without having been printed.
  expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, i) => i));
  const values = new Map(
    stored.chunks.flatMap(({ firstSeq, count, data }) =>
      Array.from({ length: count }, (_, i) => [firstSeq + i, data.readFloatLE(i * 4)] as const),
    ),
  );
  expect([...took].filter(([seq, value]) => values.get(seq) !== value)).toEqual([]);
  expect(new Set(values.values()).size).toBe(values.size);
  expect(took.size).toBeGreaterThan(500);
}, 180_000);
