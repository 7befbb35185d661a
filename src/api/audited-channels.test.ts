import { expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import { fail, ok } from '#base/result.ts';
import type { Principal } from '#contract/principal.ts';
import { auditChannels } from '#api/audited-channels.ts';
import type { Channels, FoundChannel } from '#live/channels.ts';
import { createRecordedAudit } from '#test/support/recorded-audit.ts';
import { principalNamed } from '#test/support/channel-api.ts';

const session = '01900000-0000-7000-8000-0000000000c2';
const anna = principalNamed('anna');
const device: Principal = { ...anna, kind: 'device', role: 'device' };

function channelNamed(name: string, params: Record<string, string>): FoundChannel {
  return { name, params, definition: { name } as unknown as FoundChannel['definition'] };
}
const chat = channelNamed('session/{session}/chat', { session });
const room = channelNamed('room/{room}', { room: 'one' });

function setUp() {
  const audit = createRecordedAudit();
  const done: string[] = [];
  const act = (what: string) => async (): Promise<never> => {
    done.push(`${what} after ${audit.entries.length}`);
    return ok(null) as never;
  };
  const channels = auditChannels(
    {
      join: act('join'),
      history: act('history'),
      request: act('request'),
      publish: async () => fail({ code: 'forbidden', message: 'no' }),
    } as unknown as Channels,
    { audit, onFailure: () => undefined },
  );
  return { audit, done, channels };
}

test('following and reading a session’s channel is recorded with the session, and before it is shown', async () => {
  const { audit, done, channels } = setUp();
  await channels.join(chat, anna);
  await channels.history(chat, anna, { newest: true, limit: 1 });
  expect(done).toEqual(['join after 1', 'history after 1']);
  expect(audit.entries).toMatchObject([
    { action: 'channel.subscribe', route: 'session/{session}/chat', status: 200 },
    { action: 'channel.history', resource: { kind: 'session', id: session }, status: 200 },
  ]);
});

test('what is said is recorded before it is published, and how that ended', async () => {
  const { audit, done, channels } = setUp();
  await channels.request(chat, anna, { name: 'x', data: null });
  await channels.publish(chat, anna, { event: 'said', data: null });
  expect(done).toEqual(['request after 1']);
  expect(audit.entries.map(({ action, status }) => `${action} ${status}`)).toEqual([
    'channel.request null',
    'channel.request 200',
    'channel.publish null',
    'channel.publish 403',
  ]);
});

test('devices, and channels of no session or patient, are not recorded', async () => {
  const { audit, channels } = setUp();
  await channels.join(chat, device);
  await channels.join(room, anna);
  expect(audit.entries).toEqual([]);
});

test('who cannot be recorded is refused, and nothing is done', async () => {
  const { audit, done, channels } = setUp();
  audit.failure = new AppError('store-unavailable', 'away', { temporary: true });
  for (const refused of [
    await channels.join(chat, anna),
    await channels.request(chat, anna, { name: 'x', data: null }),
  ])
    expect(refused).toMatchObject({ ok: false, error: { code: 'store-unavailable' } });
  expect(done).toEqual([]);
});
