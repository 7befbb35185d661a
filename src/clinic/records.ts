/** Owns the joining of the services of a clinic's records. */

import type { Clock } from '#base/clock.ts';
import type { GoalRequest, HistoryRequest, ProgrammeRequest } from '#contract/care.ts';
import { createGoals, createHistory, createProgrammes } from '#clinic/care-records.ts';
import { createConsents, type Consents } from '#clinic/consents.ts';
import { createIdentifiers, type Identifiers } from '#clinic/identifiers.ts';
import { createKeyStore } from '#clinic/key-store.ts';
import type { MasterKeys } from '#clinic/master-keys.ts';
import { createNotes, type Notes } from '#clinic/notes.ts';
import { createPatientRecords, type PatientRecords } from '#clinic/patient-records.ts';
import { createProgrammeEntries, type ProgrammeEntries } from '#clinic/programme-entries.ts';
import type { ReadCache } from '#clinic/read-cache.ts';
import type { RevisedRecords } from '#clinic/revised-records.ts';
import { createSearch, type Search } from '#clinic/search.ts';
import type { RolePool } from '#store/pools.ts';

/** Every method takes who asks first, and asks `authorise` first. */
export interface Records {
  readonly patients: PatientRecords;
  readonly identifiers: Identifiers;
  readonly consents: Consents;
  readonly history: RevisedRecords<HistoryRequest>;
  readonly notes: Notes;
  readonly goals: RevisedRecords<GoalRequest>;
  readonly programmes: RevisedRecords<ProgrammeRequest>;
  readonly entries: ProgrammeEntries;
  readonly search: Search;
}

export interface RecordParts {
  readonly app: RolePool;
  readonly clock: Clock;
  readonly cache: ReadCache;
  readonly masters: MasterKeys;
}

export function createRecords(parts: RecordParts): Records {
  const keys = createKeyStore(parts);
  const all = { ...parts, keys };
  return {
    patients: createPatientRecords(all),
    identifiers: createIdentifiers(all),
    consents: createConsents(all),
    history: createHistory(all),
    notes: createNotes(all),
    goals: createGoals(all),
    programmes: createProgrammes(all),
    entries: createProgrammeEntries(all),
    search: createSearch(all),
  };
}
