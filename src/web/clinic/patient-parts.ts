/** Owns the parts of a patient's page and which of them an address names. */

export const patientParts = ['record', 'progress', 'notes', 'goals', 'consent'] as const;
export type PatientPart = (typeof patientParts)[number];

export const partWords: Readonly<Record<PatientPart, string>> = {
  record: 'Record',
  progress: 'Progress',
  notes: 'Notes and history',
  goals: 'Goals and exercises',
  consent: 'Consent and identity',
};

/** In the patient's own words, where they differ. */
export const ownPartWords: Readonly<Record<PatientPart, string>> = {
  ...partWords,
  consent: 'Consent and contact',
};

export interface PatientSearch {
  /** Left out for the record. */
  readonly part?: PatientPart;
  /** The figure whose progress is drawn (motion/metric-catalogue.ts); left out for walking speed. */
  readonly metric?: string;
}

/** What is not understood is left out rather than refused: an old link still opens. */
export function parsePatientSearch(search: Readonly<Record<string, unknown>>): PatientSearch {
  const part = patientParts.find((candidate) => candidate === search['part']);
  const metric = search['metric'];
  return {
    ...(part === undefined || part === 'record' ? {} : { part }),
    ...(typeof metric === 'string' && /^[a-z0-9-]{1,64}$/.test(metric) ? { metric } : {}),
  };
}
