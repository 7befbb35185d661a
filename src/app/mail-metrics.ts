/** Owns the metrics of mail. Zero where this process sends none; no label names anybody. */

import type { MailerCounters } from '#jobs/mail/mailer.ts';
import type { Namers } from '#app/metrics.ts';

/** `mail`: null without smtp-url. */
export function addMailMetrics(
  { counter, gauge }: Namers,
  mail: { readonly mailer: { readonly counters: Readonly<MailerCounters> } } | null,
): void {
  const read = (name: keyof MailerCounters) => (): number => mail?.mailer.counters[name] ?? 0;
  gauge('kymo_mail_waiting', 'mails of all servers that wait to be sent', read('waiting'));
  counter('kymo_mail_sent_total', 'mails that were taken', read('sent'));
  counter('kymo_mail_delayed_total', 'attempts that are followed by another', read('delayed'));
  counter('kymo_mail_refused_total', 'mails that were refused for good', read('refused'));
  counter('kymo_mail_expired_total', 'mails that were too late before they were taken', read('expired'));
}
