/**
 * Owns what may be asked for over the API: per kind what it takes, who may, and how it is queued. Apart from the tasks that
 * do them, so that whoever only asks loads none of what these need.
 */

import type { Static, TSchema } from 'typebox';

import type { Action } from '#contract/permissions.ts';
import { PatientInput, SessionExportInput, SessionInput, type JobRequest } from '#contract/jobs.ts';
import type { Lane } from '#store/job-queue.ts';

export interface JobKind<S extends TSchema = TSchema> {
  readonly kind: string;
  readonly input: S;
  readonly lane: Lane;
  /** Attempts in all; the last failure is kept with the job, which may then be retried by hand. Default 5. */
  readonly maxAttempts?: number;
  /** Who may ask for it over the API and fetch its file, beside job.run and job.read; null: it comes from events and schedules. */
  readonly action: Action | null;
  /** It erases the patient whom it is about, and tells what became of that. Default false. */
  readonly outlivesPatient?: boolean;
  /** What it is about. */
  readonly about: (input: Static<S>) => { readonly patientId?: string; readonly sessionId?: string };
}

const kindOf = <const K extends JobRequest['kind'], S extends TSchema>(
  kind: JobKind<S> & { readonly kind: K },
): JobKind<S> & { readonly kind: K } => kind;
const ofSession = (input: { readonly session: string }): { sessionId: string } => ({
  sessionId: input.session.toLowerCase(),
});
const ofPatient = (input: { readonly patient: string }): { patientId: string } => ({
  patientId: input.patient.toLowerCase(),
});

export const jobKinds = {
  'session-export': kindOf({
    kind: 'session-export',
    input: SessionExportInput,
    lane: 'slow',
    action: 'session.read',
    about: ofSession,
  }),
  'session-report': kindOf({
    kind: 'session-report',
    input: SessionInput,
    lane: 'quick',
    action: 'session.read',
    about: ofSession,
  }),
  'session-summary': kindOf({
    kind: 'session-summary',
    input: SessionInput,
    lane: 'quick',
    action: 'session.read',
    about: ofSession,
  }),
  'patient-export': kindOf({
    kind: 'patient-export',
    input: PatientInput,
    lane: 'slow',
    action: 'patient.export',
    about: ofPatient,
  }),
  'patient-erasure': kindOf({
    kind: 'patient-erasure',
    input: PatientInput,
    lane: 'slow',
    maxAttempts: 20,
    outlivesPatient: true,
    action: 'patient.erase',
    about: ofPatient,
  }),
} as const;

/** The kind of that name, when people may ask for it. */
export function askableKind(kind: string): JobKind | null {
  return Object.hasOwn(jobKinds, kind) ? jobKinds[kind as JobRequest['kind']] : null;
}
