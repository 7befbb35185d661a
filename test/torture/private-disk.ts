/**
 * Owns small file systems that a run may fill: an ext4 image on a loop device, so that syncs reach a real disk, else a
 * tmpfs, else nothing, where neither is permitted. Filled by one file that takes all room, freed by removing it.
 */

import { execFileSync } from 'node:child_process';
import { closeSync, openSync, rmSync, statfsSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { messageOf } from '#base/errors.ts';
import type { RunGuard } from '#test/torture/run-guard.ts';

export interface PrivateDisk {
  /** `ext4 on a loop device` or `tmpfs`. */
  readonly kind: string;
  fill(): void;
  free(): void;
}

/** Mounts over the empty `directory`; the guard unmounts it. `absent` says why there is none. */
export function mountPrivateDisk(
  guard: RunGuard,
  options: { directory: string; imageFile: string; mebibytes: number; kinds: readonly ('ext4' | 'tmpfs')[] },
): PrivateDisk | { readonly absent: string } {
  const { directory, imageFile, mebibytes } = options;
  let absent = 'no kind was asked for';
  for (const kind of options.kinds) {
    try {
      // Told first: a run that is killed between the two leaves nothing mounted.
      guard.unmountLater(directory);
      if (kind === 'ext4') {
        writeFileSync(imageFile, '');
        truncateSync(imageFile, mebibytes * 2 ** 20);
        quietly('mkfs.ext4', ['-q', '-m', '0', '-E', 'lazy_itable_init=1', imageFile]);
        quietly('mount', ['-o', 'loop', imageFile, directory]);
        rmSync(join(directory, 'lost+found'), { recursive: true });
      } else quietly('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', directory]);
      return diskIn(directory, kind === 'ext4' ? 'ext4 on a loop device' : 'tmpfs');
    } catch (error) {
      // The program's own words come last.
      absent = messageOf(error).trim().split('\n').at(-1) ?? '';
    }
  }
  return { absent };
}

function diskIn(directory: string, kind: string): PrivateDisk {
  const filler = join(directory, 'filler');
  return {
    kind,
    fill() {
      // A file of one piece takes nearly all without writing it; the rest is written until nothing goes.
      const { bavail, bsize } = statfsSync(directory);
      try {
        if (bavail > 256) quietly('fallocate', ['-l', String((bavail - 128) * bsize), filler]);
      } catch {
        // What is written below then takes longer.
      }
      const file = openSync(filler, 'a');
      try {
        for (let block = Buffer.alloc(2 ** 18); block.length >= 512;) {
          try {
            writeSync(file, block);
          } catch {
            block = block.subarray(0, block.length / 2);
          }
        }
      } finally {
        closeSync(file);
      }
    },
    free: () => rmSync(filler, { force: true }),
  };
}

function quietly(program: string, args: readonly string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8', timeout: 30_000 });
}
