/**
 * Owns the encoding of outgoing messages as WebSocket frames. The frame header stands directly before the message in one
 * buffer, so that a message is copied once and written as it is to every viewer.
 */

import type { HubMessage } from '#contract/live-messages.ts';
import type { Position, Publication } from '#protocol/publication.ts';
import { LIVE_HEADER_BYTES, writeLiveHeader, type LiveMessage } from '#protocol/live-codec.ts';
import { frameHeaderBytes, OPCODE_BINARY, OPCODE_TEXT, writeFrameHeader } from '#protocol/websocket-frame.ts';
import type { Outgoing } from '#live/transport.ts';

/** Messages whose position is where their receiver is then; `published` and `history` only speak of one. */
const movesOn: ReadonlySet<HubMessage['type']> = new Set(['subscribed', 'reset']);

function allocateFrame(opcode: number, length: number): { framed: Buffer; start: number } {
  const start = frameHeaderBytes(length);
  const framed = Buffer.allocUnsafe(start + length);
  writeFrameHeader(framed, opcode, length);
  return { framed, start };
}

/** A control message of the hub as JSON in a text frame. */
export function encodeControl(message: HubMessage): Outgoing {
  const json = JSON.stringify(message);
  const { framed, start } = allocateFrame(OPCODE_TEXT, Buffer.byteLength(json));
  framed.write(json, start);
  const about = message as { readonly channel?: unknown; readonly position?: Position };
  return {
    isText: true,
    framed,
    message: framed.subarray(start),
    type: message.type,
    // Of `committed` it is the channel's number.
    channel: typeof about.channel === 'string' ? about.channel : null,
    position: movesOn.has(message.type) ? (about.position ?? null) : null,
  };
}

/** The frames of one tick, as they came from the bus, behind one live header in a binary frame. */
export function encodeTick(
  channel: string,
  header: Omit<LiveMessage, 'frames'>,
  payloads: readonly Uint8Array[],
): Outgoing {
  let length = LIVE_HEADER_BYTES;
  for (const payload of payloads) length += payload.length;
  const { framed, start } = allocateFrame(OPCODE_BINARY, length);
  const message = framed.subarray(start);
  // The header writer leaves reserved bytes alone, and the buffer is not cleared memory.
  message.fill(0, 0, LIVE_HEADER_BYTES);
  writeLiveHeader(message, header);
  let at = LIVE_HEADER_BYTES;
  for (const payload of payloads) {
    message.set(payload, at);
    at += payload.length;
  }
  return { isText: false, framed, message, type: 'readings', channel, position: null };
}

export interface PublicationEncoder {
  /** Of class live. Null when the body is none. */
  live(timeUs: number, body: Uint8Array): Outgoing | null;
  kept(epoch: string, publication: Publication): Outgoing;
}

const ENVELOPE = '{"v":1,';
const OPENING = 0x7b;
const CLOSING = 0x7d;
/** Stands in the place of a body that is none, so that no offset is missing. */
const unreadable = Buffer.from('{"event":"unreadable","data":null}');

/**
 * Encodes the publications of one channel as `message`. The body is a JSON object already (contract/live-messages.ts
 * `PublicationBody`), made by this server: its fields follow those of the envelope without being parsed.
 */
export function createPublicationEncoder(channel: string): PublicationEncoder {
  const prefix = `${ENVELOPE}"type":"message","channel":"${channel}",`;
  const encode = (head: string, body: Uint8Array, position: Position | null): Outgoing => {
    const { framed, start } = allocateFrame(OPCODE_TEXT, head.length + body.length - 1);
    // All of the head is ASCII: channel names are.
    framed.write(head, start, 'latin1');
    framed.set(body.subarray(1), start + head.length);
    return { isText: true, framed, message: framed.subarray(start), type: 'message', channel, position };
  };
  return {
    live(timeUs, body) {
      return isObject(body) ? encode(`${prefix}"timeUs":${timeUs},`, body, null) : null;
    },
    kept(epoch, { offset, timeUs, payload }) {
      const body = isObject(payload) ? payload : unreadable;
      return encode(`${prefix}"offset":${offset},"timeUs":${timeUs},`, body, { epoch, offset });
    },
  };
}

/** As much of a look as a body needs that another instance of this server made: `{"` at least, and `}`. */
function isObject(body: Uint8Array): boolean {
  return body.length > 2 && body[0] === OPENING && body[1] === 0x22 && body.at(-1) === CLOSING;
}

/** A message of class live for a viewer that was not given the `skipped` ones before it. */
export function withSkipped(item: Outgoing, skipped: number): Outgoing {
  const head = `${ENVELOPE}"skipped":${skipped},`;
  const rest = item.message.subarray(ENVELOPE.length);
  const { framed, start } = allocateFrame(OPCODE_TEXT, head.length + rest.length);
  framed.write(head, start, 'latin1');
  framed.set(rest, start + head.length);
  return { ...item, framed, message: framed.subarray(start) };
}
