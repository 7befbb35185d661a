/**
 * Owns the types by which readings move between ingest, store and live. Ingest offers streams with new frames to
 * sinks; a sink takes frames when it is ready, so that nothing queues between them but the stream's bounded ring.
 */

import type { LiveFrame } from '#protocol/live-codec.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import type { RangeSet } from '#base/ranges.ts';

/** Who sends: an authenticated device. */
export interface DeviceIdentity {
  readonly deviceId: string;
  readonly orgId: string;
}

/** What the store knows of a (stream, epoch): its identity and its definition, which never change. */
export interface StreamHandle {
  /** `${streamId}/${epoch}`: the key of maps. */
  readonly key: string;
  readonly orgId: string;
  readonly deviceId: string;
  readonly epoch: string;
  readonly definition: StreamDefinition;
  /** Retention class, 0 to 7: which list partition keeps the chunks. */
  readonly retentionClass: number;
  /** Bytes of one packed reading. */
  readonly readingBytes: number;
}

/** A frame on its way through the server: as received, with the stamps that travel along. */
export interface Frame extends LiveFrame {
  /** Sent again from the device's store: kept, not shown as live. */
  readonly historical: boolean;
}

/** Readings that will never come, as a device declared. */
export interface LossDeclaration {
  readonly from: number;
  readonly to: number;
  readonly reason: string;
}

/**
 * What a connection was told when it opened a stream, under its generation. The store lets the newest generation write, and
 * nobody else after it has: what was compared at its opening is then all that others ever wrote there.
 */
export interface StreamClaim {
  readonly generation: number;
  /** What the opening said is settled. */
  readonly opened: EpochProgress;
}

/**
 * One (stream, epoch) with frames for the store: live ones in the ring, replayed ones in their own lane. The store
 * takes; what it took it must settle, or give back by asking for a rewind.
 */
export interface FrameSource {
  readonly handle: StreamHandle;
  /** Null for a path that gives numbers of an epoch of its own, which nobody else can know. */
  readonly claim: StreamClaim | null;
  /** Readings that wait to be taken. */
  pendingReadings(): number;
  /** Removes and returns the waiting frames, oldest first, up to about `maxReadings` (at least one frame). */
  take(maxReadings: number): Frame[];
  /** Removes and returns declared losses that wait to be written. */
  takeLosses(): LossDeclaration[];
  /** The store's answers, for the device that has this stream open. */
  settled(progress: EpochProgress): void;
  /** Readings from here on were dropped unwritten: the device must send them again. */
  rewind(fromSeq: number): void;
  /** The database refuses what this stream sends: nothing more is taken from it. */
  refused(message: string): void;
  /** The store does not know this stream (any more): it has to be opened again before anything is stored. */
  unknown(): void;
  /** A newer connection of the device has written: nothing more is taken from this one. */
  superseded(): void;
  /** Others have written since this stream was opened: it has to be opened, and compared, again. */
  outdated(): void;
}

/** Settled ranges of one (stream, epoch), split into stored and declared lost. */
export interface EpochProgress {
  readonly committed: RangeSet;
  readonly lost: RangeSet;
}

/** What tells two readings apart that were given the same number. */
export interface ReadingChecksum {
  /** CRC-32 of its packed axes. */
  readonly crc32: number;
  /** Its time as it is stored. */
  readonly timeUs: number;
}

/** Where ingest announces work. `due` is cheap and idempotent. */
export interface StoreSink {
  /** The source has frames or losses to be taken at the next flush. */
  due(source: FrameSource): void;
  /** The database is another one than before: what is under way is tried again, on a new connection. */
  renew(): void;
}

/** Who looks at live frames as they arrive, beside store and display. Must not wait, throw, or keep the frame's bytes. */
export interface FrameTap {
  frame(handle: StreamHandle, frame: Frame): void;
}
