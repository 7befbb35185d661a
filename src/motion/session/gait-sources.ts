/**
 * Owns which sensors of a body model tell of gait, and what their rows mean: each foot its own contacts and strides; where no
 * foot wears one, the lower back or the pelvis those of both. Turns are those of one sensor, since two would tell each twice.
 */

import type { BodyModel, Placement, Side } from '#motion/body-model.ts';
import { footGait } from '#motion/gait/foot-gait.ts';
import { footColumn, footRowKind } from '#motion/gait/foot-rows.ts';
import { lumbarGait } from '#motion/gait/lumbar-gait.ts';
import { lumbarColumns, lumbarKinds, lumbarSides } from '#motion/gait/lumbar-rows.ts';
import {
  createGaitSource,
  type GaitSink,
  type GaitSource,
  type RowReader,
} from '#motion/session/gait-source.ts';
import type { GaitSensors } from '#motion/results.ts';
import type { StatePart } from '#motion/session/state.ts';

export interface GaitSources {
  readonly parts: readonly StatePart[];
  /** After so long everything before a moment is known, from all sensors. 0 without any. */
  readonly latencyS: number;
  /** Null: none tells of gait. */
  readonly sensors: GaitSensors | null;
  /** Undefined for a placement that tells nothing of gait. */
  of(placement: number): GaitSource | undefined;
}

/** The placement at the lower back or the pelvis; -1 without one. */
export function trunkPlacementOf({ placements }: BodyModel): number {
  return Math.max(
    placements.findIndex(({ segment }) => segment === 'lower-back'),
    placements.findIndex(({ segment }) => segment === 'pelvis'),
  );
}

export function createGaitSources(model: BodyModel, sink: GaitSink): GaitSources {
  const { placements, heightM } = model;
  const hasFoot = placements.some(({ segment }) => segment.endsWith('-foot'));
  const turning = placements.findIndex(({ segment }) => segment.endsWith('-foot'));
  const trunk = hasFoot ? -1 : trunkPlacementOf(model);
  const sources = placements.map((placement, p): GaitSource | undefined => {
    const { rateHz, segment } = placement;
    if (segment === 'left-foot' || segment === 'right-foot') {
      const side = segment === 'left-foot' ? 'left' : 'right';
      const readRow = footRows(side, p === turning);
      return createGaitSource(footGait.create(rateHz, footAlignment(placement)), { rateHz, sink, readRow });
    }
    if (p !== trunk) return undefined;
    const [forwardX, forwardY, forwardZ] = forwardOf(placement);
    const height = heightM === null ? {} : { heightM };
    const algorithm = lumbarGait.create(rateHz, { forwardX, forwardY, forwardZ, ...height });
    return createGaitSource(algorithm, { rateHz, sink, readRow: lumbarRows(heightM !== null) });
  });
  const used = sources.filter((source) => source !== undefined);
  return {
    parts: used.flatMap(({ parts }) => parts),
    latencyS: Math.max(0, ...used.map(({ latencyS }) => latencyS)),
    sensors: hasFoot ? 'feet' : trunk === -1 ? null : 'lower-back',
    of: (placement) => sources[placement],
  };
}

function footRows(side: Side, tellsTurns: boolean): RowReader {
  return (row, at, { timeUsOf, sink }) => {
    const value = (column: keyof typeof footColumn): number => row[at + footColumn[column]]!;
    const kind = value('kind');
    const timeUs = timeUsOf(value('time'));
    if (kind === footRowKind.initialContact) sink.contact({ side, kind: 'initial', timeUs });
    else if (kind === footRowKind.finalContact) sink.contact({ side, kind: 'final', timeUs });
    else if (kind === footRowKind.stride)
      sink.stride({
        side,
        startUs: timeUsOf(value('start')),
        endUs: timeUs,
        strideLengthM: orNull(value('length')),
        clearanceM: orNull(value('clearance')),
        turnDeg: orNull(value('turn')),
        heightChangeM: orNull(value('heightChange')),
        terrain: terrains[value('terrain') + 1] ?? null,
      });
    else if (kind === footRowKind.turn && tellsTurns)
      sink.turn({ startUs: timeUsOf(value('start')), endUs: timeUs, angleDeg: value('turn') });
  };
}

/** Nothing when only the steps can tell. */
function footAlignment({
  alignment,
}: Placement): Partial<Record<`alignment${'W' | 'X' | 'Y' | 'Z'}`, number>> {
  if (alignment.kind === 'from-movement') return {};
  const [w, x, y, z] = alignment.kind === 'aligned' ? [1, 0, 0, 0] : alignment.quaternion;
  return { alignmentW: w, alignmentX: x, alignmentY: y, alignmentZ: z };
}

/** Where the segment's x axis is in the sensor's frame; zeros when only the movement can tell. */
function forwardOf({ alignment }: Placement): [x: number, y: number, z: number] {
  if (alignment.kind === 'from-movement') return [0, 0, 0];
  if (alignment.kind === 'aligned') return [1, 0, 0];
  const [w, x, y, z] = alignment.quaternion;
  return [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)];
}

const terrains = ['down', 'level', 'up'] as const;

/** Step lengths from the lower back are in proportion to the wearer's height: without it there are none. */
function lumbarRows(knowsHeight: boolean): RowReader {
  return (row, at, { timeUsOf, sink }) => {
    const value = (column: keyof typeof lumbarColumns): number => row[at + lumbarColumns[column]]!;
    const kind = value('kind');
    const timeUs = timeUsOf(value('timeS'));
    const side = value('side') === lumbarSides.left ? 'left' : 'right';
    if (kind === lumbarKinds.initialContact) sink.contact({ side, kind: 'initial', timeUs });
    else if (kind === lumbarKinds.finalContact) sink.contact({ side, kind: 'final', timeUs });
    else if (kind === lumbarKinds.stride)
      sink.stride({
        side,
        startUs: timeUsOf(value('startS')),
        endUs: timeUs,
        strideLengthM: knowsHeight ? orNull(value('lengthM')) : null,
        clearanceM: null,
        turnDeg: orNull(value('turnDeg')),
        heightChangeM: null,
        terrain: null,
      });
    else if (kind === lumbarKinds.turn)
      sink.turn({ startUs: timeUsOf(value('startS')), endUs: timeUs, angleDeg: value('turnDeg') });
  };
}

function orNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
