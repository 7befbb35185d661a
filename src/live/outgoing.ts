/**
 * Owns the encoding of outgoing messages as WebSocket frames. The frame header stands directly before the message in one
 * buffer, so that a message is copied once and written as it is to every viewer.
 */

import type { HubMessage } from '#contract/live-messages.ts';
import type { Position } from '#protocol/publication.ts';
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
