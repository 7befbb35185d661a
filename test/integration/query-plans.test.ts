/**
 * Every statement of every route on many records: what PostgreSQL really did with them, by its own account. No table of many
 * rows is read from end to end, what is read is bounded by the page and not by the organisation, and a longer page asks no more
 * often. A route that is added must be added here, or say why it asks the database nothing.
 */

import path from 'node:path';

import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { startEmbeddedDatabase } from '#app/embedded-database.ts';
import { clinicianKey, fillClinic } from '#bench/api/dataset.ts';
import { patientCode, patientId, readScenario, sessionCount, sessionId, shrink } from '#bench/api/scenario.ts';
import { migrate } from '#store/migrate.ts';
import { startKymo } from '#test/support/kymo-process.ts';
import {
  explainRoles,
  explainSettings,
  followPlans,
  rowsRead,
  scannedTables,
  type RanStatement,
} from '#test/support/query-plans.ts';
import { createTemporaryDirectory } from '#test/support/temporary-directory.ts';

/** 100,000 sessions. */
const scenario = shrink(readScenario(), 5_000);
/** Of more rows PostgreSQL says that they are many: a scan of fewer costs less than looking into an index. */
const MANY_ROWS = 3_000;
/** A page of 200 sessions with their streams, epochs and patients reads about 1,000. */
const MOST_ROWS = 3_000;
/** Statements of a request beside the naming of the organisation. */
const MOST_STATEMENTS = 2;

const patient = 20;
const ids = {
  patient: patientId(patient),
  session: sessionId(patient, sessionCount(scenario, patient) - 1),
  stream: sessionId(patient, sessionCount(scenario, patient) - 1).replace('0190c000', '01910000'),
  device: '0190d000-0000-7000-8000-000000000000',
  none: '01990000-0000-7000-8000-000000000000',
};

interface Example {
  readonly path?: string;
  readonly body?: object;
  /** More than the usual, and why. */
  readonly statements?: { readonly most: number; readonly since: string };
  readonly status?: number;
}

/** `METHOD path` as the OpenAPI document has it; the path with its parameters filled in where it has some. */
const examples: Record<string, Example | readonly Example[]> = {
