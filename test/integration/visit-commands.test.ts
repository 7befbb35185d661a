/** What devices hear when a clinic starts and ends a session, over a real server and real devices. */

import { afterEach, expect, test } from 'vitest';

import { readConfig } from '#app/config.ts';
import { createLifecycle } from '#app/lifecycle.ts';
import { startServer } from '#app/server.ts';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import type { Visit, VisitAsked } from '#contract/visit.ts';
import { openDevice } from '#sdk/device-client.ts';
import type { DeviceCommand } from '#sdk/device-runtime.ts';
import { memoryStore } from '#sdk/memory-store.ts';
import { createTestDatabase } from '#test/support/database.ts';
import { createTenant } from '#test/support/tenants.ts';

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

interface Told {
  readonly event: string;
  readonly data: { readonly id: string };
}

async function openClinic() {
  const database = await createTestDatabase();
  endings.push(() => database.drop());
  const lifecycle = createLifecycle(systemClock, silentLog);
  endings.push(() => lifecycle.stop());
  const server = await startServer({
    config: readConfig({ args: ['--port', '0'], env: {} }),
    ownerUrl: database.ownerUrl,
    clock: systemClock,
    log: silentLog,
    lifecycle,
    extensions: [],
    demoKey: null,
    tls: null,
    mayMovePort: false,
  });
  const tenant = await createTenant(database.ownerUrl, server.pools, 'A');
  const ask = async <T>(method: string, path: string, body?: object): Promise<T> => {
    const answer = await fetch(`${server.url}/v1/${path}`, {
      method,
      headers: {
        authorization: `Bearer ${tenant.adminKey}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as T;
  };
  const heard: DeviceCommand[] = [];
  const device = await openDevice({
    url: server.url,
    key: tenant.deviceKey,
    store: memoryStore(),
    onCommand(command) {
      heard.push(command);
      return 'done';
    },
  });
  endings.push(() => device.close({ drainMs: 0 }));
  await expect.poll(() => device.status().phase, { timeout: 10_000 }).toBe('online');
  return { ask, heard, device, deviceId: tenant.device.deviceId };
}

test('a connected device hears at once, and once, that it is to start and to stop', async () => {
  const { ask, heard, device, deviceId } = await openClinic();
  const plan = { patientId: null, protocolId: null, plannedFor: null, label: '' };
  const { session } = await ask<Visit>('POST', 'sessions', plan);
  const placements = [{ deviceId, segment: 'left-foot' }];
  await ask('PUT', `sessions/${session.id}/placements`, { revision: 1, placements });
  const started = await ask<VisitAsked>('POST', `sessions/${session.id}/start`);
  const params = { session: session.id, segment: 'left-foot' };
  await expect.poll(() => heard, { timeout: 5_000 }).toHaveLength(1);
  expect([heard[0]!.name, JSON.parse(heard[0]!.argument!)]).toEqual(['start', params]);

  const stream = device.stream({
    session: session.id,
    segment: 'left-foot',
    sensor: 'imu',
    axes: [{ name: 'x', unit: '1' }],
    rateHz: 100,
  });
  stream.push([1]);
  const isRecording = async (): Promise<boolean> =>
    (await ask<Visit>('GET', `sessions/${session.id}/visit`)).placements[0]!.isStreaming;
  await expect.poll(isRecording, { timeout: 10_000 }).toBe(true);
  const ended = await ask<VisitAsked>('POST', `sessions/${session.id}/end`, {});
  await expect.poll(() => heard.at(-1)?.name, { timeout: 5_000 }).toBe('stop');
  expect(heard).toHaveLength(2);
  // What the device answered stands in the channel beside what it was asked.
  const endsOf = async (id: string): Promise<string[]> => {
    const path = `channels/device/${deviceId}/commands/messages?after=0`;
    const { messages } = await ask<{ messages: Told[] }>('GET', path);
    return messages.filter(({ data }) => data.id === id).map(({ event }) => event);
  };
  const whole = ['requested', 'delivered', 'completed'];
  await expect.poll(() => endsOf(started.asked[0]!.command), { timeout: 5_000 }).toEqual(whole);
  await expect.poll(() => endsOf(ended.asked[0]!.command), { timeout: 5_000 }).toEqual(whole);
});
