/**
 * Owns what every broker must do, wherever it keeps its histories: one suite of tests, run by each implementation's own
 * test file. Publisher and listener may be in different processes; nothing here waits for time but by `passTime`.
 */

import { afterEach, expect, test } from 'vitest';

import type { Broker, PublishRequest } from '#bus/broker.ts';
import { publicationLimits, type Publication } from '#protocol/publication.ts';

/** Two ends of one broker; the same object twice where there is one process. */
export interface BrokerUnderTest {
  readonly publisher: Broker;
  readonly listener: Broker;
  /** Lets the time pass by which histories and keys end. */
  passTime(ms: number): Promise<void>;
}

/** Makes an empty broker that no other test sees, whose keys are remembered for `keySeconds`. */
export type CreateBroker = (options: { readonly keySeconds: number }) => Promise<BrokerUnderTest>;

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (payload: Uint8Array): string => new TextDecoder().decode(payload);
const textsOf = (publications: readonly Publication[]): string[] =>
  publications.map(({ payload }) => textOf(payload));
const offsetsOf = (publications: readonly Publication[]): number[] =>
  publications.map(({ offset }) => offset);
const laterTurn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

const bounds = { messages: 100, seconds: 60 };
const request = (address: string, text: string, more: Partial<PublishRequest> = {}): PublishRequest => ({
  address,
  payload: bytes(text),
  history: bounds,
  key: null,
  ...more,
});

interface Heard {
  readonly publications: Publication[];
  readonly epochs: Set<string>;
  stop(): void;
}

type Start = (keySeconds?: number) => Promise<BrokerUnderTest>;

export function testBrokerConformance(create: CreateBroker): void {
  let open: BrokerUnderTest[] = [];
  afterEach(async () => {
    for (const { publisher, listener } of open) {
      await publisher.close();
      if (listener !== publisher) await listener.close();
    }
    open = [];
  });
  const start: Start = async (keySeconds = 60) => {
    const broker = await create({ keySeconds });
    open.push(broker);
    return broker;
  };
  testOffsets(start);
  testHistory(start);
  testBounds(start);
  testKeys(start);
  testBrokerListening(start);
  testClosing(start);
}

/** Listens and returns when publications come. */
async function hear({ listener }: BrokerUnderTest, address: string): Promise<Heard> {
  const heard: Heard = { publications: [], epochs: new Set(), stop: () => listening.stop() };
  const listening = listener.listen(address, {
    publication(epoch, publication) {
      heard.epochs.add(epoch);
      heard.publications.push({ ...publication, payload: publication.payload.slice() });
    },
    resumed: () => undefined,
  });
  await listening.ready;
  return heard;
}

async function heardCount(heard: Heard, count: number): Promise<void> {
  while (heard.publications.length < count) await laterTurn();
}

function testOffsets(start: Start): void {
  test('publications have the offsets 1, 2, 3 in one epoch, and listeners get them in that order', async () => {
    const broker = await start();
    const heard = await hear(broker, 'o/room');
    const published = [];
    for (const text of ['a', 'b', 'c'])
      published.push(await broker.publisher.publish(request('o/room', text)));
    await heardCount(heard, 3);
    const { epoch } = published[0]!.position;
    expect(epoch).not.toBe('');
    expect(published).toEqual(upTo(3).map((offset) => ({ position: { epoch, offset }, isDuplicate: false })));
    expect(offsetsOf(heard.publications)).toEqual([1, 2, 3]);
    expect(textsOf(heard.publications)).toEqual(['a', 'b', 'c']);
    expect([...heard.epochs]).toEqual([epoch]);
    const page = await broker.listener.history('o/room', { after: 0, limit: 10 });
    expect(page).toEqual({ epoch, newest: 3, oldest: 1, publications: heard.publications });
    for (const { timeUs } of page.publications) expect(Math.abs(timeUs)).toBeGreaterThan(1e15);
  });

  test('publishers that do not wait for each other get distinct offsets without a gap', async () => {
    const broker = await start();
    const heard = await hear(broker, 'many');
    const ends = [broker.publisher, broker.listener];
    const published = await Promise.all(
      upTo(400).map((n) => ends[n % 2]!.publish(request('many', String(n)))),
    );
    const offsets = published.map(({ position }) => position.offset);
    expect(offsets.toSorted((a, b) => a - b)).toEqual(upTo(400));
    await heardCount(heard, 400);
    expect(offsetsOf(heard.publications)).toEqual(upTo(400));
    for (const [i, offset] of offsets.entries())
      expect(textOf(heard.publications[offset - 1]!.payload)).toBe(String(i + 1));
  });

  test('one publisher that does not wait is served in the order of its calls', async () => {
    const broker = await start();
    const published = await Promise.all(
      upTo(500).map((n) => broker.publisher.publish(request('order', String(n)))),
    );
    expect(published.map(({ position }) => position.offset)).toEqual(upTo(500));
  });

  test('addresses are apart, whatever they look like', async () => {
    const broker = await start();
    const addresses = ['a/b', 'a', 'a/*', 'a/b/', 'a?b', '[a]/b', 'A/B', 'a/b c', 'ü/b', '{a}/b', '-/b'];
    const heard = await hear(broker, 'a/b');
    for (const address of addresses) await broker.publisher.publish(request(address, address));
    for (const address of addresses) {
      const page = await broker.listener.history(address, { newest: true, limit: 10 });
      expect(textsOf(page.publications), address).toEqual([address]);
    }
    await broker.publisher.publish(request('a/b', 'last'));
    await heardCount(heard, 2);
    expect(textsOf(heard.publications)).toEqual(['a/b', 'last']);
  });

  test('many addresses at once each have their own offsets and listeners', async () => {
    const broker = await start();
    const addresses = upTo(300).map((n) => `o/room/${n}`);
    const heard = await Promise.all(addresses.map((address) => hear(broker, address)));
    for (const text of ['1', '2'])
      await Promise.all(addresses.map((address) => broker.publisher.publish(request(address, text))));
    for (const one of heard) {
      await heardCount(one, 2);
      expect(offsetsOf(one.publications)).toEqual([1, 2]);
      expect(textsOf(one.publications)).toEqual(['1', '2']);
    }
  });

  test('a payload is any bytes: none, all values, a large one', async () => {
    const broker = await start();
    const heard = await hear(broker, 'binary');
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    const large = new Uint8Array(512 * 1024).fill(0xa5);
    for (const payload of [new Uint8Array(0), all, large])
      await broker.publisher.publish(request('binary', '', { payload }));
    await heardCount(heard, 3);
    const page = await broker.listener.history('binary', { after: 0, limit: 3 });
    for (const publications of [heard.publications, page.publications]) {
      expect(publications.map(({ payload }) => payload.length)).toEqual([0, 256, large.length]);
      expect(Buffer.compare(publications[1]!.payload, all)).toBe(0);
      expect(Buffer.compare(publications[2]!.payload, large)).toBe(0);
    }
  });
}

function testHistory(start: Start): void {
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

function testBounds(start: Start): void {
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

function testKeys(start: Start): void {
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

  test('a key is forgotten when its time is over', async () => {
    const broker = await start(1);
    await broker.publisher.publish(request('forget', 'a', { key: 'a' }));
    await broker.passTime(1100);
    const again = await broker.publisher.publish(request('forget', 'a', { key: 'a' }));
    expect(again).toMatchObject({ position: { offset: 2 }, isDuplicate: false });
  });
}

function testBrokerListening(start: Start): void {
  test('what comes after ready and what history has by then leave no hole', async () => {
    const broker = await start();
    let isOver = false;
    const publishing = (async () => {
      let count = 0;
      while (!isOver) {
        await broker.publisher.publish(
          request('flow', String(++count), { history: { messages: 1000, seconds: 60 } }),
        );
        if (count % 20 === 0) await laterTurn();
      }
      return count;
    })();
    for (let round = 0; round < 10; round++) {
      const heard = await hear(broker, 'flow');
      const page = await broker.listener.history('flow', { newest: true, limit: 1 });
      await heardCount(heard, 5);
      heard.stop();
      await laterTurn();
      expect(heard.publications[0]!.offset).toBeLessThanOrEqual(page.newest + 1);
      expect(offsetsOf(heard.publications)).toEqual(
        heard.publications.map((_, i) => heard.publications[0]!.offset + i),
      );
    }
    isOver = true;
    const count = await publishing;
    expect((await broker.listener.history('flow', { newest: true, limit: 0 })).newest).toBe(count);
  });

  test('who stopped gets nothing more, and the others do', async () => {
    const broker = await start();
    const [a, b] = [await hear(broker, 's'), await hear(broker, 's')];
    a.stop();
    a.stop();
    await broker.publisher.publish(request('s', 'for b'));
    await heardCount(b, 1);
    expect(a.publications).toEqual([]);
    const again = await hear(broker, 's');
    await broker.publisher.publish(request('s', 'for both'));
    await heardCount(again, 1);
    await heardCount(b, 2);
    b.stop();
    again.stop();
    const last = await hear(broker, 's');
    await broker.publisher.publish(request('s', 'last'));
    await heardCount(last, 1);
    expect(textsOf(last.publications)).toEqual(['last']);
    expect(b.publications).toHaveLength(2);
  });

  test('who stops before it is ready is told so or is ready, and gets nothing', async () => {
    const broker = await start();
    const witness = await hear(broker, 'early');
    const texts: string[] = [];
    const listening = broker.listener.listen('early', {
      publication: (_, { payload }) => void texts.push(textOf(payload)),
      resumed: () => undefined,
    });
    listening.stop();
    await Promise.allSettled([listening.ready]);
    await broker.publisher.publish(request('early', 'x'));
    await heardCount(witness, 1);
    expect(texts).toEqual([]);
  });

  test('starting and stopping in quick succession ends as the last call says', async () => {
    const broker = await start();
    for (let round = 0; round < 20; round++) {
      const listening = broker.listener.listen('quick', {
        publication: () => undefined,
        resumed: () => undefined,
      });
      listening.ready.catch(() => undefined);
      listening.stop();
    }
    const heard = await hear(broker, 'quick');
    await broker.publisher.publish(request('quick', 'x'));
    await heardCount(heard, 1);
    expect(textsOf(heard.publications)).toEqual(['x']);
  });
}

function testClosing(start: Start): void {
  test('after close nothing is delivered, and everything asked for is refused', async () => {
    const broker = await start();
    const heard = await hear(broker, 'closed');
    await broker.listener.close();
    const unavailable = { code: 'store-unavailable', temporary: true };
    if (broker.publisher !== broker.listener) {
      await broker.publisher.publish(request('closed', 'too late'));
      await laterTurn();
    }
    await expect(broker.listener.publish(request('closed', 'x'))).rejects.toMatchObject(unavailable);
    await expect(broker.listener.history('closed', { after: 0, limit: 1 })).rejects.toMatchObject(
      unavailable,
    );
    const late = broker.listener.listen('closed', { publication: () => undefined, resumed: () => undefined });
    await expect(late.ready).rejects.toMatchObject(unavailable);
    expect(heard.publications).toEqual([]);
    await broker.listener.close();
  });
}
