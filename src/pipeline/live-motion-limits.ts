/** Owns how many sessions the live pipeline has and for how long, and when it gives one up. */

export interface LiveMotionLimits {
  /** M7: 500 sessions of seven sensors at 200 Hz are what one core is to carry. */
  readonly sessionsPerWorker: number;
  /** Sessions that motion does nothing with are known too, so that they are asked about once: 1 kB each. */
  readonly knownSessions: number;
  /** The streams of a device are opened at once; their first frames come within one sending of it. */
  readonly settleMs: number;
  /** Without a frame for so long a session is over. */
  readonly idleMs: number;
  /** Who has been quiet for so long makes room for another. */
  readonly quietMs: number;
  /** Chains that fail `failures` times within `failureMs` are given up. */
  readonly failures: number;
  readonly failureMs: number;
}

export const defaultLiveMotionLimits: LiveMotionLimits = {
  sessionsPerWorker: 512,
  knownSessions: 4_096,
  settleMs: 250,
  idleMs: 300_000,
  quietMs: 10_000,
  failures: 3,
  failureMs: 60_000,
};
