/**
 * Owns what every broker must do, wherever it keeps its histories: one suite of tests, run by each implementation's own
 * test file. Publisher and listener may be in different processes; nothing here waits for time but by `passTime`.
 */

import { afterEach, expect, test } from 'vitest';

import {
  hear,
  heardCount,
  laterTurn,
  offsetsOf,
  request,
  textOf,
  textsOf,
  upTo,
  type BrokerUnderTest,
  type CreateBroker,
  type Start,
} from '#bus/broker-conformance-ends.ts';
import { testBounds, testForgetting, testHistory, testKeys } from '#bus/broker-conformance-history.ts';

export interface Keeping {
  /** Neither histories nor keys end: bounds of publishers do not count. */
  readonly isForever?: boolean;
  readonly largestPayloadBytes?: number;
}

/** Registers the tests. */
export function testBrokerConformance(create: CreateBroker, keeping: Keeping = {}): void {
  const { isForever = false, largestPayloadBytes = 512 * 1024 } = keeping;
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
  testOffsets(start, largestPayloadBytes);
  testHistory(start);
  testKeys(start);
  if (!isForever) {
    testBounds(start);
    testForgetting(start);
  }
  testBrokerListening(start);
  testClosing(start);
}

function testOffsets(start: Start, largestPayloadBytes: number): void {
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
    // Of two publishers' first messages a listener may hear the later one first, and then not the other.
    await broker.publisher.publish(request('many', '1'));
    await heardCount(heard, 1);
    const published = await Promise.all(
      upTo(400)
        .slice(1)
        .map((n) => ends[n % 2]!.publish(request('many', String(n)))),
    );
    const offsets = [1, ...published.map(({ position }) => position.offset)];
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
    const large = new Uint8Array(largestPayloadBytes).fill(0xa5);
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
    try {
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
    } finally {
      isOver = true;
      await publishing;
    }
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
