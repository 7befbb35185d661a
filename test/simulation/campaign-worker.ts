/** Owns one thread of a campaign: ranges of seeds in, sums out. */

import { parentPort } from 'node:worker_threads';

import { runSeeds, type SeedRange } from '#test/simulation/campaign.ts';

parentPort!.on('message', (range: SeedRange) => {
  void runSeeds(range).then((sum) => parentPort!.postMessage(sum, []));
});
