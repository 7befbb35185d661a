/**
 * Owns the types that the parts of the device machine share: its options, its effects, what it reports, and its state.
 * Only device-machine.ts, device-dialogue.ts and device-epoch.ts touch the state.
 */

import type { Allowance } from '#base/allowance.ts';
import type { Clock } from '#base/clock.ts';
import type { Random } from '#base/random.ts';
import type { DeviceMessage } from '#protocol/messages.ts';
import type { BackoffOptions } from '#sdk/device-backoff.ts';
import type { ClockEstimate, ClockFilter } from '#sdk/device-clock.ts';
import type { Run, Sender } from '#sdk/device-sender.ts';
import type { DeviceLog, DeviceStore, StoreEvent } from '#sdk/device-store.ts';

export interface DeviceTiming {
  /** How long new readings are gathered before they are stored and sent. */
  readonly flushMs: number;
  readonly backoff: BackoffOptions;
  /** A connection that lived this long ends the row of failed attempts. */
  readonly stableMs: number;
  /** From connecting to welcome. */
  readonly handshakeMs: number;
  /** Sent readings without any word of their store, while the server gives credit: reconnect. */
  readonly stallMs: number;
  /** The same while the server gives no credit: its store is slow or gone, and live display goes on meanwhile. */
  readonly starvedStallMs: number;
  readonly probeBurst: number;
  readonly probeBurstMs: number;
  readonly probeMs: number;
}

export const defaultTiming: DeviceTiming = {
  flushMs: 50,
  // Half a round trip across the world at first; a server that was restarted is found within 15 s.
  backoff: { baseMs: 250, capMs: 15_000 },
  stableMs: 5_000,
  handshakeMs: 10_000,
  stallMs: 30_000,
  starvedStallMs: 60_000,
  probeBurst: 8,
  probeBurstMs: 50,
  probeMs: 10_000,
};

export interface DeviceMachineOptions {
  readonly store: DeviceStore;
  readonly clock: Pick<Clock, 'nowUs' | 'monotonicMs'>;
  readonly random: Random;
  readonly effects: DeviceEffects;
  /** Program and version, for the server's log. */
  readonly agent: string;
  /** The device key, when the transport cannot put it into a header. */
  readonly key?: string;
  readonly timing?: Partial<DeviceTiming>;
  /** Share of the durable window that replay leaves to new readings. Default 0.5. */
  readonly liveShare?: number;
  /** Bytes of replay in one flush. Default 128 KiB: 2.5 MB/s, and at 10 Mbit/s live readings wait 0.1 s at most. */
  readonly replayBytesPerFlush?: number;
  /** Nothing is sent while the transport holds more than this. Default 256 KiB, one message. */
  readonly maxBufferedBytes?: number;
}

/** What the machine wants done. Called synchronously, from within the machine's own functions. */
export interface DeviceEffects {
  /** Open a connection; answer with `connected` or `disconnected`. */
  connect(): void;
  /** `isTimed`: it must leave now, since it measures time or shows life, and says nothing of what the store holds. */
  sendText(text: string, isTimed?: boolean): void;
  sendBinary(bytes: Uint8Array): void;
  /** Close the connection, or give up opening it; report nothing more of it. */
  close(code: number, reason: string): void;
  /** Call `timer` after this time. Replaces the timer before. */
  setTimer(delayMs: number): void;
  /** Bytes that were sent and have not left this machine. */
  bufferedBytes(): number;
  /** Hand over, with `append`, what was gathered since the last flush. */
  collect(): void;
  report(event: DeviceEvent): void;
}

/**
 * `idle` before start; `connecting`; `greeting` from the open socket to the welcome; `online`; `waiting` for the next
 * attempt; `stopped` until `start` is called again.
 */
export type DevicePhase = 'idle' | 'connecting' | 'greeting' | 'online' | 'waiting' | 'stopped';

export type DeviceEvent =
  | {
      readonly type: 'state';
      readonly phase: DevicePhase;
      readonly closeCode?: number;
      readonly reason?: string;
    }
  | { readonly type: 'command'; readonly id: string; readonly name: string; readonly argument: string | null }
  /** Something was acknowledged, or the end of a stream confirmed. */
  | { readonly type: 'settled' }
  | { readonly type: 'clock'; readonly estimate: ClockEstimate }
  /** The server does not take this stream; its readings stay in the store. */
  | { readonly type: 'refused'; readonly log: DeviceLog; readonly code: string; readonly message: string }
  | { readonly type: 'epoch'; readonly from: DeviceLog; readonly to: DeviceLog; readonly reason: string }
  /**
   * The stream, or its session, was erased on the server: what was held of it here is gone, and what is still pushed into
   * it is not kept.
   */
  | { readonly type: 'discarded'; readonly stream: string; readonly session: string }
  | { readonly type: 'error'; readonly code: string; readonly message: string }
  | StoreEvent;

/** One connection from its welcome on. */
export interface Connection {
  readonly sinceMs: number;
  readonly generation: number;
  readonly incarnation: string;
  readonly heartbeatMs: number;
  readonly sender: Sender;
  readonly runsByRef: Map<number, Run>;
  nextRef: number;
  heartbeatAtMs: number;
  checkAtMs: number;
  probeAtMs: number;
  probesInBurst: number;
  nextProbeId: number;
  /** Sending times of unanswered probes by id; at most PROBES_IN_FLIGHT. */
  readonly probes: Map<number, number>;
  /** How many losses may be stated: a server closes who sends too many control messages. */
  readonly tombstones: Allowance;
  progressMs: number;
}

export interface MachineState {
  readonly options: DeviceMachineOptions;
  readonly timing: DeviceTiming;
  readonly store: DeviceStore;
  readonly effects: DeviceEffects;
  readonly filter: ClockFilter;
  phase: DevicePhase;
  connection: Connection | null;
  /** By log id; at most storeLimits.logs. */
  readonly runs: Map<number, Run>;
  /** The same as an array, for the flush. */
  runList: readonly Run[];
  readonly currentByStream: Map<string, Run>;
  attempt: number;
  /** When the last stable connection ended, or connecting began. */
  outageFromMs: number;
  receivedMs: number;
  flushAtMs: number;
  reconnectAtMs: number;
  handshakeAtMs: number;
  armedAtMs: number;
  generation: number;
  /** Answers to the newest commands by id, so that a repeated command is not carried out twice; null while open. */
  readonly commands: Map<string, { readonly ok: boolean; readonly message?: string } | null>;
  /** Answers that wait for a connection; at most COMMANDS. */
  answers: string[];
  /** Streams that the program still records though the server discarded them; each until the program ends it. */
  readonly discarded: Set<string>;
  counters: { sentMessages: number; reconnects: number; ignoredMessages: number; discardedReadings: number };
}

export const NEVER = Number.POSITIVE_INFINITY;

export function send(state: MachineState, message: DeviceMessage): void {
  const isTimed = message.type === 'probe' || message.type === 'heartbeat';
  state.effects.sendText(JSON.stringify(message), isTimed);
}

/** Makes the next flush due no later than `delayMs` from now. */
export function flushWithin(state: MachineState, delayMs: number): void {
  const atMs = state.options.clock.monotonicMs() + delayMs;
  if (atMs < state.flushAtMs) state.flushAtMs = atMs;
}
