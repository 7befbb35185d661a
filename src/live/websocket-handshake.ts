/**
 * Owns the server's side of the WebSocket handshake (RFC 6455 section 4.2): whether a request is one, and the answer. No
 * extension is ever accepted, since frames are written once for many. Holds nothing.
 */

import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** From RFC 6455 section 1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** Sixteen bytes in base64. */
const keyText = /^[+/0-9A-Za-z]{22}==$/;

export type Handshake =
  /** `answer`: the whole head of the response. */
  | { readonly isAccepted: true; readonly answer: string }
  | { readonly isAccepted: false; readonly status: 400 | 405 | 426 };

/** `subprotocol` is chosen when the client offers it; a client that offers none, or others, is answered without. */
export function answerHandshake(request: IncomingMessage, subprotocol: string): Handshake {
  const { headers, method } = request;
  if (method !== 'GET') return { isAccepted: false, status: 405 };
  const key = headers['sec-websocket-key'];
  if (headers.upgrade?.toLowerCase() !== 'websocket' || key === undefined || !keyText.test(key))
    return { isAccepted: false, status: 400 };
  if (headers['sec-websocket-version'] !== '13') return { isAccepted: false, status: 426 };
  const accept = createHash('sha1')
    .update(key + GUID)
    .digest('base64');
  const offered = headers['sec-websocket-protocol']?.split(',').map((one) => one.trim()) ?? [];
  const chosen = offered.includes(subprotocol) ? `Sec-WebSocket-Protocol: ${subprotocol}\r\n` : '';
  return {
    isAccepted: true,
    answer:
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${accept}\r\n${chosen}\r\n`,
  };
}
