/** Owns how roles read on a page, and what each may do in a few words. */

import { memberRoles, type MemberRole } from '#contract/permissions.ts';

export const roleWords: Readonly<Record<MemberRole, string>> = {
  owner: 'owner',
  clinician: 'clinician',
  assistant: 'assistant',
  patient: 'patient',
};

export const roleMeanings: Readonly<Record<MemberRole, string>> = {
  owner: 'Everything, also people, keys and the audit log',
  clinician: 'Patients, sessions, reports, devices',
  assistant: 'Reads patients; plans and records sessions',
  patient: 'Reads one record, its own, and ticks off its exercises',
};

/** A patient's account belongs to one record, and is made by an invitation for it. */
export const staffChoices = memberRoles
  .filter((role) => role !== 'patient')
  .map((role) => ({ value: role, label: `${roleWords[role]}: ${roleMeanings[role].toLowerCase()}` }));
