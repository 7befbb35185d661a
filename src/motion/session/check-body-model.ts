/** Owns what a body model must be for a chain to run on it. Shapes are checked where it comes in; this is what shapes cannot say. */

import { AppError } from '#base/errors.ts';
import { segments, type AxisTriple, type BodyModel, type Placement } from '#motion/body-model.ts';

/** Throws AppError `invalid-field` with the field as a JSON pointer into the body model. */
export function checkBodyModel({ placements }: BodyModel): void {
  const taken = new Set<string>();
  const streams = new Set<string>();
  for (const [i, placement] of placements.entries()) {
    const field = `/placements/${i}`;
    const { segment, stream } = placement;
    if (!(segments as readonly string[]).includes(segment))
      throw wrong(`${field}/segment`, `${segment} is no segment: it is one of ${segments.join(', ')}`);
    if (taken.has(segment))
      throw wrong(`${field}/segment`, `two sensors are on the ${segment.replace('-', ' ')}`);
    taken.add(segment);
    if (streams.has(stream)) throw wrong(`${field}/stream`, 'a stream is on one segment');
    streams.add(stream);
    if (!(placement.rateHz >= 20 && placement.rateHz <= 4_000))
      throw wrong(`${field}/rateHz`, 'motion needs 20 to 4,000 readings a second');
    checkAxes(placement, field);
    checkAlignment(placement, field);
  }
}

function checkAxes({ acc, gyr, mag }: Placement, field: string): void {
  const all = { acc, gyr, ...(mag === null ? {} : { mag }) };
  const columns = new Set<number>();
  for (const [name, { axes, scale }] of Object.entries<AxisTriple>(all)) {
    if (!Number.isFinite(scale) || scale === 0)
      throw wrong(`${field}/${name}/scale`, 'a scale is a number, not 0');
    for (const [k, axis] of axes.entries()) {
      if (columns.has(axis)) throw wrong(`${field}/${name}/axes/${k}`, 'an axis is used once');
      columns.add(axis);
    }
  }
}

function checkAlignment({ alignment }: Placement, field: string): void {
  if (alignment.kind !== 'calibrated') return;
  const size = Math.hypot(...alignment.quaternion);
  if (!(Math.abs(size - 1) < 0.01))
    throw wrong(`${field}/alignment/quaternion`, 'a quaternion of a rotation has the length 1');
}

function wrong(field: string, what: string): AppError {
  return new AppError('invalid-field', what, { field });
}
