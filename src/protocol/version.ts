/**
 * Owns the version of the device and viewer wire formats. contract/schema-hash.test.ts hashes every message schema,
 * code and limit; a change there fails until the version (or, for a compatible addition, the recorded hash) is changed.
 */

export const PROTOCOL_VERSION = 1;
/** WebSocket subprotocols (RFC 6455 section 1.9), one an endpoint. */
export const DEVICE_SUBPROTOCOL = 'kymo.device.v1';
export const LIVE_SUBPROTOCOL = 'kymo.live.v1';
