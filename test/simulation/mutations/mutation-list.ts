/** Owns the list of deliberate bugs, each of which the simulation must find (docs/reliability.md). */

import { channelMutations } from '#test/simulation/mutations/channel-mutations.ts';
import { databaseMutations } from '#test/simulation/mutations/database-mutations.ts';
import { deviceMutations } from '#test/simulation/mutations/device-mutations.ts';
import { diskMutations } from '#test/simulation/mutations/disk-mutations.ts';
import { ingestMutations } from '#test/simulation/mutations/ingest-mutations.ts';
import { liveMutations } from '#test/simulation/mutations/live-mutations.ts';
import type { Mutation } from '#test/simulation/mutations/mutation.ts';
import { writerMutations } from '#test/simulation/mutations/writer-mutations.ts';

export const mutations: readonly Mutation[] = [
  ...writerMutations,
  ...databaseMutations,
  ...ingestMutations,
  ...deviceMutations,
  ...diskMutations,
  ...liveMutations,
  ...channelMutations,
];
