/** Owns the mail of a server: the mailer of its settings, and what identity sends by it; none without `smtp-url`. */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import { systemRandom } from '#base/random.ts';
import type { SendIdentityMail } from '#identity/entrances.ts';
import { createMailer, type Mailer } from '#jobs/mail/mailer.ts';
import { createSmtp } from '#jobs/mail/smtp.ts';
import { createMailOutbox } from '#store/mail-outbox.ts';
import type { RolePool } from '#store/pools.ts';

export interface MailSettings {
  readonly 'smtp-url': string;
  readonly 'mail-from': string;
  readonly 'public-url': string;
}

export interface ServerMail {
  readonly mailer: Mailer;
  readonly sendIdentityMail: SendIdentityMail;
}

/** Null: no mail is sent. Throws AppError `invalid-field` naming the setting. `auth`: the pool of kymo_auth. */
export function createServerMail(
  settings: MailSettings,
  { auth, clock, log }: { readonly auth: RolePool; readonly clock: Clock; readonly log: Log },
): ServerMail | null {
  const url = settings['smtp-url'];
  if (url === '') return null;
  const publicUrl = settings['public-url'];
  if (!/^https?:\/\/[^\s/]+/.test(publicUrl))
    throw new AppError('invalid-field', 'mail has links: say with public-url where people open Kymo', {
      field: 'public-url',
    });
  const mailer = createMailer({
    outbox: createMailOutbox(auth),
    smtp: createSmtp({ url, from: settings['mail-from'] }),
    publicUrl,
    clock,
    random: systemRandom,
    log,
  });
  return {
    mailer,
    sendIdentityMail: ({ kind, to, orgId, fragment, expiresAt }) =>
      mailer.queue({
        kind,
        to,
        orgId,
        expiresAt,
        path: `#${fragment}`,
        fields: { until: untilText(expiresAt) },
      }),
  };
}

function untilText(at: Date): string {
  return `${at.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
