/**
 * Owns how axes become panels: axes that share a quantity and a unit (`acc_x`, `acc_y`, `acc_z`) are drawn on one
 * scale, told apart by line style and letter. Also which part and side of the body a segment is.
 */

import type { Axis } from '#protocol/messages.ts';

export type LineStyle = 'solid' | 'dashed' | 'dotted' | 'dash-dotted';

export interface GroupAxis {
  /** Place in the stream's list of axes. */
  readonly axis: number;
  /** What the legend says: X, Y, Z, or the axis's own name. */
  readonly label: string;
  readonly style: LineStyle;
}

export interface AxisGroup {
  readonly title: string;
  readonly unit: string;
  readonly axes: readonly GroupAxis[];
}

const quantityTitles: Readonly<Record<string, string>> = {
  acc: 'Acceleration',
  accel: 'Acceleration',
  gyr: 'Angular velocity',
  gyro: 'Angular velocity',
  mag: 'Magnetic field',
  quat: 'Orientation',
  q: 'Orientation',
  temp: 'Temperature',
};

const styles: readonly LineStyle[] = ['solid', 'dashed', 'dotted', 'dash-dotted'];
const letterStyles: Readonly<Record<string, LineStyle>> = {
  x: 'solid',
  y: 'dashed',
  z: 'dotted',
  w: 'dash-dotted',
};
/** More lines than styles in one panel could not be told apart. */
const MAX_LINES = styles.length;

/** Panels in the order of the axes. */
export function groupAxes(axes: readonly Axis[]): AxisGroup[] {
  const groups: { title: string; unit: string; quantity: string; axes: GroupAxis[] }[] = [];
  axes.forEach(({ name, unit }, axis) => {
    const match = /^(.+?)[_\-. ]?([xyzwXYZW])$/.exec(name);
    const quantity = match?.[1] ?? name;
    const letter = match?.[2]?.toLowerCase();
    let group = groups.find((g) => g.quantity === quantity && g.unit === unit && g.axes.length < MAX_LINES);
    if (group === undefined) {
      group = { title: quantityTitles[quantity.toLowerCase()] ?? quantity, unit, quantity, axes: [] };
      groups.push(group);
    }
    const style = letter === undefined ? undefined : letterStyles[letter];
    group.axes.push({
      axis,
      label: letter?.toUpperCase() ?? name,
      style: style ?? styles[group.axes.length]!,
    });
  });
  return groups.map(({ title, unit, axes: members }) => ({ title, unit, axes: members }));
}

export type BodySide = 'left' | 'right' | 'centre';

/** By the segment's name: `left-foot`, `foot_l`, `RightShank`. */
export function sideOf(segment: string): BodySide {
  const words = segment
    .replaceAll(/([a-z])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z]+/);
  if (words.includes('left') || words.includes('l')) return 'left';
  if (words.includes('right') || words.includes('r')) return 'right';
  return 'centre';
}

/** The segment without its side: `left-foot` gives `foot`. */
export function partOf(segment: string): string {
  return segment
    .replaceAll(/([a-z])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => !['left', 'right', 'l', 'r', ''].includes(word))
    .join('-');
}
