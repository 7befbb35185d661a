/**
 * Owns what PostgreSQL says of the statements that a server just ran: auto_explain writes each plan, with what it really
 * read, into the log before the statement is answered, so that the log between two requests holds the plans of one.
 */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

export interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Actual Rows'?: number;
  readonly 'Actual Loops'?: number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
  readonly Plans?: readonly PlanNode[];
}

export interface RanStatement {
  readonly role: string;
  readonly text: string;
  readonly plan: PlanNode;
}

/** Settings of the PostgreSQL server; who is explained is said by `explainRoles`. */
export const explainSettings = {
  shared_preload_libraries: 'auto_explain',
  'auto_explain.log_analyze': 'on',
  'auto_explain.log_timing': 'off',
  'auto_explain.log_format': 'json',
  'auto_explain.log_nested_statements': 'on',
  log_line_prefix: '%u ',
} as const;

export function explainRoles(roles: readonly string[]): string {
  return roles.map((role) => `alter role ${role} set auto_explain.log_min_duration = 0`).join(';');
}

/** Reads what is added to the log from now on; each call gives what came since the last. */
export function followPlans(logFile: string): () => RanStatement[] {
  let at = sizeOf(logFile);
  return () => {
    const text = readFrom(logFile, at);
    at += Buffer.byteLength(text);
    return parsePlans(text);
  };
}

export function parsePlans(log: string): RanStatement[] {
  return [...log.matchAll(/^(\S+) LOG: {2}duration: [\d.]+ ms {2}plan:\n((?:\t.*\n?)+)/gm)].map(
    ([, role, indented]) => {
      const plan = JSON.parse(indented!.replaceAll(/^\t/gm, '')) as { 'Query Text': string; Plan: PlanNode };
      return { role: role!, text: plan['Query Text'], plan: plan.Plan };
    },
  );
}

export function nodesOf(plan: PlanNode): PlanNode[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
}

/** Rows that were read from tables and indexes, also those that a filter then dropped. */
export function rowsRead(plan: PlanNode): number {
  return nodesOf(plan)
    .filter((node) => node['Relation Name'] !== undefined || node['Index Name'] !== undefined)
    .reduce((sum, node) => {
      const each =
        (node['Actual Rows'] ?? 0) +
        (node['Rows Removed by Filter'] ?? 0) +
        (node['Rows Removed by Index Recheck'] ?? 0);
      return sum + each * (node['Actual Loops'] ?? 1);
    }, 0);
}

/** The tables that were read from their beginning to their end. */
export function scannedTables(plan: PlanNode): string[] {
  return nodesOf(plan)
    .filter((node) => node['Node Type'].endsWith('Seq Scan') && (node['Actual Loops'] ?? 1) > 0)
    .map((node) => node['Relation Name'] ?? '');
}

function sizeOf(file: string): number {
  return withFile(file, (descriptor) => fstatSync(descriptor).size);
}

function readFrom(file: string, from: number): string {
  return withFile(file, (descriptor) => {
    const buffer = Buffer.alloc(Math.max(0, fstatSync(descriptor).size - from));
    return buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, buffer.length, from));
  });
}

function withFile<T>(file: string, use: (descriptor: number) => T): T {
  const descriptor = openSync(file, 'r');
  try {
    return use(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
