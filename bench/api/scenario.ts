/**
 * Owns the work of the API benchmark as scenario.json says it: who asks what how often, of whose records. Ids follow from
 * numbers, so that whoever plays a clinician (our generator, k6) needs no list of them. Pure but for reading the file.
 */

import { readFileSync } from 'node:fs';

import type { Random } from '#base/random.ts';

export interface Operation {
  readonly name: string;
  /** Of all requests; the shares of a scenario add up to 1. */
  readonly share: number;
  readonly method: 'GET' | 'POST';
  /** With `{patient}` and `{session}`: ids. */
  readonly path: string;
  /** JSON, in whose texts `{code}` is the patient's. */
  readonly body?: object;
}

export interface Scenario {
  readonly name: string;
  readonly seed: number;
  readonly organisations: number;
  readonly clinicians: number;
  readonly patients: number;
  /** Patient i has `least + 7 i mod spread`. */
  readonly sessionsPerPatient: { readonly least: number; readonly spread: number };
  /** Whom a clinician sees today. */
  readonly panelPatients: number;
  /** Of the requests about a patient, those about one of the panel; the others are about anybody of the organisation. */
  readonly panelShare: number;
  /** The newest ones of a patient, which are looked at. */
  readonly recentSessions: number;
  readonly operations: readonly Operation[];
}

export function readScenario(): Scenario {
  return JSON.parse(readFileSync(new URL('./scenario.json', import.meta.url), 'utf8')) as Scenario;
}

/** The same work on fewer records. */
export function shrink(scenario: Scenario, patients: number): Scenario {
  return { ...scenario, patients };
}

export const patientId = (i: number): string => idOf('0190b000', i);
/** Session `k` of patient `i`, oldest first. */
export const sessionId = (i: number, k: number): string => idOf('0190c000', i * 64 + k);
export const patientCode = (i: number): string => `P-${String(i).padStart(6, '0')}`;

function idOf(prefix: string, n: number): string {
  return `${prefix}-0000-7000-8000-${n.toString(16).padStart(12, '0')}`;
}

export function sessionCount({ sessionsPerPatient: { least, spread } }: Scenario, patient: number): number {
  return least + ((7 * patient) % spread);
}

/** Clinicians and patients are dealt out to the organisations in turn. */
export function organisationOf({ organisations }: Scenario, n: number): number {
  return n % organisations;
}

/** The patients whom clinician `c` sees today: of the same organisation, and nobody else's while there are enough. */
export function panelOf(scenario: Scenario, c: number): number[] {
  const { organisations, panelPatients, patients } = scenario;
  const first = Math.floor(c / organisations) * panelPatients;
  const ofOrganisation = Math.floor(patients / organisations);
  return Array.from(
    { length: panelPatients },
    (_, k) => ((first + k) % ofOrganisation) * organisations + organisationOf(scenario, c),
  );
}

export interface Work {
  readonly operation: number;
  readonly clinician: number;
  readonly method: Operation['method'];
  readonly path: string;
  readonly body: string;
  /** Of the patient that the path may name. */
  readonly session: string;
}

/** What somebody does next. */
export function drawWork(scenario: Scenario, random: Random): Work {
  const clinician = Math.floor(random.next() * scenario.clinicians);
  const patient = drawPatient(scenario, clinician, random);
  const operation = drawOperation(scenario, random.next());
  const { method, path, body } = scenario.operations[operation]!;
  const newest = sessionCount(scenario, patient) - 1;
  const session = sessionId(patient, newest - Math.floor(random.next() * scenario.recentSessions));
  return {
    operation,
    clinician,
    method,
    path: path.replace('{patient}', patientId(patient)).replace('{session}', session),
    body: body === undefined ? '' : JSON.stringify(body).replace('{code}', patientCode(patient)),
    session,
  };
}

function drawPatient(scenario: Scenario, clinician: number, random: Random): number {
  const { organisations, panelPatients, panelShare, patients } = scenario;
  if (random.next() < panelShare)
    return panelOf(scenario, clinician)[Math.floor(random.next() * panelPatients)]!;
  const any = Math.floor(random.next() * Math.floor(patients / organisations));
  return any * organisations + organisationOf(scenario, clinician);
}

function drawOperation({ operations }: Scenario, at: number): number {
  let sum = 0;
  for (const [i, { share }] of operations.entries()) {
    sum += share;
    if (at < sum) return i;
  }
  return operations.length - 1;
}
