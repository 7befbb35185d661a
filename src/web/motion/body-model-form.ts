/**
 * Owns the body model while a person edits it: a row a stream, height as text in centimetres, what is wrong at which
 * field, and the model that follows.
 */

import type { BodyModel } from '#contract/motion.ts';
import type { StreamDetail } from '#contract/rest.ts';
import { segments, type Segment } from '#motion/body-model.ts';
import { defaultBodyModel } from '#motion/default-body-model.ts';
import { formatSegment } from '#web/format.ts';

type Placement = BodyModel['placements'][number];
export type AlignmentKind = Placement['alignment']['kind'];

export interface PlacementDraft {
  readonly stream: string;
  /** As the stream calls itself. */
  readonly name: string;
  readonly segment: Segment | '';
  readonly alignment: AlignmentKind;
  /** Axes, rate and, where it was calibrated, how; null for a stream that cannot tell motion. */
  readonly base: Placement | null;
  /** Among the placements of the model it was made from; new ones come behind. Their order is part of the model. */
  readonly place: number;
}

export interface BodyDraft {
  /** Centimetres; empty for unknown. */
  readonly height: string;
  readonly placements: readonly PlacementDraft[];
}

export interface FormProblems {
  readonly height: string | null;
  /** By stream. */
  readonly placements: Readonly<Record<string, string>>;
}

export const noProblems: FormProblems = { height: null, placements: {} };

const MIN_CM = 40;
const MAX_CM = 260;

/** All streams of the session in their order, those that the model leaves out too. */
export function draftOf(model: BodyModel, streams: readonly StreamDetail[]): BodyDraft {
  const placed = new Map(
    model.placements.map((placement, place) => [placement.stream, { placement, place }]),
  );
  return {
    height: model.heightM === null ? '' : String(Math.round(model.heightM * 1000) / 10),
    placements: streams.map((stream) => {
      const { definition } = stream;
      const { placement, place = model.placements.length } = placed.get(definition.stream) ?? {};
      return {
        stream: definition.stream,
        name: `${formatSegment(definition.segment)}, ${definition.sensor}`,
        segment: segments.find((segment) => segment === placement?.segment) ?? '',
        alignment: placement?.alignment.kind ?? 'from-movement',
        base: placement ?? wornPlacement(stream),
        place,
      };
    }),
  };
}

/** Axes of a stream as if it were worn somewhere; null where they tell no motion. */
function wornPlacement({ definition }: StreamDetail): Placement | null {
  const { stream: id, axes, rateHz, clock } = definition;
  const [placement] = defaultBodyModel([{ id, segment: 'pelvis', axes, rateHz, clock }]).placements;
  return placement === undefined ? null : (structuredClone(placement) as Placement);
}

/** Null when there is nothing wrong. */
export function problemsOf({ height, placements }: BodyDraft): FormProblems | null {
  const found: Record<string, string> = {};
  const taken = new Map<Segment, PlacementDraft>();
  for (const row of placements) {
    if (row.segment === '') continue;
    const other = taken.get(row.segment);
    if (row.base === null) found[row.stream] = 'It has no accelerometer and gyroscope with a clock';
    else if (other !== undefined)
      found[row.stream] = `${formatSegment(row.segment)} is worn by “${other.name}” already`;
    taken.set(row.segment, row);
  }
  const cm = heightOf(height);
  const isHeightWrong = cm !== null && !(cm >= MIN_CM && cm <= MAX_CM);
  if (!isHeightWrong && Object.keys(found).length === 0) return null;
  return {
    height: isHeightWrong ? `A height from ${MIN_CM} to ${MAX_CM} cm, or nothing` : null,
    placements: found,
  };
}

/** Centimetres; null for none, NaN for what is no number. A comma is as good as a point. */
function heightOf(text: string): number | null {
  const trimmed = text.trim().replace(',', '.');
  return trimmed === '' ? null : Number(trimmed);
}

/** Of a draft without problems. */
export function modelOf({ height, placements }: BodyDraft): BodyModel {
  const cm = heightOf(height);
  return {
    heightM: cm === null ? null : Math.round(cm * 10) / 1000,
    placements: placements
      .toSorted((a, b) => a.place - b.place)
      .flatMap(({ segment, base, alignment }) => {
        if (segment === '' || base === null) return [];
        // Calibrated is what a calibration found: it is kept or given up, never made up here.
        const kept = alignment === base.alignment.kind || alignment === 'calibrated';
        return [{ ...base, segment, alignment: kept ? base.alignment : { kind: alignment } }];
      }),
  };
}

/** Where the server's complaint belongs, by the JSON pointer into the request that was made of the draft. */
export function problemAt(draft: BodyDraft, field: string | undefined, message: string): FormProblems | null {
  if (field?.startsWith('/bodyModel/heightM') === true) return { height: message, placements: {} };
  const place = /^\/bodyModel\/placements\/(\d+)/.exec(field ?? '')?.[1];
  const stream = place === undefined ? undefined : modelOf(draft).placements[Number(place)]?.stream;
  return stream === undefined ? null : { height: null, placements: { [stream]: message } };
}
