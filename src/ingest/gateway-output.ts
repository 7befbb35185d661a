/** Owns the types by which a device's session asks for what it cannot do itself, and what it counts. */

import type { DeviceIdentity, EpochProgress, Frame, ReadingChecksum } from '#contract/readings.ts';
import type { CloseReason } from '#protocol/codes.ts';
import type { DeviceMessage, ServerMessage } from '#protocol/messages.ts';
import type { CreditPool } from '#ingest/credit.ts';
import type { LivePublisher } from '#ingest/live-publisher.ts';
import type { StreamBuffer } from '#ingest/stream-buffer.ts';

export type Open = Extract<DeviceMessage, { type: 'open' }>;
export type Close = Extract<DeviceMessage, { type: 'close' }>;

export interface Greeting {
  readonly identity: DeviceIdentity;
  readonly generation: number;
  readonly incarnation: string;
}

export interface OpenAnswer {
  readonly buffer: StreamBuffer;
  readonly progress: EpochProgress;
  /** The newest committed reading, for the device to compare; null when there is none or it has proven it. */
  readonly newest: ({ readonly seq: number } & ReadingChecksum) | null;
}

/** What a session asks for. Answers come back as calls: `authenticated`, `opened`, `erased`, `lost`, `streamEnded`, `endFailed`. */
export interface GatewayOutput {
  send(message: ServerMessage): void;
  /** Closes the socket. Null: the device said bye. */
  close(reason: CloseReason | null): void;
  authenticate(key: string): void;
  openStream(request: Open): void;
  endStream(buffer: StreamBuffer, close: Close): void;
  /** The store does not know the stream of this buffer any more. Answered by `erased` or `lost`. */
  lostStream(buffer: StreamBuffer, wasSettled: boolean): void;
  recordClock(clock: { deviceUs: number; offsetUs: number; roundTripUs: number }): void;
  commandReceived(id: string): void;
  commandResult(result: Extract<DeviceMessage, { type: 'commandResult' }>): void;
  /** The store says less of a stream than it did: the database is another one, or went back. */
  wentBack(): void;
  /** The buffer has something for the store. */
  due(buffer: StreamBuffer): void;
  /** A frame to be shown now. */
  live(buffer: StreamBuffer, frame: Frame): void;
  /** Something is to be told at the end of this turn: call `sendAck` then. */
  ackSoon(): void;
}

/** A command on its way to a device. */
export type DeviceCommand = Omit<Extract<ServerMessage, { type: 'command' }>, 'type'>;

/** Where commands to devices come from. */
export interface CommandSource {
  /**
   * The device is connected: its commands come by `send`, never from within this call, until `stop`. What was not answered
   * by then comes again with its next connection.
   */
  connected(device: Greeting, send: (command: DeviceCommand) => void): CommandLine;
}

/** What one connected device says of its commands. */
export interface CommandLine {
  /** It has the command. */
  received(id: string): void;
  answered(result: Omit<Extract<DeviceMessage, { type: 'commandResult' }>, 'type'>): void;
  /** `isLost`: nobody meant the connection to end. */
  stop(isLost: boolean): void;
}

/** The socket as the gateway sees it. */
export interface DeviceTransport {
  /** Of the other end. */
  readonly address: string;
  sendText(text: string): void;
  /** Null: the device said bye. */
  close(reason: CloseReason | null): void;
  /** The device has said who it is. */
  greeted(): void;
}

/** One connected device as the socket sees it. */
export interface DeviceConnection {
  text(text: string): void;
  binary(bytes: Uint8Array): void;
  gone(): void;
}

export interface GatewayCounters {
  messages: number;
  frames: number;
  readings: number;
  bytes: number;
  liveOnlyFrames: number;
  historicalFrames: number;
  /** Frames of streams that the server had closed while they were on their way. */
  lateFrames: number;
  /** Frames of erased streams: acknowledged, and neither stored nor shown. */
  discardedFrames: number;
  /** Connections closed for more control messages than are allowed. */
  controlFloods: number;
  /** Clock observations that came too often to be kept. */
  skippedClocks: number;
  /** Bytes of credit that quiet devices gave back. */
  reclaimedBytes: number;
  errors: Record<string, number>;
}

export function newGatewayCounters(): GatewayCounters {
  return {
    messages: 0,
    frames: 0,
    readings: 0,
    bytes: 0,
    liveOnlyFrames: 0,
    historicalFrames: 0,
    lateFrames: 0,
    discardedFrames: 0,
    controlFloods: 0,
    skippedClocks: 0,
    reclaimedBytes: 0,
    errors: {},
  };
}

export interface GatewayStatistics {
  readonly session: Readonly<GatewayCounters>;
  readonly live: LivePublisher['counters'];
  readonly overwrittenFrames: number;
  readonly droppedLosses: number;
  readonly superseded: number;
  readonly refusedGreetings: number;
  /** Times that the database was found to be another one, and every device was asked to begin anew. */
  readonly databaseChanges: number;
  readonly connections: number;
  readonly buffers: number;
  /** Of how many the store has frames that it has not settled. */
  readonly takenBuffers: number;
  /** The largest share of one of its bounds that a stream buffer uses. */
  readonly fullestBuffer: number;
  readonly credit: CreditPool;
}
