/**
 * Owns the way of a publication to where its channel is kept: the body is checked against the schema of its event and
 * bounded, then given to the broker (class event and state) or the bus (class live). Server and handlers come this way
 * too: nothing reaches a subscriber unchecked.
 */

import { hash } from 'node:crypto';

import { assert } from '#base/assert.ts';
import { AppError } from '#base/errors.ts';
import type { Broker } from '#bus/broker.ts';
import type { Bus } from '#bus/bus.ts';
import { addressOf, historyOf, type AnyChannel } from '#contract/channel-definition.ts';
import type { Principal } from '#contract/principal.ts';
import type { WireError } from '#protocol/data-codec.ts';
import { publicationLimits } from '#protocol/publication.ts';
import type { ChannelCounters } from '#live/channel-counters.ts';
import type { ChannelChecks } from '#live/channel-schemas.ts';
import type { PublishOutcome } from '#live/channels.ts';

export interface ChannelBrokers {
  readonly volatile: Broker;
  /** Null where nothing is kept for good: then no definition may be durable. */
  readonly durable: Broker | null;
}

export interface PublishingOptions {
  readonly bus: Bus;
  readonly brokers: ChannelBrokers;
  readonly counters: ChannelCounters;
}

/** One publication, ready but for its checks. */
export interface Draft {
  readonly definition: AnyChannel;
  readonly checks: ChannelChecks;
  readonly orgId: string;
  readonly name: string;
  readonly event: string;
  readonly data: unknown;
  /** Subject of who sent it; null: the server. */
  readonly by: string | null;
  readonly key: string | null;
}

export interface ChannelPublishing {
  brokerOf(definition: AnyChannel): Broker | null;
  /** What is wrong with it: its event, or a field of its data. Null when nothing is. */
  check(draft: Pick<Draft, 'checks' | 'event' | 'data'>): WireError | null;
  /** Of a checked draft. Throws AppError `message-too-large`, and what the broker throws. */
  publish(draft: Draft): Promise<PublishOutcome>;
}

export function createChannelPublishing(options: PublishingOptions): ChannelPublishing {
  const { bus, brokers, counters } = options;
  const brokerOf = (definition: AnyChannel): Broker | null => {
    if (definition.lossClass === 'live') return null;
    if (definition.durable !== true) return brokers.volatile;
    assert(brokers.durable !== null, `channel ${definition.name} is durable, and nothing here is`);
    return brokers.durable;
  };
  return {
    brokerOf,
    check({ checks, event, data }) {
      const check = checks.out.get(event);
      return check === undefined ? unknownEvent(event, checks.out.keys()) : check(data);
    },
    async publish(draft) {
      const { definition, orgId, name, key } = draft;
      const address = addressOf(definition, orgId, name);
      const broker = brokerOf(definition);
      const payload = encodeBody(draft);
      if (broker === null) {
        bus.publish(address, payload);
        counters.published++;
        return { position: null, isDuplicate: false };
      }
      const published = await broker.publish({ address, payload, history: historyOf(definition), key });
      if (published.isDuplicate) counters.duplicates++;
      else counters.published++;
      return published;
    },
  };
}

export function unknownEvent(event: string, known: Iterable<string>): WireError {
  const names = [...known].join(', ');
  return {
    code: 'invalid-field',
    field: '/event',
    message: `"${event.slice(0, 40)}" is no event of this channel; it has ${names === '' ? 'none' : names}`,
  };
}

/**
 * What a broker remembers a publication by. The sender's name is in it, so that nobody can take the key of another; a
 * digest, so that it is short and the same for every broker. Null stays null.
 */
export function publicationKey(
  sender: Pick<Principal, 'kind' | 'subject'> | null,
  key: string | undefined,
  part = 0,
): string | null {
  if (key === undefined) return null;
  const scope = sender === null ? ['server'] : [sender.kind, sender.subject];
  return hash('sha256', JSON.stringify([...scope, key, part]), 'base64url');
}

/** The body as its readers splice it into messages: its fields stand in this order (contract/live-messages.ts). */
function encodeBody({ event, data, by }: Draft): Uint8Array {
  const author = by === null ? '' : `,"by":${JSON.stringify(by.slice(0, 200))}`;
  // What JSON has no word for at the top, such as undefined, is null there, as it is within arrays.
  const text = (JSON.stringify(data) as string | undefined) ?? 'null';
  const payload = Buffer.from(`{"event":${JSON.stringify(event)},"data":${text}${author}}`);
  if (payload.length > publicationLimits.payloadBytes)
    throw new AppError(
      'message-too-large',
      `a message takes ${payload.length} bytes; at most ${publicationLimits.payloadBytes} fit`,
      { field: '/data' },
    );
  return payload;
}
