/**
 * Owns the faces of channels that go on: event streams (SSE) and long polls, of one channel or of many. Both are viewers
 * of the hub like any other; what is theirs alone is who may open how many (stream-seats.ts) and how an EventSource that
 * was opened with a ticket comes back (stream-tickets.ts).
 */

import type { OutgoingHttpHeaders } from 'node:http';

import type { FastifyReply, FastifyRequest } from 'fastify';

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { integerBelow, systemRandom } from '#base/random.ts';
import type { Principal } from '#contract/principal.ts';
import type { Identity } from '#identity/identity.ts';
import { pollChannels } from '#live/long-poll.ts';
import { streamEvents } from '#live/sse.ts';
import { principalOf } from '#api/access.ts';
import { readCursor, refusal, resolveChannels, valueOf } from '#api/channel-requests.ts';
import type { PollQuery, StreamQuery } from '#api/channel-schemas.ts';
import type { LiveOptions } from '#api/live-options.ts';
import { createSeats, pollSeatLimits, streamSeatLimits } from '#api/stream-seats.ts';
import { createStreamTickets, cursorOfId, type StreamSeat } from '#api/stream-tickets.ts';

/** An EventSource has no jitter of its own, so each gets another time to come back: between one second and five. */
const RETRY_MS = { least: 1_000, spread: 4_000 } as const;
const DEFAULT_WAIT_S = 25;
const DEFAULT_POLL_MESSAGES = 100;

export interface ChannelStreams {
  /** Answers with the events of the channels and patterns; returns when the stream has begun. */
  stream(request: FastifyRequest, reply: FastifyReply, channels: readonly string[]): Promise<unknown>;
  /** The answer to a poll as JSON. */
  poll(request: FastifyRequest, reply: FastifyReply, channels: readonly string[]): Promise<string>;
}

export function createChannelStreams(options: {
  readonly live: LiveOptions;
  readonly identity: Pick<Identity, 'redeemLiveTicket'>;
  readonly clock: Clock;
}): ChannelStreams {
  const { live, identity, clock } = options;
  const tickets = createStreamTickets({ clock, isRevoked: live.isRevoked });
  const streams = createSeats('event streams', streamSeatLimits);
  const polls = createSeats('waiting polls', pollSeatLimits);

  async function seatOf(request: FastifyRequest, lastId: string, wanted: readonly string[]) {
    if (request.principal !== null) return { principal: principalOf(request), seat: null };
    const { ticket } = request.query as StreamQuery;
    const scope = JSON.stringify(wanted.toSorted());
    const seat = await openWithTicket(ticket ?? '', lastId, scope);
    return { principal: seat.principal, seat };
  }

  async function openWithTicket(ticket: string, lastId: string, scope: string): Promise<StreamSeat> {
    const resumed = tickets.resume(ticket, lastId, scope);
    if (resumed !== null) return resumed;
    const principal = await identity.redeemLiveTicket(ticket);
    if (principal === null)
      throw new AppError('unauthenticated', 'the ticket is unknown, used, or for something else');
    return tickets.open(ticket, principal, scope);
  }

  /** Whoever was revoked while patterns were looked up, when nothing of theirs was open yet that could be closed. */
  function refuseRevoked(principal: Principal): void {
    if (live.isRevoked(principal))
      throw new AppError('unauthenticated', 'the key, token or sign-in was revoked');
  }

  async function open(request: FastifyRequest, reply: FastifyReply, wanted: readonly string[]) {
    const query = request.query as StreamQuery;
    const lastId = lastEventId(request);
    const cursor =
      lastId === '' ? readCursor(query.cursor, '/cursor') : readCursor(cursorOfId(lastId), '/last-event-id');
    const { principal, seat } = await seatOf(request, lastId, wanted);
    const channels = await resolveChannels(live.channels, wanted, principal);
    refuseRevoked(principal);
    const leave = streams.take(principal, request.ip);
    let vacate = (): void => {};
    await new Promise<void>((resolve, reject) => {
      const stream = streamEvents((transport, connection) => live.connect(transport, principal, connection), {
        request: request.raw,
        response: reply.raw,
        headers: reply.getHeaders() as OutgoingHttpHeaders,
        channels,
        cursor,
        last: query.last ?? 0,
        hasPresence: query.presence === 'true',
        idSuffix: seat?.idSuffix ?? '',
        retryMs: RETRY_MS.least + integerBelow(systemRandom, RETRY_MS.spread),
        clock,
        limits: live.keepAliveMs === undefined ? {} : { keepAliveMs: live.keepAliveMs },
        begins: () => {
          reply.hijack();
          if (seat !== null) vacate = seat.occupy(() => stream.supersede());
          resolve();
        },
        refused: (error) => reject(refusal(error)),
        ended: () => {
          leave();
          vacate();
          // Whoever left before it began is answered nothing.
          resolve();
        },
      });
    });
    return reply;
  }

  return {
    async stream(request, reply, channels) {
      try {
        return await open(request, reply, channels);
      } catch (error) {
        if (!isReturning(request) || !(error instanceof AppError) || !error.temporary) throw error;
        return reply.type('text/event-stream; charset=utf-8').send(comeBack(error));
      }
    },
    async poll(request, reply, wanted) {
      const query = request.query as PollQuery;
      const principal: Principal = principalOf(request);
      const cursor = readCursor(query.cursor, '/cursor');
      const channels = await resolveChannels(live.channels, wanted, principal);
      refuseRevoked(principal);
      const leave = polls.take(principal, request.ip);
      const poll = pollChannels((transport, connection) => live.connect(transport, principal, connection), {
        channels,
        cursor,
        last: query.last ?? 0,
        limit: query.limit ?? DEFAULT_POLL_MESSAGES,
        waitMs: (query.wait ?? DEFAULT_WAIT_S) * 1000,
        clock,
      });
      reply.raw.once('close', poll.abandon);
      try {
        return valueOf(await poll.answer);
      } finally {
        leave();
      }
    },
  };
}

function lastEventId(request: FastifyRequest): string {
  const header = request.headers['last-event-id'];
  return typeof header === 'string' ? header : '';
}

/** An EventSource that was here before. */
function isReturning(request: FastifyRequest): boolean {
  return lastEventId(request) !== '' && (request.headers.accept ?? '').includes('text/event-stream');
}

/**
 * An EventSource gives up for good on any status but 200 (HTML standard, section 9.2.2), also where another instance
 * would take it: one that returns is told when to try again instead.
 */
function comeBack({ code, message }: AppError): string {
  const retryMs = RETRY_MS.least + integerBelow(systemRandom, RETRY_MS.spread);
  return `retry: ${retryMs}\nevent: problem\ndata: ${JSON.stringify({ type: 'error', code, message })}\n\n`;
}
