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
  /** The same object until the range changes: a picture that was drawn with another is out of date. */
  readonly range: ValueRange;
  /** Takes a value in, and grows to hold it. What is not finite changes nothing. */
  add(value: number): void;
  /** Tells that the sweep began its cycle `number`; only the first call for a cycle counts. */
  beginCycle(number: number): void;
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
  const fit = half === undefined ? roundOut : (needed: ValueRange) => symmetric(needed, half);
  // What was needed in this cycle, and in the ones before.
  let needed: ValueRange | null = null;
  const recent: ValueRange[] = [];
  let cycle = Number.NaN;
  let range = half === undefined ? { low: 0, high: 1 } : { low: -half, high: half };
  let isFirst = true;
  return {
    get range() {
      return range;
    },
    add(value) {
      if (!Number.isFinite(value)) return;
      if (needed === null) needed = { low: value, high: value };
      else if (value < needed.low) needed = { low: value, high: needed.high };
      else if (value > needed.high) needed = { low: needed.low, high: value };
      else return;
      // A range around its values has no use for the one that stood in before the first.
      if (isFirst) range = half === undefined ? fit(needed) : range;
      isFirst = false;
      if (value < range.low || value > range.high) range = fit(join(range, needed));
    },
    beginCycle(number) {
      if (number === cycle) return;
      cycle = number;
      if (needed === null) return;
      recent.push(needed);
      needed = null;
      if (recent.length > SHRINK_CYCLES) recent.shift();
      if (recent.length < SHRINK_CYCLES) return;
      const { low, high } = recent.reduce(join);
      // Around zero the extremes themselves count, otherwise the span between them.
      const air = (half === undefined ? high - low : Math.max(-low, high)) * (1 / SHRINK_SHARE - 1);
      const smaller = fit({ low: low - air, high: high + air });
      if (smaller.high - smaller.low < range.high - range.low) range = smaller;
    },
  };
}

/** The smallest step of the ladder around zero that holds `needed`. */
function symmetric({ low, high }: ValueRange, smallest: number): ValueRange {
  const half = Math.max(smallest, stepAbove(Math.max(Math.abs(low), Math.abs(high))));
  return { low: -half, high: half };
}

function join(a: ValueRange, b: ValueRange): ValueRange {
  return { low: Math.min(a.low, b.low), high: Math.max(a.high, b.high) };
}

/** The smallest of 1, 2, 5 times a power of ten that is not below `value`. */
export function stepAbove(value: number): number {
  if (!(value > 0)) return 0;
  const power = 10 ** Math.floor(Math.log10(value));
  for (const factor of [1, 2, 5]) if (factor * power >= value) return factor * power;
  return 10 * power;
}

/** A range with round ends and some air; never empty. */
export function roundOut({ low, high }: ValueRange): ValueRange {
  const span = high - low > 0 ? high - low : Math.max(Math.abs(high), 1) * 0.1;
  const step = stepAbove(span / 4);
  const rounded = { low: Math.floor(low / step) * step, high: Math.ceil(high / step) * step };
  return rounded.high > rounded.low ? rounded : { low: low - step, high: high + step };
}
