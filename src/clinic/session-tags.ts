/** Owns which of the cache's tags a change of a session ends: its own, the lists', and those of whose recording it is or was. */

export function sessionTags(session: string, patients: readonly (string | null)[]): string[] {
  const own = [...new Set(patients)].flatMap((patient) => (patient === null ? [] : [`patient:${patient}`]));
  return [`session:${session}`, 'sessions', ...own];
}
