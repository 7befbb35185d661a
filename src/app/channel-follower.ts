/**
 * Owns following a durable channel from inside the server: its recent messages, then each new one, in order and exactly
 * once a follower. What was not announced is found by looking again (`lookMs`), a failure of the store by trying again,
 * another epoch by beginning anew. Holds one page at a time, and no message.
 */

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { Broker } from '#bus/broker.ts';
import {
  publicationLimits,
  type HistoryPage,
  type Position,
  type Publication,
} from '#protocol/publication.ts';

const RETRY_MS = 1_000;
/** Of the past that is read at the beginning: what is further back than 1,024 messages is not looked for. */
const PAST_PAGES = 4;

export interface FollowOptions {
  readonly broker: Broker;
  readonly address: string;
  readonly clock: Clock;
  readonly log: Log;
  /** How far back the past counts. */
  readonly pastUs: number;
  /** When to look again, though nothing was announced. */
  readonly lookMs: () => number;
  /** In order; the past before `caughtUp`. */
  readonly message: (publication: Publication) => void;
  /** All that was there has been handed over. Again after `reset`. */
  readonly caughtUp: () => void;
  /** The history is another one: what was handed over so far does not count, and the past comes anew. */
  readonly reset: () => void;
}

/** The returned function ends it; nothing is called after that. */
export function followChannel(options: FollowOptions): () => void {
  const { broker, address, clock, log } = options;
  let position: Position | null = null;
  let isStopped = false;
  let isLooking = false;
  let mustLook = false;
  let cancelTimer = (): void => undefined;

  const hand = (publication: Publication): void => {
    if (!isStopped) options.message(publication);
  };

  const lookLater = (ms: number): void => {
    cancelTimer();
    cancelTimer = clock.after(ms, () => void look());
  };

  async function look(): Promise<void> {
    if (isLooking) {
      mustLook = true;
      return;
    }
    isLooking = true;
    try {
      do {
        mustLook = false;
        await (position === null ? readPast() : readOn(position));
      } while (mustLook && !isStopped);
      if (!isStopped) lookLater(options.lookMs());
    } catch (error) {
      if (isStopped) return;
      log.warn('a channel could not be read and is tried again', { error: messageOf(error) });
      lookLater(RETRY_MS);
    } finally {
      isLooking = false;
    }
  }

  async function readPast(): Promise<void> {
    const sinceUs = clock.nowUs() - options.pastUs;
    const limit = publicationLimits.pageMessages;
    let page: HistoryPage = await broker.history(address, { newest: true, limit });
    const { epoch, newest } = page;
    const past = [...page.publications];
    for (let pages = 1; pages < PAST_PAGES; pages++) {
      const first = past[0];
      if (first === undefined || first.offset <= page.oldest || first.timeUs < sinceUs) break;
      page = await broker.history(address, { before: first.offset, limit });
      if (page.epoch !== epoch) return void (mustLook = true);
      past.unshift(...page.publications);
    }
    if (isStopped) return;
    for (const publication of past) if (publication.timeUs >= sinceUs) hand(publication);
    position = { epoch, offset: newest };
    if (!isStopped) options.caughtUp();
  }

  async function readOn(from: Position): Promise<void> {
    const page = await broker.history(address, { after: from.offset, limit: publicationLimits.pageMessages });
    if (isStopped) return;
    if (page.epoch !== from.epoch) {
      position = null;
      mustLook = true;
      options.reset();
      return;
    }
    for (const publication of page.publications) hand(publication);
    // What is not there any more will not come.
    const offset = page.publications.at(-1)?.offset ?? Math.max(from.offset, page.newest);
    position = { epoch: from.epoch, offset };
    mustLook ||= offset < page.newest;
  }

  const listening = broker.listen(address, {
    publication(epoch, publication) {
      if (isStopped) return;
      if (isLooking || position === null || epoch !== position.epoch) return void look();
      if (publication.offset <= position.offset) return;
      if (publication.offset > position.offset + 1) return void look();
      position = { epoch, offset: publication.offset };
      hand(publication);
    },
    resumed: () => void look(),
  });
  listening.ready.then(look, (error: unknown) => {
    if (!isStopped) log.warn('a channel could not be listened to', { error: messageOf(error) });
  });
  return () => {
    isStopped = true;
    cancelTimer();
    listening.stop();
  };
}
