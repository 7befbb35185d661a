/**
 * Owns the words of mail, as text and as HTML that is escaped. A mail says that something is there and where: links, counts and
 * codes, never a name, a figure or anything of a patient, since mail is read on the way.
 */

import type { MailKind, WaitingMail } from '#store/mail-outbox.ts';

export interface MailText {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

type Fields = WaitingMail['fields'];

interface Words {
  readonly subject: string;
  readonly paragraphs: readonly string[];
  /** What the link does. */
  readonly action: string | null;
  readonly after: readonly string[];
}

const templates: Readonly<Record<MailKind, (fields: Fields) => Words>> = {
  invitation: ({ until }) => ({
    subject: 'An invitation to Kymo',
    paragraphs: ['You are invited to work with Kymo. Open this link to choose a password and begin.'],
    action: 'Accept the invitation',
    after: [`The link works once, until ${until}. If you did not expect it, leave it: nothing happens.`],
  }),
  'password-reset': ({ until }) => ({
    subject: 'A new password for Kymo',
    paragraphs: ['Somebody asked for a new password for your account. Open this link to choose one.'],
    action: 'Choose a password',
    after: [
      `The link works once, until ${until}, and ends all your sign-ins.`,
      'If it was not you, leave it: your password stays as it is.',
    ],
  }),
  'job-done': ({ job, state, files }) => ({
    subject: state === 'failed' ? 'A job of yours was given up' : 'A job of yours is done',
    paragraphs: [
      state === 'failed'
        ? `The job ${job} was given up after its last attempt. What went wrong stands beside it.`
        : `The job ${job} is done.${files === 1 ? ' What it made can be fetched for seven days.' : ''}`,
    ],
    action: 'Open the jobs',
    after: ['Sign in to see it.'],
  }),
  digest: ({ sessions, reports, failed, webhooks }) => ({
    subject: 'Kymo, the last day in numbers',
    paragraphs: [
      `Sessions that ended: ${sessions}. Reports made: ${reports}. Jobs given up: ${failed}. Webhooks that are switched off since they failed: ${webhooks}.`,
    ],
    action: 'Open Kymo',
    after: [],
  }),
};

/** `link`: absolute, of our own. */
export function mailText(kind: MailKind, fields: Fields, link: string): MailText {
  const { subject, paragraphs, action, after } = templates[kind](fields);
  const linked = action === null ? [] : [`${action}:\n${link}`];
  const text = [...paragraphs, ...linked, ...after, footer].join('\n\n');
  const html = [
    ...paragraphs.map(paragraph),
    ...(action === null ? [] : [`<p><a href="${escaped(link)}">${escaped(action)}</a></p>`]),
    ...(action === null ? [] : [`<p style="color:#565c64">${escaped(link)}</p>`]),
    ...after.map(paragraph),
    `<p style="color:#565c64">${escaped(footer)}</p>`,
  ].join('\n');
  return {
    subject,
    text: `${text}\n`,
    html: `<!doctype html>\n<html lang="en"><body>\n${html}\n</body></html>\n`,
  };
}

const footer = 'This mail was written by a program; nobody reads answers to it.';

function paragraph(words: string): string {
  return `<p>${escaped(words)}</p>`;
}

export function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
