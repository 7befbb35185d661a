/**
 * Owns the judgement of channel histories. Truth is what came to be at the shared place. Of each subscriber it knows how far
 * it has got, and every message must be the next one there (class event) or a later one (class state), unless a gap was
 * told in between. In the end, when nothing goes wrong any more, everyone has the newest. The first violation stands.
 */

import { AppError } from '#base/errors.ts';
import type { Position, Publication } from '#protocol/publication.ts';

export interface Violation {
  readonly check: string;
  readonly message: string;
}

/** Messages, told gaps and so on, over a whole history. */
export interface ChannelTally {
  published: number;
  acknowledged: number;
  refused: number;
  delivered: number;
  gaps: number;
  recoveries: number;
}

export interface ChannelOracle {
  readonly violation: Violation | null;
  readonly tally: ChannelTally;
  cameToBe(address: string, epoch: string, publication: Publication): void;
  /** All histories are gone: what comes next has another epoch. */
  emptied(): void;
  /** A subscriber (one life of one client in one channel). */
  subscriber(name: string, channel: string, isState: boolean): SubscriberBook;
  /** A publisher was told that its message stands there. */
  acknowledged(channel: string, note: string, position: Position): void;
  /** What is published under a key may come to be once in an epoch. */
  keyed(channel: string, note: string): void;
  /** Everyone who still follows must have the newest, and nothing acknowledged may be missing. */
  audit(): void;
}

export interface SubscriberBook {
  /** It begins after this position. */
  began(position: Position | null): void;
  saw(position: Position, note: string): void;
  /** It was told that something is missing before `to`. */
  gap(from: Position | null, to: Position): void;
  recovered(): void;
  /** It follows no more. */
  ended(): void;
}

interface Truth {
  /** Notes by offset, of each epoch; the last epoch is the present one. */
  readonly epochs: Map<string, string[]>;
  present: string | null;
}

interface Book {
  readonly name: string;
  readonly channel: string;
  readonly isState: boolean;
  at: Position | null;
  isOver: boolean;
}

const ORG = 'o1';

export function createChannelOracle(): ChannelOracle {
  const truths = new Map<string, Truth>();
  const books = new Set<Book>();
  const acknowledged: { readonly channel: string; readonly note: string; readonly position: Position }[] = [];
  const keyed = new Set<string>();
  const tally = { published: 0, acknowledged: 0, refused: 0, delivered: 0, gaps: 0, recoveries: 0 };
  let violation: Violation | null = null;

  const blame = (check: string, message: string): void => {
    violation ??= { check, message };
  };
  const truthOf = (channel: string): Truth => {
    const truth = truths.get(channel) ?? { epochs: new Map<string, string[]>(), present: null };
    truths.set(channel, truth);
    return truth;
  };

  function saw(book: Book, position: Position, note: string): void {
    tally.delivered++;
    const { name, channel, isState, at } = book;
    const there = truthOf(channel).epochs.get(position.epoch)?.[position.offset - 1];
    if (there !== note)
      blame(
        'true',
        `${name} was given "${note}" as ${place(position)} of ${channel}, where "${there}" stands`,
      );
    if (at !== null && at.epoch !== position.epoch)
      blame('epoch', `${name} went from ${place(at)} to ${place(position)} of ${channel} without being told`);
    else if (at !== null && position.offset <= at.offset)
      blame('once', `${name} was given ${place(position)} of ${channel} after ${place(at)}`);
    else if (at !== null && !isState && position.offset !== at.offset + 1)
      blame(
        'whole',
        `${name} was given ${place(position)} of ${channel} after ${place(at)}, and no gap was told`,
      );
    book.at = position;
  }

  return {
    get violation() {
      return violation;
    },
    tally,
    cameToBe(address, epoch, publication) {
      const channel = address.slice(ORG.length + 1);
      const truth = truthOf(channel);
      const notes = truth.epochs.get(epoch) ?? [];
      truth.epochs.set(epoch, notes);
      truth.present = epoch;
      tally.published++;
      const note = noteOf(publication.payload);
      if (publication.offset !== notes.length + 1)
        blame('offsets', `${channel} went from offset ${notes.length} to ${publication.offset}`);
      if (keyed.has(`${channel} ${note}`) && notes.includes(note))
        blame('key', `"${note}" came to be twice in ${channel}, under one key`);
      notes.push(note);
    },
    emptied() {
      for (const truth of truths.values()) truth.present = null;
    },
    subscriber(name, channel, isState) {
      const book: Book = { name, channel, isState, at: null, isOver: false };
      books.add(book);
      return {
        began(position) {
          book.at ??= position;
        },
        saw: (position, note) => saw(book, position, note),
        gap(from, to) {
          tally.gaps++;
          const { at } = book;
          if (at !== null && from !== null && (from.epoch !== at.epoch || from.offset !== at.offset))
            blame(
              'gap',
              `${name} was told of a gap in ${channel} from ${place(from)}, but was at ${place(at)}`,
            );
          if (at !== null && to.epoch === at.epoch && to.offset <= at.offset)
            blame(
              'gap',
              `${name} was told of a gap in ${channel} up to ${place(to)}, but was at ${place(at)} already`,
            );
          // More was kept than a history of this world has: nothing of it may be given up.
          if (isKept(channel) && from !== null && from.epoch === to.epoch)
            blame(
              'needless',
              `${name} was told of a gap from ${place(from)} to ${place(to)} of ${channel}, which keeps all`,
            );
          book.at = to;
        },
        recovered() {
          tally.recoveries++;
        },
        ended() {
          book.isOver = true;
        },
      };
    },
    acknowledged(channel, note, position) {
      tally.acknowledged++;
      acknowledged.push({ channel, note, position });
    },
    keyed(channel, note) {
      keyed.add(`${channel} ${note}`);
    },
    audit() {
      for (const { channel, note, position } of acknowledged)
        if (truthOf(channel).epochs.get(position.epoch)?.[position.offset - 1] !== note)
          blame(
            'acknowledged',
            `"${note}" was acknowledged as ${place(position)} of ${channel}, where it is not`,
          );
      for (const { name, channel, at, isOver } of books) {
        if (isOver) continue;
        const { present, epochs } = truthOf(channel);
        if (present === null) continue;
        const newest = epochs.get(present)!.length;
        if (at?.epoch !== present || at.offset !== newest)
          blame(
            'newest',
            `${name} came to rest at ${at === null ? 'nothing' : place(at)} of ${channel}, whose newest is ${present}:${newest}`,
          );
      }
    },
  };
}

const isKept = (channel: string): boolean => channel.startsWith('long/');
const place = ({ epoch, offset }: Position): string => `${epoch}:${offset}`;

export function noteOf(payload: Uint8Array): string {
  const { data } = JSON.parse(new TextDecoder().decode(payload)) as { data: { n: number; from: string } };
  return noteText(data);
}

export function noteText(data: unknown): string {
  if (typeof data !== 'object' || data === null) throw new AppError('internal', 'a note has its number');
  const { n, from } = data as { n: number; from: string };
  return `${from}#${n}`;
}
