/**
 * Owns a simulated client: a process with the real subscriber client that follows channels and may publish to them. When its
 * process dies and comes back, it goes on from the positions that it kept, or knows nothing, by its plan.
 */

import { integerBelow, seededRandom } from '#base/random.ts';
import type { Position } from '#protocol/publication.ts';
import type { LiveClient } from '#sdk/live-api.ts';
import { connectLive } from '#sdk/live-client.ts';
import {
  noteText,
  type ChannelOracle,
  type SubscriberBook,
} from '#test/simulation/channels/channel-oracle.ts';
import type { ChannelInstance } from '#test/simulation/channels/channel-instance.ts';
import { openBrowserSocket } from '#test/simulation/browser-socket.ts';
import type { NetworkCore } from '#test/simulation/network.ts';
import { createSimulatedClock, type Process, type Scheduler } from '#test/simulation/scheduler.ts';

export interface ClientPlan {
  readonly name: string;
  readonly channels: readonly string[];
  /** Mean time between its publications; null: it only follows. */
  readonly publishesMs: number | null;
  /** The share of its publications that have a key, and may be sent again. */
  readonly keyedShare: number;
  readonly keepsPositions: boolean;
}

export interface ChannelClient {
  readonly plan: ClientPlan;
  boot(): void;
  kill(): void;
  /** It publishes nothing from now on. */
  rest(): void;
}

export interface ChannelClientOptions {
  readonly scheduler: Scheduler;
  readonly network: NetworkCore<ChannelInstance>;
  readonly oracle: ChannelOracle;
  readonly plan: ClientPlan;
}

export function createChannelClient({
  scheduler,
  network,
  oracle,
  plan,
}: ChannelClientOptions): ChannelClient {
  const { name } = plan;
  const clock = createSimulatedClock(scheduler, 1_700_000_000_000_000, () => process);
  const kept = new Map<string, Position>();
  let process: Process | null = null;
  let books: SubscriberBook[] = [];
  let lives = 0;
  let lastNote = 0;
  let isResting = false;

  function boot(): void {
    if (process !== null) return;
    const own = scheduler.process(`${name}#${++lives}`);
    process = own;
    const client = connectLive({
      url: 'ws://instance/v1/live',
      clock,
      random: seededRandom(integerBelow(scheduler.random, 2 ** 32)),
      transports: ['websocket'],
      ticket: () => network.ask(name, own, () => name),
      openSocket: () =>
        openBrowserSocket((handlers) =>
          network.connect(name, {
            client: own,
            handlers,
            upgrade: (instance, request) => instance.upgrade(request, name),
          }),
        ),
    });
    for (const channel of plan.channels) follow(client, channel);
    if (plan.publishesMs !== null) publishLater(client, own);
  }

  function follow(client: LiveClient, channel: string): void {
    const book = oracle.subscriber(`${name}#${lives}`, channel, channel.startsWith('board/'));
    books.push(book);
    const position = plan.keepsPositions ? kept.get(channel) : undefined;
    if (position !== undefined) book.began(position);
    const subscription = client.subscribe(channel, {
      ...(position === undefined ? {} : { position }),
      onSubscribed: () => {
        if (position === undefined) book.began(subscription.position);
      },
      onRecovered: () => book.recovered(),
      onReset: ({ from, to }) => {
        book.gap(from, to);
        kept.set(channel, to);
      },
      onMessage: ({ offset, data }) => {
        const at = subscription.position;
        if (offset === null || at === null) return;
        book.saw({ epoch: at.epoch, offset }, noteText(data));
        kept.set(channel, { epoch: at.epoch, offset });
      },
    });
  }

  function publishLater(client: LiveClient, own: Process): void {
    const meanMs = plan.publishesMs ?? 0;
    scheduler.after(scheduler.random.next() * 2 * meanMs, own, () => {
      if (isResting) return;
      const channel = plan.channels[integerBelow(scheduler.random, plan.channels.length)]!;
      const data = { n: ++lastNote, from: name };
      const note = noteText(data);
      const hasKey = scheduler.random.next() < plan.keyedShare;
      if (hasKey) oracle.keyed(channel, note);
      client
        .publish(channel, 'note', data, hasKey ? { key: note, timeoutMs: 8_000 } : { timeoutMs: 8_000 })
        .then(
          ({ position }) => {
            if (position !== null) oracle.acknowledged(channel, note, position);
          },
          () => {
            oracle.tally.refused++;
          },
        );
      publishLater(client, own);
    });
  }

  network.add(name);
  return {
    plan,
    boot,
    kill() {
      if (process === null) return;
      for (const book of books) book.ended();
      books = [];
      process.kill();
      network.processDied(process, true);
      process = null;
    },
    rest() {
      isResting = true;
    },
  };
}
