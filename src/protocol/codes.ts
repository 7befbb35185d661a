/**
 * Owns every stable code: close codes of the WebSocket and error codes of messages and problem details. They are
 * metric labels and part of the wire contract, so they are never renamed, only added.
 *
 * A close code's range tells the client what to do (the idea is Centrifugo's): 4000 to 4499 reconnect with jitter,
 * 4500 to 4999 give up until a person or a program changes something.
 */

export const closeCodes = {
  /** The server is stopping; another instance, or this one, will be there soon. */
  draining: 4000,
  /** No heartbeat in time. */
  silent: 4001,
  /** Hello did not arrive in time. */
  helloTimeout: 4002,
  /** The server cannot take this connection now. */
  overloaded: 4003,
  /** A viewer could not keep up with events that may not be dropped. */
  slowConsumer: 4004,
  /** An unexpected failure on the server's side. */
  internal: 4005,
  /** The token ended and was not refreshed: come back with a new one. */
  expired: 4006,
  /** This instance restarts; what was under way is finished (IANA "Service Restart"). */
  restarting: 1012,
  /** Key, ticket or token unknown, expired or revoked. */
  unauthenticated: 4500,
  /** A newer connection of the same device took over. */
  superseded: 4501,
  /** The peer broke the protocol; the last error message says how. */
  protocol: 4502,
  /** The peer speaks a version that this server does not. */
  version: 4503,
  /** The device sent more than its credit. */
  creditExceeded: 4504,
  /** Identified, but not allowed. */
  forbidden: 4505,
} as const;

export type CloseReason = keyof typeof closeCodes;

/** True when the close code invites the client to connect again. Codes below 4000 are the network's, so yes. */
export function mayReconnect(closeCode: number): boolean {
  return closeCode < 4500 || closeCode > 4999;
}

/** What an error code means, in the words of the documentation. `temporary`: the same request may succeed later. */
export const errorCodes = {
  'malformed-message': { temporary: false, text: 'the bytes are not a message of this protocol' },
  'unsupported-version': { temporary: false, text: 'the protocol version is not spoken here' },
  'message-too-large': { temporary: false, text: 'the message exceeds its limit' },
  'limit-exceeded': { temporary: false, text: 'a count or size exceeds a documented limit' },
  'invalid-field': { temporary: false, text: 'a field has the wrong type or value' },
  'hello-required': { temporary: false, text: 'the first message must be hello' },
  'already-greeted': { temporary: false, text: 'hello was already received' },
  unauthenticated: { temporary: false, text: 'no valid key, ticket or token' },
  forbidden: { temporary: false, text: 'the identity may not do this' },
  'not-found': { temporary: false, text: 'there is no such thing, or it is not yours' },
  'unknown-stream': { temporary: false, text: 'no stream is open under this reference' },
  'reference-in-use': { temporary: false, text: 'the reference names another stream of this connection' },
  'stream-mismatch': { temporary: false, text: 'the stream exists with other axes, units, rate or owner' },
  'stream-refused': { temporary: false, text: 'the store cannot keep what this stream sends' },
  erased: { temporary: false, text: 'the stream or its session was erased' },
  'stream-closed': { temporary: false, text: 'this epoch of the stream was closed' },
  'new-epoch-required': { temporary: false, text: 'the device store differs from what was acknowledged' },
  'credit-exceeded': { temporary: false, text: 'more bytes were sent than granted' },
  'too-many-fragments': { temporary: true, text: 'the oldest gaps must be filled or declared first' },
  superseded: { temporary: false, text: 'a newer connection of this device took over' },
  conflict: { temporary: false, text: 'the request contradicts what is stored' },
  outdated: { temporary: false, text: 'what this was made from has changed since: read it again' },
  'damaged-readings': { temporary: false, text: 'stored readings fail their checksum' },
  'store-unavailable': { temporary: true, text: 'the database cannot be reached; nothing was acknowledged' },
  'rate-limited': { temporary: true, text: 'too many messages or requests in a short time; the rest waits' },
  'timed-out': { temporary: true, text: 'what was asked for took too long and was given up' },
  'issuer-unavailable': { temporary: true, text: "the keys of a token's issuer cannot be fetched" },
  overloaded: { temporary: true, text: 'a bounded resource is full' },
  draining: { temporary: true, text: 'this instance is stopping' },
  misdirected: {
    temporary: false,
    text: 'this process does not answer this address, and knows none that does',
  },
  internal: { temporary: true, text: 'an unexpected failure; it was logged' },
} as const satisfies Record<string, { temporary: boolean; text: string }>;

export type ErrorCode = keyof typeof errorCodes;
