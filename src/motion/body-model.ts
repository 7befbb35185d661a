/**
 * Owns what is known of the wearer and the sensors: which stream is which segment, how each sensor sits on it, how tall the
 * wearer is. Data, versioned with the session, edited by people; a change means a new analysis.
 *
 * Frames of segments: x forward, y left, z up while the wearer stands upright with the toes ahead (right-handed).
 * Quaternions are [w, x, y, z] and turn vectors of the sensor into the frame that is named second.
 */

export const segments = [
  'head',
  'thorax',
  'lower-back',
  'pelvis',
  'left-upper-arm',
  'left-forearm',
  'left-hand',
  'right-upper-arm',
  'right-forearm',
  'right-hand',
  'left-thigh',
  'left-shank',
  'left-foot',
  'right-thigh',
  'right-shank',
  'right-foot',
] as const;

export type Segment = (typeof segments)[number];
export type Side = 'left' | 'right';

/** How the axes of the sensor lie to those of its segment. */
export type Alignment =
  /** The sensor's axes are the segment's, up to how well it was put on. */
  | { readonly kind: 'aligned' }
  /** As calibrated: sensor to segment. `quality` 0 (useless) to 1 as the calibration found it; `reason` when it is bad. */
  | {
      readonly kind: 'calibrated';
      readonly quaternion: readonly [number, number, number, number];
      readonly method: string;
      readonly quality: number;
      readonly reason: string | null;
    }
  /** Found from how the wearer stands and walks in this recording. */
  | { readonly kind: 'from-movement' };

/** Where in a reading the three axes of a quantity are, and what to multiply by to get m/s2, rad/s or uT. */
export interface AxisTriple {
  readonly axes: readonly [number, number, number];
  readonly scale: number;
}

export interface Placement {
  /** The stream's id, or its name in a file. */
  readonly stream: string;
  readonly segment: Segment;
  readonly rateHz: number;
  readonly acc: AxisTriple;
  readonly gyr: AxisTriple;
  readonly mag: AxisTriple | null;
  readonly alignment: Alignment;
}

export interface BodyModel {
  /** Standing height; null: unknown, and what needs it is not given. */
  readonly heightM: number | null;
  readonly placements: readonly Placement[];
}
