/**
 * Owns the pages of history that viewers of one channel read to catch up. Pages begin at fixed offsets, and who asks for
 * the same one while it is read or kept shares it, so that a crowd that comes back costs a few reads. Bounded by
 * `recoveryBytes` a channel, oldest out first; what nobody asked for in a while goes.
 */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import type { HistoryPage, HistoryQuery } from '#protocol/publication.ts';
import type { Puller } from '#live/channel.ts';
import type { HubLimits } from '#live/hub-limits.ts';
import type { PublicationEncoder } from '#live/outgoing.ts';
import type { Outgoing } from '#live/transport.ts';

/** Publications without a gap from `first` on, encoded. */
export interface Page {
  readonly epoch: string;
  /** The oldest that the history can give at or after the offset that was asked for. */
  readonly first: number;
  readonly items: readonly Outgoing[];
}

export interface HistoryPages {
  /** The page that has this offset, or begins after it because the history does. Rejects with AppError. */
  read(offset: number): Promise<Page>;
  /** The same when it is there already; otherwise it is read, and the puller is told. */
  get(offset: number, puller: Puller): Page | null;
  /** Forgets all: the history is another one. */
  clear(): void;
  /** Forgets what was not asked for lately. */
  look(nowMs: number): void;
}

export interface HistoryPagesOptions {
  readonly clock: Clock;
  readonly limits: HubLimits;
  readonly encode: PublicationEncoder;
  readonly history: (query: HistoryQuery) => Promise<HistoryPage>;
}

interface KeptPage extends Page {
  /** What was asked for were those after it: only of them does the page know that they are missing. */
  readonly after: number;
  readonly bytes: number;
  usedMs: number;
}

/** Tries to read one page while others read and drop theirs. */
const READS = 3;
const KEPT_UNUSED_MS = 2_000;

export function createHistoryPages({ clock, limits, encode, history }: HistoryPagesOptions): HistoryPages {
  const kept = new Map<number, KeptPage>();
  const underWay = new Map<number, { readonly page: Promise<Page>; readonly waiting: Set<Puller> }>();
  let keptBytes = 0;
  let generation = 0;

  const forget = (key: number): void => {
    keptBytes -= kept.get(key)?.bytes ?? 0;
    kept.delete(key);
  };
  const keep = (key: number, page: KeptPage): void => {
    forget(key);
    kept.set(key, page);
    keptBytes += page.bytes;
    for (const oldest of kept.keys()) {
      if (keptBytes <= limits.recoveryBytes || kept.size === 1) break;
      forget(oldest);
    }
  };
  const fetch = async (key: number, after: number): Promise<Page> => {
    const asked = generation;
    const { epoch, newest, publications } = await history({ after, limit: limits.recoveryMessages });
    const first = publications[0]?.offset ?? newest + 1;
    const items: Outgoing[] = [];
    let bytes = 0;
    for (const publication of publications) {
      // The rest after a hole in the history is read when somebody comes to it.
      if (publication.offset !== first + items.length) break;
      const item = encode.kept(epoch, publication);
      items.push(item);
      bytes += item.framed.length;
    }
    const page = { epoch, after, first, items, bytes, usedMs: clock.monotonicMs() };
    if (asked === generation) keep(key, page);
    return page;
  };
  const keyOf = (offset: number): number => offset - 1 - ((offset - 1) % limits.recoveryMessages);
  const request = (offset: number): { readonly page: Promise<Page>; readonly waiting: Set<Puller> } => {
    const key = keyOf(offset);
    const running = underWay.get(key);
    if (running !== undefined) return running;
    // A page that is kept and does not have it was read before it was published, or ends at a hole.
    const former = kept.get(key);
    const page = fetch(key, former !== undefined && offset > former.after ? offset - 1 : key);
    const made = { page, waiting: new Set<Puller>() };
    underWay.set(key, made);
    const wake = (): void => {
      if (underWay.get(key) === made) underWay.delete(key);
      for (const puller of made.waiting) puller.wake();
    };
    // Who waits in `get` asks again after a while; who waits in `read` hears of it.
    page.then(wake, () => void clock.after(limits.retryMs, wake));
    return made;
  };
  const usable = (offset: number): KeptPage | null => {
    const page = kept.get(keyOf(offset));
    if (page === undefined || offset <= page.after) return null;
    const isGap = page.first > offset;
    if (!isGap && offset >= page.first + page.items.length) return null;
    page.usedMs = clock.monotonicMs();
    return page;
  };
  return {
    async read(offset) {
      for (let i = 0; i < READS; i++) {
        const page = usable(offset);
        if (page !== null) return page;
        // What another began to read may end before this offset; then it is read once more.
        await request(offset).page;
      }
      const page = usable(offset);
      if (page !== null) return page;
      throw new AppError('overloaded', 'the history changes too fast', { temporary: true });
    },
    get(offset, puller) {
      const page = usable(offset);
      if (page === null) request(offset).waiting.add(puller);
      return page;
    },
    clear() {
      generation++;
      kept.clear();
      keptBytes = 0;
    },
    look(nowMs) {
      for (const [key, { usedMs }] of kept) if (nowMs - usedMs > KEPT_UNUSED_MS) forget(key);
    },
  };
}
