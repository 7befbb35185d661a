/** Owns the part of the suite of brokers that is about what is remembered: history, its bounds, and keys. */

import { expect, test } from 'vitest';

import {
  hear,
  heardCount,
  offsetsOf,
  request,
  textsOf,
  upTo,
  type Start,
} from '#bus/broker-conformance-ends.ts';
import { publicationLimits } from '#protocol/publication.ts';

export function testHistory(start: Start): void {
  test('an address that nobody published to has an empty history, and keeps its epoch when somebody does', async () => {
    const broker = await start();
    const page = await broker.listener.history('new', { after: 0, limit: 10 });
    expect(page).toEqual({ epoch: page.epoch, newest: 0, oldest: 1, publications: [] });
    expect((await broker.publisher.history('new', { newest: true, limit: 1 })).epoch).toBe(page.epoch);
    const { position } = await broker.publisher.publish(request('new', 'first'));
    expect(position).toEqual({ epoch: page.epoch, offset: 1 });
    const other = await broker.listener.history('other', { after: 0, limit: 10 });
    expect(other.epoch).not.toBe('');
  });

  test('history is read after an offset, before one, and from its end', async () => {
    const broker = await start();
    for (const n of upTo(10)) await broker.publisher.publish(request('h', String(n)));
    const read = async (query: Parameters<typeof broker.listener.history>[1]): Promise<number[]> => {
      const page = await broker.listener.history('h', query);
      expect(page).toMatchObject({ newest: 10, oldest: 1 });
      expect(textsOf(page.publications)).toEqual(offsetsOf(page.publications).map(String));
      return offsetsOf(page.publications);
    };
    expect(await read({ after: 0, limit: 3 })).toEqual([1, 2, 3]);
    expect(await read({ after: 3, limit: 3 })).toEqual([4, 5, 6]);
    expect(await read({ after: 8, limit: 3 })).toEqual([9, 10]);
    expect(await read({ after: 10, limit: 3 })).toEqual([]);
    expect(await read({ after: 99, limit: 3 })).toEqual([]);
    expect(await read({ newest: true, limit: 3 })).toEqual([8, 9, 10]);
    expect(await read({ newest: true, limit: 99 })).toEqual(upTo(10));
    expect(await read({ newest: true, limit: 0 })).toEqual([]);
    expect(await read({ after: 0, limit: 0 })).toEqual([]);
    expect(await read({ before: 4, limit: 2 })).toEqual([2, 3]);
    expect(await read({ before: 3, limit: 9 })).toEqual([1, 2]);
    expect(await read({ before: 1, limit: 9 })).toEqual([]);
    expect(await read({ before: 0, limit: 9 })).toEqual([]);
    expect(await read({ before: 99, limit: 1 })).toEqual([10]);
  });

  test('one page never has more than its maximum, and pages join', async () => {
    const broker = await start();
    const history = { messages: publicationLimits.historyMessages, seconds: 60 };
    const count = publicationLimits.pageMessages * 2 + 10;
    await Promise.all(
      upTo(count).map((n) => broker.publisher.publish(request('pages', String(n), { history }))),
    );
    const seen: number[] = [];
    for (;;) {
      const { publications } = await broker.listener.history('pages', {
        after: seen.at(-1) ?? 0,
        limit: 10_000,
      });
      if (publications.length === 0) break;
      expect(publications.length).toBeLessThanOrEqual(publicationLimits.pageMessages);
      seen.push(...offsetsOf(publications));
    }
    expect(seen).toEqual(upTo(count));
  });
}

export function testBounds(start: Start): void {
  test('history keeps as many as it is told, the newest', async () => {
    const broker = await start();
    const history = { messages: 5, seconds: 60 };
    for (const n of upTo(12)) await broker.publisher.publish(request('n', String(n), { history }));
    const page = await broker.listener.history('n', { after: 2, limit: 100 });
    expect(page).toMatchObject({ newest: 12, oldest: 8 });
    expect(offsetsOf(page.publications)).toEqual([8, 9, 10, 11, 12]);
    expect(offsetsOf((await broker.listener.history('n', { before: 9, limit: 100 })).publications)).toEqual([
      8,
    ]);
    expect((await broker.listener.history('n', { before: 8, limit: 100 })).publications).toEqual([]);
  });

  test('a history of one keeps the last value, and one of none only counts', async () => {
    const broker = await start();
    const heard = await hear(broker, 'none');
    for (const text of ['a', 'b']) {
      await broker.publisher.publish(request('last', text, { history: { messages: 1, seconds: 60 } }));
      await broker.publisher.publish(request('none', text, { history: { messages: 0, seconds: 60 } }));
    }
    const last = await broker.listener.history('last', { newest: true, limit: 10 });
    expect(last).toMatchObject({ newest: 2, oldest: 2 });
    expect(textsOf(last.publications)).toEqual(['b']);
    const none = await broker.listener.history('none', { newest: true, limit: 10 });
    expect(none).toMatchObject({ newest: 2, oldest: 3, publications: [] });
    await heardCount(heard, 2);
  });

  test('history keeps for as long as it is told, and goes on with the same offsets', async () => {
    const broker = await start();
    const history = { messages: 10, seconds: 1 };
    await broker.publisher.publish(request('t', 'old', { history }));
    await broker.passTime(700);
    await broker.publisher.publish(request('t', 'young', { history }));
    await broker.passTime(500);
    const page = await broker.listener.history('t', { after: 0, limit: 10 });
    expect(page).toMatchObject({ newest: 2, oldest: 2 });
    expect(textsOf(page.publications)).toEqual(['young']);
    await broker.passTime(700);
    const empty = await broker.listener.history('t', { newest: true, limit: 10 });
    expect(empty).toMatchObject({ epoch: page.epoch, newest: 2, oldest: 3, publications: [] });
    const { position } = await broker.publisher.publish(request('t', 'next', { history }));
    expect(position).toEqual({ epoch: page.epoch, offset: 3 });
  });
}

export function testKeys(start: Start): void {
  test('a second publication under the same key is not made and gets the position of the first', async () => {
    const broker = await start();
    const heard = await hear(broker, 'k');
    const first = await broker.publisher.publish(request('k', 'one', { key: 'order 1' }));
    const again = await broker.listener.publish(request('k', 'one again', { key: 'order 1' }));
    expect(first.isDuplicate).toBe(false);
    expect(again).toEqual({ position: first.position, isDuplicate: true });
    const second = await broker.publisher.publish(request('k', 'two', { key: 'order 2' }));
    expect(second).toEqual({ position: { ...first.position, offset: 2 }, isDuplicate: false });
    await heardCount(heard, 2);
    expect(textsOf(heard.publications)).toEqual(['one', 'two']);
  });

  test('the same key at another address is another key', async () => {
    const broker = await start();
    for (const address of ['k1', 'k2', 'k1:x']) {
      const { isDuplicate } = await broker.publisher.publish(request(address, 'x', { key: 'x' }));
      expect(isDuplicate, address).toBe(false);
    }
    const key = 'x'.repeat(publicationLimits.keyCharacters - 1) + 'ü';
    await broker.publisher.publish(request('k1', 'x', { key }));
    expect((await broker.publisher.publish(request('k1', 'x', { key }))).isDuplicate).toBe(true);
  });

  test('of many at once under one key exactly one is made', async () => {
    const broker = await start();
    const ends = [broker.publisher, broker.listener];
    const published = await Promise.all(
      upTo(50).map((n) => ends[n % 2]!.publish(request('race', String(n), { key: 'same' }))),
    );
    expect(published.filter(({ isDuplicate }) => !isDuplicate)).toHaveLength(1);
    expect(new Set(published.map(({ position }) => position.offset))).toEqual(new Set([1]));
    expect((await broker.listener.history('race', { newest: true, limit: 9 })).newest).toBe(1);
  });
}

export function testForgetting(start: Start): void {
  test('a key is forgotten when its time is over', async () => {
    const broker = await start(1);
    await broker.publisher.publish(request('forget', 'a', { key: 'a' }));
    await broker.passTime(1100);
    const again = await broker.publisher.publish(request('forget', 'a', { key: 'a' }));
    expect(again).toMatchObject({ position: { offset: 2 }, isDuplicate: false });
  });
}
