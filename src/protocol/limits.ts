/**
 * Owns every limit of the device protocol. Each says where its number comes from; docs/protocol.md lists them.
 * A limit is part of the wire contract: making one smaller needs a new protocol version.
 */

export const limits = {
  /** One binary message: 32 full frames of 9 float axes fit twice; larger only adds head-of-line delay. */
  messageBytes: 256 * 1024,
  /** One JSON message: an `open` with 32 axes and long names is about 4 KiB. */
  controlBytes: 16 * 1024,
  /** Frames in one data message (DESIGN section 1). */
  framesPerMessage: 32,
  /** Readings in one frame: more than one store chunk (500) brings nothing. */
  readingsPerFrame: 500,
  /** Axes of one stream: nine-axis inertial units with quaternion, temperature and pressure need 15. */
  axesPerStream: 32,
  /** Streams open on one connection: a full-body suit has 17 sensors; hubs carry several suits. */
  streamsPerConnection: 256,
  /** Characters in the name of an axis, unit, segment or agent. */
  nameCharacters: 64,
  /** Sequence numbers are exact integers in every language that has IEEE doubles. */
  seqExclusive: 2 ** 53,
  /** Ranges in one acknowledgement; leaving one out only costs a resend (DESIGN section 3). */
  rangesPerAck: 32,
  /** Settled fragments of one (stream, epoch), so 255 open gaps; more would slow every flush (3.5 ms for 500 streams with one range each). */
  fragmentsPerEpoch: 256,
  /** Ranges of either kind in one (stream, epoch): declared losses may split what is stored this often. */
  rangesPerEpoch: 4_096,
  /**
   * Device and server time in microseconds since 1970, either sign. Every reading's time must be an exact integer, and
   * a reading is less than 2^32 microseconds after the first of its frame.
   */
  timeUsExclusive: 2 ** 53 - 2 ** 32,
  /** Reading rate in Hz: audio-rate vibration sensors end here. */
  rateHz: 50_000,
  /** Hello must arrive this soon after the socket opens (DESIGN section 6). */
  helloMs: 5_000,
  /** Heartbeat each way; a peer silent for three of them is dead. */
  heartbeatMs: 5_000,
} as const;
