/**
 * Owns the references of the Mobilise-D example recordings: bouts of walking with contacts, strides and their means, by the
 * optical system (Stereophoto) and by shoe sensors with pressure insoles (INDIP). A system that a trial lacks has no bouts.
 */

import { readFile } from 'node:fs/promises';

export const mobgapSystems = ['INDIP', 'Stereophoto'] as const;
export type MobgapSystem = (typeof mobgapSystems)[number];

export interface ReferenceContact {
  readonly timeS: number;
  readonly isLeft: boolean;
}

export interface ReferenceBout {
  readonly startS: number;
  readonly endS: number;
  /** Means over the strides, as the reference gives them; NaN without. */
  readonly strideLengthM: number;
  readonly speedMS: number;
  readonly cadenceStepsPerMin: number;
  readonly initial: readonly ReferenceContact[];
  readonly final: readonly ReferenceContact[];
}

/** MATLAB's structures came as JSON with NaN in it, and a list of one as the one. */
export async function readReferenceBouts(
  path: string,
): Promise<Readonly<Record<MobgapSystem, readonly ReferenceBout[]>>> {
  const text = (await readFile(path, 'utf8')).replaceAll(/\b(?:NaN|-?Infinity)\b/g, 'null');
  const systems = JSON.parse(text) as Record<string, { MicroWB?: unknown } | undefined>;
  const bouts = (system: MobgapSystem): ReferenceBout[] =>
    listOf(systems[system]?.MicroWB).map((bout) => boutOf(bout as Record<string, unknown>));
  return { INDIP: bouts('INDIP'), Stereophoto: bouts('Stereophoto') };
}

function boutOf(bout: Record<string, unknown>): ReferenceBout {
  return {
    startS: numberOf(bout['Start']),
    endS: numberOf(bout['End']),
    strideLengthM: numberOf(bout['AverageStrideLength']),
    speedMS: numberOf(bout['WalkingSpeed']),
    cadenceStepsPerMin: numberOf(bout['Cadence']),
    initial: contactsOf(bout, 'InitialContact'),
    final: contactsOf(bout, 'FinalContact'),
  };
}

function contactsOf(bout: Record<string, unknown>, kind: string): ReferenceContact[] {
  const sides = listOf(bout[`${kind}_LeftRight`]);
  return listOf(bout[`${kind}_Event`])
    .map((time, i) => ({ timeS: numberOf(time), isLeft: sides[i] === 'Left' }))
    .filter(({ timeS }) => Number.isFinite(timeS));
}

function listOf(value: unknown): readonly unknown[] {
  return value === undefined || value === null ? [] : Array.isArray(value) ? value : [value];
}

function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : Number.NaN;
}
