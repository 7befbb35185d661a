/** Owns `kymo erase`: removes a session, or one stream of it, for good, after a person has typed which. */

import { createInterface } from 'node:readline/promises';

import type pg from 'pg';

import { AppError } from '#base/errors.ts';
import { erase } from '#store/erasure.ts';
import { recordCommand } from '#app/audit.ts';
import { settingsHelp } from '#app/config.ts';
import { parseOwnArguments } from '#app/own-arguments.ts';
import { describeSession, findSession, withStoredData, type FoundSession } from '#app/stored-data.ts';

const usage = 'kymo erase SESSION [--stream ID] [--yes] [--json]';

export const eraseCommand = {
  help: `Usage: ${usage} [settings]

Removes readings, sealed or not, roll-ups, declared losses and definitions, and leaves the id, so that a device which
still holds readings of it drops them when it comes back. There is no way to undo it; back-ups keep what they have.
A session under a legal hold is refused. If it is interrupted, the same command finishes it. The server may run.

  --stream <id>  only this stream of the session
  --yes          do not ask
  --json         print JSON

${settingsHelp()}`,

  async run(args: readonly string[]): Promise<number> {
    const own = { stream: 'string', yes: 'boolean', json: 'boolean' } as const;
    const { positionals, texts, has, rest } = parseOwnArguments(args, own, usage);
    const [id, ...more] = positionals;
    if (id === undefined || more.length > 0) throw new AppError('invalid-field', `it is ${usage}`);
    return withStoredData(rest, async ({ owner, pools }) => {
      const session = await findSession(owner, id);
      if (session === null) {
        const { rowCount } = await owner.query("select from kymo.erased where kind = 'session' and id = $1", [
          id,
        ]);
        if (rowCount === 0) throw new AppError('not-found', `there is no session ${id}`);
        say(has('json'), { session: id, outcome: 'erased' }, `Session ${id} was erased already.`);
        return 0;
      }
      const { stream } = texts;
      if (stream !== undefined) await assertStreamOf(owner, session, stream);
      if (!has('yes')) await confirm(session, stream);
      const target =
        stream === undefined
          ? ({ kind: 'session', id: session.id } as const)
          : ({ kind: 'stream', id: stream } as const);
      await recordCommand(pools, { orgId: session.orgId, command: 'erase', session: session.id });
      const outcome = await erase(pools, session.orgId, target);
      if (outcome === 'held')
        throw new AppError('conflict', `session ${id} is under a legal hold: kymo hold ${id} off ends it`);
      const what = stream === undefined ? `Session ${id}` : `Stream ${stream}`;
      say(has('json'), { [target.kind]: target.id, outcome }, `${what} is erased.`);
      return 0;
    });
  },
};

function say(isJson: boolean, value: object, text: string): void {
  console.log(isJson ? JSON.stringify(value) : text);
}

/** Throws AppError `not-found` unless the session has, or had, this stream. */
async function assertStreamOf(owner: pg.Pool, { id, orgId }: FoundSession, stream: string): Promise<void> {
  const { rowCount } = await owner.query(
    `select from kymo.stream where id::text = lower($1) and session_id = $2
      union all select from kymo.erased where kind = 'stream' and id::text = lower($1) and org_id = $3`,
    [stream, id, orgId],
  );
  if (rowCount === 0) throw new AppError('not-found', `session ${id} has no stream ${stream}`);
}

/** Throws AppError unless the person types the beginning of the id. */
async function confirm(session: FoundSession, stream: string | undefined): Promise<void> {
  if (!process.stdin.isTTY) throw new AppError('invalid-field', 'nobody is there to be asked: say --yes');
  const expected = (stream ?? session.id).slice(-6);
  console.log(
    `${stream === undefined ? 'This erases' : `This erases stream ${stream} of`} session ${session.id}\n  ${describeSession(session)}`,
  );
  const asking = createInterface({ input: process.stdin, output: process.stdout });
  const typed = await asking.question(`It cannot be undone. Type the last 6 characters of the id to go on: `);
  asking.close();
  if (typed.trim().toLowerCase() !== expected)
    throw new AppError('invalid-field', 'that is not the end of the id; nothing was erased');
}
