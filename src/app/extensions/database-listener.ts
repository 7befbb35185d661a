/**
 * Owns the listening to a channel of PostgreSQL's NOTIFY: a connection of its own that comes back by itself. NOTIFY keeps
 * nothing for who is away, so each time that listening begins the watcher is told of a gap before anything else, and
 * reads what it missed. Bound: INBOX notifications wait; one more empties the inbox and is a gap.
 */

import pg from 'pg';

import { AppError, messageOf } from '#base/errors.ts';
import type { DatabaseListening, DatabaseQuery } from '#contract/watcher.ts';
import { createBackOff } from '#app/extensions/back-off.ts';
import type { SourceContext } from '#app/extensions/feed-reader.ts';
import { callHandler, HandlerFailure } from '#app/extensions/handler-failure.ts';

/** 8 MB at worst: a payload has at most 8,000 bytes. */
const INBOX = 1_000;
/** How long connecting and one statement may take. */
const ANSWER_MS = 10_000;
/** How often an idle connection is asked whether it is still there: a firewall may have forgotten it. */
const PULSE_MS = 15_000;

/** Resolves when the signal aborts; rejects with what a handler threw. */
export async function listenToDatabase(
  listening: DatabaseListening & { readonly url: string },
  context: SourceContext,
): Promise<void> {
  const { signal, log, counters } = context;
  const { channel } = listening;
  if (channel === '' || Buffer.byteLength(channel) > 63)
    throw new AppError('invalid-field', `"${channel}" is no channel of NOTIFY: it has 1 to 63 bytes`);
  const backOff = createBackOff(context);
  while (!signal.aborted) {
    try {
      await readConnection(listening, { ...context, onListening: backOff.reset });
    } catch (error) {
      if (error instanceof HandlerFailure) throw error.cause;
      log.warn('listening to a database begins again', { channel, error: messageOf(error) });
    }
    // oxlint-disable-next-line typescript/no-unnecessary-condition -- it may have aborted meanwhile
    if (signal.aborted) return;
    counters.disconnects++;
    await backOff.pause();
  }
}

/** What has come and waits; `isGap`: something may have come that does not. */
interface Inbox {
  payloads: string[];
  isGap: boolean;
  /** Set when the connection is gone. */
  end: Error | null;
  wake: () => void;
}

async function readConnection(
  { url, channel, onGap, onNotification }: DatabaseListening & { readonly url: string },
  context: SourceContext & { readonly onListening: () => void },
): Promise<void> {
  const { signal, counters } = context;
  const client = new pg.Client({
    connectionString: url,
    application_name: 'kymo watcher',
    connectionTimeoutMillis: ANSWER_MS,
    query_timeout: ANSWER_MS,
    keepAlive: true,
  });
  const inbox: Inbox = { payloads: [], isGap: true, end: null, wake: () => undefined };
  const finish = (error: Error): void => {
    inbox.end ??= error;
    inbox.wake();
  };
  client.on('error', finish);
  client.on('end', () => finish(new Error('the connection ended')));
  client.on('notification', ({ payload = '' }) => {
    if (inbox.payloads.length >= INBOX) {
      inbox.payloads = [];
      inbox.isGap = true;
    } else inbox.payloads.push(payload);
    inbox.wake();
  });
  const onAbort = (): void => finish(new Error('stopped'));
  signal.addEventListener('abort', onAbort, { once: true });
  const query: DatabaseQuery = async (text, values) =>
    (await client.query<Record<string, unknown>>(text, values === undefined ? [] : [...values])).rows;
  const isThere = async (): Promise<boolean> => {
    await query('select 1').catch(finish);
    return inbox.end === null;
  };
  let stopPulse = (): void => undefined;
  const pulse = (): void => {
    if (inbox.end !== null) return;
    stopPulse = context.clock.after(PULSE_MS, () => void isThere().then(pulse));
  };
  try {
    await client.connect();
    await query(`listen ${pg.escapeIdentifier(channel)}`);
    context.onListening();
    pulse();
    while (inbox.end === null) {
      if (inbox.isGap) {
        inbox.isGap = false;
        counters.gaps++;
        await unlessGone(isThere, callHandler(onGap, query));
      } else if (inbox.payloads.length > 0) {
        counters.notifications++;
        await unlessGone(isThere, callHandler(onNotification, inbox.payloads.shift()!, query));
      } else
        await new Promise<void>((resolve) => {
          inbox.wake = resolve;
        });
    }
    throw inbox.end;
  } finally {
    finish(new Error('done'));
    stopPulse();
    signal.removeEventListener('abort', onAbort);
    client.removeAllListeners('notification');
    await client.end().catch(() => undefined);
  }
}

/** A handler whose statement fails since the connection is gone has done nothing wrong: it is told of the gap later. */
async function unlessGone(isThere: () => Promise<boolean>, handling: Promise<void>): Promise<void> {
  try {
    await handling;
  } catch (error) {
    if (await isThere()) throw error;
  }
}
