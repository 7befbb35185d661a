/** Owns what is typed about a patient, and how it becomes what the server takes; what is wrong is thrown at its field. */

import type { Patient, PatientRequest } from '#contract/clinic.ts';
import { numberOf } from '#web/clinic/clinic-words.ts';
import { wrong } from '#web/form/submit-hook.ts';

export interface MeasuresDraft {
  readonly birthYear: string;
  readonly sex: string;
  readonly height: string;
  readonly mass: string;
  readonly affectedSide: string;
  readonly diagnosis: string;
}

export const emptyMeasures: MeasuresDraft = {
  birthYear: '',
  sex: '',
  height: '',
  mass: '',
  affectedSide: '',
  diagnosis: '',
};

/** As the server names them. */
export const measureFields = ['/birthYear', '/heightM', '/massKg', '/diagnosis', '/code'] as const;

export function draftOfPatient(patient: Patient): MeasuresDraft {
  const { birthYear, sex, heightM, massKg, affectedSide, diagnosis } = patient;
  return {
    birthYear: birthYear === null ? '' : String(birthYear),
    sex: sex ?? '',
    height: heightM === null ? '' : String(Math.round(heightM * 1000) / 10),
    mass: massKg === null ? '' : String(Number(massKg.toFixed(1))),
    affectedSide: affectedSide ?? '',
    diagnosis,
  };
}

type Measures = Required<
  Pick<PatientRequest, 'birthYear' | 'sex' | 'heightM' | 'massKg' | 'affectedSide' | 'diagnosis'>
>;

/** Throws AppError with the field that is to blame. */
export function measuresOf(draft: MeasuresDraft): Measures {
  const heightCm = within(draft.height, [30, 260], ['/heightM', 'A height from 30 to 260 cm, or nothing']);
  return {
    birthYear: within(draft.birthYear, [1880, 2200], ['/birthYear', 'A year such as 1961, or nothing']),
    sex: draft.sex === '' ? null : (draft.sex as Measures['sex']),
    heightM: heightCm === null ? null : heightCm / 100,
    massKg: within(draft.mass, [1, 400], ['/massKg', 'A mass from 1 to 400 kg, or nothing']),
    affectedSide: draft.affectedSide === '' ? null : (draft.affectedSide as Measures['affectedSide']),
    diagnosis: draft.diagnosis.trim(),
  };
}

function within(
  text: string,
  [least, most]: readonly [number, number],
  [field, words]: readonly [string, string],
): number | null {
  const value = numberOf(text);
  if (value === null) return null;
  if (!(value >= least && value <= most)) throw wrong(field, words);
  return value;
}
