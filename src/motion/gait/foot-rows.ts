/**
 * Owns the rows that gait from a foot's sensor gives: which columns they have and which kinds there are. Every row has all
 * columns; what a kind does not have, or what could not be measured, is NaN.
 */

/** Kinds of rows, the value of column `kind`. */
export const footRowKind = {
  /** The foot comes to the ground. */
  initialContact: 0,
  /** The foot leaves the ground. */
  finalContact: 1,
  /** From an initial contact to the next. */
  stride: 2,
  /** A change of direction over one or more steps. */
  turn: 3,
} as const;

/** Where a value is in a row. */
export const footColumn = {
  /** One of footRowKind. */
  kind: 0,
  /** Of a contact; the end of a stride (its second initial contact) or of a turn. Seconds since the first reading. */
  time: 1,
  /** The initial contact that a stride begins with, or where a turn begins. Seconds. */
  start: 2,
  /** The final contact within a stride. Seconds. */
  final: 3,
  /** Horizontal distance from stance to stance, m. */
  length: 4,
  /** Height of the second stance over the first, m. */
  heightChange: 5,
  /** Largest height of the sensor over where it stood, m. */
  clearance: 6,
  /** Change of direction, to the left positive, degrees: stance to stance of a stride, or the whole turn. */
  turn: 7,
  /** Pitch of the foot against its stance, toes down positive, degrees: at a contact; of a stride at its end. */
  pitch: 8,
  /** Pitch at the stride's final contact, degrees. */
  pitchFinal: 9,
  /** -1 down, 0 level, 1 up; of a stride. */
  terrain: 10,
  /** Bout of walking, counted from 0. */
  bout: 11,
} as const;

/** Column names with units, in order. */
export const footColumns = [
  'kind (0 initial contact, 1 final contact, 2 stride, 3 turn)',
  'time (s)',
  'start (s)',
  'final (s)',
  'length (m)',
  'height_change (m)',
  'clearance (m)',
  'turn (deg)',
  'pitch (deg)',
  'final_pitch (deg)',
  'terrain (-1 down, 0 level, 1 up)',
  'bout (1)',
] as const;
