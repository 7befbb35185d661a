import { expect, test } from 'vitest';

import { silentLog } from '#base/log.ts';
import type { Broker } from '#bus/broker.ts';
import { createMemoryBroker } from '#bus/memory-broker.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';
import { createMemoryPresence } from '#bus/memory-presence.ts';
import type { Principal } from '#contract/principal.ts';
import { createChannels } from '#live/create-channels.ts';
import { createBuiltInChannels } from '#app/channels/built-in.ts';
import { commandLimits, type Requested } from '#app/channels/device-commands.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

const SESSION = '01900000-0000-7000-8000-00000000000a';
const DEVICE = '01900000-0000-7000-8000-0000000000d1';
const OTHER = '01900000-0000-7000-8000-0000000000d2';
const PATIENT = '01900000-0000-7000-8000-0000000000a1';
const COMMAND = '01900000-0000-7000-8000-0000000000c1';
const chat = `session/${SESSION}/chat`;
const commands = `device/${DEVICE}/commands`;

const someone = (over: Partial<Principal> = {}): Principal => ({
  kind: 'access',
  orgId: 'org',
  subject: 'ann',
  role: 'service',
  patientId: null,
  permissions: ['session.read'],
  grants: null,
  expiresAtUs: Number.POSITIVE_INFINITY,
  revocationId: null,
  ...over,
});
const device = (subject = DEVICE): Principal => someone({ kind: 'device', subject });

/** Like a store that keeps everything. */
const KEPT = { messages: 1_000, seconds: 86_400 };

function start() {
  const clock = createManualClock();
  const requested: { device: string; command: Requested }[] = [];
  const builtIn = createBuiltInChannels(({ device: of }, command) => requested.push({ device: of, command }));
  const memory = createMemoryBroker({ clock });
  const broker: Broker = { ...memory, publish: (request) => memory.publish({ ...request, history: KEPT }) };
  const channels = createChannels({
    definitions: builtIn.definitions,
    bus: createMemoryBus(),
    brokers: { volatile: broker, durable: broker },
    presence: createMemoryPresence(),
    clock,
    services: {
      clock,
      log: silentLog,
      // PATIENT has this session, and nobody else of the patients.
      sessionExists: async (of, id) =>
        (typeof of === 'string' ? of === 'org' : of.patientId === PATIENT) && id === SESSION,
      deviceExists: async (orgId, id) => orgId === 'org' && id === DEVICE,
      sessionIds: async (of) =>
        (typeof of === 'string' ? of === 'org' : of.patientId === PATIENT) ? [SESSION] : [],
    },
    onFailure: (cause) => {
      throw cause;
    },
  });
  const found = (name: string) => channels.find(name)!;
  return {
    channels,
    clock,
    requested,
    allow: async (
      name: string,
      identity: Principal,
      operation: 'subscribe' | 'publish' | 'history' | 'presence',
    ) => {
      const answer = await channels.allow(found(name), identity, operation);
      return answer.ok ? 'yes' : answer.error.code;
    },
    publish: async (name: string, identity: Principal, event: string, data: unknown, key?: string) => {
      const answer = await channels.publish(found(name), identity, { event, data, key });
      return answer.ok
        ? (answer.value.position?.offset ?? null)
        : `${answer.error.code} ${answer.error.field ?? ''}`;
    },
    read: async (name: string) => {
      const page = await channels.history(found(name), someone(), { after: 0, limit: 100 });
      if (!page.ok) throw new Error(page.error.message);
      return page.value.publications.map(
        ({ payload }) => JSON.parse(new TextDecoder().decode(payload)) as unknown,
      );
    },
  };
}

test('names with anything but an id in them are no channels', () => {
  const { channels } = start();
  for (const name of [chat, `session/${SESSION}/readings`, commands, 'notifications'])
    expect(channels.find(name)?.name).toBe(name);
  for (const name of [
    'session/1/chat',
    `session/${SESSION.toUpperCase()}/chat`,
    'device/x/commands',
    'session//chat',
  ])
    expect(channels.find(name)).toBe(null);
});

test('a session is followed by its organisation and not by devices or others', async () => {
  const { allow, channels } = start();
  const unknown = `session/${OTHER}/chat`;
  for (const name of [chat, `session/${SESSION}/readings`]) {
    expect(await allow(name, someone(), 'subscribe')).toBe('yes');
    expect(await allow(name, device(), 'subscribe')).toBe('not-found');
    expect(await allow(name, someone({ orgId: 'other' }), 'subscribe')).toBe('not-found');
  }
  expect(await allow(unknown, someone(), 'subscribe')).toBe('not-found');
  expect(await allow(`session/${SESSION}/readings`, someone(), 'publish')).toBe('forbidden');
  const grants = [{ channels: 'session/*/chat', operations: ['subscribe'] as const }];
  expect(await allow(chat, someone({ kind: 'token', grants }), 'subscribe')).toBe('yes');
  expect(await allow(chat, someone({ kind: 'token', grants }), 'publish')).toBe('forbidden');
  const listed = await channels.expand('session/*/chat', someone(), 64);
  expect(listed.ok && listed.value.map(({ name }) => name)).toEqual([chat]);
});

test('a key that may not read recordings follows none, and asks devices for what it may', async () => {
  const { allow, channels } = start();
  const key = someone({ permissions: ['organisation.read', 'patient.read', 'key.manage', 'device.command'] });
  for (const part of ['readings', 'motion', 'gait', 'annotations', 'chat'])
    expect(await allow(`session/${SESSION}/${part}`, key, 'subscribe')).toBe('not-found');
  expect(await allow(chat, key, 'publish')).toBe('not-found');
  expect(await allow(chat, key, 'history')).toBe('not-found');
  expect(await allow('notifications', key, 'history')).toBe('not-found');
  const listed = await channels.expand('session/*/readings', key, 64);
  expect(listed.ok && listed.value).toEqual([]);
  expect(await allow(commands, key, 'publish')).toBe('yes');
  expect(await allow(commands, someone({ permissions: ['audit.read'] }), 'publish')).toBe('not-found');
});

test('a patient’s account follows what is measured in its own sessions, and not what colleagues say of them', async () => {
  const { allow, channels } = start();
  const patient = (patientId: string | null) => someone({ kind: 'user', role: 'patient', patientId });
  for (const part of ['readings', 'motion', 'gait', 'annotations']) {
    const name = `session/${SESSION}/${part}`;
    expect(await allow(name, patient(PATIENT), 'subscribe')).toBe('yes');
    expect(await allow(name, patient(OTHER), 'subscribe')).toBe('not-found');
    expect(await allow(name, patient(null), 'subscribe')).toBe('not-found');
    expect(await allow(name, patient(PATIENT), 'publish')).not.toBe('yes');
  }
  for (const name of [chat, commands, 'notifications', 'organisation/jobs'])
    for (const operation of ['subscribe', 'publish', 'history'] as const)
      expect(await allow(name, patient(PATIENT), operation)).not.toBe('yes');
  const listed = async (pattern: string, patientId: string): Promise<string[]> => {
    const found = await channels.expand(pattern, patient(patientId), 64);
    return found.ok ? found.value.map(({ name }) => name) : [];
  };
  expect(await listed('session/*/readings', PATIENT)).toEqual([`session/${SESSION}/readings`]);
  expect(await listed('session/*/readings', OTHER)).toEqual([]);
  expect(await listed('session/*/chat', PATIENT)).toEqual([]);
});

test('what is said stands under the name of who said it, and one receipt is kept once', async () => {
  const { publish, read } = start();
  expect(await publish(chat, someone(), 'message', { text: 'he limps ☃' })).toBe(1);
  const ben = someone({ subject: 'ben' });
  expect(await publish(chat, ben, 'receipt', { upTo: 1 })).toBe(2);
  expect(await publish(chat, ben, 'receipt', { upTo: 1 })).toBe(2);
  expect(await publish(chat, someone({ subject: 'cleo' }), 'receipt', { upTo: 1 })).toBe(3);
  expect(await read(chat)).toEqual([
    { event: 'message', data: { text: 'he limps ☃' }, by: 'ann' },
    { event: 'receipt', data: { upTo: 1 }, by: 'ben' },
    { event: 'receipt', data: { upTo: 1 }, by: 'cleo' },
  ]);
});

test('a message says something, and not more than a page', async () => {
  const { publish } = start();
  expect(await publish(chat, someone(), 'message', { text: 'ü'.repeat(2_000) })).toBe(1);
  for (const data of [
    { text: '' },
    { text: ' \n ' },
    { text: 'x'.repeat(2_001) },
    { text: 'x', by: 'ben' },
    'x',
    null,
  ])
    expect(await publish(chat, someone(), 'message', data)).toMatch(/^invalid-field/);
  expect(await publish(chat, someone(), 'receipt', { upTo: 0 })).toMatch(/^invalid-field/);
});

test('a device sees its own commands and gives none', async () => {
  const { allow } = start();
  expect(await allow(commands, device(), 'subscribe')).toBe('yes');
  expect(await allow(commands, device(), 'publish')).toBe('forbidden');
  expect(await allow(commands, device(OTHER), 'subscribe')).toBe('not-found');
  expect(await allow(commands, someone(), 'publish')).toBe('yes');
  expect(await allow(commands, someone({ orgId: 'other' }), 'publish')).toBe('not-found');
  expect(await allow(`device/${OTHER}/commands`, someone(), 'publish')).toBe('not-found');
  // A foreign token commands only where it says so.
  expect(await allow(commands, someone({ kind: 'token' }), 'publish')).toBe('forbidden');
  const grants = [{ channels: 'device/*/commands', operations: ['publish'] as const }];
  expect(await allow(commands, someone({ kind: 'token', grants }), 'publish')).toBe('yes');
});

test('a cue takes any key, starting and stopping one of scope admin', async () => {
  const { publish, requested } = start();
  expect(await publish(commands, someone(), 'request', { command: 'cue' })).toBe(1);
  for (const command of ['start', 'stop']) {
    expect(await publish(commands, someone(), 'request', { command })).toBe('forbidden /data/command');
    expect(await publish(commands, someone({ permissions: null }), 'request', { command })).toBeTypeOf(
      'number',
    );
    expect(await publish(commands, someone({ kind: 'server' }), 'request', { command })).toBeTypeOf('number');
  }
  expect(requested.map(({ command }) => command.command)).toEqual(['cue', 'start', 'start', 'stop', 'stop']);
});

test('a command has an id, an end and its parameters, and the same id is the same command', async () => {
  const { publish, read, requested, clock } = start();
  const data = {
    command: 'cue',
    id: COMMAND,
    expiresMs: 2_000,
    params: { strength: 0.5, pattern: 'double' },
  };
  expect(await publish(commands, someone(), 'request', data)).toBe(1);
  expect(await publish(commands, someone(), 'request', data)).toBe(1);
  expect(await publish(commands, someone(), 'request', { command: 'cue' })).toBe(2);
  const [first, second] = (await read(commands)) as { data: Requested; by: string }[];
  const nowUs = clock.nowUs();
  const { expiresMs: _, ...said } = data;
  expect(first).toEqual({ event: 'requested', by: 'ann', data: { ...said, expiresAtUs: nowUs + 2_000_000 } });
  expect(second!.data.expiresAtUs).toBe(nowUs + commandLimits.expiresDefaultMs * 1000);
  expect(second!.data.id).toMatch(/^[0-9a-f-]{36}$/);
  expect(requested[0]).toEqual({ device: DEVICE, command: first!.data });
});

test('a command that is sent again under its Idempotency-Key is asked for once, and no other one ever ends', async () => {
  const { publish, read, requested } = start();
  for (let i = 0; i < 3; i++)
    expect(await publish(commands, someone(), 'request', { command: 'cue' }, 'mine')).toBe(1);
  const [said] = (await read(commands)) as { data: Requested }[];
  expect(requested.map(({ command }) => command.id)).toEqual([said!.data.id]);
});

test('commands nobody knows, without end, or with too much to say are refused', async () => {
  const { publish, requested } = start();
  const large = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`p${i}`, 'ü'.repeat(256)]));
  const refused = [
    { command: 'explode' },
    { command: 'cue', expiresMs: 999 },
    { command: 'cue', expiresMs: commandLimits.expiresMaxMs + 1 },
    { command: 'cue', id: 'mine' },
    { command: 'cue', params: { nested: {} } },
    { command: 'cue', params: large },
    { command: 'cue', params: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`p${i}`, i])) },
  ];
  for (const data of refused)
    expect(await publish(commands, someone(), 'request', data)).toMatch(/^invalid-field/);
  for (const event of ['requested', 'completed', 'delivered'])
    expect(await publish(commands, someone(), event, { id: COMMAND })).toMatch(/^invalid-field/);
  expect(requested).toEqual([]);
});

test('notifications are read by people and programs, and made by the server alone', async () => {
  const { allow, publish } = start();
  expect(await allow('notifications', someone(), 'subscribe')).toBe('yes');
  expect(await allow('notifications', someone(), 'history')).toBe('yes');
  expect(await allow('notifications', someone({ permissions: null }), 'publish')).toBe('forbidden');
  expect(await allow('notifications', device(), 'subscribe')).toBe('not-found');
  expect(await publish('notifications', someone(), 'device-lost', { device: DEVICE })).toMatch(/^forbidden/);
});
