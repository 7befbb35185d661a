/** Owns what ingest asks of identity and store: the one place where the two meet. */

import { ok, type Result } from '#base/result.ts';
import type { EpochProgress, StreamHandle } from '#contract/readings.ts';
import type { Identity } from '#identity/identity.ts';
import type { IngestBackend } from '#ingest/ingest-backend.ts';
import type { WireError } from '#protocol/data-codec.ts';
import type { Catalogue } from '#store/catalogue.ts';
import type { ClockRecorder } from '#store/clock-recorder.ts';
import type { SessionNews } from '#app/session-news.ts';

export function createBackend(parts: {
  identity: Identity;
  catalogue: Catalogue;
  clocks: ClockRecorder;
  /** Called when the database turns out to be another one than before. */
  onRenewed: () => void;
  sessions: SessionNews;
}): IngestBackend {
  const { identity, catalogue, clocks } = parts;
  let known: string | null = null;
  return {
    authenticate: (key, address) => identity.authenticateDevice(key, address),
    async greet(device) {
      const greeting = await identity.nextGeneration(device.deviceId);
      return greeting === null ? null : { identity: device, ...greeting };
    },
    async incarnation(gone) {
      const found = await identity.incarnation(gone);
      if (known !== null && found !== known) parts.onRenewed();
      known = found;
      return found;
    },
    async openStream(
      device,
      request,
    ): Promise<Result<{ handle: StreamHandle; progress: EpochProgress }, WireError>> {
      const opened = await catalogue.openStream(device, request);
      if (opened.ok && opened.value.isNewSession)
        parts.sessions.started(opened.value.handle, opened.value.patientId);
      return opened.ok ? ok({ handle: opened.value.handle, progress: opened.value.progress }) : opened;
    },
    checksumOf: ({ orgId, deviceId, definition, epoch }, seq) =>
      catalogue.checksumOf({ orgId, deviceId }, { streamId: definition.stream, epoch }, seq),
    isErased: ({ orgId, deviceId, definition }) => catalogue.isErased({ orgId, deviceId }, definition),
    async endStream({ orgId, deviceId, definition }, recordingEnded) {
      if (!recordingEnded) return;
      const told = parts.sessions.endMessage(definition.session);
      const ended = await catalogue.endStream({ orgId, deviceId }, definition.stream, told);
      if (ended !== null) parts.sessions.ended({ orgId, id: definition.session }, ended, told);
    },
    recordClock: (device, observation) => clocks.record(device, observation),
  };
}
