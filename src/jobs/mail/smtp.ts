/**
 * Owns the sending of one mail over SMTP: which server, that the way there is encrypted, and whether what went wrong may go well
 * later. A link in a mail lets somebody in, so TLS is demanded of every server that is not on this machine.
 */

import { createTransport } from 'nodemailer';

import { AppError, messageOf } from '#base/errors.ts';
import type { MailText } from '#jobs/mail/templates.ts';

export const smtpLimits = {
  connectMs: 10_000,
  /** Of silence within a conversation. */
  silenceMs: 30_000,
  connections: 2,
} as const;

export interface SmtpMail extends MailText {
  readonly id: string;
  readonly recipient: string;
}

/** `refused`: for good. `later`: the server, the way there or the mailbox was not ready (4xx of SMTP; greylisting). */
export type SmtpOutcome =
  | { readonly state: 'taken' }
  | { readonly state: 'refused' | 'later'; readonly reason: string };

export interface Smtp {
  send(mail: SmtpMail): Promise<SmtpOutcome>;
  close(): void;
}

export interface SmtpOptions {
  /** smtp:// (STARTTLS) or smtps://, with user and password. */
  readonly url: string;
  /** Address that mail is from. */
  readonly from: string;
  /** Certificates that are trusted beside the usual ones. */
  readonly ca?: string;
}

const addressPattern = /^[^\s@<>(),;:"[\]\\]{1,64}@[^\s@<>(),;:"[\]\\]{1,190}$/;

/** One address and nothing that would be read as another header or another address. */
export function isMailAddress(text: string): boolean {
  // eslint-disable-next-line no-control-regex
  return addressPattern.test(text) && !/[\u0000-\u001f\u007f]/.test(text);
}

/** Throws AppError `invalid-field`. */
export function createSmtp({ url, from, ca }: SmtpOptions): Smtp {
  const server = parseSmtpUrl(url);
  if (!isMailAddress(from))
    throw new AppError('invalid-field', 'mail-from is no address', { field: 'mail-from' });
  const isSecure = server.protocol === 'smtps:';
  const host = server.hostname.replace(/^\[|\]$/g, '');
  const transport = createTransport({
    pool: true,
    maxConnections: smtpLimits.connections,
    host,
    port: server.port === '' ? (isSecure ? 465 : 587) : Number(server.port),
    secure: isSecure,
    requireTLS: !isSecure && !isLoopback(host),
    ...(server.username === ''
      ? {}
      : { auth: { user: decodeURIComponent(server.username), pass: decodeURIComponent(server.password) } }),
    connectionTimeout: smtpLimits.connectMs,
    greetingTimeout: smtpLimits.connectMs,
    socketTimeout: smtpLimits.silenceMs,
    // No template reads a file or an address of somebody's choice.
    disableFileAccess: true,
    disableUrlAccess: true,
    ...(ca === undefined ? {} : { tls: { ca } }),
  });
  return {
    async send({ id, recipient, subject, text, html }) {
      if (!isMailAddress(recipient)) return { state: 'refused', reason: 'this is no address' };
      try {
        await transport.sendMail({
          from: { name: 'Kymo', address: from },
          to: { name: '', address: recipient },
          subject,
          text,
          html,
          // The same for every attempt, so that a mailbox shows it once.
          messageId: `<${id}@${from.slice(from.indexOf('@') + 1)}>`,
          headers: { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' },
        });
        return { state: 'taken' };
      } catch (error) {
        return outcomeOf(error);
      }
    },
    close: () => transport.close(),
  };
}

function parseSmtpUrl(text: string): URL {
  const wrong = (why: string): AppError => new AppError('invalid-field', why, { field: 'smtp-url' });
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw wrong('smtp-url is no address');
  }
  if (url.protocol !== 'smtp:' && url.protocol !== 'smtps:')
    throw wrong('smtp-url begins with smtp:// or smtps://');
  if (url.hostname === '') throw wrong('smtp-url names no server');
  return url;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** The server's own words may hold the address; only its code and the kind of failure are kept. */
function outcomeOf(error: unknown): SmtpOutcome {
  const { responseCode, code } = error as { responseCode?: unknown; code?: unknown };
  if (typeof responseCode === 'number' && responseCode >= 400) {
    // What is wrong with our account or the way there is mended by people, and the mail can wait for it.
    const isOurs = code === 'EAUTH' || code === 'ETLS';
    return { state: responseCode >= 500 && !isOurs ? 'refused' : 'later', reason: `SMTP ${responseCode}` };
  }
  return { state: 'later', reason: typeof code === 'string' ? code : messageOf(error).slice(0, 100) };
}
