/**
 * Owns one device under torture: the product's device with its file store, recording streams of generated readings at
 * true rate, each for some seconds and then another. What its store takes, refuses and hears settled goes into the
 * journal at once. Bound: the device store's; readings of the time in which the process was stopped are not made.
 */

import { subtract, type RangeSet } from '#base/ranges.ts';
import { seededRandom, type Random } from '#base/random.ts';
import { createLatencyHistogram } from '#bench/support/latency-histogram.ts';
import { openDevice } from '#sdk/device-client.ts';
import type { Device, DeviceStream } from '#sdk/device-runtime.ts';
import type { DeviceEvent } from '#sdk/device-state.ts';
import type { DeviceLog, DeviceStore, FrameContent } from '#sdk/device-store.ts';
import { fileStore } from '#sdk/file-store.ts';
import type { NewlyAcknowledged } from '#test/torture/acknowledgement-audit.ts';
import { clockSkew } from '#test/torture/clock-skew.ts';
import { openJournal, type DeviceJournal } from '#test/torture/device-journal.ts';
import type { DevicePlan, DeviceSample } from '#test/torture/device-messages.ts';
import { PERIOD_US, RATE_HZ, readingAxes, readingValues, streamKey } from '#test/torture/reading-values.ts';

/** Behind by more than this, the process was stopped, and its sensors went unread. */
const MISSED_US = 500_000;
/** The first number of a resumed stream; identities stay unique because lives differ. */
const FIRST_NUMBER = 0;
const STORE_BYTES = 64 * 1024 * 1024;

export interface TorturedDevice {
  /** Pushes what is due at `nowUs`, and replaces streams whose time is over. */
  advance(nowUs: number): void;
  sample(nowUs: number): DeviceSample;
  /** Ends every stream; true when the server has all of it within `timeoutMs`. */
  end(timeoutMs: number): Promise<boolean>;
  /** What is left undelivered, for people. */
  left(): string;
}

interface Recording {
  readonly stream: DeviceStream;
  readonly key: number;
  readonly slot: number;
  nextNumber: number;
  /** When reading 0 is due, moved on when readings were missed. */
  originUs: number;
  readonly endsUs: number;
}

/** A frame in the store whose readings are not all acknowledged. */
interface Waiting {
  readonly toSeq: number;
  readonly dueUs: number;
}

export interface TorturedDeviceOptions {
  readonly plan: DevicePlan;
  readonly seed: number;
  readonly life: number;
  readonly streams: number;
  readonly streamSeconds: readonly [number, number];
  readonly nowUs: () => number;
  readonly onAcknowledged: (atUs: number, settled: readonly NewlyAcknowledged[]) => void;
  readonly onTrouble: (text: string) => void;
}

interface DeviceState {
  readonly options: TorturedDeviceOptions;
  readonly random: Random;
  readonly journal: DeviceJournal;
  readonly store: DeviceStore;
  readonly recordings: Map<number, Recording>;
  /** By log id. */
  readonly waiting: Map<number, Waiting[]>;
  readonly settled: Map<number, RangeSet>;
  readonly lags: ReturnType<typeof createLatencyHistogram>;
  device: Device | null;
  pushed: number;
  acknowledged: number;
}

export async function openTorturedDevice(options: TorturedDeviceOptions): Promise<TorturedDevice> {
  const { plan, seed, life } = options;
  const state: DeviceState = {
    options,
    random: seededRandom(seed * 1_000_003 + plan.device * 1009 + life),
    journal: openJournal(plan.journalFile),
    store: fileStore(plan.storeDirectory, { maxBytes: STORE_BYTES }),
    recordings: new Map(),
    waiting: new Map(),
    settled: new Map(),
    lags: createLatencyHistogram(),
    device: null,
    pushed: 0,
    acknowledged: 0,
  };
  for (const log of state.store.logs()) state.settled.set(log.id, log.settled);
  noteAppends(state);
  const device = await openDevice({
    url: plan.url,
    key: plan.key,
    insecure: true,
    store: state.store,
    onEvent: (event) => hear(state, event),
  });
  state.device = device;
  const nowUs = options.nowUs();
  for (const { stream, session, segment } of device.unfinished()) {
    const slot = Number(segment.slice(segment.lastIndexOf('-') + 1));
    if (state.recordings.has(slot)) continue;
    record(state, { slot, nowUs, stream, session });
  }
  device.endUnfinished();
  return {
    advance: (atUs) => advance(state, atUs),
    sample: (atUs) => sample(state, atUs),
    end: (timeoutMs) => end(state, timeoutMs),
    left: () => left(state),
  };
}

/** Writes down what the store took before the machine hears of it, and so before any server can. */
function noteAppends(state: DeviceState): void {
  const { store, journal } = state;
  const append = store.append.bind(store);
  store.append = (log: DeviceLog, content: FrameContent) => {
    const frame = append(log, content);
    const stream = log.definition.stream;
    const { count, firstUs, periodNs, deltasUs, payload } = content;
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    if (frame === null) {
      journal.refused({ stream, epoch: log.epoch, from: log.nextSeq - count, to: log.nextSeq });
      return null;
    }
    journal.taken({
      stream,
      epoch: log.epoch,
      firstSeq: frame.firstSeq,
      count,
      life: view.getFloat32(4, true),
      firstNumber: view.getFloat32(0, true),
      firstUs,
      periodNs,
      deltas: deltasUs === null ? '' : Buffer.from(deltasUs).toString('hex'),
    });
    const dueUs = firstUs - clockSkew.ms * 1000;
    const queue = state.waiting.get(log.id);
    if (queue === undefined) state.waiting.set(log.id, [{ toSeq: frame.firstSeq + count, dueUs }]);
    else queue.push({ toSeq: frame.firstSeq + count, dueUs });
    return frame;
  };
}

function hear(state: DeviceState, event: DeviceEvent): void {
  if (event.type === 'settled') return noteSettled(state);
  if (event.type === 'state') logState(state, event);
  const { onTrouble } = state.options;
  if (event.type === 'refused') onTrouble(`stream refused: ${event.code} ${event.message}`);
  else if (event.type === 'error') onTrouble(`server error: ${event.code} ${event.message}`);
  else if (event.type === 'epoch') onTrouble(`new epoch: ${event.reason}`);
  else if (event.type === 'discarded') onTrouble(`stream discarded: ${event.stream}`);
  else if (event.type === 'store-unreadable') onTrouble(`store unreadable: ${event.message}`);
  else if (event.type === 'state' && event.phase === 'stopped' && event.closeCode !== 1000)
    onTrouble(`stopped by close code ${event.closeCode}: ${event.reason}`);
}

/** Into the process's log file, for who asks why a device was not acknowledged for so long. */
function logState({ options }: DeviceState, event: Extract<DeviceEvent, { type: 'state' }>): void {
  const { phase, closeCode = '', reason = '' } = event;
  const at = new Date(options.nowUs() / 1000).toISOString();
  process.stderr.write(`${at} device ${options.plan.device} ${phase} ${closeCode} ${reason}\n`);
}

function noteSettled(state: DeviceState): void {
  const { store, journal, options } = state;
  const nowUs = options.nowUs();
  const newly: NewlyAcknowledged[] = [];
  for (const log of store.logs()) {
    const before = state.settled.get(log.id) ?? [];
    if (before === log.settled) continue;
    state.settled.set(log.id, log.settled);
    for (const { from, to } of subtract(log.settled, before)) {
      newly.push([log.definition.stream, log.epoch, from, to]);
      state.acknowledged += to - from;
      journal.acknowledged({ stream: log.definition.stream, epoch: log.epoch, from, to });
    }
    const queue = state.waiting.get(log.id);
    const next = log.settled[0]?.from === 0 ? log.settled[0].to : 0;
    while (queue !== undefined && queue.length > 0 && queue[0]!.toSeq <= next)
      state.lags.record(nowUs - queue.shift()!.dueUs);
  }
  if (newly.length > 0) options.onAcknowledged(nowUs, newly);
}

function record(
  state: DeviceState,
  { slot, nowUs, ...known }: { slot: number; nowUs: number; stream?: string; session?: string },
): void {
  const { plan, seed, streamSeconds } = state.options;
  const stream = state.device!.stream({
    segment: `segment-${slot}`,
    sensor: 'imu',
    axes: readingAxes,
    rateHz: RATE_HZ,
    session: plan.session,
    ...known,
  });
  const [least, most] = streamSeconds;
  state.recordings.set(slot, {
    stream,
    key: streamKey(seed, stream.definition.stream),
    slot,
    nextNumber: FIRST_NUMBER,
    originUs: Math.ceil(nowUs / PERIOD_US) * PERIOD_US,
    endsUs: nowUs + (least + state.random.next() * (most - least)) * 1e6,
  });
}

function advance(state: DeviceState, nowUs: number): void {
  for (let slot = 0; slot < state.options.streams; slot++)
    if (!state.recordings.has(slot)) record(state, { slot, nowUs });
  for (const recording of state.recordings.values()) {
    pushDue(state, recording, nowUs);
    if (nowUs < recording.endsUs) continue;
    state.recordings.delete(recording.slot);
    void recording.stream.end();
  }
}

function pushDue(state: DeviceState, recording: Recording, nowUs: number): void {
  const behindUs = nowUs - (recording.originUs + recording.nextNumber * PERIOD_US);
  if (behindUs < 0) return;
  if (behindUs > MISSED_US) recording.originUs += Math.floor(behindUs / PERIOD_US) * PERIOD_US;
  const firstNumber = recording.nextNumber;
  const dueUs = recording.originUs + firstNumber * PERIOD_US;
  const count = Math.floor((nowUs - dueUs) / PERIOD_US) + 1;
  const { key } = recording;
  const values = readingValues({ key, life: state.options.life, firstNumber, count });
  recording.stream.push(values, dueUs + clockSkew.ms * 1000);
  recording.nextNumber += count;
  state.pushed += count;
}

function sample(state: DeviceState, nowUs: number): DeviceSample {
  const status = state.device!.status();
  const lags = state.lags.snapshot();
  state.lags.reset();
  let oldestUs = nowUs;
  for (const queue of state.waiting.values()) oldestUs = Math.min(oldestUs, queue[0]?.dueUs ?? nowUs);
  return {
    device: state.options.plan.device,
    pushed: state.pushed,
    phase: status.phase,
    reconnects: status.reconnects,
    buffered: status.bufferedReadings,
    oldestMs: (nowUs - oldestUs) / 1000,
    lags,
    acknowledged: state.acknowledged,
  };
}

async function end(state: DeviceState, timeoutMs: number): Promise<boolean> {
  for (const { stream } of state.recordings.values()) await stream.end();
  state.recordings.clear();
  const isDrained = await state.device!.drained({ timeoutMs });
  return isDrained;
}

function left(state: DeviceState): string {
  const { phase, bufferedReadings, reconnects } = state.device!.status();
  const open = state.store.logs().filter((log) => log.phase === 'ended' || log.phase === 'recording');
  return `device ${state.options.plan.device}: ${phase}, ${bufferedReadings} readings wait, ${open.length} streams open, ${reconnects} reconnects`;
}
