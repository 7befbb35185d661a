/**
 * Owns what a body model means for tracking: which joints its worn segments make, which placement is on either side of each, and
 * the names of the angles in their order.
 */

import type { BodyModel, Segment } from '#motion/body-model.ts';
import { joints, type Joint } from '#motion/joints/joint-angles.ts';

export interface TrackedJoint {
  readonly joint: Joint;
  /** Placements. */
  readonly proximal: number;
  readonly distal: number;
  /** Of its first angle in a row. */
  readonly column: number;
}

export interface TrackedPitch {
  readonly placement: number;
  readonly column: number;
}

export interface TrackedBody {
  readonly joints: readonly TrackedJoint[];
  /** The segment that stands for the pelvis, and its first column; null when none is worn. */
  readonly pelvis: TrackedPitch | null;
  readonly pitches: readonly TrackedPitch[];
  readonly angleNames: readonly string[];
}

/** Of two placements on one segment, the first counts. */
export function trackedBody(model: BodyModel): TrackedBody {
  const placementOf = new Map<Segment, number>();
  for (const [i, { segment }] of model.placements.entries())
    if (!placementOf.has(segment)) placementOf.set(segment, i);
  const names: string[] = [];
  const found: TrackedJoint[] = [];
  const joined = new Set<number>();
  for (const joint of joints) {
    const proximal = firstOf(placementOf, joint.proximal);
    const distal = firstOf(placementOf, joint.distal);
    if (proximal === undefined || distal === undefined) continue;
    found.push({ joint, proximal, distal, column: names.length });
    joined.add(proximal).add(distal);
    const prefix = joint.side === null ? joint.name : `${joint.side}-${joint.name}`;
    names.push(...joint.motions.map((motion) => `${prefix}-${motion}`));
  }
  const pelvis = firstOf(placementOf, ['pelvis', 'lower-back']);
  const pelvisColumn = names.length;
  if (pelvis !== undefined) names.push('pelvis-tilt', 'pelvis-obliquity', 'pelvis-rotation');
  const pitches: TrackedPitch[] = [];
  for (const [segment, placement] of placementOf) {
    // A foot's angle to the floor is read beside the ankle's; the others only where no joint says it better.
    const isShown = segment.endsWith('-foot') || (/-(thigh|shank)$/.test(segment) && !joined.has(placement));
    if (!isShown) continue;
    pitches.push({ placement, column: names.length });
    names.push(`${segment}-pitch`);
  }
  return {
    joints: found,
    pelvis: pelvis === undefined ? null : { placement: pelvis, column: pelvisColumn },
    pitches,
    angleNames: names,
  };
}

function firstOf(
  placementOf: ReadonlyMap<Segment, number>,
  segments: readonly Segment[],
): number | undefined {
  for (const segment of segments) {
    const placement = placementOf.get(segment);
    if (placement !== undefined) return placement;
  }
  return undefined;
}
