/** Owns how the codes of a clinic's records read on a page. */

import type { ConsentPurpose, Patient } from '#contract/clinic.ts';
import { DASH } from '#web/format.ts';

export const purposeWords: Readonly<Record<ConsentPurpose, string>> = {
  care: 'Care',
  recording: 'Recording of movement',
  research: 'Research',
  teaching: 'Teaching',
  sharing: 'Sharing with others who treat',
};

export const sexWords = { female: 'Female', male: 'Male', other: 'Other' } as const;
export const sideWords = { left: 'Left', right: 'Right', both: 'Both sides', none: 'Neither side' } as const;

/** Metres as people are measured: 174 cm. */
export function heightWords(heightM: number | null): string {
  return heightM === null ? DASH : `${Math.round(heightM * 100)}\u202fcm`;
}

export function massWords(massKg: number | null): string {
  return massKg === null ? DASH : `${Number(massKg.toFixed(1))}\u202fkg`;
}

/** `1961, female, 174 cm, 81 kg`: what is known, in one line. */
export function bodyWords({ birthYear, sex, heightM, massKg }: Patient): string {
  const parts = [
    birthYear === null ? null : `born ${birthYear}`,
    sex === null ? null : sexWords[sex].toLowerCase(),
    heightM === null ? null : heightWords(heightM),
    massKg === null ? null : massWords(massKg),
  ];
  return parts.filter((part) => part !== null).join(', ');
}

/** A number as people type it, with a comma or a point; null for nothing, NaN for what is none. */
export function numberOf(text: string): number | null {
  const trimmed = text.trim().replace(',', '.');
  if (trimmed === '') return null;
  return /^[+-]?\d+(?:\.\d+)?$/.test(trimmed) ? Number(trimmed) : Number.NaN;
}
