/**
 * Owns a simulated device: a machine with a clock and a disk, and on it processes that run the real device runtime over
 * the real store. A process that is dead is heard no more, whatever its code still does.
 */

import { assert } from '#base/assert.ts';
import { AppError } from '#base/errors.ts';
import { integerBelow, seededRandom } from '#base/random.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { DeviceIdentity } from '#contract/readings.ts';
import { closeCodes } from '#protocol/codes.ts';
import { decodeData } from '#protocol/data-codec.ts';
import type { DeviceMessage } from '#protocol/messages.ts';
import {
  createDevice,
  type Device,
  type DeviceSocket,
  type DeviceSocketHandlers,
} from '#sdk/device-runtime.ts';
import type { DeviceEvent, DeviceTiming } from '#sdk/device-state.ts';
import type { DeviceStore } from '#sdk/device-store.ts';
import { createDiskModel, type DiskModel } from '#sdk/disk-model.ts';
import { fileStore } from '#sdk/file-store.ts';
import { memoryStore } from '#sdk/memory-store.ts';
import {
  createDeviceProgram,
  type DeviceProgram,
  type ProgramStream,
} from '#test/simulation/device-program.ts';
import type { NetworkCore } from '#test/simulation/network.ts';
import type { BootReason, WorldObserver } from '#test/simulation/observer.ts';
import { heldIds } from '#test/simulation/readings.ts';
import {
  createSimulatedClock,
  type Process,
  type Scheduler,
  type SimulatedClock,
} from '#test/simulation/scheduler.ts';

export interface StreamPlan {
  /** 2 to 32: the first two say which reading it is. */
  readonly axes: number;
  readonly rateHz: number;
  /** Readings of one `push`; a push comes every `readingsPerPush / rateHz` seconds. */
  readonly readingsPerPush: number;
}

export interface DevicePlan {
  readonly name: string;
  readonly store: 'memory' | 'file';
  /** At least 4 KiB in memory, 256 KiB in files. */
  readonly maxBytes: number;
  readonly streams: readonly StreamPlan[];
  /** Default `device`. */
  readonly clock?: 'device' | 'none';
  /** Where the device says who it is: in the request's header (Node), the default, or in hello (browsers). */
  readonly auth?: 'header' | 'hello';
  /** The organisation's name. */
  readonly org: string;
}

/** What ends the process leaves the machine down until `boot`. What needs a process does nothing while there is none. */
export interface DeviceNode {
  readonly name: string;
  readonly identity: DeviceIdentity;
  readonly clock: SimulatedClock;
  /** Null: not running. */
  readonly process: Process | null;
  readonly device: Device | null;
  readonly store: DeviceStore | null;
  /** Of all streams of this device, also those to come. */
  readonly sessionId: string;
  /** A process starts, opens the store, and goes on with the streams that were recording. Does nothing when one runs. */
  boot(): void;
  /** The process dies, the page cache survives. A memory store is gone. */
  kill(): void;
  /** The process dies in the next write to its file store, of which so many bytes arrive. */
  killInWrite(bytes: number): void;
  /** What was not synced goes, up to so many bytes of each file. The server hears nothing. */
  losePower(unsyncedBytes: number): void;
  /** Ends the process and flips so many bytes at the end of the newest file. */
  corruptTail(bytes: number): void;
  /** Ends the process and replaces the storage by an empty one. */
  wipe(): void;
  /** A copy of the store, as a process's death would leave it, boots beside it under the same identity. */
  clone(): DeviceNode;
  /** What the disk may still take; null: without end. File stores only. */
  setDiskRoom(bytes: number | null): void;
  /** Stream number `stream` of the plan records from now on; after `end`, under a new id. */
  record(stream: number): void;
  pause(stream: number): void;
  end(stream: number): void;
  /** The sensor fails to give `count` readings. */
  lose(stream: number, count: number): void;
  /**
   * A newer program gives the stream one axis more under its old id: the process starts again with it. When store or
   * server refuse that, the program goes on under a new id.
   */
  reopenWithOtherAxes(stream: number): void;
}

/** What the parts of a world share. */
export interface NodeContext {
  readonly scheduler: Scheduler;
  readonly network: NetworkCore;
  readonly observer: WorldObserver;
}

export interface DeviceNodeOptions extends NodeContext {
  readonly plan: DevicePlan;
  readonly key: string;
  readonly identity: DeviceIdentity;
  readonly timing: Partial<DeviceTiming>;
  readonly nextReadingId: () => number;
  /** A clone was made. */
  readonly added: (clone: DeviceNode) => void;
}

/** What a clone takes over. */
interface Original {
  readonly name: string;
  readonly sessionId: string;
  readonly disk: DiskModel;
  readonly streams: readonly ProgramStream[];
  readonly nowUs: number;
  /** A copy within one run of the machine looks like the original's own store; one of another run ends the epoch. */
  readonly machineBoots: number;
}

/** 1 January 2026, when every world begins. */
export const WORLD_STARTS_US = 1_767_225_600_000_000;
/** How far a device's clock may be off at first. */
const CLOCK_ERROR_US = 2_000_000;
const STORE_DIRECTORY = '/kymo';
/** A sync takes a disk some milliseconds. */
const SYNC_MS = 10;
/** A program that ended by itself is started again after this. */
const RESTART_MS = 1000;
/** Somebody presses the button again on a device that another has put out. */
const TAKE_OVER_MS = { least: 3000, spread: 2000 } as const;

/** The reasons in the order of gravity. */
const reasons: readonly BootReason[] = ['boot', 'kill', 'power', 'corrupt', 'wipe', 'clone'];

export function createDeviceNode(options: DeviceNodeOptions, original: Original | null = null): DeviceNode {
  const { scheduler, network, observer, plan, identity } = options;
  const { random } = scheduler;
  const name = original?.name ?? plan.name;
  const startUs =
    original?.nowUs ?? WORLD_STARTS_US + integerBelow(random, 2 * CLOCK_ERROR_US) - CLOCK_ERROR_US;
  const clock = createSimulatedClock(scheduler, startUs, () => node.process);
  let disk = original?.disk ?? createDiskModel();
  let capacityBytes = Number.POSITIVE_INFINITY;
  let processes = 0;
  let machineBoots = original?.machineBoots ?? 0;
  let why: BootReason = original === null ? 'boot' : 'clone';
  let clones = 0;
  let isWanted = false;
  let program: DeviceProgram | null = null;
  const streams: ProgramStream[] = plan.streams.map((stream, index) => ({
    plan: stream,
    id: uuidv7(clock),
    axes: stream.axes,
    wish: 'none',
    ...original?.streams[index],
  }));

  function openStore(process: Process): DeviceStore {
    if (plan.store === 'memory') return memoryStore({ maxBytes: plan.maxBytes });
    disk = disk.nextProcess();
    disk.capacityBytes = capacityBytes;
    disk.onKilled = () => end(process, 'kill');
    disk.onSyncLater = (sync) => void scheduler.after(SYNC_MS, process, sync);
    return fileStore(STORE_DIRECTORY, { disk, clock, maxBytes: plan.maxBytes, boot: `boot:${machineBoots}` });
  }

  function boot(): void {
    isWanted = true;
    if (node.process !== null) return;
    const process = scheduler.process(`${name}#${++processes}`);
    node.process = process;
    try {
      node.store = openStore(process);
    } catch (thrown) {
      if (!(thrown instanceof AppError)) throw thrown;
      // A disk without any room: the program ends with an error, and is started again.
      observer.note(`${name}: the store cannot be opened`, { error: thrown.message });
      process.kill();
      node.process = null;
      scheduler.after(RESTART_MS, null, () => {
        if (isWanted) boot();
      });
      return;
    }
    observer.booted(node, plan.store === 'memory' ? new Set() : heldIds(node.store), why);
    why = 'kill';
    const device = createDevice({
      store: node.store,
      clock,
      random: seededRandom(integerBelow(random, 2 ** 32)),
      agent: 'simulation',
      ...(plan.auth === 'hello' ? { key: options.key } : {}),
      timing: options.timing,
      openSocket: (handlers) => openSocket(process, handlers),
      onEvent: (event) => {
        if (!process.isAlive) return;
        observer.deviceEvent(node, event);
        react(process, event);
      },
    });
    node.device = device;
    program = createDeviceProgram({ ...options, node, device, process, streams });
  }

  function react(process: Process, event: DeviceEvent): void {
    if (event.type === 'refused') program?.refused(event.log.definition.stream, event.code);
    if (event.type !== 'state' || event.phase !== 'stopped' || event.closeCode !== closeCodes.superseded)
      return;
    scheduler.after(TAKE_OVER_MS.least + random.next() * TAKE_OVER_MS.spread, process, () =>
      node.device?.reconnect(),
    );
  }

  function openSocket(process: Process, handlers: DeviceSocketHandlers): DeviceSocket {
    /** What the server has been asked to open, by reference, as far as it has heard. */
    const keys = new Map<number, string>();
    const socket = network.connect(name, {
      client: process,
      handlers: { ...handlers, text: handlers.message, binary: handlers.message },
      upgrade: (server, request) =>
        server.upgradeDevice(request, {
          node,
          key: plan.auth === 'hello' ? null : options.key,
          address: name,
          streamKey: (ref) => keys.get(ref) ?? null,
        }),
    });
    return {
      sendText(text) {
        if (socket === null || !socket.isOpen() || !process.isAlive) return;
        const message = JSON.parse(text) as DeviceMessage;
        observer.deviceSaid(node, socket.server, message);
        if (message.type !== 'open') return socket.sendText(text);
        const { ref, epoch, definition } = message;
        socket.sendText(text, () => void keys.set(ref, `${definition.stream}/${epoch}`));
      },
      sendBinary(bytes) {
        if (socket === null || !socket.isOpen() || !process.isAlive) return;
        const decoded = decodeData(bytes);
        assert(decoded.ok, 'a device sends what can be decoded');
        observer.deviceSaid(node, socket.server, decoded.value);
        socket.sendBinary(bytes);
      },
      bufferedBytes: () => socket?.bufferedBytes() ?? 0,
      close: (code, reason) => socket?.close(code, reason),
    };
  }

  /** The process is no more. `isTold`: its kernel closes its sockets. */
  function end(process: Process | null, reason: BootReason, isTold = true): void {
    isWanted = false;
    if (reasons.indexOf(reason) > reasons.indexOf(why) && processes > 0) why = reason;
    if (process === null || process !== node.process) return;
    process.kill();
    network.processDied(process, isTold);
    node.process = null;
    node.device = null;
    node.store = null;
    program = null;
  }

  const node: { -readonly [K in keyof DeviceNode]: DeviceNode[K] } = {
    name,
    identity,
    clock,
    process: null,
    device: null,
    store: null,
    sessionId: original?.sessionId ?? uuidv7(clock),
    boot,
    kill: () => end(node.process, 'kill'),
    killInWrite(bytes) {
      if (node.process === null) return;
      disk.killAfterWrites = 0;
      disk.killBytes = bytes;
    },
    losePower(unsyncedBytes) {
      end(node.process, 'power', false);
      machineBoots++;
      disk.losePower(unsyncedBytes, () => integerBelow(random, 2) === 0);
    },
    corruptTail(bytes) {
      end(node.process, 'corrupt');
      const newest = [...disk.files.keys()]
        .filter((path) => path.endsWith('.kymo'))
        .toSorted()
        .at(-1);
      if (newest !== undefined) disk.flipTail(newest, bytes);
    },
    wipe() {
      end(node.process, 'wipe');
      disk = createDiskModel();
    },
    clone() {
      const clone = createDeviceNode(options, {
        name: `${name}+${++clones}`,
        sessionId: node.sessionId,
        disk: disk.copy(),
        streams: streams.map((stream) => ({ ...stream })),
        nowUs: clock.nowUs(),
        machineBoots,
      });
      options.added(clone);
      clone.boot();
      return clone;
    },
    setDiskRoom(bytes) {
      capacityBytes = bytes === null ? Number.POSITIVE_INFINITY : disk.usedBytes() + bytes;
      disk.capacityBytes = capacityBytes;
    },
    record: (stream) =>
      change(stream, (own) => {
        if (own.wish === 'ended') own.id = uuidv7(clock);
        own.wish = 'recording';
      }),
    pause: (stream) =>
      change(stream, (own) => {
        if (own.wish === 'recording') own.wish = 'paused';
      }),
    end: (stream) =>
      change(stream, (own) => {
        if (own.wish !== 'none') own.wish = 'ended';
      }),
    lose: (stream, count) => program?.lose(streams[stream]!, count),
    reopenWithOtherAxes(stream) {
      const own = streams[stream]!;
      own.axes = own.axes === own.plan.axes ? own.axes + 1 : own.plan.axes;
      if (node.process === null) return;
      end(node.process, 'kill');
      boot();
    },
  };

  function change(index: number, changeIt: (own: ProgramStream) => void): void {
    const own = streams[index]!;
    changeIt(own);
    program?.follow(own);
  }

  network.add(name);
  return node;
}
