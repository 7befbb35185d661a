/**
 * Owns how messages of the hub read as server-sent events (HTML standard, section 9.2): `id` is the cursor over all
 * channels of the connection, `event` the type of the message, `data` the message itself, on one line; readings are base64.
 * What all receivers of a message share is encoded once; where one channel is followed, that is the whole event.
 */

import { encodeCursor } from '#protocol/channel-cursor.ts';
import type { Position } from '#protocol/publication.ts';
import type { Outgoing } from '#live/transport.ts';

/**
 * Names of events that are not the type of the message: EventSource has an `error` event of its own, and what is no JSON
 * should not go to who parses JSON.
 */
const names: Partial<Record<Outgoing['type'], string>> = { error: 'problem', readings: 'binary' };

/** A comment: keeps proxies from thinking that the connection is idle. */
export const keepAlive = Buffer.from(':\n\n');

const lineFeed = Buffer.from('\n');
/** `event` and `data` of a message, without the blank line that ends an event. */
const bodies = new WeakMap<Outgoing, Buffer>();
/** The same with the id that it has for whoever follows only its channel. */
const wholes = new WeakMap<Outgoing, Buffer>();

export interface EventEncoder {
  /** The events of these messages, in order. */
  encode(items: readonly Outgoing[]): Buffer;
  /** The fields that a new connection begins with. */
  begin(retryMs: number): Buffer;
}

export interface EventEncoderOptions {
  /** What the connection follows. */
  readonly channels: readonly string[];
  /** What the client knows already: stands in every id until the channel has moved on. */
  readonly positions: Iterable<readonly [channel: string, position: Position]>;
  /** Behind the cursor in every id: a dot and what a reconnection has to show. Empty: nothing. */
  readonly idSuffix: string;
}

export function createEventEncoder({ channels, positions, idSuffix }: EventEncoderOptions): EventEncoder {
  const known = new Map(positions);
  const isShared = channels.length === 1 && idSuffix === '';
  const idLine = (): Buffer => Buffer.from(`id: ${encodeCursor(known)}${idSuffix}\n`);

  const pushEvent = (item: Outgoing, pieces: Uint8Array[]): void => {
    const { channel, position } = item;
    if (channel !== null && position !== null) {
      known.set(channel, position);
      if (isShared) {
        pieces.push(wholeOf(item, idLine));
        return;
      }
      pieces.push(idLine());
    }
    pieces.push(bodyOf(item), lineFeed);
  };
  return {
    encode(items) {
      const pieces: Uint8Array[] = [];
      for (const item of items) {
        if (item.type === 'heartbeat') pieces.push(keepAlive);
        else pushEvent(item, pieces);
      }
      return pieces.length === 1 ? asBuffer(pieces[0]!) : Buffer.concat(pieces);
    },
    // An id without data is kept by the client though no event comes of it.
    begin: (retryMs) =>
      Buffer.concat([
        Buffer.from(`retry: ${retryMs}\n`),
        idSuffix === '' && known.size === 0 ? Buffer.alloc(0) : idLine(),
        lineFeed,
      ]),
  };
}

/** Says after how long an EventSource comes back when the connection ends. */
export function encodeRetry(retryMs: number): Buffer {
  return Buffer.from(`retry: ${retryMs}\n\n`);
}

/** An event of the transport's own. */
export function encodePlainEvent(name: string, data: object): Buffer {
  return Buffer.from(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
}

function wholeOf(item: Outgoing, idLine: () => Buffer): Buffer {
  let whole = wholes.get(item);
  if (whole === undefined) {
    whole = Buffer.concat([idLine(), bodyOf(item), lineFeed]);
    wholes.set(item, whole);
  }
  return whole;
}

function bodyOf(item: Outgoing): Buffer {
  let body = bodies.get(item);
  if (body === undefined) {
    body = encodeBody(item);
    bodies.set(item, body);
  }
  return body;
}

function encodeBody({ type, isText, message }: Outgoing): Buffer {
  const event = `event: ${names[type] ?? type}\ndata: `;
  if (!isText) return Buffer.from(`${event}${asBuffer(message).toString('base64')}\n`);
  return Buffer.concat([Buffer.from(event), inOneField(asBuffer(message)), lineFeed]);
}

/**
 * A line break ends a field. JSON has none but between its tokens, where a publisher in another process may have put them:
 * each line is then a field of its own, which the reader joins with line breaks again.
 */
function inOneField(json: Buffer): Buffer {
  if (!json.includes(0x0a) && !json.includes(0x0d)) return json;
  return Buffer.from(json.toString().replaceAll(/\r\n|\r|\n/g, '\ndata: '));
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
