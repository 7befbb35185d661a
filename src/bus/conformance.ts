/**
 * Owns what every bus must do, whatever carries it: one suite of tests, run by each implementation's own test file.
 * A bus over a network listens a moment after `subscribe` returns, so each test first waits for a first delivery.
 */

import { afterEach, expect, test } from 'vitest';

import type { Bus } from '#bus/bus.ts';

/** Two ends of one bus; the same object twice where there is one process. */
export interface BusUnderTest {
  readonly publisher: Bus;
  readonly listener: Bus;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (payload: Uint8Array): string => new TextDecoder().decode(payload);
const laterTurn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

/** Registers the tests. `create` makes an empty bus that no other test hears. */
export function testBusConformance(create: () => Promise<BusUnderTest>): void {
  let open: BusUnderTest[] = [];
  afterEach(async () => {
    for (const { publisher, listener } of open) {
      await publisher.close();
      if (listener !== publisher) await listener.close();
    }
    open = [];
  });
  const start = async (): Promise<BusUnderTest & { hear: (topic: string) => Promise<Heard> }> => {
    const bus = await create();
    open.push(bus);
    return { ...bus, hear: (topic) => hear(bus, topic) };
  };
  testDelivery(start);
  testListening(start);
}

interface Heard {
  readonly texts: string[];
  readonly payloads: Uint8Array[];
  readonly topics: string[];
  stop(): void;
}

type Start = () => Promise<BusUnderTest & { hear: (topic: string) => Promise<Heard> }>;

const READY = 'ready?';

/** Listens to a topic and returns when deliveries arrive; what was sent to find that out is left out. */
async function hear({ publisher, listener }: BusUnderTest, topic: string): Promise<Heard> {
  const heard = { texts: [] as string[], payloads: [] as Uint8Array[], topics: [] as string[] };
  const readiness: Uint8Array[] = [];
  const stop = listener.subscribe(topic, (payload, name) => {
    const copy = payload.slice();
    const text = textOf(copy);
    if (text === READY) readiness.push(copy);
    else {
      heard.texts.push(text);
      heard.payloads.push(copy);
      heard.topics.push(name);
    }
  });
  while (readiness.length === 0) {
    publisher.publish(topic, bytes(READY));
    await laterTurn();
  }
  return { ...heard, stop };
}

/** Publishes a last message on a topic and waits until it was heard: all that came before has arrived, or never will. */
async function flushTopic({ publisher }: BusUnderTest, heard: Heard, topic: string): Promise<void> {
  publisher.publish(topic, bytes('last'));
  while (heard.texts.at(-1) !== 'last') await laterTurn();
  heard.texts.pop();
  heard.payloads.pop();
  heard.topics.pop();
}

const PROBE = 'probe';

/** Probes until those who were told to listen do: another process begins a moment after it was told to. */
async function untilProbed(
  bus: BusUnderTest,
  witness: Heard,
  topic: string,
  isHeard: () => boolean,
): Promise<void> {
  while (!isHeard()) {
    bus.publisher.publish(topic, bytes(PROBE));
    await flushTopic(bus, witness, topic);
  }
}

function testDelivery(start: Start): void {
  test('every listener of a topic gets the payload and the topic', async () => {
    const bus = await start();
    const [a, b] = [await bus.hear('session/1/readings'), await bus.hear('session/1/readings')];
    bus.publisher.publish('session/1/readings', bytes('hello'));
    await flushTopic(bus, a, 'session/1/readings');
    while (b.texts.length < 2) await laterTurn();
    expect(a.texts).toEqual(['hello']);
    expect(a.topics).toEqual(['session/1/readings']);
    expect(b.texts).toEqual(['hello', 'last']);
  });

  test('nobody else gets it, whatever the topic looks like', async () => {
    const bus = await start();
    const other = await bus.hear('session/1');
    for (const topic of [
      'session/1/readings',
      'session/10',
      'session/*',
      'session/>',
      'session/+',
      'session.1',
      'session',
      '#',
    ])
      bus.publisher.publish(topic, bytes(topic));
    await flushTopic(bus, other, 'session/1');
    expect(other.texts).toEqual([]);
  });

  test('messages of a topic arrive in the order of publishing', async () => {
    const bus = await start();
    const heard = await bus.hear('order');
    const sent = Array.from({ length: 1000 }, (_, i) => String(i));
    for (const text of sent) bus.publisher.publish('order', bytes(text));
    await flushTopic(bus, heard, 'order');
    expect(heard.texts).toEqual(sent);
  });

  test('a payload is any bytes: none, all values, a large one', async () => {
    const bus = await start();
    const heard = await bus.hear('binary');
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    const large = new Uint8Array(512 * 1024).fill(0xa5);
    for (const payload of [new Uint8Array(0), all, large]) bus.publisher.publish('binary', payload);
    await flushTopic(bus, heard, 'binary');
    expect(heard.payloads.map((payload) => payload.length)).toEqual([0, 256, large.length]);
    expect(Buffer.compare(heard.payloads[1]!, all)).toBe(0);
    expect(Buffer.compare(heard.payloads[2]!, large)).toBe(0);
  });

  test('nothing is kept for those who listen later', async () => {
    const bus = await start();
    const early = await bus.hear('late');
    bus.publisher.publish('late', bytes('before'));
    await flushTopic(bus, early, 'late');
    const late = await bus.hear('late');
    await flushTopic(bus, late, 'late');
    expect(early.texts[0]).toBe('before');
    expect(late.texts).toEqual([]);
  });
}

function testListening(start: Start): void {
  test('who stopped listening gets nothing more, and the others do', async () => {
    const bus = await start();
    const [a, b] = [await bus.hear('stop'), await bus.hear('stop')];
    a.stop();
    a.stop();
    bus.publisher.publish('stop', bytes('for b'));
    await flushTopic(bus, b, 'stop');
    expect(a.texts).toEqual([]);
    expect(b.texts).toEqual(['for b']);
  });

  test('the same handler may listen twice and leave once', async () => {
    const bus = await start();
    const witness = await bus.hear('twice');
    let count = 0;
    let probes = 0;
    const handler = (payload: Uint8Array): void => {
      if (textOf(payload) === 'counted') count++;
      if (textOf(payload) === PROBE) probes++;
    };
    const stopFirst = bus.listener.subscribe('twice', handler);
    bus.listener.subscribe('twice', handler);
    await untilProbed(bus, witness, 'twice', () => {
      const areBoth = probes === 2;
      probes = 0;
      return areBoth;
    });
    bus.publisher.publish('twice', bytes('counted'));
    await flushTopic(bus, witness, 'twice');
    expect(count).toBe(2);
    stopFirst();
    bus.publisher.publish('twice', bytes('counted'));
    await flushTopic(bus, witness, 'twice');
    expect(count).toBe(3);
  });

  test('a handler may stop itself and others, and start new ones, while it is called', async () => {
    const bus = await start();
    const witness = await bus.hear('change');
    const calls: string[] = [];
    const probed = new Set<string>();
    const isCounted = (payload: Uint8Array, who: string): boolean => {
      if (textOf(payload) === PROBE) probed.add(who);
      return textOf(payload) === 'change!';
    };
    const stopSelf = bus.listener.subscribe('change', (payload) => {
      if (!isCounted(payload, 'self')) return;
      calls.push('self');
      stopSelf();
      stopOther();
      bus.listener.subscribe('change', (next) => void (isCounted(next, 'new') && calls.push('new')));
    });
    const stopOther = bus.listener.subscribe(
      'change',
      (payload) => void (isCounted(payload, 'other') && calls.push('other')),
    );
    await untilProbed(bus, witness, 'change', () => probed.size === 2);
    bus.publisher.publish('change', bytes('change!'));
    await flushTopic(bus, witness, 'change');
    expect(calls).toEqual(['self']);
    await untilProbed(bus, witness, 'change', () => probed.has('new'));
    bus.publisher.publish('change', bytes('change!'));
    await flushTopic(bus, witness, 'change');
    expect(calls).toEqual(['self', 'new']);
  });

  test('hasListeners is never false while somebody listens', async () => {
    const bus = await start();
    const heard = await bus.hear('has');
    expect(bus.publisher.hasListeners('has')).toBe(true);
    heard.stop();
    const again = await bus.hear('has');
    expect(bus.publisher.hasListeners('has')).toBe(true);
    again.stop();
  });

  test('nothing is delivered after close', async () => {
    const bus = await start();
    const heard = await bus.hear('closed');
    await bus.listener.close();
    bus.publisher.publish('closed', bytes('too late'));
    await laterTurn();
    expect(heard.texts).toEqual([]);
    heard.stop();
  });
}
