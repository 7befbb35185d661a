/**
 * Owns the Go comparison server from the benchmark's side: its Debian packages and its program, built from source into a
 * folder of the run. Where Go or the library is missing, it says what to install.
 */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { messageOf } from '#base/errors.ts';
import { installDebianPackages } from '#bench/support/debian-packages.ts';

const GOPATH = '/usr/share/gocode';
const GO = '/usr/bin/go';
const LIBRARIES = ['gorilla/websocket', 'gomodule/redigo'];
const PACKAGES = ['golang-go', 'golang-github-gorilla-websocket-dev', 'golang-github-gomodule-redigo-dev'];
const BUILD_MS = 240_000;
const SOURCE = fileURLToPath(new URL('../peers/gorilla/', import.meta.url));

const run = promisify(execFile);

export interface GorillaProgram {
  readonly path: string;
  readonly versions: Readonly<Record<string, string>>;
}

export async function buildGorilla(
  folder: string,
  say: (text: string) => void,
): Promise<GorillaProgram | { readonly absent: string }> {
  const isMissing = ![GO, ...LIBRARIES.map((name) => join(GOPATH, 'src', 'github.com', name))].every(
    existsSync,
  );
  const absent = isMissing ? await installDebianPackages('Go with gorilla/websocket', PACKAGES, say) : null;
  if (absent !== null) return { absent };
  say('building the Go server');
  const path = join(folder, 'gorilla-channels');
  // Compiled packages are kept for the next run.
  const cache = join(os.tmpdir(), `kymo-bench-go-${process.getuid?.() ?? 0}`);
  const env = { ...process.env, GO111MODULE: 'off', GOPATH, GOCACHE: cache, GOFLAGS: '' };
  try {
    await run(GO, ['build', '-o', path, '.'], { cwd: SOURCE, env, timeout: BUILD_MS });
    const { stdout } = await run(GO, ['version'], { env });
    return { path, versions: { go: stdout.split(' ')[2] ?? 'unknown', ...(await debianVersions()) } };
  } catch (error) {
    return { absent: `the Go program cannot be built: ${messageOf(error)}` };
  }
}

/** Of the libraries, as Debian knows them; elsewhere nothing. */
async function debianVersions(): Promise<Record<string, string>> {
  const { stdout } = await run('dpkg-query', ['-W', '-f', '${Package} ${Version}\\n', ...PACKAGES]).catch(
    () => ({ stdout: '' }),
  );
  return Object.fromEntries(
    [...stdout.matchAll(/^(\S+) (\S+)$/gm)].map(([, name, version]) => [name, version]),
  );
}
