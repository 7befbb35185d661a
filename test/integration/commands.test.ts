/**
 * Commands to devices over two real instances: an instance that dies between the delivery of a command and its answer, one
 * that dies with a command that its device never saw, and a device that does not come back in time.
 */

import { createConnection, createServer, type AddressInfo, type Socket } from 'node:net';

import { afterEach, expect, test } from 'vitest';

import { openDevice } from '#sdk/device-client.ts';
import type { Device, DeviceCommand } from '#sdk/device-runtime.ts';
import { memoryStore } from '#sdk/memory-store.ts';
import { runKymo, startKymo, type KymoProcess } from '#test/support/kymo-process.ts';
import { startRedis } from '#test/support/redis.ts';
import { createTemporaryDirectory } from '#test/support/temporary-directory.ts';

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

interface Place {
  readonly port: number;
  /** New connections go to this port from now on; 0: to none. Those that are open break. */
  moveTo(port: number): void;
}

/** An address that stays while the instances behind it come and go, as a load balancer's does. */
async function openPlace(): Promise<Place> {
  let target = 0;
  const open = new Set<Socket>();
  const server = createServer((near) => {
    if (target === 0) return void near.destroy();
    const far = createConnection(target, '127.0.0.1');
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(one);
      one.on('error', () => undefined);
      one.on('close', () => {
        open.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const breakAll = (): void => {
    for (const socket of open) socket.destroy();
  };
  endings.push(() => {
    breakAll();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    moveTo(port) {
      target = port;
      breakAll();
    },
  };
}

interface Told {
  readonly event: string;
  readonly data: { readonly id: string; readonly message?: string; readonly expiresAtUs?: number };
}

interface Line {
  /** Commands that the device has carried out, in order. */
  readonly done: DeviceCommand[];
  /** What it waits for before it answers. */
  gate: Promise<void>;
  readonly device: Device;
  readonly deviceId: string;
}

async function cluster() {
  const { path: dataDir, remove } = createTemporaryDirectory();
  endings.push(remove);
  const redis = await startRedis();
  endings.push(() => redis.close());
  const args = ['--redis-url', redis.url];
  const start = async (): Promise<KymoProcess> => {
    const instance = await startKymo({ dataDir, port: 0, args });
    endings.push(() => instance.signal('SIGTERM'));
    return instance;
  };
  const place = await openPlace();
  const first = await start();
  const key = new URL(first.address).hash.replace(/^#(?:key=)?/, '');
  const ask = async (on: KymoProcess, path: string, body?: unknown): Promise<unknown> => {
    const response = await fetch(`http://127.0.0.1:${on.port}/v1/${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      // A server that does not answer is named, rather than waited for.
      signal: AbortSignal.timeout(15_000),
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer: unknown = await response.json();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${JSON.stringify(answer)}`);
    return answer;
  };
  return {
    place,
    first,
    start,
    async connect(): Promise<Line> {
      const deviceKey = await runKymo(['device', 'add', 'wrist', '--data', dataDir]);
      const { devices } = (await ask(first, 'devices')) as { devices: { id: string }[] };
      const line: { -readonly [K in keyof Line]: Line[K] } = {
        done: [],
        gate: Promise.resolve(),
        deviceId: devices[0]!.id,
        device: await openDevice({
          url: `http://127.0.0.1:${place.port}`,
          key: deviceKey,
          store: memoryStore(),
          timing: { backoff: { baseMs: 50, capMs: 200 } },
          async onCommand(command) {
            line.done.push(command);
            await line.gate;
            return `felt ${line.done.length}`;
          },
        }),
      };
      endings.push(() => line.device.close({ drainMs: 0 }));
      return line;
    },
    async command(on: KymoProcess, { deviceId }: Line, id: string, expiresMs: number): Promise<void> {
      const data = { command: 'cue', id, expiresMs, params: { strength: 1 } };
      await ask(on, `channels/device/${deviceId}/commands/messages`, { event: 'request', data });
    },
    async told(on: KymoProcess, { deviceId }: Line, id: string): Promise<string[]> {
      const path = `channels/device/${deviceId}/commands/messages?after=0`;
      const { messages } = (await ask(on, path)) as { messages: Told[] };
      return messages.filter(({ data }) => data.id === id).map(({ event }) => event);
    },
    async news(on: KymoProcess): Promise<string[]> {
      const { messages } = (await ask(on, 'channels/notifications/messages?after=0')) as { messages: Told[] };
      return messages.map(({ event }) => event);
    },
  };
}

const idOf = (n: number): string => `01900000-0000-7000-8000-00000000c${String(n).padStart(3, '0')}`;
const patiently = { timeout: 20_000, interval: 50 };

test('a command is carried out once and answered once, whatever dies on the way', async () => {
  const { place, first, start, connect, command, told, news } = await cluster();
  const second = await start();
  place.moveTo(first.port);
  const line = await connect();
  await expect.poll(() => line.device.status().phase, patiently).toBe('online');

  // Asked for on one instance, delivered by the other.
  await command(second, line, idOf(1), 20_000);
  const whole = ['requested', 'delivered', 'completed'];
  await expect.poll(() => told(second, line, idOf(1)), patiently).toEqual(whole);
  expect(line.done.map(({ name, argument }) => [name, argument])).toEqual([['cue', '{"strength":1}']]);

  // The device has the command and its instance dies before the answer.
  const gate = Promise.withResolvers<void>();
  line.gate = gate.promise;
  await command(second, line, idOf(2), 20_000);
  await expect.poll(() => told(second, line, idOf(2)), patiently).toEqual(['requested', 'delivered']);
  await first.signal('SIGKILL');
  place.moveTo(second.port);
  await expect.poll(() => line.device.status().phase, patiently).toBe('online');
  gate.resolve();
  await expect.poll(() => told(second, line, idOf(2)), patiently).toEqual(whole);
  expect(line.done.map(({ id }) => id)).toEqual([idOf(1), idOf(2)]);

  // The device is away, and the instance that was asked dies.
  place.moveTo(0);
  const third = await start();
  await command(second, line, idOf(3), 30_000);
  await second.signal('SIGKILL');
  place.moveTo(third.port);
  await expect.poll(() => told(third, line, idOf(3)), patiently).toEqual(whole);

  // The device does not come back in time.
  place.moveTo(0);
  await expect.poll(() => line.device.status().phase, patiently).not.toBe('online');
  await command(third, line, idOf(4), 1_000);
  await expect.poll(() => told(third, line, idOf(4)), patiently).toEqual(['requested', 'expired']);
  place.moveTo(third.port);
  await expect.poll(() => line.device.status().phase, patiently).toBe('online');
  // Whatever was open would come before this one.
  await command(third, line, idOf(5), 20_000);
  await expect.poll(() => told(third, line, idOf(5)), patiently).toEqual(whole);
  expect(line.done.map(({ id }) => id)).toEqual([idOf(1), idOf(2), idOf(3), idOf(5)]);
  expect(await news(third)).toEqual(['command-expired']);
});
