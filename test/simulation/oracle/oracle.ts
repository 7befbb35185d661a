/**
 * Owns the judgement of a whole history: it hears everything that happens in a world, hands it to the checks, and keeps
 * the trace and the coverage. It changes nothing, draws no chance and takes no simulated time, so that a history is the
 * same whether it is judged or not.
 */

import { subtract } from '#base/ranges.ts';
import { isSettled } from '#sdk/device-store.ts';
import type { DeviceEvent } from '#sdk/device-state.ts';
import type { DeviceMessage, ServerMessage } from '#protocol/messages.ts';
import type { DataMessage } from '#protocol/data-codec.ts';
import type { CommittedChange } from '#test/simulation/database/database-types.ts';
import type { Coverage } from '#test/simulation/coverage.ts';
import type { DeviceNode } from '#test/simulation/device-node.ts';
import type { NemesisWitness } from '#test/simulation/nemesis.ts';
import type { WorldObserver } from '#test/simulation/observer.ts';
import type { Scenario } from '#test/simulation/scenario.ts';
import type { Trace } from '#test/simulation/trace.ts';
import type { World } from '#test/simulation/world.ts';
import { createBoundsCheck, type BoundsCheck } from '#test/simulation/oracle/bounds-check.ts';
import { createConductCheck, type ConductCheck } from '#test/simulation/oracle/conduct-check.ts';
import { createCoverageWatch } from '#test/simulation/oracle/coverage-watch.ts';
import { createDeviceBook, keyOf, type DeviceBook } from '#test/simulation/oracle/device-book.ts';
import { auditReadings, type Reckoning } from '#test/simulation/oracle/final-audit.ts';
import { checkRollups } from '#test/simulation/oracle/rollup-check.ts';
import { createSettledCheck } from '#test/simulation/oracle/settled-check.ts';
import { createStoredCheck } from '#test/simulation/oracle/stored-check.ts';
import { createTruth, extend, type EpochTruth } from '#test/simulation/oracle/truth.ts';
import { createVerdict, type Verdict } from '#test/simulation/oracle/verdict.ts';
import { createViewerCheck, type ViewerCheck } from '#test/simulation/oracle/viewer-check.ts';

export interface Oracle {
  readonly observer: WorldObserver;
  readonly witness: NemesisWitness;
  readonly verdict: Verdict;
  readonly viewers: ViewerCheck;
  /** Before anything happens in it. */
  attach(world: World): void;
  /** Regularly: bounds. */
  look(): void;
  /** After every event: machines that say nothing of themselves. */
  poll(): void;
  /** No fault happens from now on. */
  healed(): void;
  /** What is not rolled up yet, in words; null: nothing. */
  toRollUp(): string | null;
  /** When the newest reading of this session was pushed into a stream that was not erased; -Infinity: never. */
  newestMs(sessionId: string): number;
  /** What this device still has to deliver, in words; null: nothing. */
  owes(device: DeviceNode): string | null;
  /** When everything has come to rest. */
  audit(): Reckoning;
}

export interface OracleOptions {
  readonly scenario: Scenario;
  readonly trace: Trace;
  readonly coverage: Coverage;
}

type Said = DeviceMessage | DataMessage;

export function createOracle({ scenario, trace, coverage }: OracleOptions): Oracle {
  let world: World | null = null;
  let bounds: BoundsCheck | null = null;
  let conduct: ConductCheck | null = null;
  const nowMs = (): number => world?.scheduler.nowMs ?? 0;
  const verdict = createVerdict(nowMs);
  const truth = createTruth();
  const books = new Map<DeviceNode, DeviceBook>();
  /** The references of each device's newest connection. */
  const refs = new Map<DeviceNode, Map<number, EpochTruth>>();
  const everErased = new Set<string>();
  /** Of these an erasure has run to its end. */
  const nowErased = new Set<string>();
  /** Epochs that the server refuses for good, since their stream exists with another definition. */
  const mismatched = new Set<string>();
  let wentBackMs = Number.NEGATIVE_INFINITY;
  let backTo: { incarnation: string; mayLose: boolean } | null = null;

  const tables = (): World['database']['tables'] => world!.database.tables;
  /** Also of streams without a reading. */
  const sessions = new Map<string, string>();
  const sessionOf = (streamId: string): string | undefined => sessions.get(streamId);
  const isErased = (streamId: string): boolean => {
    const { erased } = tables();
    return erased.size > 0 && (erased.has(streamId) || erased.has(sessionOf(streamId) ?? ''));
  };
  const isEmptied = (streamId: string): boolean =>
    isErased(streamId) && (nowErased.has(streamId) || nowErased.has(sessionOf(streamId) ?? ''));
  const wasErased = (streamId: string): boolean =>
    everErased.size > 0 && (everErased.has(streamId) || everErased.has(sessionOf(streamId) ?? ''));
  const hasDeviceClock = (streamId: string): boolean =>
    (tables().streams.get(streamId)?.definition.clock ?? 'device') === 'device' && !clockless.has(streamId);
  /** Streams of devices without a clock, also before the server knows them. */
  const clockless = new Set<string>();

  const stored = createStoredCheck({
    truth,
    verdict,
    tables,
    isErased,
    isEmptied,
    hasDeviceClock,
  });
  const settled = createSettledCheck({
    truth,
    verdict,
    tables,
    wasErased,
    isErased,
    wentBackMs: () => wentBackMs,
    nowMs,
  });
  const viewers = createViewerCheck({
    truth,
    verdict,
    hasDeviceClock,
    axesOf: (streamId) => tables().streams.get(streamId)?.definition.axes.length ?? null,
  });
  const watch = createCoverageWatch(coverage, () => world!);

  /** Before anything is compared: a database that went back is another one. */
  function noticeReturn(): void {
    if (backTo === null || world!.database.incarnation === backTo.incarnation) return;
    const { mayLose } = backTo;
    backTo = null;
    wentBackMs = nowMs();
    stored.wentBack(mayLose);
  }

  function bookOf(device: DeviceNode): DeviceBook {
    let book = books.get(device);
    if (book === undefined) {
      book = createDeviceBook(device.name, truth, verdict);
      books.set(device, book);
    }
    return book;
  }

  function heard(device: DeviceNode, message: Said): void {
    if ('frames' in message) return sent(device, message);
    if (message.type === 'hello') refs.set(device, new Map());
    else if (message.type === 'open') {
      const epoch = truth.epoch(`${message.definition.stream}/${message.epoch}`);
      refs.get(device)?.set(message.ref, epoch);
      sessions.set(message.definition.stream, message.definition.session);
    } else if (message.type === 'tombstone') {
      const epoch = refs.get(device)?.get(message.ref);
      if (epoch !== undefined && !wasErased(epoch.streamId)) bookOf(device).declared(epoch, message);
    }
  }

  function sent(device: DeviceNode, { frames, liveOnly, historical }: DataMessage): void {
    for (const { ref, firstSeq, count } of frames) {
      const epoch = refs.get(device)?.get(ref);
      if (!historical && epoch !== undefined) epoch.live = extend(epoch.live, firstSeq, firstSeq + count);
      if (liveOnly) continue;
      if (epoch === undefined)
        verdict.fail('readings to open streams', `${device.name} sends under reference ${ref}`);
      else epoch.sent = extend(epoch.sent, firstSeq, firstSeq + count);
    }
  }

  function happened(device: DeviceNode, event: DeviceEvent): void {
    switch (event.type) {
      case 'loss':
        return bookOf(device).lost(event.log, event.loss);
      case 'settled':
        if (device.store !== null) settled.believed(device.name, device.store, false);
        return;
      case 'refused':
        if (event.code === 'stream-mismatch')
          refused(device, keyOf(event.log), event.log.definition.axes.length);
        return;
      case 'discarded':
        bookOf(device).discarded(event.stream);
        if (!wasErased(event.stream))
          verdict.fail(
            'discarded was erased',
            `${device.name} dropped stream ${event.stream}, which nobody erased`,
          );
        return;
      case 'state':
        bounds?.entered(device, event.phase);
        conduct?.happened(device, event);
        if (event.phase === 'stopped' && (event.closeCode ?? 0) >= 4500 && event.closeCode !== 4501)
          verdict.fail(
            'never closed for good',
            `${device.name} was sent away with ${event.closeCode}: ${event.reason}`,
          );
        return;
      default:
    }
  }

  function refused(device: DeviceNode, key: string, axes: number): void {
    const known = tables().streams.get(truth.epoch(key).streamId);
    if (
      known !== undefined &&
      known.definition.axes.length === axes &&
      known.deviceId === device.identity.deviceId
    )
      verdict.fail(
        'refused without reason',
        `${device.name} may not go on with ${key}, which is what the database has`,
      );
    mismatched.add(key);
  }

  const observer: WorldObserver = {
    pushed(device, { id, streamId, sessionId, timeUs }) {
      trace.mix(nowMs(), [id]);
      sessions.set(streamId, sessionId);
      if (planOf(device).clock === 'none') clockless.add(streamId);
      const of = { streamId, sessionId, device: device.name };
      bookOf(device).pushed(truth.push(id, of, { timeUs, nowMs: nowMs() }));
    },
    skipped(device, _streamId, count) {
      trace.note(nowMs(), [device.name, 'skipped'], [count]);
    },
    booted(device, held, why) {
      trace.note(nowMs(), [device.name, 'booted', why], [held.size]);
      const book = bookOf(device);
      if (device.store !== null) book.booted(device.store, why, planOf(device).store);
      // What both hold and neither knows to be settled, each may deliver in an epoch of its own.
      if (why === 'clone')
        for (const { definition } of device.store?.logs() ?? []) forkedStream(definition.stream);
      bounds?.booted(device);
      watch.booted(device);
    },
    serverSaid(server, device, message, streamKey) {
      trace.note(
        nowMs(),
        [`server ${server.index} to ${device.name}`, message.type],
        numbersOf(message),
        message,
      );
      noticeReturn();
      settled.serverSaid(message, streamKey);
      conduct?.serverSaid(server, device, { message, connection: streamKey });
      watch.serverSaid(device, message, streamKey);
    },
    deviceSaid(device, server, message) {
      const type = 'frames' in message ? 'data' : message.type;
      trace.note(nowMs(), [`${device.name} to server ${server.index}`, type], numbersOf(message), message);
      heard(device, message);
      watch.deviceSaid(device, message);
    },
    deviceEvent(device, event) {
      if (event.type !== 'settled') trace.note(nowMs(), [device.name, event.type], [], shown(event));
      noticeReturn();
      happened(device, event);
      watch.deviceEvent(device, event);
    },
    viewerSaw(viewer, frames) {
      noticeReturn();
      if ('frames' in frames) {
        trace.note(nowMs(), [viewer.name, 'saw'], [frames.offset, frames.frames.length]);
        viewers.saw(viewer, frames);
      } else {
        trace.note(nowMs(), [viewer.name, 'is told'], [frames.length], frames);
        settled.shown(viewer.name, frames);
      }
    },
    note(what, detail) {
      trace.note(nowMs(), [what], [], detail);
      watch.note(what, detail);
    },
  };

  function planOf(device: DeviceNode): Scenario['devices'][number] {
    return scenario.devices.find(({ name }) => device.name.startsWith(name))!;
  }

  function forkedStream(streamId: string): void {
    const stream = truth.streams.get(streamId);
    if (stream !== undefined) stream.isForked = true;
  }

  function noteCommit({ by, epochs }: CommittedChange): void {
    const ends = epochs.flatMap(({ added, declared }) => [...added, ...declared].map(({ to }) => to));
    if (epochs.length === 0) return trace.mix(nowMs(), ends);
    const shownEpochs = epochs.map(({ key, added, declared }) => ({ key, added, declared }));
    trace.note(nowMs(), [by.name, 'commits'], ends, shownEpochs);
  }

  return {
    observer,
    verdict,
    viewers,
    witness: {
      begins(event) {
        trace.note(nowMs(), ['*', event.kind], [event.target, event.stream, event.forMs], event);
        if (event.kind !== 'back-up' && event.kind !== 'keep-apart') coverage.count('fault', event.kind);
        if (event.kind.startsWith('half-open'))
          conduct?.lineDrops(
            world!.devices[event.target % world!.devices.length]!.name,
            nowMs() + event.forMs,
          );
      },
      goesBack(mayLose) {
        noticeReturn();
        backTo = { incarnation: world!.database.incarnation, mayLose };
      },
      // Noticed with the first commit only, what that stores would be taken for a part of the back-up.
      wentBack: noticeReturn,
      crashed() {
        noticeReturn();
        // While a restore or a promotion is under way, what is gone is gone with that.
        if (backTo === null) stored.nothingGone('a crash of the database');
      },
      erases: (id) => void everErased.add(id),
      hasErased: (id) => void nowErased.add(id),
      ends: (server) => watch.ends(server),
    },
    attach(made) {
      world = made;
      bounds = createBoundsCheck({ world: made, scenario, verdict });
      conduct = createConductCheck({ world: made, scenario, verdict });
      made.database.onCommit = (change) => {
        noticeReturn();
        noteCommit(change);
        stored.committed(change);
      };
    },
    look() {
      noticeReturn();
      bounds?.look();
      conduct?.look();
    },
    poll: () => watch.poll(),
    healed() {
      trace.note(nowMs(), ['*', 'everything is healed']);
      conduct?.healed();
    },
    toRollUp() {
      for (const [key, { committed, rolled, hasGuard }] of tables().epochs)
        if (hasGuard && subtract(committed, rolled).length > 0) return `${key} is not rolled up`;
      return null;
    },
    newestMs(sessionId) {
      let newestMs = Number.NEGATIVE_INFINITY;
      for (const stream of truth.streams.values())
        if (stream.sessionId === sessionId && !wasErased(stream.id))
          newestMs = Math.max(newestMs, stream.readings.at(-1)?.pushedMs ?? newestMs);
      return newestMs;
    },
    owes(device) {
      const { store, process } = device;
      if (process === null || store === null) return null;
      for (const log of store.logs()) {
        if (mismatched.has(keyOf(log))) continue;
        if (!isSettled(log))
          return `${keyOf(log)} (${log.phase}) is settled to ${JSON.stringify(log.settled)} of ${log.nextSeq}`;
        if (log.phase === 'ended') return `the end of ${keyOf(log)} is not confirmed`;
      }
      return null;
    },
    audit() {
      noticeReturn();
      watch.finish();
      for (const device of world!.devices)
        if (device.store !== null && device.process !== null)
          settled.believed(device.name, device.store, true);
      stored.audit();
      checkRollups(tables(), verdict, true);
      const reckoning = auditReadings({
        truth,
        verdict,
        tables: tables(),
        books: [...books.values()],
        wasErased,
        isMismatched: (key) => mismatched.has(key),
      });
      return reckoning;
    },
  };
}

/** What of a message goes into the hash: enough that two histories that differ are told apart. */
function numbersOf(message: ServerMessage | Said): readonly number[] {
  if ('frames' in message) {
    const { frames, liveOnly, historical } = message;
    const first = frames[0];
    return [
      frames.length,
      first?.ref ?? 0,
      first?.firstSeq ?? 0,
      first?.count ?? 0,
      Number(liveOnly),
      Number(historical),
    ];
  }
  switch (message.type) {
    case 'ack':
      return [message.credit.durable, ...message.streams.map(({ next }) => next)];
    case 'open':
      return [message.ref, message.newest?.seq ?? -1];
    case 'opened':
      return [message.ref, message.settled.next];
    case 'tombstone':
      return [message.ref, message.from, message.to];
    case 'rewind':
      return [message.ref, message.fromSeq];
    case 'probe':
      return [message.id, message.t0Us];
    default:
      return [];
  }
}

function shown(event: DeviceEvent): unknown {
  if (event.type === 'loss') return { key: keyOf(event.log), ...event.loss };
  if (event.type === 'refused') return { key: keyOf(event.log), code: event.code, message: event.message };
  if (event.type === 'epoch') return { from: keyOf(event.from), to: keyOf(event.to), reason: event.reason };
  return event;
}
