/**
 * Owns `kymo doctor`: looks at everything that a server needs and says what it found, each with what to do about it. It
 * works without a server and beside one, changes nothing and starts nothing.
 */

import { systemClock as clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import { processSources, readConfig, settingsHelp, type Config } from '#app/config.ts';
import { stateDirectoryOf } from '#app/database.ts';
import { checkClock } from '#app/doctor/clock.ts';
import { reachDatabase } from '#app/doctor/database-state.ts';
import { checkDatabase } from '#app/doctor/database.ts';
import { checkDescriptors } from '#app/doctor/descriptors.ts';
import { checkDisk } from '#app/doctor/disk.ts';
import { warning, type Check, type DoctorContext, type Finding } from '#app/doctor/finding.ts';
import { checkMemory } from '#app/doctor/memory.ts';
import { checkNode } from '#app/doctor/node-runtime.ts';
import { checkPort } from '#app/doctor/port.ts';
import { checkPrograms } from '#app/doctor/programs.ts';
import { checkRoles } from '#app/doctor/roles.ts';
import { checkSchema } from '#app/doctor/schema.ts';
import { checkServer } from '#app/doctor/server.ts';
import { checkTls } from '#app/doctor/tls.ts';
import { readyServers } from '#app/running-servers.ts';

/** In the order in which things have to be right. */
const checks: Readonly<Record<string, Check>> = {
  Node: checkNode,
  memory: checkMemory,
  descriptors: checkDescriptors,
  'data directory': checkDisk,
  programs: checkPrograms,
  clock: checkClock,
  database: checkDatabase,
  schema: checkSchema,
  roles: checkRoles,
  port: checkPort,
  tls: checkTls,
  server: checkServer,
};

export const doctorCommand = {
  help: `Usage: kymo doctor [--json] [--strict] [settings]

Looks at what a server with these settings needs. Changes nothing; works with and without a running server.
Exit code 0: no problem; 1: a problem was found, with --strict also for a warning.

${settingsHelp()}`,

  async run(args: readonly string[]): Promise<number> {
    const flags: ReadonlySet<string> = new Set(
      args.filter((word) => word === '--json' || word === '--strict'),
    );
    const config = readConfig(processSources(args.filter((word) => !flags.has(word))));
    const findings = await diagnose(config);
    const count = (state: Finding['state']): number =>
      findings.filter((found) => found.state === state).length;
    const isWell = count('problem') === 0 && (!flags.has('--strict') || count('warning') === 0);
    if (flags.has('--json')) console.log(JSON.stringify({ ok: isWell, findings }, null, 2));
    else print(findings, `${counted(count('problem'), 'problem')}, ${counted(count('warning'), 'warning')}`);
    return isWell ? 0 : 1;
  },
};

/** Everything that there is to find for a server with this configuration. */
export async function diagnose(config: Config): Promise<Finding[]> {
  const stateDir = stateDirectoryOf(config);
  const database = await reachDatabase(config, stateDir);
  try {
    return await examine({ config, stateDir, clock, database, servers: readyServers(stateDir) });
  } finally {
    if (database.kind === 'connected') await database.client.end();
  }
}

async function examine(context: DoctorContext): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const [name, check] of Object.entries(checks)) {
    try {
      findings.push(...(await check(context)));
    } catch (error) {
      const text = `This could not be looked at: ${messageOf(error)}.`;
      findings.push(warning(name, text, 'run the command again; if it stays, report it with this line'));
    }
  }
  return findings;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

/** One line a finding, and one for what to do. Amber needs attention, red needs action; the rest has no colour. */
function print(findings: readonly Finding[], summary: string): void {
  const colour = (code: number, text: string): string =>
    process.stdout.isTTY ? `\u001b[${code}m${text}\u001b[0m` : text;
  const codes = { ok: 2, warning: 33, problem: 31 } as const;
  const width = Math.max(...findings.map(({ check }) => check.length));
  for (const { check, state, text, fix } of findings) {
    console.log(`  ${colour(codes[state], state.padEnd(7))}  ${check.padEnd(width)}  ${text}`);
    if (fix !== null) console.log(`  ${''.padEnd(7 + 2 + width)}  Fix: ${fix}`);
  }
  console.log(`\n${summary}.`);
}
