/**
 * Owns the simulated network between devices or viewers and servers: who reaches whom, how fast, and what breaks.
 */

/**
 * Faults, by the name of a device or viewer. Within one connection messages arrive in order and whole, or the connection
 * ends: what is under way is late or lost, never reordered.
 */
export interface Network {
  /** The connection ends: both ends hear 1006, what was under way is lost. */
  cut(name: string): void;
  /**
   * Nothing passes in this direction and nobody hears of it; new connections hang. Afterwards the connection is dead for
   * good, or everything arrives late, by chance, as TCP's retransmissions have it.
   */
  halfOpen(name: string, direction: 'up' | 'down' | 'both', forMs: number): void;
  /**
   * The device hears 1006 and comes back; what was under way to the old server arrives there `lateMs` later, and only
   * then does that server hear that the connection has ended. Waits up to half a second for something to be under way.
   */
  split(name: string, lateMs: number): void;
  /** The message under way never arrives whole, and both ends hear 1006. Waits as `split` does. */
  cutMidMessage(name: string): void;
  /** New connections fail. An open one ends: this end hears 1006, the server nothing. */
  setUnreachable(name: string, isUnreachable: boolean): void;
  setLatency(name: string, minMs: number, maxMs: number): void;
  /** Of what is sent up from now on; what has not left counts as `bufferedBytes`. */
  setBandwidth(name: string, bytesPerSecond: number | null): void;
  /** Where new connections go. Null: any server that runs, in turn. */
  route(name: string, server: number | null): void;
}
