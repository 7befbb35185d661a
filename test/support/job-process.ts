/**
 * Owns a process that runs jobs, to be killed: at its first attempt the task stores half of a file, says so, and hangs.
 * Arguments: the owner's address of the database.
 */

import { openPools } from '#store/pools.ts';
import { startTestRunner, testTask } from '#test/support/job-runner.ts';

const [ownerUrl] = process.argv.slice(2);
const pools = await openPools(ownerUrl!);
startTestRunner(pools, [
  testTask(async ({ store }) => {
    async function* half(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(1024 * 1024, 7);
      yield Buffer.alloc(1024 * 1024, 7);
      process.stdout.write('half\n');
      await new Promise(() => undefined);
    }
    await store({ name: 'half.bin', type: 'application/octet-stream' }, half());
  }),
]);
