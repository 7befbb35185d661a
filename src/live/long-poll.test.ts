import { expect, test } from 'vitest';

import { decodeCursor, encodeCursor } from '#protocol/channel-cursor.ts';
import type { ViewerMessage } from '#contract/live-messages.ts';
import { pollChannels, type PollOptions } from '#live/long-poll.ts';
import { encodeControl } from '#live/outgoing.ts';
import type { Transport } from '#live/transport.ts';
import { createManualClock } from '#test/support/manual-clock.ts';
import { eventItem, subscribedItem, testEpoch } from '#test/support/outgoing-messages.ts';

interface Answer {
  readonly cursor: string;
  readonly recovered: boolean;
  readonly channels: unknown[];
  readonly messages: { readonly offset?: number; readonly type: string }[];
}

function poll(changes: Partial<PollOptions> = {}) {
  const clock = createManualClock();
  const asked: ViewerMessage[] = [];
  let transport: Transport | undefined;
  let endings = 0;
  const ignore = (): void => {};
  const polled = pollChannels(
    (given) => {
      transport = given;
      return {
        receive: (message) => void asked.push(message),
        receiveText: ignore,
        receiveBinary: ignore,
        heard: ignore,
        ended: () => void endings++,
      };
    },
    { channels: ['a'], cursor: null, last: 0, limit: 100, waitMs: 25_000, clock, ...changes },
  );
  let answer: Answer | string | null = null;
  void polled.answer.then((result) => {
    answer = result.ok ? (JSON.parse(result.value) as Answer) : result.error.code;
  });
  return {
    clock,
    asked,
    transport: transport!,
    abandon: polled.abandon,
    endings: () => endings,
    answer: async (): Promise<Answer | string | null> => {
      await Promise.resolve();
      await Promise.resolve();
      return answer;
    },
  };
}

const sent = (): void => {};

test('what was missed is answered at once, with the cursor behind it', async () => {
  const cursor = decodeCursor(encodeCursor([['a', { epoch: testEpoch, offset: 4 }]]));
  const { transport, asked, answer, endings, clock } = poll({ cursor });
  expect(asked).toEqual([
    { type: 'subscribe', id: 0, channel: 'a', position: { epoch: testEpoch, offset: 4 } },
  ]);
  transport.write(
    [subscribedItem('a', { position: { epoch: testEpoch, offset: 4 }, recovered: true })],
    sent,
  );
  transport.write([eventItem('a', 5, 1), eventItem('a', 6, 2)], sent);
  expect(await answer()).toBeNull();
  transport.caughtUp?.('a');
  const told = (await answer()) as Answer;
  expect(told.messages.map(({ offset }) => offset)).toEqual([5, 6]);
  expect(told.recovered).toBe(true);
  expect(told.channels).toEqual([{ channel: 'a', lossClass: 'event', recovered: true }]);
  expect(decodeCursor(told.cursor)?.positionOf('a')).toEqual({ epoch: testEpoch, offset: 6 });
  expect(endings()).toBe(1);
  expect(clock.timerCount).toBe(0);
});

test('with nothing missed it waits for the first message', async () => {
  const { transport, answer, clock } = poll();
  transport.write([subscribedItem('a')], sent);
  transport.caughtUp?.('a');
  clock.advance(24_999);
  expect(await answer()).toBeNull();
  transport.write([eventItem('a', 1, 0)], sent);
  expect(((await answer()) as Answer).messages).toHaveLength(1);
});

test('the end of the wait is an empty answer with a cursor', async () => {
  const { transport, answer, clock } = poll();
  transport.write([subscribedItem('a', { position: { epoch: testEpoch, offset: 9 } })], sent);
  transport.caughtUp?.('a');
  clock.advance(25_000);
  const told = (await answer()) as Answer;
  expect(told.messages).toEqual([]);
  expect(decodeCursor(told.cursor)?.positionOf('a')?.offset).toBe(9);
});

test('without a wait it answers when every channel has told what it holds', async () => {
  const { transport, answer } = poll({ channels: ['a', 'b'], waitMs: 0 });
  transport.write([subscribedItem('a')], sent);
  transport.caughtUp?.('a');
  expect(await answer()).toBeNull();
  // Class live holds nothing, so being subscribed is all there is to wait for.
  transport.write(
    [encodeControl({ type: 'subscribed', id: 1, channel: 'b', number: 2, lossClass: 'live' })],
    sent,
  );
  expect(((await answer()) as Answer).messages).toEqual([]);
});

test('what is over the limit stays for the next poll', async () => {
  const { transport, answer } = poll({ limit: 2 });
  transport.write([subscribedItem('a'), ...[1, 2, 3, 4].map((offset) => eventItem('a', offset, 0))], sent);
  const told = (await answer()) as Answer;
  expect(told.messages.map(({ offset }) => offset)).toEqual([1, 2]);
  expect(decodeCursor(told.cursor)?.positionOf('a')?.offset).toBe(2);
});

test('an answer is bounded in bytes, and holds one message whatever its size', async () => {
  const large = 'x'.repeat(1_000);
  const { transport, answer } = poll({ maxBytes: 2_500 });
  transport.write([subscribedItem('a'), ...[1, 2, 3].map((offset) => eventItem('a', offset, large))], sent);
  expect(((await answer()) as Answer).messages.map(({ offset }) => offset)).toEqual([1, 2]);
  const tiny = poll({ maxBytes: 10 });
  tiny.transport.write([subscribedItem('a'), eventItem('a', 1, large), eventItem('a', 2, 0)], sent);
  expect(((await tiny.answer()) as Answer).messages).toHaveLength(1);
});

test('a channel that is full does not take away what is known of the others', async () => {
  const cursor = decodeCursor(encodeCursor([['b', { epoch: testEpoch, offset: 70 }]]));
  const { transport, answer } = poll({ channels: ['a', 'b'], cursor, limit: 1 });
  transport.write([subscribedItem('a'), eventItem('a', 1, 0)], sent);
  const told = (await answer()) as Answer;
  expect(decodeCursor(told.cursor)?.positionOf('b')?.offset).toBe(70);
});

test('loss in one channel is told of the answer and of the channel', async () => {
  const { transport, answer } = poll({ channels: ['a', 'b'], waitMs: 0 });
  transport.write(
    [subscribedItem('a', { recovered: true }), subscribedItem('b', { recovered: false })],
    sent,
  );
  transport.caughtUp?.('a');
  transport.caughtUp?.('b');
  const told = (await answer()) as Answer;
  expect(told.recovered).toBe(false);
  expect(told.channels).toMatchObject([{ recovered: true }, { recovered: false }]);
});

test('a refusal of one channel refuses the poll', async () => {
  const { transport, answer, endings } = poll({ channels: ['a', 'b'] });
  transport.write([subscribedItem('a')], sent);
  transport.write([encodeControl({ type: 'error', id: 1, code: 'forbidden', message: 'no' })], sent);
  expect(await answer()).toBe('forbidden');
  expect(endings()).toBe(1);
});

test('a hub that closes says why, unless there is something to answer', async () => {
  const full = poll();
  full.transport.close('overloaded');
  expect(await full.answer()).toBe('overloaded');
  const draining = poll({ channels: ['a', 'b'] });
  draining.transport.write([subscribedItem('a'), eventItem('a', 1, 0)], sent);
  draining.transport.close('restarting');
  expect(((await draining.answer()) as Answer).messages).toHaveLength(1);
});

test('channels that cannot be asked end the poll in time', async () => {
  const { clock, answer } = poll();
  clock.advance(10_000);
  expect(await answer()).toBe('timed-out');
});

test('nobody waiting ends it, and nothing is written afterwards', async () => {
  const { transport, abandon, endings, clock, answer } = poll();
  transport.write([subscribedItem('a')], sent);
  abandon();
  transport.write([eventItem('a', 1, 0)], sent);
  expect(endings()).toBe(1);
  expect(clock.timerCount).toBe(0);
  expect(((await answer()) as Answer).messages).toEqual([]);
});
