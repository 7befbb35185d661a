/**
 * Owns what the oracle knows of one device: which number its store gave to which reading, what the store dropped, and
 * what went with its medium. It listens at the store itself, since a number is given there and nowhere else. Invariants
 * it checks: numbers are given in the order of the readings and never to two of them; a store forgets nothing over the
 * death of a process; nothing is declared lost that is still held.
 */

import { contains, intersect, union, type RangeSet } from '#base/ranges.ts';
import type { DeviceLog, DeviceStore, FrameContent, Loss } from '#sdk/device-store.ts';
import type { BootReason } from '#test/simulation/observer.ts';
import { idOf } from '#test/simulation/readings.ts';
import {
  extend,
  rangeText,
  type EpochTruth,
  type Gone,
  type Reading,
  type Truth,
} from '#test/simulation/oracle/truth.ts';
import type { Verdict } from '#test/simulation/oracle/verdict.ts';

export interface DeviceBook {
  readonly name: string;
  readonly store: DeviceStore | null;
  pushed(reading: Reading): void;
  /** A process opened `store`. `kind`: what it was opened on. */
  booted(store: DeviceStore, why: BootReason, kind: 'memory' | 'file'): void;
  /** The store says that readings are gone. */
  lost(log: DeviceLog, loss: Loss): void;
  /** The stream was erased, and the store dropped what it held of it. */
  discarded(streamId: string): void;
  /** A tombstone was sent. */
  declared(epoch: EpochTruth, loss: Loss): void;
  /** Whether the store still has this number, which it gave to this reading. */
  isKnown(reading: Reading): boolean;
  /** The numbers of an epoch as this device gave them; undefined where it knows none. */
  numbersOf(key: string): readonly (Reading | undefined)[] | undefined;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

export function keyOf(log: Pick<DeviceLog, 'definition' | 'epoch'>): string {
  return `${log.definition.stream}/${log.epoch}`;
}

export function createDeviceBook(name: string, truth: Truth, verdict: Verdict): DeviceBook {
  let store: DeviceStore | null = null;
  let numbers = new Map<string, (Reading | undefined)[]>();
  /** What this device was told to be settled, ever. */
  const settled = new Map<string, RangeSet>();
  /** Readings that no store has numbered: they wait in a frame builder. */
  const unplaced = new Set<Reading>();

  function listOf(log: DeviceLog): (Reading | undefined)[] {
    const key = keyOf(log);
    let list = numbers.get(key);
    if (list === undefined) numbers.set(key, (list = []));
    return list;
  }

  /** Notes that `log` holds these readings from `firstSeq` on. */
  function place(log: DeviceLog, firstSeq: number, content: FrameContent): void {
    const list = listOf(log);
    const epoch = truth.epoch(keyOf(log));
    const axes = log.definition.axes.length;
    for (let i = 0; i < content.count; i++) {
      const id = idOf(content.payload, i * log.readingBytes, axes);
      const reading = id === null ? undefined : truth.reading(id);
      if (reading === undefined)
        return verdict.fail('device content', `${name} holds at ${firstSeq + i} what nobody pushed`);
      const known = list[firstSeq + i];
      if (known !== undefined && known !== reading)
        return verdict.fail(
          'number given twice',
          `${name} gave number ${firstSeq + i} of ${epoch.key} to readings ${known.id} and ${reading.id}`,
        );
      list[firstSeq + i] = reading;
      reading.place = { epoch, seq: firstSeq + i };
      unplaced.delete(reading);
    }
  }

  function append(log: DeviceLog, content: FrameContent, firstSeq: number): void {
    const before = lastOf(listOf(log));
    place(log, firstSeq, content);
    const first = listOf(log)[firstSeq];
    if (before !== undefined && first !== undefined && first.id <= before.id)
      verdict.fail('device order', `${name} numbered reading ${first.id} after ${before.id}`);
  }

  function placeAll(log: DeviceLog, from: DeviceStore): void {
    for (let seq = 0; ;) {
      const frames = from.read(log, seq, 1 << 20);
      for (const frame of frames) place(log, frame.firstSeq, frame);
      const last = frames.at(-1);
      if (last === undefined) return;
      seq = last.firstSeq + last.count;
    }
  }

  function noteLosses(log: DeviceLog): void {
    const epoch = truth.epoch(keyOf(log));
    for (const loss of log.losses) noteLoss(epoch, loss);
    // From then on the store merges neighbours, and what lies between them is declared with them.
    if (log.losses.length >= 256) epoch.isBlurred = true;
  }

  function noteSettled(key: string, ranges: RangeSet): void {
    settled.set(key, union(settled.get(key) ?? [], ranges));
  }

  function listen(to: DeviceStore): void {
    const writable = to as Writable<DeviceStore>;
    const { append: numberIt, skip, startEpoch, setSettled } = to;
    writable.append = (log, content) => {
      const firstSeq = log.nextSeq;
      const frame = numberIt(log, content);
      append(log, content, firstSeq);
      if (frame === null) {
        const epoch = truth.epoch(keyOf(log));
        epoch.dropped = extend(epoch.dropped, firstSeq, firstSeq + content.count);
        markGone(listOf(log), firstSeq, firstSeq + content.count, 'full-disk');
      }
      return frame;
    };
    writable.skip = (log, count, reason) => {
      const from = log.nextSeq;
      skip(log, count, reason);
      const epoch = truth.epoch(keyOf(log));
      epoch.skipped = extend(epoch.skipped, from, from + count);
      if (log.losses.length >= 256) epoch.isBlurred = true;
    };
    writable.setSettled = (log, ranges) => {
      noteSettled(keyOf(log), ranges);
      setSettled(log, ranges);
    };
    writable.startEpoch = (log, fromSeq) => {
      const next = startEpoch(log, fromSeq);
      placeAll(next, to);
      noteLosses(next);
      return next;
    };
  }

  /** What the store before had and this one has not. */
  function compare(before: ReadonlyMap<string, readonly (Reading | undefined)[]>, rest: Opened): void {
    for (const [key, list] of before) {
      const epoch = truth.epoch(key);
      const now = numbers.get(key);
      for (let seq = 0; seq < list.length; seq++) {
        const reading = list[seq];
        if (reading === undefined || reading.gone !== null || reading.place?.epoch !== epoch) continue;
        if (now?.[seq] !== undefined) continue;
        if (reading.stored.length > 0 || contains(settled.get(key) ?? [], seq)) continue;
        // A store in memory dies with its process, and any medium may lose what these did to it.
        const gone: Gone | null =
          rest.why === 'power' || rest.why === 'wipe' || rest.why === 'corrupt'
            ? rest.why
            : rest.kind === 'memory'
              ? 'process'
              : null;
        if (gone === null)
          return verdict.fail(
            'device store forgot',
            `${name} held number ${seq} of ${key}, unsettled, and lost it with its process (${rest.why})`,
          );
        reading.gone = gone;
        epoch.damaged = extend(epoch.damaged, seq, seq + 1);
      }
    }
  }

  return {
    name,
    get store() {
      return store;
    },
    pushed: (reading) => void unplaced.add(reading),
    booted(opened, why, kind) {
      const before = numbers;
      numbers = new Map();
      store = opened;
      // Readings that no store had yet died with the process that gathered them: nothing was promised of them.
      for (const reading of unplaced) reading.gone = 'process';
      unplaced.clear();
      for (const log of opened.logs()) {
        placeAll(log, opened);
        noteLosses(log);
        noteSettled(keyOf(log), log.settled);
      }
      compare(before, { why, kind });
      // Numbers of acknowledged readings that were dropped since are still theirs.
      for (const [key, list] of before) {
        const now = numbers.get(key);
        if (now === undefined) numbers.set(key, list);
        else for (let seq = 0; seq < list.length; seq++) now[seq] ??= list[seq];
      }
      listen(opened);
    },
    lost(log, loss) {
      const epoch = truth.epoch(keyOf(log));
      noteLoss(epoch, loss);
      if (log.losses.length >= 256) epoch.isBlurred = true;
      markGone(listOf(log), loss.from, loss.to, loss.reason === 'device-store-full' ? 'dropped' : 'corrupt');
    },
    discarded(streamId) {
      for (const [key, list] of numbers) {
        if (!key.startsWith(streamId)) continue;
        markGone(list, 0, list.length, 'discarded');
        // Nothing of it is stored any more: should the program begin it again, its numbers begin again too. A restore that
        // brings it back is found out when the stream is opened, by the comparison with the newest reading.
        numbers.delete(key);
      }
    },
    declared(epoch, loss) {
      const log = store?.logs().find((l) => keyOf(l) === epoch.key);
      if (store === null || log === undefined || epoch.isBlurred) return;
      const held = intersect(store.held(log), [loss]);
      if (held.length > 0)
        verdict.fail(
          'declared though held',
          `${name} declares ${rangeText(held)} of ${epoch.key} lost and holds it`,
        );
    },
    isKnown(reading) {
      if (store === null || reading.place === null) return false;
      const { epoch, seq } = reading.place;
      if (numbers.get(epoch.key)?.[seq]?.id !== reading.id) return false;
      return store.logs().some((log) => keyOf(log) === epoch.key && seq < log.nextSeq);
    },
    numbersOf: (key) => numbers.get(key),
  };
}

interface Opened {
  readonly why: BootReason;
  readonly kind: 'memory' | 'file';
}

function noteLoss(epoch: EpochTruth, { from, to, reason }: Loss): void {
  if (reason === 'device-store-full') epoch.dropped = union(epoch.dropped, [{ from, to }]);
  else if (reason === 'device-store-damaged') epoch.damaged = union(epoch.damaged, [{ from, to }]);
  else if (reason === 'sensor-fault') epoch.skipped = union(epoch.skipped, [{ from, to }]);
}

function markGone(list: readonly (Reading | undefined)[], from: number, to: number, gone: Gone): void {
  for (let seq = from; seq < to; seq++) {
    const reading = list[seq];
    if (reading !== undefined) reading.gone ??= gone;
  }
}

function lastOf(list: readonly (Reading | undefined)[]): Reading | undefined {
  for (let i = list.length - 1; i >= 0; i--) if (list[i] !== undefined) return list[i];
  return undefined;
}
