/** Owns `kymo migrate`: brings the database to the newest schema and says what it did. */

import { systemClock as clock } from '#base/clock.ts';
import { processSources, readConfig } from '#app/config.ts';
import { openDatabase } from '#app/database.ts';
import { createLog } from '#app/log.ts';
import { printStep } from '#app/terminal.ts';

export async function migrateCommand(args: readonly string[]): Promise<number> {
  const config = readConfig(processSources(args));
  const database = await openDatabase(config, {
    clock,
    log: createLog(config['log-level']),
    onStep: printStep,
  });
  await database.stop();
  console.log('The schema is up to date.');
  return 0;
}
