/** Owns the type of what ingest asks of identity and store. */

import type { Result } from '#base/result.ts';
import type { DeviceIdentity, EpochProgress, ReadingChecksum, StreamHandle } from '#contract/readings.ts';
import type { WireError } from '#protocol/data-codec.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import type { Greeting } from '#ingest/gateway-output.ts';

/** What ingest needs from identity and store; app wires it. Every call may fail with a temporary AppError. */
export interface IngestBackend {
  /** Who holds this key, or null. `address`: whose wrong keys are counted. Does not count as a connection. */
  authenticate(key: string, address: string): Promise<DeviceIdentity | null>;
  /** Draws the next generation of the device; null when it was revoked meanwhile. */
  greet(identity: DeviceIdentity): Promise<Greeting | null>;
  /**
   * The database's incarnation now, as `greet` gives it. Asked every few seconds. `gone`: the one under which commits were
   * seen that are missing now; if it is that still, another is drawn.
   */
  incarnation(gone?: string): Promise<string>;
  openStream(
    identity: DeviceIdentity,
    request: { definition: StreamDefinition; epoch: string; previousStoreLost: boolean },
  ): Promise<Result<{ handle: StreamHandle; progress: EpochProgress }, WireError>>;
  /** Of a committed reading; null when it is not there (any more). */
  checksumOf(handle: StreamHandle, seq: number): Promise<ReadingChecksum | null>;
  /** Whether the stream, or its session, was erased. `openStream` then refuses it with the code `erased`. */
  isErased(handle: StreamHandle): Promise<boolean>;
  endStream(handle: StreamHandle, recordingEnded: boolean): Promise<void>;
  recordClock(
    identity: DeviceIdentity,
    observation: { deviceUs: number; offsetUs: number; roundTripUs: number },
  ): void;
}
