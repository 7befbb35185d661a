/** Owns the bounds of what one device connection may say (gateway-session.ts). */

export const sessionLimits = {
  /** A peer that keeps sending what cannot be understood is cut off after this many errors ... */
  faults: 100,
  /** ... of which one is forgotten every second, so that a connection of weeks survives now and then one. */
  faultsForgivenPerSecond: 1,
  /** Every stream of a full connection opened, two losses declared for each, and closed, all at once. */
  controlBurst: 1_024,
  /** Steady: a device sends a heartbeat every 5 s and a probe every 10 s; a drained store closes its streams. */
  controlPerSecond: 128,
  /** A device measures its clock in a burst after `welcome` and then every 10 s; each stored one is a row. */
  clockBurst: 8,
  clocksPerSecond: 0.2,
  /** Live bytes granted beyond what was received: two seconds of a seven-sensor device. */
  liveWindowBytes: 128 * 1024,
} as const;
