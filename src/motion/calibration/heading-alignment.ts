/**
 * Owns the heading of one sensor against the next without a magnetometer: gyroscope and accelerometer leave each sensor with an
 * earth frame of its own heading, which drifts; a joint says how they belong together. A hinge's axis is one line for both of
 * its segments (Laidig, Lehmann, Begin and Seel 2019, doi:10.1109/EMBC.2019.8857535; Laidig, Schauer and Seel 2017,
 * doi:10.1109/ICORR.2017.8009427), and a joint of more freedom does not stay turned to one side (Lehmann, Laidig, Deimel and Seel 2020,
 * doi:10.1016/j.ifacol.2020.12.2261): in the mean, the medio-lateral axes of both segments have one heading. Sums only; causal.
 */

import type { Values } from '#motion/quaternion.ts';

/** Sums of one pair of sensors: cosine and sine of the heading, seconds. */
export const HEADING_STATE = 3;

/**
 * The mean forgets with this time: several strides long, and short beside the drift that is left of a gyroscope whose bias is
 * estimated (about 0.01 degrees/s with VQF), which then lags by 0.2 degrees.
 */
const FORGETTING_S = 20;

/** An axis that is this steep says no heading: 60 degrees. */
const STEEP_COS = 0.5;

/** The mean counts from this much time on. */
const LEAST_S = 0.25;

/** Where the sums of one pair of sensors are, and the time from one moment to the next. */
export interface HeadingSums {
  readonly state: Values;
  readonly at: number;
  readonly stepS: number;
}

export function resetHeading({ state, at }: HeadingSums): void {
  state.fill(0, at, at + HEADING_STATE);
}

/**
 * Another moment: the same line of the body as seen in the earth frame of either sensor (unit vectors,
 * x, y, z). Left out where one of them is steep, or not finite.
 */
export function addHeading(
  sums: HeadingSums,
  lines: { readonly proximal: Values; readonly distal: Values },
): void {
  const { state, at, stepS } = sums;
  const px = lines.proximal[0]!;
  const py = lines.proximal[1]!;
  const dx = lines.distal[0]!;
  const dy = lines.distal[1]!;
  const proximal = Math.sqrt(px * px + py * py);
  const distal = Math.sqrt(dx * dx + dy * dy);
  if (!(proximal > STEEP_COS && distal > STEEP_COS)) return;
  const seconds = state[at + 2]! + stepS;
  state[at + 2] = seconds;
  // The plain mean at first, the forgetting one later.
  const share = stepS / Math.min(seconds, FORGETTING_S);
  const scale = share / (proximal * distal);
  state[at] = (1 - share) * state[at]! + scale * (px * dx + py * dy);
  state[at + 1] = (1 - share) * state[at + 1]! + scale * (py * dx - px * dy);
}

/**
 * Into `out[index]`: by how much the distal sensor's earth frame has to turn to the left to be the proximal one's, rad; NaN while
 * unknown. (A number that is returned would be allocated.)
 */
export function writeHeading({ state, at }: HeadingSums, out: Values, index: number): void {
  out[index] = state[at + 2]! < LEAST_S ? Number.NaN : Math.atan2(state[at + 1]!, state[at]!);
}

/**
 * `writeHeading` for a whole recording, from what came before and after each moment with the same forgetting both ways. `lines` are
 * three values a moment, moments `stepS` apart; a heading a moment, rad, NaN where no line was ever known.
 */
export function smoothHeadings(
  lines: { readonly proximal: Values; readonly distal: Values },
  stepS: number,
): Float64Array {
  const count = lines.proximal.length / 3;
  const cosines = new Float64Array(count);
  const sines = new Float64Array(count);
  const keep = Math.exp(-stepS / FORGETTING_S);
  for (const isForward of [true, false]) {
    let cos = 0;
    let sin = 0;
    for (let k = 0; k < count; k++) {
      const i = isForward ? k : count - 1 - k;
      const px = lines.proximal[3 * i]!;
      const py = lines.proximal[3 * i + 1]!;
      const dx = lines.distal[3 * i]!;
      const dy = lines.distal[3 * i + 1]!;
      const product = Math.sqrt((px * px + py * py) * (dx * dx + dy * dy));
      cos *= keep;
      sin *= keep;
      if (product > STEEP_COS * STEEP_COS) {
        cos += (px * dx + py * dy) / product;
        sin += (py * dx - px * dy) / product;
      }
      cosines[i] = cosines[i]! + cos;
      sines[i] = sines[i]! + sin;
    }
  }
  return cosines.map((cos, i) => (cos === 0 && sines[i] === 0 ? Number.NaN : Math.atan2(sines[i]!, cos)));
}
