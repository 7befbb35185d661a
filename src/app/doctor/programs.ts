/** Owns the check of the embedded PostgreSQL's programs: there for this machine, complete, and able to run. */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';

import { messageOf } from '#base/errors.ts';
import { ok, problem, type Check, type Finding } from '#app/doctor/finding.ts';
import { inspectPrograms } from '#app/embedded-binaries.ts';

const RUN_MS = 10_000;

export const checkPrograms: Check = async ({ config, stateDir }) => {
  if (config['database-url'] !== '') return [];
  let programs: ReturnType<typeof inspectPrograms>;
  try {
    programs = inspectPrograms(stateDir);
  } catch (error) {
    return [
      problem(
        'programs',
        `${sentence(messageOf(error))}.`,
        'export DATABASE_URL=postgres://USER:PASSWORD@HOST/kymo',
      ),
    ];
  }
  if (!existsSync(programs.directory))
    return [ok('programs', 'PostgreSQL for this machine is installed; the first start unpacks it.')];
  return [programs.missing.length > 0 ? incomplete(programs) : await tryOut(programs)];
};

function incomplete({ directory, missing }: { directory: string; missing: readonly string[] }): Finding {
  const [first = ''] = missing;
  return problem(
    'programs',
    `The unpacked PostgreSQL lacks ${missing.length} library links, ${first} among them.`,
    `rm -r '${directory}' while no server runs; the next start unpacks it again`,
  );
}

/** --version runs as any user, touches no data, and needs every library. */
async function tryOut({ directory, postgres }: { directory: string; postgres: string }): Promise<Finding> {
  try {
    const { stdout } = await promisify(execFile)(postgres, ['--version'], { timeout: RUN_MS });
    return ok('programs', `${stdout.trim()} is unpacked, its library links are complete.`);
  } catch (error) {
    const said = messageOf(error).trim().split('\n').at(-1) ?? '';
    return problem(
      'programs',
      `The unpacked PostgreSQL does not run: ${said}.`,
      `rm -r '${directory}' while no server runs; the next start unpacks it again`,
    );
  }
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
