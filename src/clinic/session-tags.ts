/** Owns which of the cache's tags a change of a session ends: its own, the lists', and those of whose recording it is or was. */

import type { ReadCache } from '#clinic/read-cache.ts';
import type { ErasedRecording } from '#store/erasure.ts';

export function sessionTags(session: string, patients: readonly (string | null)[]): string[] {
  const own = [...new Set(patients)].flatMap((patient) => (patient === null ? [] : [`patient:${patient}`]));
  return [`session:${session}`, 'sessions', ...own];
}

/** Of a session that is erased: all that shows anything of it. */
export function erasedTags(session: string, patientId: string | null): string[] {
  // Notes say which session they are about; the list of patients says when the last was.
  const ofPatient = patientId === null ? [] : [`notes:${patientId}`, 'patients'];
  return [...sessionTags(session, [patientId]), `annotations:${session}`, ...ofPatient];
}

/** Erases with nothing of it left in the cache when it is acknowledged (store/erasure.ts). */
export function erasingFrom(
  cache: Pick<ReadCache, 'change'>,
): <T>(recording: ErasedRecording, work: () => Promise<T>) => Promise<T> {
  return ({ orgId, session, patientId }, work) => cache.change(orgId, erasedTags(session, patientId), work);
}
