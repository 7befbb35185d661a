/** Owns `kymo hold`: puts a session under a legal hold, or ends one. */

import { AppError } from '#base/errors.ts';
import { createLegalHolds, holdLimits } from '#store/legal-holds.ts';
import { recordCommand } from '#app/audit.ts';
import { settingsHelp } from '#app/config.ts';
import { parseOwnArguments } from '#app/own-arguments.ts';
import { describeSession, findSession, withStoredData } from '#app/stored-data.ts';

const usage = 'kymo hold SESSION on --reason TEXT, or kymo hold SESSION off';

export const holdCommand = {
  help: `Usage: kymo hold SESSION on --reason TEXT [--json] [settings]
       kymo hold SESSION off [--json] [settings]

While a session is under a legal hold, retention does not drop its readings and nobody can erase it.

  --reason <text>  why; shown with the session
  --json           print JSON

${settingsHelp()}`,

  async run(args: readonly string[]): Promise<number> {
    const own = { reason: 'string', json: 'boolean' } as const;
    const { positionals, texts, has, rest } = parseOwnArguments(args, own, usage);
    const [id, state, ...more] = positionals;
    const { reason } = texts;
    if (id === undefined || (state !== 'on' && state !== 'off') || more.length > 0)
      throw new AppError('invalid-field', `it is ${usage}`);
    if (state === 'on' && (reason === undefined || reason.trim() === ''))
      throw new AppError('invalid-field', 'say why: --reason "court file 7"');
    if (reason !== undefined && (reason.length > holdLimits.reasonCharacters || !reason.isWellFormed()))
      throw new AppError('invalid-field', `a reason has at most ${holdLimits.reasonCharacters} characters`);
    return withStoredData(rest, async ({ owner, pools }) => {
      const session = await findSession(owner, id);
      if (session !== null)
        await recordCommand(pools, { orgId: session.orgId, command: `hold ${state}`, session: session.id });
      const holds = createLegalHolds(pools.app);
      const isDone =
        session !== null &&
        (state === 'on'
          ? await holds.hold(session.orgId, session.id, reason!)
          : await holds.release(session.orgId, session.id));
      if (session === null || (!isDone && state === 'on'))
        throw new AppError('not-found', `there is no session ${id}, or it is being erased`);
      if (!isDone) throw new AppError('not-found', `session ${id} is under no hold`);
      if (has('json')) console.log(JSON.stringify({ session: id, held: state === 'on' }));
      else
        console.log(
          `${state === 'on' ? 'Held' : 'No longer held'}: session ${id}\n  ${describeSession(session)}`,
        );
      return 0;
    });
  },
};
