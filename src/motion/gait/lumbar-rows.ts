/**
 * Owns what a row of gait from the lower back means. Columns are the same for every kind of row; a column that a kind does
 * not have is NaN. Times are seconds since the first reading.
 */

/** Values of the column `kind`. */
export const lumbarKinds = {
  /** `time_s`, `side`, `bout`. */
  initialContact: 0,
  /** Of the other foot than the initial contact before it: `time_s`, `side`, `bout`. */
  finalContact: 1,
  /** From one initial contact of `side` at `start_s` to its next at `time_s`: length, speed, cadence, turn. */
  stride: 2,
  /** From `start_s` to `time_s` by `turn_deg`. */
  turn: 3,
  /** `time_s` is the first contact. */
  boutStart: 4,
  /** From `start_s` (first contact) to `time_s` (last contact): distance in `length_m`, mean speed and cadence. */
  boutEnd: 5,
} as const;

/** Values of the column `side`. */
export const lumbarSides = { left: 0, right: 1 } as const;

/** Places of the columns in a row. */
export const lumbarColumns = {
  kind: 0,
  timeS: 1,
  startS: 2,
  side: 3,
  lengthM: 4,
  speedMS: 5,
  cadence: 6,
  turnDeg: 7,
  bout: 8,
} as const;

export const lumbarOutputs = [
  'kind (1)',
  'time_s (s)',
  'start_s (s)',
  'side (0 left, 1 right)',
  'length_m (m)',
  'speed_m_s (m/s)',
  'cadence_steps_min (1/min)',
  'turn_deg (deg, left positive)',
  'bout (1)',
] as const;

export const LUMBAR_WIDTH = lumbarOutputs.length;

/** Rows that one reading can cause: two strides that confirm a bout, an end of another and a turn make 14. */
export const LUMBAR_MAX_ROWS = 24;

/** Rows of one update, written one after the other; further ones than LUMBAR_MAX_ROWS are a bug and are left out. */
export interface RowWriter {
  out: Float64Array;
  count: number;
}

/** Writes a row of NaN but for its kind, time and bout, and returns where it begins. */
export function beginRow(
  rows: RowWriter,
  kind: number,
  values: { timeS: number; side: number; bout: number },
): number {
  const at = rows.count * LUMBAR_WIDTH;
  if (rows.count < LUMBAR_MAX_ROWS) rows.count++;
  rows.out.fill(Number.NaN, at, at + LUMBAR_WIDTH);
  rows.out[at] = kind;
  rows.out[at + lumbarColumns.timeS] = values.timeS;
  rows.out[at + lumbarColumns.side] = values.side;
  rows.out[at + lumbarColumns.bout] = values.bout;
  return at;
}
