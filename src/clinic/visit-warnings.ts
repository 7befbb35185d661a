/**
 * Owns what a person should look at before a session starts: consent, segments without a device, sensors that may be on the
 * wrong side or are wanted elsewhere. Pure; refuses nothing. Messages name no patient and no person.
 */

import type { Visit, VisitWarning } from '#contract/visit.ts';
import { areOpposite, sideOf } from '#clinic/segment-sides.ts';

/** What is known of a device that is assigned to a segment. */
export interface PlacementFacts {
  readonly deviceId: string;
  readonly deviceName: string;
  readonly segment: string;
  /** Segments of its streams in this session. */
  readonly streams: readonly string[];
  /** The session that it recorded before this one, and as what. */
  readonly last: { readonly session: string; readonly segments: readonly string[] } | null;
  /** Another session that it records at this moment, or that is about to start. */
  readonly inUse: string | null;
  /** Another session that is planned for about the same time. */
  readonly elsewhere: string | null;
}

export interface VisitFacts {
  /** Null: nobody's recording yet. */
  readonly patient: { readonly consents: boolean; readonly isArchived: boolean } | null;
  readonly protocol: Visit['protocol'];
  readonly placements: readonly PlacementFacts[];
}

export function visitWarnings(facts: VisitFacts): VisitWarning[] {
  return [...patientWarnings(facts), ...segmentWarnings(facts), ...deviceWarnings(facts.placements)];
}

function patientWarnings({ patient }: VisitFacts): VisitWarning[] {
  if (patient === null) return [];
  return [
    ...(patient.consents ? [] : [warning('no-consent', 'the patient has not consented to recordings')]),
    ...(patient.isArchived ? [warning('patient-archived', 'the record of the patient is closed')] : []),
  ];
}

function segmentWarnings({ protocol, placements }: VisitFacts): VisitWarning[] {
  const placed = Map.groupBy(placements, ({ segment }) => segment);
  const missing = (protocol?.segments ?? []).filter(
    ({ segment, isRequired }) => isRequired && !placed.has(segment),
  );
  const twice = [...placed].filter(([, devices]) => devices.length > 1);
  return [
    ...missing.map(({ segment }) =>
      warning('segment-missing', `the protocol asks for ${segment}, and no device is assigned to it`, {
        segment,
      }),
    ),
    ...twice.map(([segment, devices]) =>
      warning('segment-twice', `${devices.length} devices are assigned to ${segment}`, { segment }),
    ),
  ];
}

function deviceWarnings(placements: readonly PlacementFacts[]): VisitWarning[] {
  const swapped = new Set<PlacementFacts>();
  const warnings: VisitWarning[] = [];
  for (const [i, one] of placements.entries())
    for (const other of placements.slice(i + 1)) {
      if (!haveSwapped(one, other)) continue;
      swapped.add(one).add(other);
      const message = `the devices of ${one.segment} and ${other.segment} have changed places since the last time`;
      warnings.push(warning('sides-swapped', message, { ...one, sessionId: one.last!.session }));
    }
  for (const placement of placements) {
    const { segment, streams, inUse, elsewhere } = placement;
    if (!swapped.has(placement)) warnings.push(...otherSide(placement));
    if (inUse !== null)
      warnings.push(
        warning('in-use-now', 'the device records another session at this moment', {
          ...placement,
          sessionId: inUse,
        }),
      );
    if (elsewhere !== null)
      warnings.push(
        warning(
          'planned-elsewhere',
          'the device is assigned to another session that is planned for about the same time',
          {
            ...placement,
            sessionId: elsewhere,
          },
        ),
      );
    const isKnown = placements.some(
      (one) => one.deviceId === placement.deviceId && streams.includes(one.segment),
    );
    if (streams.length > 0 && !isKnown)
      warnings.push(
        warning(
          'streams-elsewhere',
          `the device sends ${streams.join(', ')} and is assigned to ${segment}`,
          placement,
        ),
      );
  }
  return warnings;
}

/** Each is now where the other was. */
function haveSwapped(one: PlacementFacts, other: PlacementFacts): boolean {
  return (
    one.deviceId !== other.deviceId &&
    areOpposite(one.segment, other.segment) &&
    wasOpposite(one) !== null &&
    wasOpposite(other) !== null
  );
}

/** The segment on the other side that the device was on the last time, unless it was on this one too. */
function wasOpposite({ segment, last }: PlacementFacts): string | null {
  if (last === null || last.segments.includes(segment)) return null;
  return last.segments.find((was) => areOpposite(was, segment)) ?? null;
}

function otherSide(placement: PlacementFacts): VisitWarning[] {
  const was = wasOpposite(placement);
  if (was !== null)
    return [
      warning('other-side', `the device was on ${was} the last time`, {
        ...placement,
        sessionId: placement.last!.session,
      }),
    ];
  const named = sideOf(placement.deviceName);
  const placed = sideOf(placement.segment);
  if (named === null || placed === null || named.side === placed.side) return [];
  return [warning('other-side', `the name of the device says ${named.side}`, placement)];
}

function warning(
  code: VisitWarning['code'],
  message: string,
  about: { readonly deviceId?: string; readonly segment?: string; readonly sessionId?: string } = {},
): VisitWarning {
  const { deviceId = null, segment = null, sessionId = null } = about;
  return { code, message, deviceId, segment, sessionId };
}
