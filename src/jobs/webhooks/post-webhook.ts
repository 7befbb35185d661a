/**
 * Owns one attempt to deliver: a POST to the one address that was looked up, signed by the newest secret and the one before it,
 * without following redirects, within `postLimits`. Every outcome is a value; nothing of the answer but its status is kept.
 */

import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';

import { Webhook } from 'standardwebhooks';

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import {
  parseTarget,
  resolveTarget,
  type Address,
  type Resolve,
  type TargetRules,
} from '#jobs/webhooks/target.ts';

export const postLimits = {
  /** From looking up the name to the end of the answer: receivers note what they got and work later. */
  totalMs: 5_000,
  /** Read and thrown away; beyond it the connection is closed. */
  answerBytes: 64 * 1024,
  errorCharacters: 300,
} as const;

export interface Sendable {
  readonly url: string;
  readonly eventId: string;
  readonly payload: string;
  /** The newest first. */
  readonly secrets: readonly string[];
}

export interface Posted {
  /** Null: there was no answer. */
  readonly status: number | null;
  /** Null: it was taken (2xx). */
  readonly error: string | null;
  readonly durationMs: number;
  /** What the receiver asked for; null: nothing. */
  readonly retryAfterMs: number | null;
}

export interface PostParts {
  readonly rules: TargetRules;
  readonly resolve: Resolve;
  readonly clock: Clock;
  readonly program: string;
  /** Certificates that are trusted beside the usual ones. */
  readonly ca?: string;
}

export async function postWebhook(sendable: Sendable, parts: PostParts): Promise<Posted> {
  const { clock } = parts;
  const startedMs = clock.monotonicMs();
  const stopped = new AbortController();
  const cancel = clock.after(postLimits.totalMs, () =>
    stopped.abort(new Error(`no answer within ${postLimits.totalMs / 1000} s`)),
  );
  const ended = (outcome: Omit<Posted, 'durationMs'>): Posted => ({
    ...outcome,
    durationMs: Math.round(clock.monotonicMs() - startedMs),
  });
  try {
    const url = parseTarget(sendable.url, parts.rules);
    const address = await inTime(resolveTarget(url, parts.rules, parts.resolve), stopped.signal);
    // Not every end of a request is told: whoever answers with a switch of protocols leaves it without one.
    const { status, retryAfter } = await inTime(
      post({ url, address, sendable }, parts, stopped.signal),
      stopped.signal,
    );
    const retryAfterMs = /^\d{1,5}$/.test(retryAfter) ? Number(retryAfter) * 1000 : null;
    return ended({ status, error: errorOf(status), retryAfterMs });
  } catch (error) {
    const reason: unknown = stopped.signal.aborted ? stopped.signal.reason : error;
    const text = messageOf(reason).slice(0, postLimits.errorCharacters);
    return ended({ status: null, error: text === '' ? 'the connection failed' : text, retryAfterMs: null });
  } finally {
    cancel();
  }
}

function errorOf(status: number): string | null {
  if (status >= 200 && status < 300) return null;
  if (status >= 300 && status < 400) return `status ${status}: redirects are not followed`;
  return `status ${status}`;
}

interface Posting {
  readonly url: URL;
  readonly address: Address;
  readonly sendable: Sendable;
}

function post(
  { url, address, sendable }: Posting,
  { clock, program, ca }: PostParts,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly retryAfter: string }> {
  const body = Buffer.from(sendable.payload);
  const options = {
    method: 'POST',
    headers: { ...headersOf(sendable, { clock, program }), 'content-length': body.length },
    signal,
    // No pool: a connection of a pool would be one to an address that was looked up earlier.
    agent: false as const,
    lookup: lookupOf(address),
    ...(ca === undefined ? {} : { ca }),
  };
  return new Promise((resolve, reject) => {
    const take = (response: IncomingMessage): void => {
      let bytes = 0;
      const done = (): void =>
        resolve({ status: response.statusCode ?? 0, retryAfter: response.headers['retry-after'] ?? '' });
      response.on('data', (piece: Buffer) => {
        bytes += piece.length;
        if (bytes <= postLimits.answerBytes) return;
        done();
        response.destroy();
      });
      response.on('end', done);
      response.on('error', reject);
    };
    const sent: ClientRequest =
      url.protocol === 'https:' ? httpsRequest(url, options, take) : httpRequest(url, options, take);
    sent.on('error', reject);
    sent.end(body);
  });
}

/** https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md */
function headersOf(
  { eventId, payload, secrets }: Sendable,
  { clock, program }: Pick<PostParts, 'clock' | 'program'>,
): Readonly<Record<string, string>> {
  const at = new Date(clock.nowUs() / 1000);
  return {
    'content-type': 'application/json',
    'user-agent': program.replaceAll(' ', '/'),
    'webhook-id': eventId,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(eventId, at, payload)).join(' '),
  };
}

/** In the place of the resolver: whatever is asked for, this one address. */
function lookupOf({ address, family }: Address) {
  return (
    _hostname: string,
    options: { readonly all?: boolean | undefined },
    callback: (error: null, address: string | { address: string; family: number }[], family?: number) => void,
  ): void => {
    if (options.all === true) callback(null, [{ address, family }]);
    else callback(null, address, family);
  };
}

function inTime<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    if (signal.aborted) reject(signal.reason as Error);
    work.then(resolve, reject);
  });
}
