/**
 * Owns the vertical range of a panel: a step of a ladder per unit, so that the same movement looks the same tomorrow.
 * It grows at once when a value would leave it, and shrinks only after SHRINK_CYCLES whole sweeps that needed less,
 * at the left edge: the picture never jumps in the middle.
 */

export interface ValueRange {
  readonly low: number;
  readonly high: number;
}

export interface RangeTracker {
  readonly range: ValueRange;
  /** Takes a value in; true when the range grew and the panel must be drawn anew. NaN changes nothing. */
  add(value: number): boolean;
  /** Call when the head passes the left edge; true when the range shrank. */
  endCycle(): boolean;
}

/** Two sweeps: a person who stands still for a moment keeps the scale of walking. */
const SHRINK_CYCLES = 2;
/** A smaller range is taken only when this share of it suffices, so that it does not flutter between two steps. */
const SHRINK_SHARE = 0.8;

/**
 * The smallest half range that is worth showing, per unit: below it one would watch noise. Signals of these units
 * swing around zero; others get a range around what they are.
 */
const smallestHalfRange: Readonly<Record<string, number>> = {
  'm/s2': 20,
  'm/s^2': 20,
  g: 2,
  'deg/s': 100,
  'rad/s': 2,
  uT: 100,
  deg: 50,
  rad: 1,
};

export function createRangeTracker(unit: string): RangeTracker {
  const half = smallestHalfRange[unit];
  return half === undefined ? createFreeTracker() : createSymmetricTracker(half);
}

function createSymmetricTracker(smallest: number): RangeTracker {
  let half = smallest;
  let needed = 0;
  const recent: number[] = [];
  return {
    get range() {
      return { low: -half, high: half };
    },
    add(value) {
      const size = Math.abs(value);
      if (!(size > needed) || size === Number.POSITIVE_INFINITY) return false;
      needed = size;
      if (size <= half) return false;
      half = stepAbove(size);
      return true;
    },
    endCycle() {
      recent.push(needed);
      needed = 0;
      if (recent.length > SHRINK_CYCLES) recent.shift();
      const smaller = Math.max(smallest, stepAbove(Math.max(...recent) / SHRINK_SHARE));
      if (recent.length < SHRINK_CYCLES || smaller >= half) return false;
      half = smaller;
      return true;
    },
  };
}

function createFreeTracker(): RangeTracker {
  let range: ValueRange | null = null;
  let needed: ValueRange | null = null;
  const recent: ValueRange[] = [];
  return {
    get range() {
      return range ?? { low: 0, high: 1 };
    },
    add(value) {
      if (!Number.isFinite(value)) return false;
      needed = join(needed, { low: value, high: value });
      if (range !== null && value >= range.low && value <= range.high) return false;
      range = roundOut(join(range, needed));
      return true;
    },
    endCycle() {
      if (needed !== null) recent.push(needed);
      needed = null;
      if (recent.length > SHRINK_CYCLES) recent.shift();
      if (recent.length < SHRINK_CYCLES || range === null) return false;
      const smaller = roundOut(recent.reduce(join));
      if (smaller.high - smaller.low > (range.high - range.low) * SHRINK_SHARE) return false;
      range = smaller;
      return true;
    },
  };
}

function join(a: ValueRange | null, b: ValueRange): ValueRange {
  return a === null ? b : { low: Math.min(a.low, b.low), high: Math.max(a.high, b.high) };
}

/** The smallest of 1, 2, 5 times a power of ten that is not below `value`. */
export function stepAbove(value: number): number {
  if (!(value > 0)) return 0;
  const power = 10 ** Math.floor(Math.log10(value));
  for (const factor of [1, 2, 5]) if (factor * power >= value) return factor * power;
  return 10 * power;
}

/** A range with round ends and some air; never empty. */
function roundOut({ low, high }: ValueRange): ValueRange {
  const span = high - low > 0 ? high - low : Math.max(Math.abs(high), 1) * 0.1;
  const step = stepAbove(span / 4);
  const rounded = { low: Math.floor(low / step) * step, high: Math.ceil(high / step) * step };
  return rounded.high > rounded.low ? rounded : { low: low - step, high: high + step };
}
