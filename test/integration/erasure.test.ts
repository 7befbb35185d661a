/** Erasing against running servers and devices: what is on its way, still on a device, or shown at this moment. */

import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { readConfig } from '#app/config.ts';
import { createLifecycle } from '#app/lifecycle.ts';
import { startServer, type RunningServer } from '#app/server.ts';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { Ticket } from '#contract/rest.ts';
import { openDevice } from '#sdk/device-client.ts';
import type { Device, DeviceStream } from '#sdk/device-runtime.ts';
import type { DeviceEvent } from '#sdk/device-state.ts';
import type { DeviceStore } from '#sdk/device-store.ts';
import { connectLive } from '#sdk/live-client.ts';
import { memoryStore } from '#sdk/memory-store.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';

let database: TestDatabase;
let tenant: Tenant;
let servers: RunningServer[];
const endings: (() => unknown)[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  servers = [];
  // Two on one database, as behind a load balancer.
  for (let i = 0; i < 2; i++) {
    const lifecycle = createLifecycle(systemClock, silentLog);
    endings.push(() => lifecycle.stop());
    servers.push(
      await startServer({
        config: readConfig({ args: ['--port', '0'], env: {} }),
        ownerUrl: database.ownerUrl,
        clock: systemClock,
        log: silentLog,
        lifecycle,
        extensions: [],
        demoKey: null,
        tls: null,
        mayMovePort: false,
      }),
    );
  }
  tenant = await createTenant(database.ownerUrl, servers[0]!.pools, 'A');
});

afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
  await database.drop();
});

interface Recorder {
  readonly device: Device;
  readonly store: DeviceStore;
  readonly events: DeviceEvent[];
  record(session: string, segment: string): DeviceStream;
  /** Stops recording and disconnects. */
  close(): Promise<void>;
}

async function openRecorder(key = tenant.deviceKey): Promise<Recorder> {
  const store = memoryStore();
  const events: DeviceEvent[] = [];
  const device = await openDevice({
    url: servers[0]!.url,
    key,
    store,
    onEvent: (event) => void events.push(event),
    timing: { backoff: { baseMs: 50, capMs: 500 } },
  });
  const timers: NodeJS.Timeout[] = [];
  const close = (): Promise<void> => {
    for (const timer of timers) clearInterval(timer);
    return device.close({ drainMs: 0 });
  };
  endings.push(close);
  return {
    close,
    device,
    store,
    events,
    record(session, segment) {
      const stream = device.stream({
        session,
        segment,
        sensor: 'imu',
        axes: [{ name: 'x', unit: '1' }],
        rateHz: 200,
      });
      let value = 0;
      timers.push(setInterval(() => stream.push([value++, value++]), 10));
      return stream;
    },
  };
}

async function eraseAt(server: RunningServer, session: string): Promise<number> {
  const answer = await fetch(`${server.url}/v1/sessions/${session}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${tenant.adminKey}` },
  });
  return answer.status;
}

async function storedOf(stream: string): Promise<{ readings: number; epochs: number }> {
  const client = new pg.Client({ connectionString: database.ownerUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ readings: number; epochs: number }>(
      `select (select coalesce(sum(n), 0)::int from kymo.stored_chunk where stream_id = $1) as readings,
              (select count(*)::int from kymo.stream_epoch where stream_id = $1) as epochs`,
      [stream],
    );
    return rows[0]!;
  } finally {
    await client.end();
  }
}

const discardedOf = (events: readonly DeviceEvent[]): string[] =>
  events.flatMap((event) => (event.type === 'discarded' ? [event.stream] : []));

/** How many frames of the session a viewer has been shown so far. */
async function watch(session: string): Promise<() => number> {
  const [server] = servers;
  let frames = 0;
  let isFollowing = false;
  const viewer = connectLive({
    url: `${server!.url.replace('http', 'ws')}/v1/live`,
    async ticket() {
      const answer = await fetch(`${server!.url}/v1/tickets`, {
        method: 'POST',
        headers: { authorization: `Bearer ${tenant.readKey}` },
      });
      return ((await answer.json()) as Ticket).ticket;
    },
    onReadings: (_, message) => void (frames += message.frames.length),
    onSubscribed: () => void (isFollowing = true),
  });
  endings.push(() => viewer.close());
  viewer.subscribe(`session/${session}/readings`);
  await expect.poll(() => isFollowing, { timeout: 10_000 }).toBe(true);
  return () => frames;
}

test('a session that streams, erased at another server, is gone everywhere; the device goes on with its others', async () => {
  const [erased, kept] = [uuidv7(systemClock), uuidv7(systemClock)];
  const { device, store, events, record } = await openRecorder();
  const gone = record(erased, 'left-foot');
  const other = record(kept, 'hand');
  await expect
    .poll(async () => (await storedOf(gone.definition.stream)).readings, { timeout: 20_000 })
    .toBeGreaterThan(100);
  const shown = await watch(erased);
  await expect.poll(shown, { timeout: 10_000 }).toBeGreaterThan(0);
  expect(await eraseAt(servers[1]!, erased)).toBe(204);
  await expect.poll(() => discardedOf(events), { timeout: 20_000 }).toEqual([gone.definition.stream]);
  expect(store.logs().map((log) => log.definition.stream)).toEqual([other.definition.stream]);
  const framesThen = shown();
  const { readings } = await storedOf(other.definition.stream);
  await expect
    .poll(async () => (await storedOf(other.definition.stream)).readings, { timeout: 20_000 })
    .toBeGreaterThan(readings + 100);
  // The program still records what was erased, and nothing comes of it.
  expect(device.status().discardedReadings).toBeGreaterThan(0);
  expect(await storedOf(gone.definition.stream)).toEqual({ readings: 0, epochs: 0 });
  expect(shown() - framesThen).toBeLessThanOrEqual(1);
  expect(device.status()).toMatchObject({ phase: 'online', reconnects: 0 });
});

test('readings that only a device holds are dropped there, also of streams that no server ever saw', async () => {
  const session = uuidv7(systemClock);
  const known = await openRecorder();
  const seen = known.record(session, 'left-foot');
  await expect
    .poll(async () => (await storedOf(seen.definition.stream)).readings, { timeout: 20_000 })
    .toBeGreaterThan(0);
  await known.close();
  expect(await eraseAt(servers[0]!, session)).toBe(204);
  const late = await openRecorder();
  const unseen = late.record(session, 'hand');
  await expect.poll(() => discardedOf(late.events), { timeout: 20_000 }).toEqual([unseen.definition.stream]);
  expect(late.store.logs()).toEqual([]);
  expect(await storedOf(unseen.definition.stream)).toEqual({ readings: 0, epochs: 0 });
  expect(await late.device.drained({ timeoutMs: 5_000 })).toBe(true);
});
