import { expect, test } from 'vitest';

import { authorOf, talkOf, whoIsHere, type TalkMessage } from '#web/session/talk-model.ts';

const ANN = '01900000-0000-7000-8000-00000000aaaa';
const BEN = '01900000-0000-7000-8000-00000000bbbb';
const about = { channel: 'session/1/chat', timeUs: 1_000_000, skipped: 0 };
const said = (offset: number, by: string, text = 'x'): TalkMessage => ({
  ...about,
  event: 'message',
  data: { text },
  offset,
  by,
});
const read = (offset: number, by: string, upTo: number): TalkMessage => ({
  ...about,
  event: 'receipt',
  data: { upTo },
  offset,
  by,
});

test('messages are shown in their order, with who wrote them and how many others have read them', () => {
  const { entries } = talkOf(
    [said(1, ANN, 'a'), read(2, BEN, 1), said(3, BEN, 'b'), read(4, 'user:cleo', 3), read(5, ANN, 3)],
    ANN,
  );
  expect(
    entries.map(({ offset, text, author, isOwn, readers }) => ({ offset, text, author, isOwn, readers })),
  ).toEqual([
    { offset: 1, text: 'a', author: 'Reader aaaa', isOwn: true, readers: 2 },
    { offset: 3, text: 'b', author: 'Reader bbbb', isOwn: false, readers: 2 },
  ]);
});

test('the newest message of others is unread until it was confirmed, by any window', () => {
  const messages = [said(1, ANN), said(2, BEN), said(3, BEN), said(4, ANN)];
  expect(talkOf(messages, ANN).unread).toBe(3);
  expect(talkOf([...messages, read(5, ANN, 2)], ANN).unread).toBe(3);
  expect(talkOf([...messages, read(5, ANN, 3)], ANN).unread).toBe(null);
  expect(talkOf([...messages, read(5, ANN, 3), read(6, ANN, 2)], ANN).unread).toBe(null);
  expect(talkOf(messages, BEN).unread).toBe(4);
  // While it is not known who looks, nothing is confirmed in anybody's name.
  expect(talkOf(messages, null).unread).toBe(null);
  expect(talkOf([said(1, ANN)], ANN).unread).toBe(null);
});

test('the page finds itself among those who are here, and counts people, not windows', () => {
  const member = (id: string, subject: string, seat: string) => ({ id, subject, state: { seat } });
  const members = [
    member('1', ANN, 'mine'),
    member('2', ANN, 'my other window'),
    member('3', BEN, 'b'),
    { id: '4', subject: 'user:cleo', state: null },
  ];
  expect(whoIsHere(members, 'mine')).toEqual({ me: ANN, others: 2 });
  expect(whoIsHere(members, 'not here yet')).toEqual({ me: null, others: 0 });
  expect(whoIsHere([], 'mine')).toEqual({ me: null, others: 0 });
});

test('authors are told apart by what is theirs', () => {
  expect([authorOf(ANN), authorOf('user:anna'), authorOf(null)]).toEqual(['Reader aaaa', 'anna', 'Server']);
});
