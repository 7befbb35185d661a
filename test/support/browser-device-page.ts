/**
 * Owns the page of the browser device's tests: the store's conformance suite, and a recorder whose readings are like no
 * others. It is bundled for Chromium, and driven by `window.kymoTest`.
 */

import { runTest, testNames } from '#test/support/browser-suite.ts';
import { content, foot, testDeviceStoreConformance } from '#sdk/device-store-conformance.ts';
import type { DeviceStore } from '#sdk/device-store.ts';
import { indexedDbStore, openDevice, type Device } from '#sdk/device-browser-entry.ts';
import { openIndexedDb, type OpenedDatabase } from '#sdk/indexed-db.ts';

let stores = 0;
const names = new WeakMap<DeviceStore, { name: string; maxBytes: number }>();

async function opened(name: string, maxBytes: number): Promise<DeviceStore> {
  const store = await indexedDbStore(name, { maxBytes, whenBusy: 'wait' });
  names.set(store, { name, maxBytes });
  return store;
}

testDeviceStoreConformance({
  create: (maxBytes) => opened(`suite-${stores++}`, maxBytes),
  reopen: async (store) => {
    store.close();
    await store.closed;
    const { name, maxBytes } = names.get(store)!;
    return opened(name, maxBytes);
  },
  smallBytes: 256 * 1024,
});

/** A slow disk: most of the time something is on its way, so that most deaths come in the middle of a write. */
const SLOW_MS = 150;

async function slowDatabase(name: string): Promise<OpenedDatabase> {
  const database = await openIndexedDb(name);
  const { write } = database;
  database.write = async (batch) => {
    // What is written is what was there when it was asked for.
    const frozen = structuredClone(batch);
    await new Promise((resolve) => setTimeout(resolve, SLOW_MS));
    await write(frozen);
  };
  return database;
}

export interface RecordOptions {
  readonly url: string;
  readonly key: string;
  readonly stream: string;
  readonly session: string;
  readonly firstValue: number;
  readonly store: string;
}

/** `took <number> <value>,<value>...`: what the store has taken durably. */
declare const report: (line: string) => void;

let device: Device;
let store: DeviceStore;
let events: string[] = [];

const kymoTest = {
  testNames,
  runTest,

  /** Opens a store by itself; resolves to what it says of itself, or to the code of its refusal. */
  async open(name: string, whenBusy: 'fail' | 'wait' = 'fail'): Promise<object | string> {
    try {
      store = await indexedDbStore(name, { whenBusy, maxBytes: 8 * 1024 * 1024 });
    } catch (error) {
      return (error as { code: string }).code;
    }
    events = [];
    store.onEvent = ({ type }) => events.push(type);
    return kymoTest.state();
  },

  state() {
    const { epoch, previousStoreLost } = store;
    const [log] = store.logs();
    return {
      epoch,
      previousStoreLost,
      events,
      status: store.status(),
      ...(log === undefined ? {} : { nextSeq: log.nextSeq, held: store.held(log), losses: log.losses }),
    };
  },

  /** Appends `frames` frames of 100 readings, each 400 bytes and no smaller when compressed; resolves when they are durable. */
  async append(frames: number): Promise<void> {
    const log = store.define(foot);
    for (let i = 0; i < frames; i++)
      store.append(log, { ...content(100), payload: crypto.getRandomValues(new Uint8Array(400)) });
    await new Promise<void>((resolve) => store.whenDurable!(resolve));
  },

  /** Appends until the page dies, and reports how far it is durable. */
  appendForEver(): void {
    const log = store.define(foot);
    const turn = (): void => {
      for (let i = 0; i < 20; i++) store.append(log, content(100));
      const { nextSeq } = log;
      store.whenDurable!(() => report(`durable ${nextSeq}`));
      setTimeout(turn, 1);
    };
    turn();
  },

  settle(to: number): void {
    store.setSettled(store.logs()[0]!, [{ from: 0, to }]);
  },

  async close(): Promise<void> {
    store.close();
    await store.closed;
  },

  /** Streams 200 readings a second until the page dies or `finish` is called. */
  async record(options: RecordOptions): Promise<void> {
    store = await indexedDbStore(options.store, { whenBusy: 'wait', openDatabase: slowDatabase });
    const { append } = store;
    store.append = (log, frame) => {
      const kept = append(log, frame)!;
      const values = new Float32Array(frame.payload.slice().buffer);
      store.whenDurable!(() => report(`took ${kept.firstSeq} ${values.join()}`));
      return kept;
    };
    device = await openDevice({
      url: options.url,
      key: options.key,
      store,
      timing: { backoff: { baseMs: 50, capMs: 500 } },
      onEvent: (event) => {
        if (event.type === 'state')
          report(`state ${event.phase} ${event.closeCode ?? ''} ${event.reason ?? ''}`);
      },
    });
    const stream = device.stream({
      stream: options.stream,
      session: options.session,
      segment: 'left-foot',
      sensor: 'imu',
      axes: [{ name: 'x', unit: '1' }],
      rateHz: 200,
    });
    let value = options.firstValue;
    const timer = setInterval(() => stream.push([value++, value++]), 10);
    kymoTest.finish = async () => {
      clearInterval(timer);
      await stream.end();
      const isDrained = await device.drained({ timeoutMs: 30_000 });
      await device.close();
      return isDrained;
    };
  },

  finish: (): Promise<boolean> => Promise.resolve(false),
};

export type KymoTest = typeof kymoTest;
Object.assign(globalThis, { kymoTest });

// In a worker there is nobody to drive it: it writes down three frames and tells what it has.
if (!('document' in globalThis))
  void kymoTest
    .open('in-a-worker')
    .then(() => kymoTest.append(3))
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel has no target, a window has
    .then(() => new BroadcastChannel('worker').postMessage(kymoTest.state()));
