/** Owns `kymo rotate-master-key`: wraps the keys of all patients, and seals all secrets, with a new master key. */

import { systemClock as clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { rewrapKeys, usedMasterKeys } from '#clinic/key-rotation.ts';
import { masterKeyOf, newKey, type MasterKeys } from '#clinic/master-keys.ts';
import { resealSecrets, usedSecretKeys } from '#identity/secret-rotation.ts';
import { processSources, readConfig, settingsHelp } from '#app/config.ts';
import { stateDirectoryOf } from '#app/database.ts';
import { withFileLock } from '#app/file-lock.ts';
import { createMasterKeyFile, givenMasterKeys, parseMasterKeys } from '#app/master-key-file.ts';
import { parseOwnArguments } from '#app/own-arguments.ts';
import { withStoredData, type StoredData } from '#app/stored-data.ts';

const usage = 'kymo rotate-master-key [--json] [settings]';

export const rotateMasterKeyCommand = {
  help: `Usage: ${usage}

What names a patient is sealed under a key of that patient, and these keys are wrapped with a master key; second factors and
secrets of webhooks are sealed under it. This makes a new master key in the key file (patient-keys.json in the data folder),
and wraps and seals all of them with it; servers go on meanwhile. The
key before stays in the file until the next rotation. With KYMO_MASTER_KEY=NEW,OLD no key is made: all are wrapped with NEW,
and OLD can be left out once every server was started with NEW.

  --json  print JSON

${settingsHelp()}`,

  async run(args: readonly string[]): Promise<number> {
    const { positionals, has, rest } = parseOwnArguments(args, { json: 'boolean' } as const, usage);
    if (positionals.length > 0) throw new AppError('invalid-field', `it is ${usage}`);
    const config = readConfig(processSources(rest));
    const given = config['master-key'];
    const stateDir = stateDirectoryOf(config);
    return withStoredData(rest, async ({ owner }) => {
      const done =
        given === ''
          ? await withFileLock(
              { file: `${stateDir}/patient-keys.lock`, doing: 'rotating the master key', clock },
              () => rotateFile(owner, stateDir),
            )
          : await rotateTo(owner, givenMasterKeys(parseMasterKeys(given)));
      console.log(has('json') ? JSON.stringify(done) : describe(done));
      return done.unknown === 0 ? 0 : 1;
    });
  },
};

interface Done {
  readonly masterKeyId: string;
  readonly rewrapped: number;
  readonly resealed: number;
  readonly unknown: number;
}

async function rotateTo(owner: StoredData['owner'], masters: MasterKeys): Promise<Done> {
  const keys = await rewrapKeys(owner, masters);
  const secrets = await resealSecrets(owner, masters);
  return {
    masterKeyId: (await masters.current()).id,
    rewrapped: keys.rewrapped,
    resealed: secrets.resealed,
    unknown: keys.unknown + secrets.unknown,
  };
}

// The new key is in the file before anything is wrapped with it, and an old one is taken out when nothing is any more.
async function rotateFile(owner: StoredData['owner'], stateDir: string): Promise<Done> {
  const file = createMasterKeyFile(stateDir);
  const before = await file.read();
  await file.write([masterKeyOf(newKey()), ...before]);
  const done = await rotateTo(owner, file);
  // Also by a server that sealed something while this went on.
  const used = new Set([...(await usedMasterKeys(owner)), ...(await usedSecretKeys(owner))]);
  const ring = await file.read();
  await file.write(ring.filter((key, i) => i <= 1 || used.has(key.id)));
  return done;
}

function describe({ masterKeyId, rewrapped, resealed, unknown }: Done): string {
  const left =
    unknown === 0
      ? ''
      : `\n${unknown} are wrapped or sealed with master keys that are not here, and were left as they are.`;
  return `Wrapped ${rewrapped} keys and sealed ${resealed} secrets with the master key ${masterKeyId}.${left}`;
}
