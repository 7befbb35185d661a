/**
 * Owns the map from a device's clock to the server's for display: the offset that the device measured, followed
 * smoothly; where it has measured none (or says nonsense), the fastest arrival of the last seconds stands in.
 * Stored times are never touched by this.
 */

export interface DeviceClock {
  /** Add to device time to get server time, microseconds. Null before the first frame. */
  readonly offsetUs: number | null;
  /** True when the offset is the device's own measurement, so that network latency can be told. */
  readonly isMeasured: boolean;
  /** Takes a frame's stamps; true when the map jumped, so that earlier readings no longer fit. */
  observe(stamps: FrameStamps): boolean;
}

export interface FrameStamps {
  /** Device clock when the frame was sent, microseconds. */
  readonly sentUs: number;
  /** Server clock when it arrived, microseconds. */
  readonly arrivalUs: number;
  /** What the device measured; 0 before it has. */
  readonly offsetUs: number;
}

/**
 * A measured offset is believed when the frame then travelled between -0.25 s and 10 s: clocks of two machines that
 * exchange probes agree within a fraction of the slowest network's delay, and a frame older than 10 s is not live.
 */
const EARLIEST_ARRIVAL_US = -250_000;
const LATEST_ARRIVAL_US = 10_000_000;
/** A larger step is a set clock, not a better measurement. */
const JUMP_US = 100_000;
/** Share of a small correction that each frame takes: at 20 frames a second most of it is in within a second. */
const SMOOTHING = 0.1;
/** How fast a stand-in offset may forget its fastest arrival: 200 ppm, more than a bad quartz drifts. */
const FORGET_US_PER_S = 200;

export function createDeviceClock(): DeviceClock {
  let offsetUs: number | null = null;
  let isMeasured = false;
  let standInUs: number | null = null;
  let standInAtUs = 0;

  const standIn = ({ sentUs, arrivalUs }: FrameStamps): number => {
    const upper = arrivalUs - sentUs;
    const forgotten = ((arrivalUs - standInAtUs) / 1e6) * FORGET_US_PER_S;
    standInUs = standInUs === null ? upper : Math.min(upper, standInUs + forgotten);
    standInAtUs = arrivalUs;
    return standInUs;
  };
  return {
    get offsetUs() {
      return offsetUs;
    },
    get isMeasured() {
      return isMeasured;
    },
    observe(stamps) {
      const fallback = standIn(stamps);
      const travelUs = stamps.arrivalUs - (stamps.sentUs + stamps.offsetUs);
      isMeasured = travelUs >= EARLIEST_ARRIVAL_US && travelUs <= LATEST_ARRIVAL_US;
      const target = isMeasured ? stamps.offsetUs : fallback;
      if (offsetUs === null) {
        offsetUs = target;
        return false;
      }
      const error = target - offsetUs;
      if (Math.abs(error) > JUMP_US) {
        offsetUs = target;
        standInUs = stamps.arrivalUs - stamps.sentUs;
        return true;
      }
      offsetUs += error * SMOOTHING;
      return false;
    },
  };
}
