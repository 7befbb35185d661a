/**
 * Owns which angles are looked at together: columns of left and right become one curve, curves of neighbouring joints in
 * one plane become a group of at most MAX_CURVES rows. Groups without a curve are not offered.
 */

import { partOf, sideOf, type BodySide } from '#web/live/axis-groups.ts';

/** Places of the angles in a row of `LiveAngles`. */
export interface AngleLine {
  readonly side: BodySide;
  readonly column: number;
}

export interface AngleCurve {
  /** Without the side, as cycles name it: `knee-flexion`. */
  readonly key: string;
  readonly label: string;
  readonly lines: readonly AngleLine[];
}

export interface AngleGroup {
  /** In addresses: `legs`, `legs-sideways`. */
  readonly id: string;
  readonly label: string;
  readonly curves: readonly AngleCurve[];
}

/** More rows in the panel could not be read. */
const MAX_CURVES = 4;

const sets: readonly { readonly id: string; readonly parts: readonly string[] }[] = [
  { id: 'legs', parts: ['hip', 'knee', 'ankle'] },
  { id: 'body', parts: ['foot', 'pelvis', 'trunk', 'thigh', 'shank', 'head'] },
  { id: 'arms', parts: ['shoulder', 'elbow', 'wrist'] },
];

/** By the motion, the part of a name after the joint. The first has no name of its own in addresses. */
const planes: readonly {
  readonly id: string;
  readonly words: string;
  readonly motions: readonly string[];
}[] = [
  { id: '', words: 'flexion', motions: ['flexion', 'dorsiflexion', 'tilt', 'pitch', 'elevation'] },
  {
    id: 'sideways',
    words: 'sideways',
    motions: [
      'adduction',
      'abduction',
      'inversion',
      'obliquity',
      'lateral-flexion',
      'carrying',
      'plane',
      'roll',
    ],
  },
  { id: 'rotation', words: 'rotation', motions: ['internal-rotation', 'rotation', 'pronation', 'yaw'] },
];

/** `left-knee-flexion` reads `knee-flexion`. */
export function curveKey(column: string): string {
  return column.replace(/^(?:left|right)-/, '');
}

/** `knee-flexion` reads `Knee flexion`. */
export function curveLabel(key: string): string {
  const words = key.replaceAll('-', ' ');
  return words === '' ? key : words[0]!.toUpperCase() + words.slice(1);
}

/** `names`: columns of live angles, or curves of cycles. */
export function angleGroups(names: readonly string[]): AngleGroup[] {
  const curves = new Map<string, { key: string; label: string; lines: AngleLine[] }>();
  names.forEach((name, column) => {
    const key = curveKey(name);
    const curve = curves.get(key) ?? { key, label: curveLabel(key), lines: [] };
    curve.lines.push({ side: key === name ? 'centre' : sideOf(name), column });
    curves.set(key, curve);
  });
  const left = new Map(curves);
  const groups: AngleGroup[] = [];
  const take = (id: string, keys: readonly string[], words: string): void => {
    const chosen = keys.flatMap((key) => left.get(key) ?? []).slice(0, MAX_CURVES);
    if (chosen.length === 0) return;
    for (const { key } of chosen) left.delete(key);
    const parts = chosen.map(({ key }) => jointOf(key));
    groups.push({ id, label: `${curveLabel([...new Set(parts)].join(', '))}: ${words}`, curves: chosen });
  };
  for (const set of sets)
    for (const plane of planes) {
      const id = plane.id === '' ? set.id : `${set.id}-${plane.id}`;
      const keys = set.parts.flatMap((part) => plane.motions.map((motion) => `${part}-${motion}`));
      take(id, keys, plane.words);
    }
  // What has a name that is not known here is shown all the same.
  for (let i = 1; left.size > 0; i++) take(`more-${i}`, [...left.keys()], 'angles');
  return groups;
}

function jointOf(key: string): string {
  return partOf(key).split('-')[0] ?? key;
}

/** The group of the address, or the first. */
export function chooseGroup(groups: readonly AngleGroup[], id: string | undefined): AngleGroup | null {
  return groups.find((group) => group.id === id) ?? groups[0] ?? null;
}
