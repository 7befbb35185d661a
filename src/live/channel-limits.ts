/** Owns the limits of the channel engine, each with where its number comes from. */

export interface ChannelLimits {
  readonly callMs: number;
  readonly underWay: number;
  readonly abandonedPerDefinition: number;
}

export const defaultChannelLimits: ChannelLimits = {
  /** What a rule, a handler or a broker may take: what a person still waits for, and less than a heartbeat's patience. */
  callMs: 5_000,
  /** Publishes and requests at once, over all connections: 64 MiB of bodies at worst. One more is `overloaded`. */
  underWay: 4_096,
  /** Calls of one definition that were given up and still run: beyond it, its calls are `overloaded`, others are not. */
  abandonedPerDefinition: 64,
};

/** Segments of a channel's name: a search looks at 2^8 places at worst. */
export const CHANNEL_SEGMENTS = 8;
export const CHANNEL_NAME_CHARACTERS = 200;
