/**
 * Owns telling an organisation that sessions begin and end. The end is told in the transaction that ends the session, so
 * exactly when it ended; a beginning after it was made, so a death in between may leave it untold.
 */

import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { DurableBroker } from '#bus/durable-broker.ts';
import { addressOf, type PublishTo } from '#contract/channel-definition.ts';
import type { PublicationBody } from '#contract/live-messages.ts';
import type { StreamHandle } from '#contract/readings.ts';
import type { Appended } from '#protocol/publication.ts';
import type { SessionEndMessage } from '#store/catalogue.ts';
import { notifications } from '#app/channels/notifications.ts';

export interface SessionNews {
  started(stream: StreamHandle): void;
  /** For the transaction that ends the session. */
  endMessage(session: string): SessionEndMessage;
  /** That transaction has committed. */
  ended(orgId: string, appended: Appended, message: SessionEndMessage): void;
}

/** `channels`: of the server, made after this. */
export function createSessionNews(
  channels: () => { readonly publishAs: PublishTo; readonly durable: Pick<DurableBroker, 'announce'> },
  log: Log,
): SessionNews {
  return {
    started({ orgId, deviceId, definition: { session } }) {
      const message = { event: 'session-started', data: { session, device: deviceId } } as const;
      channels()
        .publishAs(notifications, { orgId, params: {} }, { ...message, key: `started ${session}` })
        .catch((error: unknown) =>
          log.warn('the beginning of a session could not be told', { error: messageOf(error) }),
        );
    },
    endMessage(session) {
      const body: PublicationBody = { event: 'session-ended', data: { session } };
      return { channel: notifications.name, payload: Buffer.from(JSON.stringify(body)) };
    },
    ended: (orgId, appended, { channel, payload }) =>
      channels().durable.announce(addressOf(notifications, orgId, channel), appended, payload),
  };
}
