/** The browser's device client beside Chromium: what it puts into a URL, and what it makes of the page's events. */

import { afterEach, beforeEach, expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import { openDevice, type OpenDeviceOptions } from '#sdk/browser-device.ts';
import type { BrowserMachine, PageHandlers } from '#sdk/browser-machine.ts';
import type { Device } from '#sdk/device-runtime.ts';
import { memoryStore } from '#sdk/memory-store.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

/** A socket that only does what a test says. */
class FakeSocket extends EventTarget {
  static opened: FakeSocket[] = [];
  readonly url: string;
  readonly protocol: string;
  readyState = 0;
  bufferedAmount = 0;
  readonly sent: unknown[] = [];
  constructor(url: string, protocol: string) {
    super();
    this.url = url;
    this.protocol = protocol;
    FakeSocket.opened.push(this);
  }
  send(data: unknown): void {
    this.sent.push(data);
  }
  close(): void {
    this.readyState = 3;
  }
  open(): void {
    this.readyState = 1;
    this.dispatchEvent(new Event('open'));
  }
  fail(): void {
    this.readyState = 3;
    this.dispatchEvent(Object.assign(new Event('close'), { code: 1006, reason: '' }));
  }
}

const platform = globalThis.WebSocket;
beforeEach(() => {
  FakeSocket.opened = [];
  Object.assign(globalThis, { WebSocket: FakeSocket });
});
afterEach(() => {
  Object.assign(globalThis, { WebSocket: platform });
});

interface Bed {
  readonly device: Device;
  readonly page: PageHandlers;
  readonly store: ReturnType<typeof memoryStore>;
  isListening(): boolean;
}

async function newBed(options: Partial<OpenDeviceOptions>): Promise<Bed> {
  let page: PageHandlers | null = null;
  const machine: BrowserMachine = {
    lock: () => Promise.reject(new Error('not asked')),
    persist: () => Promise.resolve(false),
    mark: () => null,
    setMark: () => undefined,
    listen: (handlers) => {
      page = handlers;
      return () => {
        page = null;
      };
    },
  };
  const store = memoryStore();
  const device = await openDevice({
    url: 'http://127.0.0.1:7900',
    store,
    clock: createManualClock(),
    machine,
    ...options,
  });
  return { device, store, page: page!, isListening: () => page !== null };
}

const foot = { segment: 'left-foot', sensor: 'imu', axes: [{ name: 'x', unit: '1' }], rateHz: 200 } as const;

test('the key travels in the first message and never in the URL', async () => {
  await newBed({ key: 'kd_secret' });
  const [socket] = FakeSocket.opened;
  expect(socket).toMatchObject({ url: 'ws://127.0.0.1:7900/v1/device', protocol: 'kymo.device.v1' });
  socket!.open();
  expect(JSON.parse(String(socket!.sent[0]))).toMatchObject({ type: 'hello', key: 'kd_secret' });
});

test('every attempt takes a ticket of its own; a final refusal stops the device', async () => {
  const answers = ['one', 'two', new AppError('forbidden', 'locked')];
  const ticket = (): Promise<string> => {
    const answer = answers.shift();
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer!);
  };
  const { device } = await newBed({ ticket });
  for (const [i, wanted] of ['one', 'two'].entries()) {
    await expect.poll(() => FakeSocket.opened.length).toBe(i + 1);
    expect(FakeSocket.opened[i]!.url).toBe(`ws://127.0.0.1:7900/v1/device?ticket=${wanted}`);
    FakeSocket.opened[i]!.fail();
    device.reconnect();
  }
  await expect.poll(() => device.status().phase).toBe('stopped');
  expect(FakeSocket.opened.length).toBe(2);
});

test('a page that is hidden stores what was pushed; one that is back connects at once', async () => {
  const { device, page, store, isListening } = await newBed({ key: 'kd_secret' });
  device.stream(foot).push([1]);
  expect(store.logs()[0]!.nextSeq).toBe(0);
  page.hidden();
  expect(store.logs()[0]!.nextSeq).toBe(1);
  FakeSocket.opened[0]!.fail();
  expect(device.status().phase).toBe('waiting');
  page.awake();
  expect(device.status().phase).toBe('connecting');
  page.awake();
  expect(FakeSocket.opened.length).toBe(2);
  await device.close();
  expect(isListening()).toBe(false);
});

test.each<[string, Partial<OpenDeviceOptions>]>([
  ['neither key nor ticket', {}],
  ['both of them', { key: 'kd_secret', ticket: () => Promise.resolve('one') }],
  ['clear text beyond this machine', { key: 'kd_secret', url: 'http://kymo.example' }],
  ['no address', { key: 'kd_secret', url: 'kymo' }],
])('%s is refused', async (_, options) => {
  await expect(newBed(options)).rejects.toMatchObject({ code: 'invalid-field' });
  expect(FakeSocket.opened).toEqual([]);
});
