/**
 * Owns telling an organisation that sessions begin and end. The end is told in the transaction that ends the session, so
 * exactly when it ended; a beginning after it was made, so a death in between may leave it untold.
 */

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { DurableBroker } from '#bus/durable-broker.ts';
import type { ReadCache } from '#clinic/read-cache.ts';
import { sessionSummaryJob } from '#clinic/session-summary-job.ts';
import { sessionTags } from '#clinic/session-tags.ts';
import { addressOf, type PublishTo } from '#contract/channel-definition.ts';
import type { PublicationBody } from '#contract/live-messages.ts';
import type { StreamHandle } from '#contract/readings.ts';
import type { EndedSession, SessionEndMessage } from '#store/catalogue.ts';
import { webhookStatements } from '#store/webhook-events.ts';
import { notifications } from '#app/channels/notifications.ts';

export interface SessionNews {
  /** `patientId`: of a session that was planned. */
  started(stream: StreamHandle, patientId: string | null): void;
  /** For the transaction that ends the session. */
  endMessage(session: string): SessionEndMessage;
  /** That transaction has committed. */
  ended(session: { orgId: string; id: string }, ended: EndedSession, message: SessionEndMessage): void;
}

export interface NewsParts {
  /** Of the server, made after this. */
  readonly channels: () => {
    readonly publishAs: PublishTo;
    readonly durable: Pick<DurableBroker, 'announce'>;
  };
  /** What was read of the session, and of its patient, is no longer so. */
  readonly cache: Pick<ReadCache, 'invalidate'>;
  readonly clock: Clock;
  readonly log: Log;
}

export function createSessionNews({ channels, cache, clock, log }: NewsParts): SessionNews {
  const forget = (orgId: string, session: string, patientId: string | null): void => {
    cache
      .invalidate(orgId, sessionTags(session, [patientId]))
      .catch((error: unknown) =>
        log.warn('what was read of a session could not be forgotten', { error: messageOf(error) }),
      );
  };
  return {
    started({ orgId, deviceId, definition: { session } }, patientId) {
      forget(orgId, session, patientId);
      const message = { event: 'session-started', data: { session, device: deviceId } } as const;
      channels()
        .publishAs(notifications, { orgId, params: {} }, { ...message, key: `started ${session}` })
        .catch((error: unknown) =>
          log.warn('the beginning of a session could not be told', { error: messageOf(error) }),
        );
    },
    endMessage(session) {
      const [event] = webhookStatements({ type: 'session.ended', data: { session } }, { clock });
      const body: PublicationBody = { event: 'session-ended', data: { session } };
      return {
        channel: notifications.name,
        payload: Buffer.from(JSON.stringify(body)),
        job: sessionSummaryJob(session, clock),
        event: event!,
      };
    },
    ended({ orgId, id }, { appended, patientId }, { channel, payload }) {
      forget(orgId, id, patientId);
      channels().durable.announce(addressOf(notifications, orgId, channel), appended, payload);
    },
  };
}
