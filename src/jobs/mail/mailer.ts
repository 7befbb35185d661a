/**
 * Owns the mail of an installation: it is queued in the database, sent by whichever server claims it, again after ever longer
 * waits while servers say "later" (greylisting), and gone when it was taken, refused for good or too late. What is logged of a
 * mail is its id and kind.
 */

import type { Clock } from '#base/clock.ts';
import { AppError, messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { Random } from '#base/random.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { ClaimedMail, MailKind, MailOutbox, WaitingMail } from '#store/mail-outbox.ts';
import { mailText } from '#jobs/mail/templates.ts';
import type { Smtp } from '#jobs/mail/smtp.ts';

export const mailLimits = {
  /** Looked for without being told: mail that others queued, and whose time has come. */
  pollMs: 5_000,
  claimed: 10,
  /** After attempt 1, 2, ...; then the last of them, until it is too late. Greylists open after one to fifteen minutes. */
  waitsMs: [30_000, 120_000, 300_000, 900_000, 3_600_000],
} as const;

export interface MailerParts {
  readonly outbox: MailOutbox;
  readonly smtp: Smtp;
  /** Where people open Kymo, such as https://kymo.example.org: links in mail never follow from a request. */
  readonly publicUrl: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface NewMail {
  readonly kind: MailKind;
  readonly to: string;
  readonly orgId: string | null;
  readonly fields: WaitingMail['fields'];
  /** Of the link, behind publicUrl: `#reset=...`, `jobs`. */
  readonly path: string;
  readonly expiresAt: Date;
}

export interface MailerCounters {
  sent: number;
  refused: number;
  expired: number;
  /** Attempts that ended with "later". */
  delayed: number;
  /** As looked up last. */
  waiting: number;
}

export interface Mailer {
  /** Resolves when it is in the database. Throws AppError `overloaded`: too much mail waits. */
  queue(mail: NewMail): Promise<void>;
  readonly counters: Readonly<MailerCounters>;
  /** Sends all that is due now. */
  sendDue(): Promise<void>;
  start(): void;
  stop(): Promise<void>;
}

export function createMailer({ outbox, smtp, publicUrl, clock, random, log }: MailerParts): Mailer {
  const counters: MailerCounters = { sent: 0, refused: 0, expired: 0, delayed: 0, waiting: 0 };
  let isStopped = true;
  let cancel = (): void => undefined;
  let running: Promise<void> | null = null;

  async function send(mail: ClaimedMail): Promise<void> {
    const { path = '', ...fields } = mail.fields;
    const link = `${publicUrl.replace(/\/+$/, '')}/${String(path)}`;
    const text = mailText(mail.kind, fields, link);
    const outcome = await smtp.send({ id: mail.id, recipient: mail.recipient, ...text });
    if (outcome.state === 'later') {
      counters.delayed++;
      const waitMs = mailLimits.waitsMs[Math.min(mail.attempt, mailLimits.waitsMs.length) - 1]!;
      await outbox.again(mail.id, waitMs * (0.9 + 0.2 * random.next()));
      log.info('a mail waits for its next attempt', {
        mail: mail.id,
        kind: mail.kind,
        reason: outcome.reason,
      });
      return;
    }
    await outbox.remove(mail.id);
    if (outcome.state === 'taken') counters.sent++;
    else {
      counters.refused++;
      log.warn('a mail was refused for good', { mail: mail.id, kind: mail.kind, reason: outcome.reason });
    }
  }

  async function sendDue(): Promise<void> {
    const { expired, waiting } = await outbox.tidy();
    counters.expired += expired;
    counters.waiting = waiting;
    if (waiting === 0) return;
    for (;;) {
      const claimed = await outbox.claim(mailLimits.claimed);
      for (const mail of claimed) await send(mail);
      if (claimed.length < mailLimits.claimed) return;
    }
  }

  function schedule(delayMs: number): void {
    cancel();
    cancel = clock.after(delayMs, () => {
      running ??= sendDue()
        .catch((error: unknown) => log.warn('mail could not be sent', { error: messageOf(error) }))
        .finally(() => {
          running = null;
          if (!isStopped) schedule(mailLimits.pollMs);
        });
    });
  }

  return {
    counters,
    sendDue,
    async queue({ kind, to, orgId, fields, path, expiresAt }) {
      const mail = { id: uuidv7(clock), orgId, kind, recipient: to, fields: { ...fields, path }, expiresAt };
      if (!(await outbox.add(mail)))
        throw new AppError('overloaded', 'too much mail waits to be sent', { temporary: true });
      if (!isStopped && running === null) schedule(0);
    },
    start() {
      isStopped = false;
      schedule(0);
    },
    async stop() {
      isStopped = true;
      cancel();
      await running;
      smtp.close();
    },
  };
}
